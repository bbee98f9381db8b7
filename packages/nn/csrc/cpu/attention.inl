// What attention computes of one block of queries and one of keys, at one level: part of the body of a struct in
// levels.h, included once for each. Scores are (keys, queries), with a query in each lane, so that a product reads
// keys, values and weights as they lie, one number after the other, and statistics of queries need no sums over lanes.

// Lanes of a vector; columns come in multiples of it.
template <class T>
constexpr static int64_t kLanes = kVectorBytes / static_cast<int>(sizeof(T));

// to[r][j] = x[r][k] y[k][j] summed over k, for R rows and P vectors of columns; kAdd adds to[r][j], kRescale
// factors[r] to[r][j]. Elements of x lie side by side along k, or with kAcross along r, `x_step` from line to line.
template <class T, int R, int P, bool kAcross>
ATLED_INLINE static void tile(Into into, const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t depth, T* to,
                              int64_t to_step, const T* factors) {
  constexpr int N = static_cast<int>(kLanes<T>);
#if defined(__GNUC__)
  // Left to itself, the compiler makes vectors of the rows, or keeps the sums in memory.
  typedef T Vector __attribute__((vector_size(N * sizeof(T))));
  Vector sums[R][P] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector line[P];
    for (int p = 0; p < P; ++p) std::memcpy(&line[p], y + k * y_step + p * N, sizeof(Vector));
    for (int r = 0; r < R; ++r) {
      const T factor = kAcross ? x[k * x_step + r] : x[r * x_step + k];
      for (int p = 0; p < P; ++p) sums[r][p] += factor * line[p];
    }
  }
  // The case is chosen once and the loops are unrolled, or else the sums go through memory.
  if (into == Into::kAdd) {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) {
        Vector before;
        std::memcpy(&before, to + r * to_step + p * N, sizeof before);
        sums[r][p] += before;
      }
  } else if (into == Into::kRescale) {
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) {
        Vector before;
        std::memcpy(&before, to + r * to_step + p * N, sizeof before);
        sums[r][p] += factors[r] * before;
      }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) std::memcpy(to + r * to_step + p * N, &sums[r][p], sizeof(Vector));
#else
  T sums[R][P * N] = {};
  for (int64_t k = 0; k < depth; ++k)
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < P * N; ++j) sums[r][j] += (kAcross ? x[k * x_step + r] : x[r * x_step + k]) * y[k * y_step + j];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < P * N; ++j) {
      T* at = to + r * to_step + j;
      *at = into == Into::kSet ? sums[r][j] : (into == Into::kAdd ? *at : factors[r] * *at) + sums[r][j];
    }
#endif
}

template <class T, int P, bool kAcross>
ATLED_INLINE static void rows_of_tiles(Into into, const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t depth,
                                       T* to, int64_t to_step, int64_t rows, const T* factors) {
  int64_t r = 0;
  const auto line = [&](int64_t row) { return kAcross ? x + row : x + row * x_step; };
  for (; r + kTileRows <= rows; r += kTileRows)
    tile<T, kTileRows, P, kAcross>(into, line(r), x_step, y, y_step, depth, to + r * to_step, to_step, factors + r);
  for (; r + 4 <= rows; r += 4)
    tile<T, 4, P, kAcross>(into, line(r), x_step, y, y_step, depth, to + r * to_step, to_step, factors + r);
  for (; r + 2 <= rows; r += 2)
    tile<T, 2, P, kAcross>(into, line(r), x_step, y, y_step, depth, to + r * to_step, to_step, factors + r);
  for (; r < rows; ++r)
    tile<T, 1, P, kAcross>(into, line(r), x_step, y, y_step, depth, to + r * to_step, to_step, factors + r);
}

