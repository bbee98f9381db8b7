// The loops of cpu/reduce.h at one level: the body of a struct, included once for each.

// More lanes than GCC unrolls before it makes vectors; they hide the latency of one addition, too.
template <class R>
static constexpr int kLanes = sizeof(typename R::Acc) >= 16 ? 8 : 32;
static constexpr int64_t kRun = 32;  // of so many elements a lane makes one sum, which is then added to others like it

// One run of n elements, as many for each lane.
template <class R>
ATLED_TARGET ATLED_INLINE static void run_lanes(const R& r, const typename R::In* x, int64_t n, typename R::Acc* lanes) {
  constexpr int L = kLanes<R>;
  if (n == L) {
    for (int k = 0; k < L; ++k) lanes[k] = r.load(x[k]);
    return;
  }
  for (int k = 0; k < L; ++k) lanes[k] = r.combine(r.load(x[k]), r.load(x[L + k]));
  for (int64_t i = 2 * L; i < n; i += L)
    for (int k = 0; k < L; ++k) lanes[k] = r.combine(lanes[k], r.load(x[i + k]));
}
// Element i of a row of n >= kLanes goes to lane i % kLanes.
template <class R>
ATLED_TARGET ATLED_INLINE static void row_lanes(const R& r, const typename R::In* x, int64_t n, typename R::Acc* sums) {
  constexpr int L = kLanes<R>;
  const int64_t whole = n - n % L;
  // What is copied by one size of vector and read by another waits, so the first two are read where they are added.
  int64_t i = whole == 2 * L ? whole : L;
  if (whole == L)
    for (int k = 0; k < L; ++k) sums[k] = r.load(x[k]);
  else if (whole == 2 * L)
    for (int k = 0; k < L; ++k) sums[k] = r.combine(r.load(x[k]), r.load(x[L + k]));
  while (i < whole) {
    typename R::Acc lanes[L];
    const int64_t part = whole - i < kRun * L ? whole - i : kRun * L;
    run_lanes(r, x + i, part, lanes);
    if (i == L)
      for (int k = 0; k < L; ++k) sums[k] = r.combine(r.load(x[k]), lanes[k]);
    else
      for (int k = 0; k < L; ++k) sums[k] = r.combine(sums[k], lanes[k]);
    i += part;
  }
  // What is left goes to the lanes too: added to their total, one by one, it would be rounded at each step.
  for (int k = 0; i < n; ++i, ++k) sums[k] = r.combine(sums[k], r.load(x[i]));
}

// sums[0] gets them all: the upper half to the lower, then the same of that. Loops of a known length stay in registers.
template <int kHalf, class R, class Acc>
ATLED_TARGET static inline void halve(const R& r, Acc* sums) {
  for (int k = 0; k < kHalf; ++k) sums[k] = r.combine(sums[k], sums[k + kHalf]);
  if constexpr (kHalf > 1) halve<kHalf / 2>(r, sums);
}

// The lanes of a row become a quarter as many.
template <class R>
ATLED_TARGET ATLED_INLINE static void quarter(const R& r, typename R::Acc* sums, typename R::Acc* to) {
  constexpr int L = kLanes<R>;
  ATLED_KEPT_LOOP
  for (int k = 0; k < L / 2; ++k) sums[k] = r.combine(sums[k], sums[k + L / 2]);
  ATLED_KEPT_LOOP
  for (int k = 0; k < L / 4; ++k) to[k] = r.combine(sums[k], sums[k + L / 4]);
}

// A row of L <= n < 2 * L elements becomes L / 4 numbers by way of half as many lanes: of L, the first would be copies of
// elements, for which the next step waits.
template <class R>
ATLED_TARGET ATLED_INLINE static void half_lanes(const R& r, const typename R::In* x, int64_t n, typename R::Acc* to) {
  constexpr int H = kLanes<R> / 2;
  typename R::Acc sums[H];
  ATLED_KEPT_LOOP
  for (int k = 0; k < H; ++k) sums[k] = r.combine(r.load(x[k]), r.load(x[H + k]));
  int64_t i = 2 * H;
  if (n >= 3 * H) {
    ATLED_KEPT_LOOP
    for (int k = 0; k < H; ++k) sums[k] = r.combine(sums[k], r.load(x[i + k]));
    i += H;
  }
  for (int k = 0; i < n; ++i, ++k) sums[k] = r.combine(sums[k], r.load(x[i]));
  ATLED_KEPT_LOOP
  for (int k = 0; k < H / 2; ++k) to[k] = r.combine(sums[k], sums[k + H / 2]);
}

