// Elements in order, for the families that need them so. Orders are stable and have NaN last, as on the CPU.
#pragma once

#include "cuda/elementwise.cuh"
#include "functors/order.h"

namespace atled::core::cuda {

// The key of an element of any real dtype of K's size, given by its bits: kernels are made for sizes, not for dtypes.
template <class K, class F>
ATLED_FN auto as_element(K bits, int dtype, F&& f) {
  auto with = [&](auto tag) {
    typename decltype(tag)::type x;
    memcpy(static_cast<void*>(&x), &bits, sizeof x);
    return f(x);
  };
  if constexpr (sizeof(K) == 1) {
    return dtype == ATLED_BOOL ? with(Tag<bool>{}) : dtype == ATLED_INT8 ? with(Tag<int8_t>{}) : with(Tag<uint8_t>{});
  } else if constexpr (sizeof(K) == 2) {
    return dtype == ATLED_FLOAT16    ? with(Tag<Half>{})
           : dtype == ATLED_BFLOAT16 ? with(Tag<BFloat16>{})
           : dtype == ATLED_INT16    ? with(Tag<int16_t>{})
                                     : with(Tag<uint16_t>{});
  } else if constexpr (sizeof(K) == 4) {
    return dtype == ATLED_FLOAT32 ? with(Tag<float>{})
           : dtype == ATLED_INT32 ? with(Tag<int32_t>{})
                                  : with(Tag<uint32_t>{});
  } else {
    return dtype == ATLED_FLOAT64 ? with(Tag<double>{})
           : dtype == ATLED_INT64 ? with(Tag<int64_t>{})
                                  : with(Tag<uint64_t>{});
  }
}
template <class K>
ATLED_FN K key_as(K bits, int dtype, bool descending = false) {
  return as_element(bits, dtype, [=](auto x) { return key_of(x, descending); });
}
// The bits of the element that a key tells; false where it tells none (zeros and NaNs).
template <class K>
ATLED_FN bool bits_as(K key, int dtype, bool descending, K& bits) {
  return as_element(K{0}, dtype, [&](auto like) {
    using T = decltype(like);
    if (!is_telling<T>(key, descending)) return false;
    const T x = element_of<T>(key, descending);
    memcpy(&bits, &x, sizeof bits);
    return true;
  });
}
// Integers have none.
template <class K>
ATLED_FN bool is_nan_key(K key, int dtype) {
  return dtype >= ATLED_FLOAT16 && key == static_cast<K>(~K{0});
}

// Calls f with a Tag of the unsigned type of a real dtype's size.
template <class F>
void visit_key(int dtype, F&& f) {
  const int size = itemsize(dtype);
  if (size == 1) return f(Tag<uint8_t>{});
  if (size == 2) return f(Tag<uint16_t>{});
  if (size == 4) return f(Tag<uint32_t>{});
  f(Tag<uint64_t>{});
}

// Lines of the last dimension of `rows`, which is contiguous and of a real dtype: the first `kept` elements in order,
// and their indices; either may be NULL. Both are contiguous.
void sort_lines(const atled_tensor* rows, bool descending, int64_t kept, const atled_tensor* values,
                const atled_tensor* indices);

// input with a dimension as the last, contiguous; a 0-d tensor becomes a line of one element.
Tensor rows_along(atled_tensor* input, int dim);

}  // namespace atled::core::cuda
