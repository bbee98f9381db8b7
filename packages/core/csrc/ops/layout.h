// Shape, strides and offset of a view in the making, and the arithmetic that views share. Nothing here allocates but
// the view itself; all throw Error.
#pragma once

#include <cstdint>
#include <cstring>

#include "atled/plugin.hpp"
#include "ops/rules.h"

namespace atled::core {

// The stride of every step-th element. Where a step goes beyond the dimension the product need not fit, nor matter.
inline int64_t stepped(int64_t stride, int64_t step) {
  return static_cast<int64_t>(static_cast<uint64_t>(stride) * static_cast<uint64_t>(step));
}

struct Layout {
  Layout() {}
  explicit Layout(const atled_tensor* t) : ndim(t->dl.ndim) {
    for (int i = 0; i < ndim; ++i) {
      shape[i] = t->dl.shape[i];
      strides[i] = t->dl.strides[i];
    }
  }

  void push(int64_t size, int64_t stride) {
    if (ndim == ATLED_MAX_NDIM) fail(ATLED_E_SHAPE, "expected at most %d dimensions", ATLED_MAX_NDIM);
    shape[ndim] = size;
    strides[ndim++] = stride;
  }
  void erase(int dim) {
    --ndim;
    for (int i = dim; i < ndim; ++i) {
      shape[i] = shape[i + 1];
      strides[i] = strides[i + 1];
    }
  }
  void insert(int dim, int64_t size, int64_t stride) {
    push(size, stride);
    for (int i = ndim - 1; i > dim; --i) {
      shape[i] = shape[i - 1];
      strides[i] = strides[i - 1];
    }
    shape[dim] = size;
    strides[dim] = stride;
  }
  Tensor view(atled_tensor* base) const { return view(base, base->dtype); }
  Tensor view(atled_tensor* base, int dtype) const {
    atled_tensor* t = nullptr;
    check(api.as_view(base, dtype, ndim, shape, strides, offset, &t));
    return Tensor::steal(t);
  }