// Sums of integers, and their extremes, are the same in any order, which is the compiler's then. Of narrower integers it
// makes no better extremes than lanes do.
template <class R>
static constexpr bool kAnyOrder = std::is_integral_v<typename R::Acc> &&
                                  (R::kSums || (!R::kAdds && sizeof(typename R::Acc) == 8));
template <class R>
ATLED_TARGET ATLED_INLINE static typename R::Acc any_order(const R& r, const typename R::In* x, int64_t n) {
  typename R::Acc total = r.identity();
  int64_t i = 0;
  constexpr int kMany = 16;
  if (n >= (R::kSums ? 2 : 4) * kMany) {  // in lanes, so that no step waits for the one before
    typename R::Acc lanes[kMany];
    for (int k = 0; k < kMany; ++k) lanes[k] = r.load(x[k]);
    for (i = kMany; i + kMany <= n; i += kMany)
      for (int k = 0; k < kMany; ++k) lanes[k] = r.combine(lanes[k], r.load(x[i + k]));
    halve<kMany / 2>(r, lanes);
    total = lanes[0];
  }
  for (; i < n; ++i) total = r.combine(total, r.load(x[i]));
  return total;
}

template <class R>
ATLED_TARGET static void row(const void* ctx, const char* in, int64_t stride, int64_t n, char* result) {
  using In = typename R::In;
  using Acc = typename R::Acc;
  constexpr int L = kLanes<R>;
  const R r = ::atled::core::Baseline::functor<R>(ctx);
  if constexpr (kAnyOrder<R>) {
    if (stride == sizeof(In)) {
      *reinterpret_cast<Acc*>(result) = any_order(r, reinterpret_cast<const In*>(in), n);
      return;
    }
  } else if (stride == sizeof(In) && n >= L) {
    Acc sums[L];
    row_lanes(r, reinterpret_cast<const In*>(in), n, sums);
    halve<L / 2>(r, sums);
    *reinterpret_cast<Acc*>(result) = sums[0];
    return;
  }
  Acc total = r.identity();
  int64_t i = 0;
  if (n >= 4) {
    Acc sums[4] = {total, total, total, total};
    while (i + 4 <= n) {
      const int64_t end = i + kRun * 4 < n ? i + kRun * 4 : n;
      Acc lanes[4];
      for (int k = 0; k < 4; ++k) lanes[k] = r.load(*reinterpret_cast<const In*>(in + (i + k) * stride));
      for (i += 4; i + 4 <= end; i += 4)
        for (int k = 0; k < 4; ++k)
          lanes[k] = r.combine(lanes[k], r.load(*reinterpret_cast<const In*>(in + (i + k) * stride)));
      for (int k = 0; k < 4; ++k) sums[k] = r.combine(sums[k], lanes[k]);
    }
    total = r.combine(r.combine(sums[0], sums[1]), r.combine(sums[2], sums[3]));
  }
  for (; i < n; ++i) total = r.combine(total, r.load(*reinterpret_cast<const In*>(in + i * stride)));
  *reinterpret_cast<Acc*>(result) = total;
}

