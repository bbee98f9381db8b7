// The C++ types behind atled's dtypes, and how to get from one to the other. Host and device code; no dependencies.
#ifndef ATLED_DTYPE_HPP
#define ATLED_DTYPE_HPP

#include <complex>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "abi.h"

#if defined(__CUDACC__)
#define ATLED_HOST_DEVICE __host__ __device__
#else
#define ATLED_HOST_DEVICE
#endif

namespace atled {

ATLED_HOST_DEVICE inline float bits_to_float(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

ATLED_HOST_DEVICE inline uint32_t float_to_bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

// IEEE 754 binary16; conversions round to nearest even and keep subnormals.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  ATLED_HOST_DEVICE Half(float f) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(f));
#else
    uint32_t x = float_to_bits(f), sign = (x >> 16) & 0x8000u, a = x & 0x7fffffffu;
    uint32_t subnormal = float_to_bits(bits_to_float(a) + 0.5f) - 0x3f000000u;
    uint32_t normal = (a - 0x38000000u + 0x0fffu + ((a >> 13) & 1u)) >> 13;
    uint32_t special = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    uint32_t h = a < 0x38800000u ? subnormal : (a >= 0x477ff000u ? special : normal);
    bits = static_cast<uint16_t>(sign | h);
#endif
  }
  ATLED_HOST_DEVICE operator float() const {
#if defined(__CUDA_ARCH__)
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(bits));
    return f;
#else
    uint32_t sign = (bits & 0x8000u) << 16, a = bits & 0x7fffu;
    uint32_t normal = (a << 13) + 0x38000000u;
    uint32_t special = 0x7f800000u | (a << 13);
    float subnormal = static_cast<float>(a) * 5.9604644775390625e-8f;  // 2^-24
    uint32_t f = a >= 0x7c00u ? special : (a >= 0x0400u ? normal : float_to_bits(subnormal));
    return bits_to_float(sign | f);
#endif
  }
};

struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  ATLED_HOST_DEVICE BFloat16(float f) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(f));
#else
    uint32_t x = float_to_bits(f);
    uint32_t rounded = (x + 0x7fffu + ((x >> 16) & 1u)) >> 16;
    bits = static_cast<uint16_t>(f != f ? 0x7fc0u | ((x >> 16) & 0x8000u) : rounded);
#endif
  }
  ATLED_HOST_DEVICE operator float() const { return bits_to_float(static_cast<uint32_t>(bits) << 16); }
};

// The 8-bit floating-point numbers of the Open Compute Project (OFP8 1.0): dtypes for storage, which only conversions
// know. They round to nearest even and keep subnormals. What is too large becomes the largest number where there is no
// infinity, as in PyTorch 2.13.
namespace detail {

// |f| with M bits of mantissa and the least exponent 1 - bias, as the bits of such a number; not too large.
template <int M, int kBias>
ATLED_HOST_DEVICE inline uint32_t float8_magnitude(uint32_t a) {
  constexpr uint32_t kStep = static_cast<uint32_t>(151 - kBias - M) << 23;  // its last bit is the least subnormal
  const uint32_t subnormal = float_to_bits(bits_to_float(a) + bits_to_float(kStep)) - kStep;
  const uint32_t odd = (a >> (23 - M)) & 1u;
  const uint32_t normal = (a - (static_cast<uint32_t>(127 - kBias) << 23) + ((1u << (22 - M)) - 1) + odd) >> (23 - M);
  return a < static_cast<uint32_t>(128 - kBias) << 23 ? subnormal : normal;
}

}  // namespace detail

// S.EEEE.MMM: up to 448, no infinity, S.1111.111 is NaN.
struct Float8E4M3FN {
  uint8_t bits = 0;
  Float8E4M3FN() = default;
  ATLED_HOST_DEVICE Float8E4M3FN(float f) {
    const uint32_t x = float_to_bits(f), a = x & 0x7fffffffu;
    uint32_t magnitude;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(bits_to_float(a)));
    magnitude = pair & 0xffu;
#else
    magnitude = detail::float8_magnitude<3, 7>(a);
    if (a > 0x43e00000u) magnitude = a > 0x7f800000u ? 0x7fu : 0x7eu;  // 448
#endif
    bits = static_cast<uint8_t>((x >> 24 & 0x80u) | magnitude);
  }
  ATLED_HOST_DEVICE operator float() const {
    Half h;  // of the same digits, and a bias that is 8 more
    h.bits = static_cast<uint16_t>((bits & 0x80u) << 8 | (bits & 0x7fu) << 7);
    const uint32_t sign = static_cast<uint32_t>(bits & 0x80u) << 24;
    return (bits & 0x7fu) == 0x7fu ? bits_to_float(sign | 0x7ff00000u) : static_cast<float>(h) * 256.0f;
  }
};

// S.EEEEE.MM, the first byte of an IEEE 754 binary16: up to 57344, infinities, NaNs.
struct Float8E5M2 {
  uint8_t bits = 0;
  Float8E5M2() = default;
  ATLED_HOST_DEVICE Float8E5M2(float f) {
    const uint32_t x = float_to_bits(f), a = x & 0x7fffffffu;
    uint32_t magnitude;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    uint16_t pair;
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(bits_to_float(a)));
    magnitude = pair & 0xffu;
#else
    magnitude = detail::float8_magnitude<2, 15>(a);
#endif
    if (a >= 0x47700000u) magnitude = a > 0x7f800000u ? 0x7fu : 0x7cu;  // 61440, halfway to what would be next
    bits = static_cast<uint8_t>((x >> 24 & 0x80u) | magnitude);
  }
  ATLED_HOST_DEVICE operator float() const {
    Half h;
    h.bits = static_cast<uint16_t>(bits << 8);
    return h;
  }
};

