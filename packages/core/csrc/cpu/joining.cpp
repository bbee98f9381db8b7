#include <algorithm>

#include "cpu/assign.h"
#include "cpu/indexed.h"
#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void cat(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  atled_tensor* out = out_tensor(f);
  const int dim = wrap_dim(arg_int(f, 1), out->dl.ndim);
  Layout piece(out);
  for (uint32_t i = 0; i < tensors.n; ++i) {
    atled_tensor* t = tensors.u.tensors[i];
    if (numel(t) == 0) continue;
    piece.shape[dim] = t->dl.shape[dim];
    assign(piece.view(out), t);
    piece.offset += piece.shape[dim] * piece.strides[dim];
  }
}

void stack(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  atled_tensor* out = out_tensor(f);
  const int dim = wrap_dim(arg_int(f, 1), out->dl.ndim);
  Layout piece(out);
  const int64_t step = out->dl.strides[dim];
  piece.erase(dim);
  for (uint32_t i = 0; i < tensors.n; ++i, piece.offset += step) assign(piece.view(out), tensors.u.tensors[i]);
}

void flip(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& asked = f->args[1];
  const DimSet dims = asked.tag == ATLED_INTS && asked.n == 0 ? 0 : reduced_dims(asked, input->dl.ndim);
  Layout turned(input);
  for (int d = 0; d < turned.ndim; ++d) {
    if (!(dims >> d & 1) || turned.shape[d] == 0) continue;
    turned.offset += (turned.shape[d] - 1) * turned.strides[d];
    turned.strides[d] = -turned.strides[d];
  }
  assign(out_tensor(f), turned.view(input));
}

// Copies from to to with shifts, which are in [0, n), left in dimensions d and above.
void roll_into(atled_tensor* out, atled_tensor* input, Layout to, Layout from, const int64_t* shifts, int d) {
  while (d < to.ndim && shifts[d] == 0) ++d;
  if (d == to.ndim) return assign(to.view(out), from.view(input));
  const int64_t n = to.shape[d], moved = shifts[d];
  const Layout whole_to = to, whole_from = from;
  to.shape[d] = from.shape[d] = n - moved;
  to.offset += moved * to.strides[d];
  roll_into(out, input, to, from, shifts, d + 1);
  to = whole_to;
  from = whole_from;
  to.shape[d] = from.shape[d] = moved;
  from.offset += (n - moved) * from.strides[d];
  roll_into(out, input, to, from, shifts, d + 1);
}

void roll(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  Tensor input = Tensor::borrow(arg_tensor(f, 0));
  if (numel(out) == 0) return;
  Layout to(out), from(input);
  int64_t shifts[ATLED_MAX_NDIM] = {};
  auto add = [&](int d, int64_t shift) {
    const int64_t n = to.shape[d];
    shifts[d] = ((shifts[d] + shift % n) % n + n) % n;
  };
  const atled_value& dims = f->args[2];
  if (is_none(dims)) {
    input = contiguous(input);
    to.ndim = from.ndim = 0;
    to.push(numel(out), 1);
    from.push(numel(out), 1);
    add(0, f->args[1].u.ints[0]);
  } else if (to.ndim > 0) {
    for (uint32_t i = 0; i < dims.n; ++i) add(wrap_dim(dims.u.ints[i], to.ndim), f->args[1].u.ints[i]);
  }
  roll_into(out, input, to, from, shifts, 0);
}

// The output seen as (count, size) pairs of dimensions, over which the input stands still in each count.
void repeat(atled_frame* f) {
  atled_tensor *out = out_tensor(f), *input = arg_tensor(f, 0);
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
  assign(to.view(out), from.view(input));
}

void repeat_indices(atled_frame* f) {
  if (!is_integer(arg_tensor(f, 0)->dtype) || arg_tensor(f, 0)->dl.ndim > 1)
    fail(ATLED_E_DTYPE, "expected repeats of an integer dtype in one dimension, got %s of shape %s",
         dtype_name(arg_tensor(f, 0)->dtype), shape_text(arg_tensor(f, 0)).c_str());
  const Tensor counts = contiguous(arg_tensor(f, 0), ATLED_INT64);
  const int64_t n = numel(counts), *count = data<int64_t>(counts);
  int64_t total = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (count[i] < 0) fail(ATLED_E_VALUE, "expected repeats >= 0, got %lld", (long long)count[i]);
    if (__builtin_add_overflow(total, count[i], &total))
      fail(ATLED_E_MEMORY, "expected fewer than 2^63 repeats in all");
  }
  Tensor out = Tensor::empty(ATLED_INT64, {total});
  int64_t* to = data<int64_t>(out);
  for (int64_t i = 0; i < n; ++i) to = std::fill_n(to, count[i], i);
  set_out(f, 0, out);
}