// Rows become at most kLanes numbers each, but for short ones and those that pairs alone join. Numbers side by side are joined in
// pairs, those of all rows in one loop, until there are an odd number in a row.
template <class R>
ATLED_TARGET static void rows(const void* ctx, const char* in, int64_t row_stride, int64_t n, int64_t m, char* result) {
  using In = typename R::In;
  using Acc = typename R::Acc;
  constexpr int L = kLanes<R>;
  const R r = ::atled::core::Baseline::functor<R>(ctx);
  const In* x = reinterpret_cast<const In*>(in);
  alignas(64) unsigned char room[kRowsAtOnce * L * sizeof(Acc)];  // no array of Acc: complex numbers would be made zeros
  Acc *joined = reinterpret_cast<Acc*>(room), *out = reinterpret_cast<Acc*>(result);
  if constexpr (kAnyOrder<R>)
    if (n > 16) {
      for (int64_t j = 0; j < m; ++j) out[j] = any_order(r, reinterpret_cast<const In*>(in + j * row_stride), n);
      return;
    }
  int64_t left = n;  // numbers of each row
  const bool pairs = n % 16 == 0 && n < L && row_stride == n * int64_t{sizeof(In)};
  if (n >= L && !pairs) {
    left = L / 4;
    for (int64_t j = 0; j < m; ++j) {
      const In* row = reinterpret_cast<const In*>(in + j * row_stride);
      if (n < 2 * L) {
        half_lanes(r, row, n, joined + j * left);
        continue;
      }
      Acc sums[L];
      row_lanes(r, row, n, sums);
      quarter(r, sums, joined + j * left);
    }
  } else if (n % 2 == 0) {
    left = n / 2;
    ATLED_IVDEP
    for (int64_t i = 0; i < left * m; ++i) joined[i] = r.combine(r.load(x[2 * i]), r.load(x[2 * i + 1]));
  } else {
    for (int64_t i = 0; i < n * m; ++i) joined[i] = r.load(x[i]);
  }
  for (; left % 2 == 0; left /= 2) {
    // No pair is written over before it is read, in whatever vectors.
    ATLED_IVDEP
    for (int64_t i = 0; i < left / 2 * m; ++i) joined[i] = r.combine(joined[2 * i], joined[2 * i + 1]);
  }
  for (int64_t j = 0; j < m; ++j) out[j] = joined[j * left];
  for (int64_t i = 1; i < left; ++i)
    for (int64_t j = 0; j < m; ++j) out[j] = r.combine(out[j], joined[j * left + i]);
}

template <class R>
ATLED_TARGET static void columns(const void* ctx, const char* in, int64_t row_stride, int64_t n, int64_t column_stride,
                                 int64_t m, char* result) {
  using In = typename R::In;
  using Acc = typename R::Acc;
  const R r = ::atled::core::Baseline::functor<R>(ctx);
  Acc* acc = reinterpret_cast<Acc*>(result);
  for (int64_t j = 0; j < m; ++j) acc[j] = r.identity();
  int64_t i = 0;
  if (column_stride == sizeof(In)) {
    // Four rows at a time: the accumulators' way from memory and back is longer than the elements'. Of two comparisons
    // one after the other GCC makes no vectors.
    for (; R::kAdds && i + 4 <= n; i += 4, in += 4 * row_stride) {
      const In *a = reinterpret_cast<const In*>(in), *b = reinterpret_cast<const In*>(in + row_stride),
               *c = reinterpret_cast<const In*>(in + 2 * row_stride),
               *d = reinterpret_cast<const In*>(in + 3 * row_stride);
      ATLED_IVDEP
      for (int64_t j = 0; j < m; ++j)
        acc[j] = r.combine(
            acc[j], r.combine(r.combine(r.load(a[j]), r.load(b[j])), r.combine(r.load(c[j]), r.load(d[j]))));
    }
    for (; i < n; ++i, in += row_stride) {
      const In* x = reinterpret_cast<const In*>(in);
      ATLED_IVDEP
      for (int64_t j = 0; j < m; ++j) acc[j] = r.combine(acc[j], r.load(x[j]));
    }
  }
  for (; i < n; ++i, in += row_stride)
    for (int64_t j = 0; j < m; ++j)
      acc[j] = r.combine(acc[j], r.load(*reinterpret_cast<const In*>(in + j * column_stride)));
}

