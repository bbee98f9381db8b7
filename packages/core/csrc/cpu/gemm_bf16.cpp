#include "cpu/gemm_bf16.h"

#include <algorithm>

#include "cpu/levels.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"

namespace atled::core {

#if ATLED_X86_LEVELS

namespace {

constexpr int64_t kRows = 12, kColumns = 32;  // of c, which stay in registers
constexpr int64_t kPairs = 2048;              // of k at once: a strip of y fits the L2 cache
constexpr int64_t kStrips = 8;                // strips of rows that one piece of work takes

// Two elements along k, the first in the low half.
using Pair = uint32_t;

Pair pair_of(const uint16_t* first, int64_t step, bool second) {
  return first[0] | (second ? static_cast<Pair>(first[step]) << 16 : 0);
}

// Lines [line, line + kLines) of a matrix, pair by pair along k: to[pair * kLines + line]. Lines beyond `lines` are 0.
template <int64_t kLines>
void pack(const uint16_t* from, int64_t line_step, int64_t k_step, int64_t lines, int64_t k, Pair* to) {
  for (int64_t q = 0; 2 * q < k; ++q, to += kLines) {
    const uint16_t* at = from + 2 * q * k_step;
    const bool second = 2 * q + 1 < k;
    for (int64_t i = 0; i < lines; ++i) to[i] = pair_of(at + i * line_step, k_step, second);
    for (int64_t i = lines; i < kLines; ++i) to[i] = 0;
  }
}

struct Tile {
  const Pair *x, *y;  // strips of kRows and kColumns lines
  int64_t pairs, rows, columns;
  float* c;
  int64_t c_row;
  float alpha, beta;
};

struct Avx512 {
  __attribute__((target("avx512f,avx512bf16"))) static void run(const Tile& t) {
    __m512 sums[kRows][2];
    for (auto& row : sums) row[0] = row[1] = _mm512_setzero_ps();
    for (int64_t q = 0; q < t.pairs; ++q) {
      const Pair* y = t.y + q * kColumns;
      const auto left = reinterpret_cast<__m512bh>(_mm512_loadu_si512(y));
      const auto right = reinterpret_cast<__m512bh>(_mm512_loadu_si512(y + 16));
#pragma GCC unroll 12
      for (int64_t i = 0; i < kRows; ++i) {
        const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(t.x[q * kRows + i])));
        sums[i][0] = _mm512_dpbf16_ps(sums[i][0], x, left);
        sums[i][1] = _mm512_dpbf16_ps(sums[i][1], x, right);
      }
    }
    const __m512 alpha = _mm512_set1_ps(t.alpha), beta = _mm512_set1_ps(t.beta);
#pragma GCC unroll 12
    for (int64_t i = 0; i < kRows; ++i) {
      if (i >= t.rows) break;
      for (int h = 0; h < 2; ++h) {
        const int64_t count = std::min<int64_t>(16, t.columns - 16 * h);
        if (count <= 0) break;
        const auto mask = static_cast<__mmask16>((1u << count) - 1);
        float* to = t.c + i * t.c_row + 16 * h;
        __m512 sum = _mm512_mul_ps(sums[i][h], alpha);
        if (t.beta != 0) sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, to), beta));
        _mm512_mask_storeu_ps(to, mask, sum);
      }
    }
  }
};

int64_t strips(int64_t lines, int64_t width) { return (lines + width - 1) / width; }

void product(const Products& p, int64_t batch) {
  const auto* x = static_cast<const uint16_t*>(p.x.data) + (p.x.offsets ? p.x.offsets[batch] : 0);
  const auto* y = static_cast<const uint16_t*>(p.y.data) + (p.y.offsets ? p.y.offsets[batch] : 0);
  float* c = static_cast<float*>(p.c) + batch * p.m * p.n;
  const int64_t down = strips(p.m, kRows), across = strips(p.n, kColumns);
  const int64_t most = std::min((p.k + 1) / 2, kPairs);
  Scratch<Pair> rows(down * kRows * most), columns(across * kColumns * most);
  for (int64_t from = 0; from < p.k; from += 2 * kPairs) {
    const int64_t k = std::min(2 * kPairs, p.k - from), pairs = (k + 1) / 2;
    parallel(down + across, 4, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        if (s < down) {
          const int64_t i = s * kRows;
          pack<kRows>(x + i * p.x.row + from * p.x.column, p.x.row, p.x.column, std::min(kRows, p.m - i), k,
                      rows.data() + i * pairs);
        } else {
          const int64_t j = (s - down) * kColumns;
          pack<kColumns>(y + j * p.y.column + from * p.y.row, p.y.column, p.y.row, std::min(kColumns, p.n - j), k,
                         columns.data() + j * pairs);
        }
      }
    });
    const float beta = from == 0 ? static_cast<float>(p.beta.real()) : 1.0f;
    const int64_t bands = strips(down, kStrips);
    parallel(bands * across, 1, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t j = unit % across * kColumns, first = unit / across * kStrips;
        for (int64_t s = first; s < std::min(down, first + kStrips); ++s) {
          const int64_t i = s * kRows;
          Avx512::run(Tile{rows.data() + i * pairs, columns.data() + j * pairs, pairs, std::min(kRows, p.m - i),
                           std::min(kColumns, p.n - j), c + i * p.n + j, p.n, static_cast<float>(p.alpha.real()),
                           beta});
        }
      }
    });
  }
}

}  // namespace

bool wants_bf16(int64_t m, int64_t n, int64_t k) {
  static const bool able = cpu_level() == kAvx512 && __builtin_cpu_supports("avx512bf16");
  return able && m >= kRows && n >= 16 && k >= 16;
}

void multiply_bf16(const Products& p) {
  parallel(p.batches, p.batches < num_threads() ? p.batches : 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) product(p, b);
  });
}

#else

bool wants_bf16(int64_t, int64_t, int64_t) { return false; }
void multiply_bf16(const Products&) {}

#endif

}  // namespace atled::core