// The same for any number of rows, and `columns` that are a multiple of kLanes.
template <class T, bool kAcross>
ATLED_TARGET static void multiply(Into into, const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t depth, T* to,
                                  int64_t to_step, int64_t rows, int64_t columns, const T* factors) {
  constexpr int64_t N = kLanes<T>;
  int64_t j = 0;
  for (; j + 2 * N <= columns; j += 2 * N)
    rows_of_tiles<T, 2, kAcross>(into, x, x_step, y + j, y_step, depth, to + j, to_step, rows, factors);
  for (; j < columns; j += N)
    rows_of_tiles<T, 1, kAcross>(into, x, x_step, y + j, y_step, depth, to + j, to_step, rows, factors);
}

// ---- rows as columns ----

// Four rows of four numbers, times a factor.
template <class T>
ATLED_INLINE static void turn_square(const T* x, int64_t step, T factor, T* to, int64_t to_step) {
#if ATLED_SHUFFLES
  typedef T Four __attribute__((vector_size(4 * sizeof(T))));
  Four rows[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&rows[i], x + i * step, sizeof(Four));
  const Four a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5) * factor,
             b = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7) * factor,
             c = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5) * factor,
             d = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7) * factor;
  const Four columns[] = {__builtin_shufflevector(a, c, 0, 1, 4, 5), __builtin_shufflevector(a, c, 2, 3, 6, 7),
                          __builtin_shufflevector(b, d, 0, 1, 4, 5), __builtin_shufflevector(b, d, 2, 3, 6, 7)};
  for (int j = 0; j < 4; ++j) std::memcpy(to + j * to_step, &columns[j], sizeof(Four));
#else
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < 4; ++i) to[j * to_step + i] = x[i * step + j] * factor;
#endif
}

// Rows times a factor as columns, of which there are n, a multiple of kLanes; the first `rows` are not 0.
template <class T>
ATLED_TARGET static void turn_rows(const T* x, int64_t step, int64_t rows, int64_t size, T factor, T* to, int64_t to_step,
                                   int64_t n) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    int64_t j = 0;
    for (; j + 4 <= size; j += 4) turn_square(x + i * step + j, step, factor, to + j * to_step + i, to_step);
    for (; j < size; ++j)
      for (int64_t r = i; r < i + 4; ++r) to[j * to_step + r] = x[r * step + j] * factor;
  }
  for (; i < n; ++i)
    for (int64_t j = 0; j < size; ++j) to[j * to_step + i] = i < rows ? x[i * step + j] * factor : T(0);
}

// Eight rows of eight bytes: halves, quarters and bytes change places across the diagonal.
ATLED_INLINE static void turn_bytes(const uint8_t* x, int64_t step, uint8_t* to, int64_t to_step) {
  uint64_t rows[8];
  for (int i = 0; i < 8; ++i) std::memcpy(&rows[i], x + i * step, 8);
  constexpr uint64_t kMasks[] = {0x00000000ffffffff, 0x0000ffff0000ffff, 0x00ff00ff00ff00ff};
  for (int level = 0; level < 3; ++level) {
    const int apart = 4 >> level;
    for (int i = 0; i < 8; ++i) {
      if (i & apart) continue;
      const uint64_t change = ((rows[i] >> (8 * apart)) ^ rows[i + apart]) & kMasks[level];
      rows[i + apart] ^= change;
      rows[i] ^= change << (8 * apart);
    }
  }
  for (int i = 0; i < 8; ++i) std::memcpy(to + i * to_step, &rows[i], 8);
}

// ---- scores (keys, queries), `step` from key to key, and n queries, a multiple of kLanes ----

