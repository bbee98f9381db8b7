#include "ops/scalars.h"

#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <type_traits>

#include "functors/copy.h"

namespace atled::core {

int comparison_dtype(const atled_frame* frame, ArgSet args, int dtype) {
  if (dtype == ATLED_BOOL || dtype > ATLED_INT64 || dtype == ATLED_INT64) return dtype;
  for (int i = 0; args >> i; ++i) {
    const atled_value& v = frame->args[i];
    if (!(args >> i & 1) || v.tag != ATLED_INT_VALUE) continue;
    if (dtype == ATLED_UINT64) return v.u.i < 0 ? static_cast<int>(ATLED_FLOAT64) : dtype;
    const int bits = 8 * itemsize(dtype) - (is_signed(dtype) ? 1 : 0);
    const int64_t above = v.u.i >> bits;
    if (above != 0 && !(above == -1 && is_signed(dtype))) return ATLED_INT64;
  }
  return dtype;
}

namespace {

template <class T>
T to_integer(const atled_value& v, int dtype) {
  if (v.tag == ATLED_FLOAT_VALUE) {
    const double f = std::trunc(v.u.f);
    // The limits as doubles: 2^63 and 2^64 are not representable as T, so the upper end is open.
    const double low = static_cast<double>(std::numeric_limits<T>::min());
    const double high = std::ldexp(1.0, std::numeric_limits<T>::digits);
    if (!(f >= low && f < high))
      fail(ATLED_E_VALUE, "expected a number that fits %s, got %g", dtype_name(dtype), v.u.f);
    return static_cast<T>(f);
  }
  const int64_t i = v.u.i;
  const bool low = std::is_unsigned_v<T> ? i < 0 : i < static_cast<int64_t>(std::numeric_limits<T>::min());
  const bool high = sizeof(T) < 8 && i > static_cast<int64_t>(std::numeric_limits<T>::max());
  if (low || high)
    fail(ATLED_E_VALUE, "expected a number that fits %s, got %lld", dtype_name(dtype), static_cast<long long>(i));
  return static_cast<T>(i);
}

}  // namespace

void store_scalar(const atled_value& v, int dtype, void* out) {
  const bool imaginary = v.tag == ATLED_COMPLEX_VALUE;
  if (imaginary && !is_complex(dtype))
    fail(ATLED_E_DTYPE, "expected a real number for %s, got a complex one", dtype_name(dtype));
  visit_any_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T value;
    if constexpr (std::is_same_v<T, bool>) {
      value = v.tag == ATLED_FLOAT_VALUE ? v.u.f != 0 : v.u.i != 0;
    } else if constexpr (std::is_integral_v<T>) {
      value = to_integer<T>(v, dtype);
    } else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
      using R = typename T::value_type;
      value = T(static_cast<R>(as_double(v)), static_cast<R>(imaginary ? v.u.complex[1] : 0));
    } else {
      value = Cast<T, double>{}(as_double(v));
    }
    std::memcpy(out, &value, sizeof value);
  });
}

double largest_finite(int dtype) {
  switch (real_dtype(dtype)) {
    case ATLED_FLOAT16:
      return 65504;
    case ATLED_BFLOAT16:
      return bits_to_float(0x7f7f0000u);
    case ATLED_FLOAT32:
      return std::numeric_limits<float>::max();
    default:
      return std::numeric_limits<double>::max();
  }
}

}  // namespace atled::core