template <class T>
struct Tag {
  using type = T;
};

// Calls f with the Tag of the C++ type of dtype: visit_dtype(d, [&](auto tag) { using T = typename decltype(tag)::type;
// ... }).
template <class F>
decltype(auto) visit_dtype(int dtype, F&& f) {
  switch (dtype) {
    case ATLED_BOOL:
      return f(Tag<bool>{});
    case ATLED_UINT8:
      return f(Tag<uint8_t>{});
    case ATLED_INT8:
      return f(Tag<int8_t>{});
    case ATLED_UINT16:
      return f(Tag<uint16_t>{});
    case ATLED_INT16:
      return f(Tag<int16_t>{});
    case ATLED_UINT32:
      return f(Tag<uint32_t>{});
    case ATLED_INT32:
      return f(Tag<int32_t>{});
    case ATLED_UINT64:
      return f(Tag<uint64_t>{});
    case ATLED_INT64:
      return f(Tag<int64_t>{});
    case ATLED_FLOAT16:
      return f(Tag<Half>{});
    case ATLED_BFLOAT16:
      return f(Tag<BFloat16>{});
    case ATLED_FLOAT32:
      return f(Tag<float>{});
    case ATLED_FLOAT64:
      return f(Tag<double>{});
    case ATLED_COMPLEX64:
      return f(Tag<std::complex<float>>{});
    default:
      return f(Tag<std::complex<double>>{});
  }
}

inline constexpr bool is_float8(int dtype) { return dtype == ATLED_FLOAT8_E4M3FN || dtype == ATLED_FLOAT8_E5M2; }

// The same for a dtype of float8 alone, and for every dtype. visit_dtype leaves float8 out, so that no kernel that
// computes is made for it.
template <class F>
decltype(auto) visit_float8(int dtype, F&& f) {
  if (dtype == ATLED_FLOAT8_E4M3FN) return f(Tag<Float8E4M3FN>{});
  return f(Tag<Float8E5M2>{});
}
template <class F>
decltype(auto) visit_any_dtype(int dtype, F&& f) {
  if (is_float8(dtype)) return visit_float8(dtype, f);
  return visit_dtype(dtype, f);
}

template <class T>
inline constexpr int dtype_of = -1;
template <>
inline constexpr int dtype_of<bool> = ATLED_BOOL;
template <>
inline constexpr int dtype_of<uint8_t> = ATLED_UINT8;
template <>
inline constexpr int dtype_of<int8_t> = ATLED_INT8;
template <>
inline constexpr int dtype_of<uint16_t> = ATLED_UINT16;
template <>
inline constexpr int dtype_of<int16_t> = ATLED_INT16;
template <>
inline constexpr int dtype_of<uint32_t> = ATLED_UINT32;
template <>
inline constexpr int dtype_of<int32_t> = ATLED_INT32;
template <>
inline constexpr int dtype_of<uint64_t> = ATLED_UINT64;
template <>
inline constexpr int dtype_of<int64_t> = ATLED_INT64;
template <>
inline constexpr int dtype_of<Half> = ATLED_FLOAT16;
template <>
inline constexpr int dtype_of<BFloat16> = ATLED_BFLOAT16;
template <>
inline constexpr int dtype_of<float> = ATLED_FLOAT32;
template <>
inline constexpr int dtype_of<double> = ATLED_FLOAT64;
template <>
inline constexpr int dtype_of<std::complex<float>> = ATLED_COMPLEX64;
template <>
inline constexpr int dtype_of<std::complex<double>> = ATLED_COMPLEX128;
template <>
inline constexpr int dtype_of<Float8E4M3FN> = ATLED_FLOAT8_E4M3FN;
template <>
inline constexpr int dtype_of<Float8E5M2> = ATLED_FLOAT8_E5M2;

struct DtypeInfo {
  const char* name;
  uint8_t code;  // DLPack's
  uint8_t bits;
};

inline constexpr DtypeInfo dtype_infos[ATLED_NUM_DTYPES] = {
    {"bool", kDLBool, 8},      {"uint8", kDLUInt, 8},         {"int8", kDLInt, 8},
    {"uint16", kDLUInt, 16},   {"int16", kDLInt, 16},         {"uint32", kDLUInt, 32},
    {"int32", kDLInt, 32},     {"uint64", kDLUInt, 64},       {"int64", kDLInt, 64},
    {"float16", kDLFloat, 16}, {"bfloat16", kDLBfloat, 16},   {"float32", kDLFloat, 32},
    {"float64", kDLFloat, 64}, {"complex64", kDLComplex, 64}, {"complex128", kDLComplex, 128},
    {"float8_e4m3fn", 10, 8},  {"float8_e5m2", 12, 8},  // since DLPack 1.1
};

inline const char* dtype_name(int dtype) { return dtype_infos[dtype].name; }
inline constexpr int itemsize(int dtype) { return dtype_infos[dtype].bits / 8; }
inline constexpr bool is_complex(int dtype) { return dtype == ATLED_COMPLEX64 || dtype == ATLED_COMPLEX128; }
inline constexpr bool is_floating(int dtype) {
  return (dtype >= ATLED_FLOAT16 && dtype <= ATLED_FLOAT64) || is_float8(dtype);
}
inline constexpr bool is_integer(int dtype) { return dtype >= ATLED_UINT8 && dtype <= ATLED_INT64; }
inline constexpr bool is_signed(int dtype) {
  return dtype >= ATLED_FLOAT16 || dtype == ATLED_INT8 || dtype == ATLED_INT16 || dtype == ATLED_INT32 ||
         dtype == ATLED_INT64;
}

}  // namespace atled
#endif  // ATLED_DTYPE_HPP