// Scores become powers of what they are above their query's largest so far, which grows, as does the sum of powers;
// factors are by how much what was summed before shrinks (Milakov & Gimelshein 2018).
template <class T>
ATLED_TARGET static void weigh(T* scores, int64_t step, int64_t keys, int64_t n, T* most, T* total, T* factors) {
  constexpr T kNothing = -std::numeric_limits<T>::infinity();
  T high[kMostQueries], sum[kMostQueries];
#pragma omp simd
  for (int64_t q = 0; q < n; ++q) high[q] = most[q];
  int64_t k = 0;
  for (; k + 4 <= keys; k += 4) {
    const T* row = scores + k * step;
#pragma omp simd
    for (int64_t q = 0; q < n; ++q) {
      const T a = row[q], b = row[step + q], c = row[2 * step + q], d = row[3 * step + q];
      const T ab = a > b ? a : b, cd = c > d ? c : d, all = ab > cd ? ab : cd;
      high[q] = all > high[q] ? all : high[q];
    }
  }
  for (; k < keys; ++k)
#pragma omp simd
    for (int64_t q = 0; q < n; ++q) high[q] = scores[k * step + q] > high[q] ? scores[k * step + q] : high[q];
#pragma omp simd
  for (int64_t q = 0; q < n; ++q) {
    const T base = high[q] == kNothing ? T(0) : high[q];
    factors[q] = Powers<T>::of(most[q] - base);
    most[q] = high[q];
    high[q] = base;
    sum[q] = 0;
  }
  for (k = 0; k + 2 <= keys; k += 2) {
    T* row = scores + k * step;
#pragma omp simd
    for (int64_t q = 0; q < n; ++q) {
      const T a = Powers<T>::of(row[q] - high[q]), b = Powers<T>::of(row[step + q] - high[q]);
      row[q] = a;
      row[step + q] = b;
      sum[q] += a + b;
    }
  }
  if (k < keys) {
    T* row = scores + k * step;
#pragma omp simd
    for (int64_t q = 0; q < n; ++q) sum[q] += row[q] = Powers<T>::of(row[q] - high[q]);
  }
#pragma omp simd
  for (int64_t q = 0; q < n; ++q) total[q] = total[q] * factors[q] + sum[q];
}

// Weights again, from the logarithms of their sums, and in slopes, which are those of weights, those of scores; means
// are the queries' sums of weights times slopes. A hidden key's slope may be anything.
template <class T>
ATLED_TARGET static void weigh_again(T* scores, T* slopes, int64_t step, int64_t keys, int64_t n, const T* logarithms,
                                     const T* means) {
  for (int64_t k = 0; k < keys; ++k) {
    T *p = scores + k * step, *s = slopes + k * step;
#pragma omp simd
    for (int64_t q = 0; q < n; ++q) {
      const T weight = Powers<T>::of(p[q] - logarithms[q]);
      p[q] = weight;
      s[q] = weight == 0 ? T(0) : weight * (s[q] - means[q]);
    }
  }
}