  int ndim = 0;
  int64_t offset = 0;
  int64_t shape[ATLED_MAX_NDIM];
  int64_t strides[ATLED_MAX_NDIM];
};

// Copies a requested shape, one -1 of which stands for what is left of numel.
inline void infer_shape(const atled_value& asked, const atled_tensor* input, Layout& out) {
  if (asked.n > ATLED_MAX_NDIM) fail(ATLED_E_SHAPE, "expected at most %d dimensions, got %u", ATLED_MAX_NDIM, asked.n);
  const int64_t total = numel(input);
  int64_t product = 1;
  int open = -1;
  bool sane = true;
  out.ndim = static_cast<int>(asked.n);
  for (int i = 0; i < out.ndim; ++i) {
    const int64_t size = asked.u.ints[i];
    out.shape[i] = size;
    if (size == -1 && open < 0) {
      open = i;
    } else {
      sane &= size >= 0 && (size == 0 || product <= INT64_MAX / size);
      product = sane ? product * size : 0;
    }
  }
  if (sane && open >= 0 && product > 0 && total % product == 0) {
    out.shape[open] = total / product;
  } else if (!sane || open >= 0 || product != total) {
    fail(ATLED_E_SHAPE, "expected a shape of %lld elements for input of shape %s, got %s", (long long)total,
         shape_text(input).c_str(), shape_text(static_cast<int>(asked.n), asked.u.ints).c_str());
  }
}

// Fills out.strides so that out.shape shows input's elements in order; false when that takes a copy.
inline bool strides_for(const atled_tensor* input, Layout& out) {
  if (is_contiguous(input)) {
    uint64_t step = 1;  // of an empty tensor's other sizes there may be any number
    for (int i = out.ndim - 1; i >= 0; --i) {
      out.strides[i] = static_cast<int64_t>(step);
      step *= out.shape[i] > 1 ? static_cast<uint64_t>(out.shape[i]) : 1;
    }
    return true;
  }
  // Both shapes are walked from the right, one run of input's dimensions that lie evenly in memory at a time.
  int to = out.ndim - 1;
  int64_t run = 1, taken = 1, step = input->dl.ndim ? input->dl.strides[input->dl.ndim - 1] : 1;
  for (int from = input->dl.ndim - 1; from >= 0; --from) {
    run *= input->dl.shape[from];
    const bool ends = from == 0 || (input->dl.shape[from - 1] != 1 && input->dl.strides[from - 1] != run * step);
    if (!ends) continue;
    while (to >= 0 && (taken < run || out.shape[to] == 1)) {
      out.strides[to] = taken * step;
      taken *= out.shape[to--];
    }
    if (taken != run) return false;
    if (from > 0) {
      step = input->dl.strides[from - 1];
      run = taken = 1;
    }
  }
  return to < 0;
}

// Basic indexing: spec holds (kind, a, b, c) for each entry, with kind 0 slice(start, stop, step) and 1 index, both
// already normalised against their dimension, 2 new axis, 3 whole dimension. Dimensions without an entry stay whole.
inline Layout sliced(const atled_tensor* input, const atled_value& spec) {
  Layout out;
  const int64_t *shape = input->dl.shape, *strides = input->dl.strides;
  int dim = 0;
  for (uint32_t i = 0; i + 3 < spec.n; i += 4) {
    const int64_t kind = spec.u.ints[i], a = spec.u.ints[i + 1], b = spec.u.ints[i + 2], step = spec.u.ints[i + 3];
    if (kind == 2) {
      out.push(1, 0);
      continue;
    }
    if (dim == input->dl.ndim)
      fail(ATLED_E_BOUNDS, "expected at most %d indices for shape %s, got more", dim, shape_text(input).c_str());
    const int64_t n = shape[dim], stride = strides[dim];
    ++dim;
    if (kind == 1) {
      if (a < 0 || a >= n)
        fail(ATLED_E_BOUNDS, "expected an index for dim %d in [%lld, %lld), got %lld", dim - 1, -(long long)n,
             (long long)n, (long long)a);
      out.offset += a * stride;
    } else if (kind == 3) {
      out.push(n, stride);
    } else {
      if (step == 0 || step == INT64_MIN) fail(ATLED_E_VALUE, "expected a slice step other than 0");
      const bool sane = a >= -1 && a <= n && b >= -1 && b <= n;
      const int64_t distance = !sane ? 0 : step > 0 ? b - a : a - b;
      const int64_t length = distance > 0 ? (distance - 1) / (step > 0 ? step : -step) + 1 : 0;
      if (!sane || (length > 0 && (a < 0 || a == n)))
        fail(ATLED_E_BOUNDS, "expected a slice inside dim %d of size %lld", dim - 1, (long long)n);
      if (length > 0) out.offset += a * stride;
      out.push(length, stepped(stride, step));
    }
  }
  for (; dim < input->dl.ndim; ++dim) out.push(shape[dim], strides[dim]);
  return out;
}

// A ShapeError unless other broadcasts to input's shape.
inline void expect_broadcastable(const atled_tensor* other, const atled_tensor* input) {
  int64_t shape[ATLED_MAX_NDIM];
  int ndim = input->dl.ndim;
  memcpy(shape, input->dl.shape, sizeof(int64_t) * static_cast<size_t>(ndim));
  const bool fits = other->dl.ndim <= ndim && broadcast_into(shape, ndim, other->dl.shape, other->dl.ndim) &&
                    memcmp(shape, input->dl.shape, sizeof(int64_t) * static_cast<size_t>(ndim)) == 0;
  if (!fits)
    fail(ATLED_E_SHAPE, "expected other to broadcast to input's shape %s, got %s", shape_text(input).c_str(),
         shape_text(other).c_str());
}

// A matrix t with its batch broadcast to out's.
inline Tensor batched(atled_tensor* t, const atled_tensor* out) {
  Layout layout(t);
  while (layout.ndim < out->dl.ndim) layout.insert(0, 1, 0);
  for (int d = 0; d + 2 < layout.ndim; ++d)
    if (layout.shape[d] != out->dl.shape[d]) {
      layout.shape[d] = out->dl.shape[d];
      layout.strides[d] = 0;
    }
  return layout.view(t);
}

inline bool same_device(DLDevice a, DLDevice b) { return a.device_type == b.device_type && a.device_id == b.device_id; }

inline bool same_shape(const atled_tensor* a, const atled_tensor* b) {
  return a->dl.ndim == b->dl.ndim &&
         memcmp(a->dl.shape, b->dl.shape, sizeof(int64_t) * static_cast<size_t>(a->dl.ndim)) == 0;
}

// Whether the elements of both lie alike in memory, without gaps, so that bytes may be copied.
inline bool laid_out_alike(const atled_tensor* a, const atled_tensor* b) {
  return a->dtype == b->dtype && same_shape(a, b) && is_contiguous(a) && is_contiguous(b);
}

// Whether both show the same elements of one memory, each at the same index.
inline bool same_elements(const atled_tensor* a, const atled_tensor* b) {
  const size_t bytes = sizeof(int64_t) * static_cast<size_t>(a->dl.ndim);
  return a->dl.data == b->dl.data && a->dtype == b->dtype && a->dl.ndim == b->dl.ndim &&
         memcmp(a->dl.shape, b->dl.shape, bytes) == 0 && memcmp(a->dl.strides, b->dl.strides, bytes) == 0;
}

// A row-major copy, on t's device.
inline Tensor contiguous_copy(atled_tensor* t) {
  static const Op clone{"core::clone"};
  atled_value format = none();
  format.u.str = "contiguous";
  format.n = 10;
  format.tag = ATLED_STRING;
  return clone(t, format);
}

// The dimensions named by a list, each once, as a list of the same length.
inline void unique_dims(const atled_value& dims, int ndim, int* out, const char* argument = "dims") {
  uint64_t seen = 0;
  for (uint32_t i = 0; i < dims.n; ++i) {
    out[i] = wrap_dim(dims.u.ints[i], ndim, argument);
    if (seen >> out[i] & 1)
      fail(ATLED_E_VALUE, "expected each of %s once, got %lld again", argument, (long long)dims.u.ints[i]);
    seen |= uint64_t{1} << out[i];
  }
}

}  // namespace atled::core