// The same for what is stored as another type than R reads: converted a few kilobytes at a time.
template <class In, class Src>
ATLED_TARGET static void widen(In* to, const char* from, int64_t stride, int64_t n) {
  int64_t i = 0;
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if (stride == sizeof(Src))
    for (; i + 8 <= n; i += 8) ::atled::core::Avx2::load_eight(to + i, reinterpret_cast<const Src*>(from) + i);
#endif
  for (; i < n; ++i) to[i] = static_cast<In>(*reinterpret_cast<const Src*>(from + i * stride));
}
#ifdef ATLED_VECTOR_INSTRUCTIONS
// row_lanes of float16's sums, which stay in registers, for n <= kRowBlock.
ATLED_TARGET static inline __m256 eight_of(const Half* x) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}
ATLED_TARGET static void sum_lanes(const Half* x, int64_t n, float* sums) {
  int64_t i = 32;
  if (n < 64) {
    for (int k = 0; k < 32; k += 8) _mm256_storeu_ps(sums + k, eight_of(x + k));
  } else {
    __m256 lanes[4];
    for (int k = 0; k < 4; ++k) lanes[k] = eight_of(x + 32 + 8 * k);
    for (i = 64; i + 32 <= n; i += 32)
      for (int k = 0; k < 4; ++k) lanes[k] = _mm256_add_ps(lanes[k], eight_of(x + i + 8 * k));
    for (int k = 0; k < 4; ++k) _mm256_storeu_ps(sums + 8 * k, _mm256_add_ps(eight_of(x + 8 * k), lanes[k]));
  }
  for (int k = 0; i < n; ++i, ++k) sums[k] += static_cast<float>(x[i]);
}
template <class R, class Src>
static constexpr bool kSumsHalves = R::kSums && std::is_same_v<Src, Half> && std::is_same_v<typename R::Acc, float>;
#endif

template <class R, class Src>
ATLED_TARGET static void widened_row(const void* ctx, const char* in, int64_t stride, int64_t n, char* result) {
  typename R::In wide[kRowBlock];
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if constexpr (kSumsHalves<R, Src>)
    if (stride == sizeof(Src) && n >= kLanes<R>) {
      sum_lanes(reinterpret_cast<const Src*>(in), n, wide);
      halve<kLanes<R> / 2>(::atled::core::Baseline::functor<R>(ctx), wide);
      *reinterpret_cast<typename R::Acc*>(result) = wide[0];
      return;
    }
#endif
  widen<typename R::In, Src>(wide, in, stride, n);
  row<R>(ctx, reinterpret_cast<const char*>(wide), sizeof(*wide), n, result);
}
template <class R, class Src>
ATLED_TARGET static void widened_rows(const void* ctx, const char* in, int64_t row_stride, int64_t n, int64_t m, char* result) {
  using In = typename R::In;
  In wide[kRowsAtOnce * 32];
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if constexpr (kSumsHalves<R, Src>)
    if (n >= 2 * kLanes<R>) {
      constexpr int kLeft = kLanes<R> / 4;
      for (int64_t j = 0; j < m; ++j) {
        float sums[kLanes<R>];
        sum_lanes(reinterpret_cast<const Src*>(in + j * row_stride), n, sums);
        quarter(::atled::core::Baseline::functor<R>(ctx), sums, wide + j * kLeft);
      }
      return rows<R>(ctx, reinterpret_cast<const char*>(wide), kLeft * int64_t{sizeof(In)}, kLeft, m, result);
    }
#endif
  const int64_t most = kRowsAtOnce * 32 / n, some = most < kRowsAtOnce ? most : kRowsAtOnce;
  for (int64_t j = 0; j < m; j += some) {
    const int64_t count = some < m - j ? some : m - j;
    if (row_stride == n * int64_t{sizeof(Src)})
      widen<In, Src>(wide, in + j * row_stride, sizeof(Src), n * count);
    else
      for (int64_t k = 0; k < count; ++k) widen<In, Src>(wide + k * n, in + (j + k) * row_stride, sizeof(Src), n);
    rows<R>(ctx, reinterpret_cast<const char*>(wide), n * int64_t{sizeof(In)}, n, count,
            result + j * int64_t{sizeof(typename R::Acc)});
  }
}
template <class R, class Src>
ATLED_TARGET static void widened_columns(const void* ctx, const char* in, int64_t row_stride, int64_t n,
                                         int64_t column_stride, int64_t m, char* result) {
  using In = typename R::In;
  constexpr int64_t kStrip = 64;
  In wide[kStrip * kColumnRows];
  for (int64_t j = 0; j < m; j += kStrip) {
    const int64_t count = kStrip < m - j ? kStrip : m - j;
    for (int64_t i = 0; i < n; ++i)
      widen<In, Src>(wide + i * kStrip, in + i * row_stride + j * column_stride, column_stride, count);
    columns<R>(ctx, reinterpret_cast<const char*>(wide), kStrip * int64_t{sizeof(In)}, n, sizeof(In), count,
               result + j * int64_t{sizeof(typename R::Acc)});
  }
}