// Adds unit * bias, (queries, keys); where that is one row for all queries, `by_query` is 0.
template <class T>
ATLED_TARGET static void add_bias(T* scores, int64_t step, int64_t keys, int64_t n, const T* bias, int64_t by_query,
                                  int64_t by_key, T unit) {
  if (by_query == 0) {
    for (int64_t k = 0; k < keys; ++k) {
      const T more = bias[k * by_key] * unit;
#pragma omp simd
      for (int64_t q = 0; q < n; ++q) scores[k * step + q] += more;
    }
    return;
  }
  constexpr int64_t kSome = 16;
  T turned[kSome * kMostQueries];
  for (int64_t from = 0; from < keys; from += kSome) {
    const int64_t some = keys - from < kSome ? keys - from : kSome, all = (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
    if (by_key == 1) {
      turn_rows(bias + from, by_query, n, some, unit, turned, kMostQueries, all);
      for (int64_t k = 0; k < some; ++k) accumulate<T, T>(turned + k * kMostQueries, scores + (from + k) * step, all);
    } else {
      for (int64_t k = from; k < from + some; ++k)
        for (int64_t q = 0; q < n; ++q) scores[k * step + q] += bias[q * by_query + k * by_key] * unit;
    }
  }
}

// Minus infinity where the mask is 0.
template <class T>
ATLED_TARGET static void hide(T* scores, int64_t step, int64_t keys, int64_t n, const uint8_t* mask, int64_t by_query,
                              int64_t by_key) {
  constexpr T kNothing = -std::numeric_limits<T>::infinity();
  if (by_query == 0) {
    for (int64_t k = 0; k < keys; ++k)
      if (!mask[k * by_key])
#pragma omp simd
        for (int64_t q = 0; q < n; ++q) scores[k * step + q] = kNothing;
    return;
  }
  constexpr int64_t kSide = 8;
  for (int64_t from = 0; from < keys; from += kSide) {
    const int64_t some = keys - from < kSide ? keys - from : kSide;
    uint8_t seen[kSide * kMostQueries];
    int64_t q = 0;
    if (by_key == 1 && some == kSide)
      for (; q + kSide <= n; q += kSide) turn_bytes(mask + q * by_query + from, by_query, seen + q, kMostQueries);
    for (; q < n; ++q)
      for (int64_t k = 0; k < some; ++k) seen[k * kMostQueries + q] = mask[q * by_query + (from + k) * by_key];
    for (int64_t k = 0; k < some; ++k) {
      T* row = scores + (from + k) * step;
      const uint8_t* each = seen + k * kMostQueries;
#pragma omp simd
      for (int64_t r = 0; r < n; ++r) row[r] = each[r] ? row[r] : kNothing;
    }
  }
}

// ---- one query: scores of keys, side by side ----

template <class T>
ATLED_TARGET static void row_scores(const T* query, const T* keys, int64_t key_step, int64_t count, int64_t size, T* scores) {
  int64_t k = 0;
  for (; k + 4 <= count; k += 4) {
    const T *a = keys + k * key_step, *b = a + key_step, *c = b + key_step, *d = c + key_step;
    T s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int64_t i = 0; i < size; ++i) {
      const T q = query[i];
      s0 += q * a[i];
      s1 += q * b[i];
      s2 += q * c[i];
      s3 += q * d[i];
    }
    scores[k] = s0;
    scores[k + 1] = s1;
    scores[k + 2] = s2;
    scores[k + 3] = s3;
  }
  for (; k < count; ++k) {
    T s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < size; ++i) s += query[i] * keys[k * key_step + i];
    scores[k] = s;
  }
}

// weigh() of one query.
template <class T>
ATLED_TARGET static T row_weigh(T* scores, int64_t keys, T& most, T& total) {
  const T here = max_of<T, 1>(scores, 1, keys), high = here > most ? here : most;
  const T base = high == -std::numeric_limits<T>::infinity() ? T(0) : high, factor = Powers<T>::of(most - base);
#pragma omp simd
  for (int64_t k = 0; k < keys; ++k) scores[k] = Powers<T>::of(scores[k] - base);
  most = high;
  total = total * factor + sum<T, T>(scores, keys);
  return factor;
}

// to = to * factor + weights @ values
template <class T>
ATLED_TARGET static void row_values(const T* weights, const T* values, int64_t step, int64_t keys, int64_t size, T factor,
                                    T* to) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) to[i] *= factor;
  int64_t k = 0;
  for (; k + 4 <= keys; k += 4) {
    const T *a = values + k * step, *b = a + step, *c = b + step, *d = c + step;
    const T p = weights[k], q = weights[k + 1], r = weights[k + 2], s = weights[k + 3];
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) to[i] += (p * a[i] + q * b[i]) + (r * c[i] + s * d[i]);
  }
  for (; k < keys; ++k) accumulate_scaled<T, T>(values + k * step, weights[k], to, size);
}

// ---- rows on their way in and out ----

// n rows of `size` elements in T, with zeros up to `width`.
template <class S, class T>
ATLED_TARGET static void take_rows(const S* x, int64_t step, int64_t n, int64_t size, T* to, int64_t width) {
  for (int64_t i = 0; i < n; ++i, to += width) {
    assign_as<S, T, 1>(x + i * step, 1, to, size);
    for (int64_t j = size; j < width; ++j) to[j] = 0;
  }
}

// y = x * factor; x is changed, too.
template <class T, class S>
ATLED_TARGET static void put_row(T* x, T factor, int64_t n, S* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
  assign_as<T, S, 1>(x, 1, y, n);
}

// The sum of x * y.
template <class T>
ATLED_TARGET static T row_product(const T* x, const T* y, int64_t n) {
  T s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; ++i) s += x[i] * y[i];
  return s;
}