void repeat_interleave(atled_frame* f) {
  static const Op flatten{"core::flatten"}, unsqueeze{"core::unsqueeze"}, expand{"core::expand"},
      reshape{"core::reshape"}, indices{"core::repeat_indices"}, select{"core::index_select"};
  Tensor input = Tensor::borrow(arg_tensor(f, 0));
  const atled_value& repeats = f->args[1];
  if (arg_is_none(f, 2) || input->dl.ndim == 0) input = flatten(input);
  const int dim = arg_is_none(f, 2) ? 0 : wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t n = input->dl.shape[dim];
  if (repeats.tag == ATLED_TENSOR) {
    Tensor counts = Tensor::borrow(repeats.u.tensor);
    if (numel(counts) == 1 && n != 1) counts = expand(flatten(counts), ints_value(&n, 1));
    if (numel(counts) != n)
      fail(ATLED_E_SHAPE, "expected %lld repeats, one for each entry of dim %d, got %lld", (long long)n, dim,
           (long long)numel(counts));
    return set_out(f, 0, select(input, dim, indices(counts)));
  }
  if (repeats.tag != ATLED_INT_VALUE || repeats.u.i < 0)
    fail(ATLED_E_VALUE, "expected repeats to be an integer >= 0, got %g", as_double(repeats));
  Layout wide(input), merged(input);
  wide.insert(dim + 1, repeats.u.i, 0);
  const Tensor spread = expand(unsqueeze(input, dim + 1), ints_value(wide.shape, static_cast<size_t>(wide.ndim)));
  merged.shape[dim] = n * repeats.u.i;
  set_out(f, 0, reshape(spread, ints_value(merged.shape, static_cast<size_t>(merged.ndim))));
}

void meshgrid(atled_frame* f) {
  static const Op view{"core::reshape"}, expand{"core::expand"};
  const atled_value& tensors = f->args[0];
  const std::string indexing(f->args[1].u.str, f->args[1].n);
  if (indexing != "ij" && indexing != "xy")
    fail(ATLED_E_VALUE, "expected indexing \"ij\" or \"xy\", got \"%s\"", indexing.c_str());
  const bool swap = indexing == "xy" && tensors.n > 1;
  Layout grid;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    if (tensors.u.tensors[i]->dl.ndim > 1)
      fail(ATLED_E_SHAPE, "expected tensors of at most one dimension, got shape %s",
           shape_text(tensors.u.tensors[i]).c_str());
    grid.push(numel(tensors.u.tensors[i]), 0);
  }
  if (swap) std::swap(grid.shape[0], grid.shape[1]);
  std::vector<Tensor> grids;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    int64_t shape[ATLED_MAX_NDIM];
    std::fill_n(shape, grid.ndim, int64_t{1});
    shape[swap && i < 2 ? 1 - i : i] = numel(tensors.u.tensors[i]);
    Tensor line = view(tensors.u.tensors[i], ints_value(shape, static_cast<size_t>(grid.ndim)));
    grids.push_back(expand(line, ints_value(grid.shape, static_cast<size_t>(grid.ndim))));
  }
  set_out_list(f, 0, grids);
}

void add_joining() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("core::cat", kernel<cat>);
  cpu("core::stack", kernel<stack>);
  cpu("core::flip", kernel<flip>);
  cpu("core::roll", kernel<roll>);
  cpu("core::repeat", kernel<repeat>);
  cpu("core::tile", kernel<repeat>);
  cpu("core::repeat_indices", kernel<repeat_indices>);
  add_kernel("core::repeat_interleave", ATLED_DEVICE_ANY, kernel<repeat_interleave>);
  add_kernel("core::meshgrid", ATLED_DEVICE_ANY, kernel<meshgrid>);
}

ATLED_KERNELS(add_joining);

}  // namespace
}  // namespace atled::core
