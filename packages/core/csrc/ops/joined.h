// What flip, roll and repeat copy, as views, on every device.
#pragma once

#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {

// input with dims (None: all) in reverse order.
inline Tensor flipped(atled_tensor* input, const atled_value& asked) {
  const DimSet dims = asked.tag == ATLED_INTS && asked.n == 0 ? 0 : reduced_dims(asked, input->dl.ndim);
  Layout turned(input);
  for (int d = 0; d < turned.ndim; ++d) {
    if (!(dims >> d & 1) || turned.shape[d] == 0) continue;
    turned.offset += (turned.shape[d] - 1) * turned.strides[d];
    turned.strides[d] = -turned.strides[d];
  }
  return turned.view(input);
}

// Calls copy(to, from) for the pieces of a roll: shifts, which are in [0, n), left in dimensions d and above.
template <class Copy>
void each_rolled_piece(Layout to, Layout from, const int64_t* shifts, int d, Copy&& copy) {
  while (d < to.ndim && shifts[d] == 0) ++d;
  if (d == to.ndim) return copy(to, from);
  const int64_t n = to.shape[d], moved = shifts[d];
  const Layout whole_to = to, whole_from = from;
  to.shape[d] = from.shape[d] = n - moved;
  to.offset += moved * to.strides[d];
  each_rolled_piece(to, from, shifts, d + 1, copy);
  to = whole_to;
  from = whole_from;
  to.shape[d] = from.shape[d] = moved;
  from.offset += (n - moved) * from.strides[d];
  each_rolled_piece(to, from, shifts, d + 1, copy);
}

// out = input moved on by shifts; without dims, input and out are contiguous and count as one line.
template <class Copy>
void roll_into(atled_tensor* out, atled_tensor* input, const atled_value& by, const atled_value& dims, Copy&& copy) {
  Layout to(out), from(input);
  int64_t shifts[ATLED_MAX_NDIM] = {};
  auto add = [&](int d, int64_t shift) {
    const int64_t n = to.shape[d];
    shifts[d] = ((shifts[d] + shift % n) % n + n) % n;
  };
  if (is_none(dims)) {
    to.ndim = from.ndim = 0;
    to.push(numel(out), 1);
    from.push(numel(out), 1);
    add(0, by.u.ints[0]);
  } else if (to.ndim > 0) {
    for (uint32_t i = 0; i < dims.n; ++i) add(wrap_dim(dims.u.ints[i], to.ndim), by.u.ints[i]);
  }
  each_rolled_piece(to, from, shifts, 0,
                    [&](const Layout& a, const Layout& b) { copy(a.view(out).get(), b.view(input).get()); });
}

// The output seen as (count, size) pairs of dimensions, over which the input stands still in each count.
template <class Copy>
void repeat_into(atled_tensor* out, atled_tensor* input, Copy&& copy) {
  if (numel(out) == 0) return;
  const int added = out->dl.ndim - input->dl.ndim;
  Layout to, from;
  for (int d = 0; d < out->dl.ndim; ++d) {
    const int64_t size = d < added ? 1 : input->dl.shape[d - added], count = out->dl.shape[d] / size;
    if (count > 1) {
      to.push(count, size * out->dl.strides[d]);
      from.push(count, 0);
    }
    if (size > 1) {
      to.push(size, out->dl.strides[d]);
      from.push(size, input->dl.strides[d - added]);
    }
  }
  copy(to.view(out).get(), from.view(input).get());
}

}  // namespace atled::core
