// Rows that are converted in registers, at one level: part of the body of a struct in levels.h, included once for each.

// Half of AVX-512's vectors: what takes time is the loads.
template <class A>
constexpr static int kRowLanes = (kVectorBytes < 32 ? kVectorBytes : 32) / static_cast<int>(sizeof(A));

#if defined(__GNUC__)
template <class T, class V>
ATLED_TARGET static inline void load_vector(const T* x, V* to) {
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if constexpr (std::is_same_v<T, Half>) {
    *to = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
    return;
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
    *to = _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
    return;
  }
#endif
  if constexpr (sizeof(T) >= sizeof(float))
    std::memcpy(to, x, sizeof(V));
  else
    for (int i = 0; i < kRowLanes<float>; ++i) (*to)[i] = static_cast<float>(x[i]);
}
#endif

#ifdef ATLED_VECTOR_INSTRUCTIONS
// Eight numbers as float16 or bfloat16, rounded to the nearest.
template <class T>
ATLED_TARGET static inline void store_eight(const __m256* x, T* y) {
  __m128i* to = reinterpret_cast<__m128i*>(y);
  if constexpr (std::is_same_v<T, Half>) {
    _mm_storeu_si128(to, _mm256_cvtps_ph(*x, 0));
  } else {
    const __m256i whole = _mm256_castps_si256(*x), high = _mm256_srli_epi32(whole, 16);
    const __m256i half = _mm256_add_epi32(_mm256_and_si256(high, _mm256_set1_epi32(1)), _mm256_set1_epi32(0x7fff));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(whole, half), 16);
    const __m256i nan = _mm256_or_si256(_mm256_and_si256(high, _mm256_set1_epi32(0x8000)), _mm256_set1_epi32(0x7fc0));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(*x, *x, _CMP_UNORD_Q));
    const __m256i result = _mm256_blendv_epi8(rounded, nan, is_nan);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(result, result), 0x08);
    _mm_storeu_si128(to, _mm256_castsi256_si128(packed));
  }
}

// Eight numbers of shift_as.
template <class T, bool kEach>
ATLED_TARGET static inline void shift_eight(const T* x, T* y, const float* center, const float* scale, const float* shift) {
  __m256 v;
  load_vector(x, &v);
  if constexpr (kEach)
    v = (v - _mm256_loadu_ps(center)) * _mm256_loadu_ps(scale) + _mm256_loadu_ps(shift);
  else
    v = (v - *center) * *scale + *shift;
  store_eight(&v, y);
}
#endif

// y = (x - center) * scale + shift, with numbers of their own for each element, or one for all. y is not x.
template <class T, class A, bool kEach>
ATLED_TARGET static void shift_as(const T* x, T* y, int64_t n, const A* center, const A* scale, const A* shift) {
  if constexpr (std::is_same_v<T, A> && kEach) {
    column_combine<A>(nullptr, x, y, center, nullptr, scale, shift, n);
  } else if constexpr (std::is_same_v<T, A>) {
    scale_shift<A>(x, y, n, *center, *scale, *shift);
  } else {
    int64_t i = 0;
#ifdef ATLED_VECTOR_INSTRUCTIONS
    const auto eight = [&](int64_t at) ATLED_TARGET {
      const int64_t own = kEach ? at : 0;
      shift_eight<T, kEach>(x + at, y + at, center + own, scale + own, shift + own);
    };
    for (; i + 8 <= n; i += 8) eight(i);
    if (i < n && n >= 8) eight(n - 8);  // some once more
    if (n >= 8) return;
#endif
    constexpr int64_t kBlock = 256;
    A room[kBlock];
    for (; i < n; i += kBlock) {
      const int64_t m = n - i < kBlock ? n - i : kBlock;
      assign_as<T, A, 1>(x + i, 1, room, m);
      shift_as<A, A, kEach>(room, room, m, center + (kEach ? i : 0), scale + (kEach ? i : 0), shift + (kEach ? i : 0));
      assign_as<A, T, 1>(room, 1, y + i, m);
    }
  }
}

// ---- sums of the rows of a table that a list names, each times its share where there are shares ----

#if defined(__GNUC__)
// P vectors of columns, whose sums stay in registers. Rows that are named before `end` are asked for early.
template <class T, class A, int P, bool kShares>
ATLED_TARGET static inline void sum_columns(const T* table, int64_t dim, const int64_t* rows, const A* shares, int64_t n,
                                     const int64_t* end, A* y) {
  constexpr int N = kRowLanes<A>, kAhead = 8, kLine = 64 / static_cast<int>(sizeof(T));
  typedef A Vector __attribute__((vector_size(N * sizeof(A))));
  Vector sums[P] = {};
  for (int64_t k = 0; k < n; ++k) {
    const T* x = table + rows[k] * dim;
    if (end - rows > k + kAhead)
      for (int64_t i = 0; i < dim; i += kLine) __builtin_prefetch(table + rows[k + kAhead] * dim + i);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      Vector v;
      load_vector(x + p * N, &v);
      sums[p] += kShares ? v * shares[k] : v;
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p) std::memcpy(y + p * N, &sums[p], sizeof(Vector));
}
#endif

template <class T, class A, bool kShares>
ATLED_TARGET static void sum_rows(const T* table, int64_t dim, const int64_t* rows, const A* shares, int64_t n,
                                  const int64_t* end, A* y) {
  int64_t j = 0;
#if defined(__GNUC__)
  constexpr int N = kRowLanes<A>;
  for (; j + 8 * N <= dim; j += 8 * N, end = rows)
    sum_columns<T, A, 8, kShares>(table + j, dim, rows, shares, n, end, y + j);
  for (; j + 2 * N <= dim; j += 2 * N, end = rows)
    sum_columns<T, A, 2, kShares>(table + j, dim, rows, shares, n, end, y + j);
  for (; j < dim && dim >= N; j += N) {  // the last vector may sum once more what another has
    const int64_t at = j + N <= dim ? j : dim - N;
    sum_columns<T, A, 1, kShares>(table + at, dim, rows, shares, n, rows, y + at);
  }
  if (j >= dim) return;
#endif
  for (int64_t i = j; i < dim; ++i) y[i] = 0;
  for (int64_t k = 0; k < n; ++k)
    accumulate_scaled<T, A>(table + rows[k] * dim + j, kShares ? shares[k] : A(1), y + j, dim - j);
}
