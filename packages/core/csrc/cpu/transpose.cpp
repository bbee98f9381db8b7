#include "cpu/transpose.h"

#include "cpu/assign.h"
#include "cpu/levels.h"

namespace atled::core {

namespace {

// Element by element.
template <class T>
void plain(char* out, int64_t out_step, const char* in, int64_t in_step, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i) {
    T* to = reinterpret_cast<T*>(out + i * out_step);
    for (int64_t j = 0; j < columns; ++j) to[j] = reinterpret_cast<const T*>(in + j * in_step)[i];
  }
}

#if ATLED_X86_LEVELS

namespace squares {

struct Avx2 {
  // Sixteen by sixteen bytes: each step moves one bit of a byte's column to its row, and one of its row to its column.
  __attribute__((target("avx2"))) static void one(char* out, int64_t out_step, const char* in, int64_t in_step) {
    __m128i r[16], s[16];
    for (int j = 0; j < 16; ++j) r[j] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + j * in_step));
    for (int step = 0; step < 4; ++step) {
      for (int j = 0; j < 8; ++j) {
        s[2 * j] = _mm_unpacklo_epi8(r[j], r[j + 8]);
        s[2 * j + 1] = _mm_unpackhi_epi8(r[j], r[j + 8]);
      }
      for (int j = 0; j < 16; ++j) r[j] = s[j];
    }
    for (int i = 0; i < 16; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i * out_step), r[i]);
  }

  // Eight by eight elements of two bytes.
  __attribute__((target("avx2"))) static void two(char* out, int64_t out_step, const char* in, int64_t in_step) {
    __m128i r[8], s[8];
    for (int j = 0; j < 8; ++j) r[j] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + j * in_step));
    for (int j = 0; j < 8; j += 2) {
      s[j] = _mm_unpacklo_epi16(r[j], r[j + 1]);
      s[j + 1] = _mm_unpackhi_epi16(r[j], r[j + 1]);
    }
    for (int j = 0; j < 8; j += 4)
      for (int h = 0; h < 2; ++h) {
        r[j + 2 * h] = _mm_unpacklo_epi32(s[j + h], s[j + h + 2]);
        r[j + 2 * h + 1] = _mm_unpackhi_epi32(s[j + h], s[j + h + 2]);
      }
    for (int i = 0; i < 4; ++i) {
      char* to = out + 2 * i * out_step;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_unpacklo_epi64(r[i], r[i + 4]));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + out_step), _mm_unpackhi_epi64(r[i], r[i + 4]));
    }
  }

  // Eight by eight elements of four bytes.
  __attribute__((target("avx2"))) static void four(char* out, int64_t out_step, const char* in, int64_t in_step) {
    __m256 r[8], s[8];
    for (int j = 0; j < 8; ++j) r[j] = _mm256_loadu_ps(reinterpret_cast<const float*>(in + j * in_step));
    for (int j = 0; j < 4; ++j) {
      s[2 * j] = _mm256_unpacklo_ps(r[2 * j], r[2 * j + 1]);
      s[2 * j + 1] = _mm256_unpackhi_ps(r[2 * j], r[2 * j + 1]);
    }
    for (int j = 0; j < 2; ++j) {
      r[4 * j] = _mm256_shuffle_ps(s[4 * j], s[4 * j + 2], 0x44);
      r[4 * j + 1] = _mm256_shuffle_ps(s[4 * j], s[4 * j + 2], 0xee);
      r[4 * j + 2] = _mm256_shuffle_ps(s[4 * j + 1], s[4 * j + 3], 0x44);
      r[4 * j + 3] = _mm256_shuffle_ps(s[4 * j + 1], s[4 * j + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {
      _mm256_storeu_ps(reinterpret_cast<float*>(out + i * out_step), _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
      _mm256_storeu_ps(reinterpret_cast<float*>(out + (i + 4) * out_step),
                       _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
  }

  // Four by four elements of eight bytes.
  __attribute__((target("avx2"))) static void eight(char* out, int64_t out_step, const char* in, int64_t in_step) {
    __m256d r[4];
    for (int j = 0; j < 4; ++j) r[j] = _mm256_loadu_pd(reinterpret_cast<const double*>(in + j * in_step));
    const __m256d a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    const __m256d c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    _mm256_storeu_pd(reinterpret_cast<double*>(out), _mm256_permute2f128_pd(a, c, 0x20));
    _mm256_storeu_pd(reinterpret_cast<double*>(out + out_step), _mm256_permute2f128_pd(b, d, 0x20));
    _mm256_storeu_pd(reinterpret_cast<double*>(out + 2 * out_step), _mm256_permute2f128_pd(a, c, 0x31));
    _mm256_storeu_pd(reinterpret_cast<double*>(out + 3 * out_step), _mm256_permute2f128_pd(b, d, 0x31));
  }

  // The last squares may overlap those before them, and write the same again.
  template <class T, int kSide, void (*kSquare)(char*, int64_t, const char*, int64_t)>
  __attribute__((target("avx2"))) static void run(char* out, int64_t out_step, const char* in, int64_t in_step,
                                                  int64_t rows, int64_t columns) {
    constexpr int64_t item = sizeof(T);
    if (rows < kSide || columns < kSide) return plain<T>(out, out_step, in, in_step, rows, columns);
    for (int64_t column = 0; column < columns; column += kSide) {
      const int64_t j = column < columns - kSide ? column : columns - kSide;
      for (int64_t row = 0; row < rows; row += kSide) {
        const int64_t i = row < rows - kSide ? row : rows - kSide;
        kSquare(out + i * out_step + j * item, out_step, in + j * in_step + i * item, in_step);
      }
    }
  }
};

}  // namespace squares

#endif

}  // namespace

void transpose(char* out, int64_t out_step, const char* in, int64_t in_step, int64_t rows, int64_t columns, int item) {
#if ATLED_X86_LEVELS
  using squares::Avx2;
  if (cpu_level() >= kAvx2 && item == 1)
    return Avx2::run<uint8_t, 16, Avx2::one>(out, out_step, in, in_step, rows, columns);
  if (cpu_level() >= kAvx2 && item == 2)
    return Avx2::run<uint16_t, 8, Avx2::two>(out, out_step, in, in_step, rows, columns);
  if (cpu_level() >= kAvx2 && item == 4)
    return Avx2::run<uint32_t, 8, Avx2::four>(out, out_step, in, in_step, rows, columns);
  if (cpu_level() >= kAvx2 && item == 8)
    return Avx2::run<uint64_t, 4, Avx2::eight>(out, out_step, in, in_step, rows, columns);
#endif
  visit_size(item, [&](auto tag) { plain<typename decltype(tag)::type>(out, out_step, in, in_step, rows, columns); });
}

}  // namespace atled::core
