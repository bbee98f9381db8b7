// The loops of one level: the body of a struct in levels.h, included once for each.

// ---- element-wise: f.value(x), and grad * f.slope(x) ----

template <class T, class F>
ATLED_TARGET static void values(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const F f = *static_cast<const F*>(ctx);
  if (strides[0] == sizeof(T) && strides[1] == sizeof(T)) {
    T* y = reinterpret_cast<T*>(data[0]);
    const T* x = reinterpret_cast<const T*>(data[1]);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = f.value(x[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<T*>(data[0] + i * strides[0]) = f.value(*reinterpret_cast<const T*>(data[1] + i * strides[1]));
}

template <class T, class F>
ATLED_TARGET static void slopes(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const F f = *static_cast<const F*>(ctx);
  if (strides[0] == sizeof(T) && strides[1] == sizeof(T) && strides[2] == sizeof(T)) {
    T* y = reinterpret_cast<T*>(data[0]);
    const T *g = reinterpret_cast<const T*>(data[1]), *x = reinterpret_cast<const T*>(data[2]);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = g[i] * f.slope(x[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const T g = *reinterpret_cast<const T*>(data[1] + i * strides[1]), x = *reinterpret_cast<const T*>(data[2] + i * strides[2]);
    *reinterpret_cast<T*>(data[0] + i * strides[0]) = g * f.slope(x);
  }
}

// x where it is positive, else weight * x: a weight for each, or one for all of them.
template <class T>
ATLED_TARGET static void prelu_values(void*, char* const* data, const int64_t* strides, int64_t n) {
  if (strides[0] == sizeof(T) && strides[1] == sizeof(T) && (strides[2] == 0 || strides[2] == sizeof(T))) {
    T* y = reinterpret_cast<T*>(data[0]);
    const T *x = reinterpret_cast<const T*>(data[1]), *w = reinterpret_cast<const T*>(data[2]);
    if (strides[2] == 0) {
      const T one = *w;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) y[i] = x[i] > 0 ? x[i] : one * x[i];
      return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] > 0 ? x[i] : w[i] * x[i];
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const T x = *reinterpret_cast<const T*>(data[1] + i * strides[1]), w = *reinterpret_cast<const T*>(data[2] + i * strides[2]);
    *reinterpret_cast<T*>(data[0] + i * strides[0]) = x > 0 ? x : w * x;
  }
}

// ---- sums over contiguous spans; A is what they are computed in ----

// Long ones are four sums of a quarter each, none of which waits for another.
constexpr static int64_t kQuarters = 512;

template <class T, class A>
ATLED_TARGET static A sum(const T* x, int64_t n) {
  A s = 0, s1 = 0, s2 = 0, s3 = 0;
  int64_t done = 0;
  if (n >= kQuarters) {
    const int64_t q = n / 4;
#pragma omp simd reduction(+ : s, s1, s2, s3)
    for (int64_t i = 0; i < q; ++i) {
      s += static_cast<A>(x[i]);
      s1 += static_cast<A>(x[q + i]);
      s2 += static_cast<A>(x[2 * q + i]);
      s3 += static_cast<A>(x[3 * q + i]);
    }
    done = 4 * q;
    s = (s + s1) + (s2 + s3);
  }
#pragma omp simd reduction(+ : s)
  for (int64_t i = done; i < n; ++i) s += static_cast<A>(x[i]);
  return s;
}

// The sum of (x - center)^2.
template <class T>
ATLED_TARGET static T squares(const T* x, int64_t n, T center) {
  T s = 0, s1 = 0, s2 = 0, s3 = 0;
  int64_t done = 0;
  if (n >= kQuarters) {
    const int64_t q = n / 4;
#pragma omp simd reduction(+ : s, s1, s2, s3)
    for (int64_t i = 0; i < q; ++i) {
      const T d = x[i] - center, d1 = x[q + i] - center, d2 = x[2 * q + i] - center, d3 = x[3 * q + i] - center;
      s += d * d;
      s1 += d1 * d1;
      s2 += d2 * d2;
      s3 += d3 * d3;
    }
    done = 4 * q;
    s = (s + s1) + (s2 + s3);
  }
#pragma omp simd reduction(+ : s)
  for (int64_t i = done; i < n; ++i) {
    const T d = x[i] - center;
    s += d * d;
  }
  return s;
}

// The sums of g and of g * (x - center).
template <class T>
ATLED_TARGET static void grad_sums(const T* g, const T* x, int64_t n, T center, T* sum_g, T* sum_gx) {
  T s = 0, t = 0, s1 = 0, t1 = 0;
  int64_t done = 0;
  if (n >= kQuarters) {
    const int64_t h = n / 2;
#pragma omp simd reduction(+ : s, t, s1, t1)
    for (int64_t i = 0; i < h; ++i) {
      const T a = g[i], b = g[h + i];
      s += a;
      t += a * (x[i] - center);
      s1 += b;
      t1 += b * (x[h + i] - center);
    }
    done = 2 * h;
    s += s1;
    t += t1;
  }
#pragma omp simd reduction(+ : s, t)
  for (int64_t i = done; i < n; ++i) {
    const T gi = g[i];
    s += gi;
    t += gi * (x[i] - center);
  }
  *sum_g = s;
  *sum_gx = t;
}

// As grad_sums, with g * w in place of g; w may be NULL.
template <class T>
ATLED_TARGET static void weighted_grad_sums(const T* g, const T* w, const T* x, int64_t n, T center, T* sum_g, T* sum_gx) {
  T s = 0, t = 0;
  if (!w) {
#pragma omp simd reduction(+ : s, t)
    for (int64_t i = 0; i < n; ++i) {
      const T gi = g[i];
      s += gi;
      t += gi * (x[i] - center);
    }
  } else {
#pragma omp simd reduction(+ : s, t)
    for (int64_t i = 0; i < n; ++i) {
      const T gi = g[i] * w[i];
      s += gi;
      t += gi * (x[i] - center);
    }
  }
  *sum_g = s;
  *sum_gx = t;
}

// ---- normalisation of contiguous spans ----

// y = (x - center) * scale + shift
template <class T>
ATLED_TARGET static void scale_shift(const T* x, T* y, int64_t n, T center, T scale, T shift) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - center) * scale + shift;
}

// y = (x - center) * scale * w + b; w and b may be NULL.
template <class T>
ATLED_TARGET static void scale_shift_by(const T* x, const T* w, const T* b, T* y, int64_t n, T center, T scale) {
  if (w && b) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      y[i] = (x[i] - center) * scale * w[i] + b[i];
    return;
  }
  if (w) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - center) * scale * w[i];
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - center) * scale;
  if (b) accumulate(b, y, n);
}

// y = g * w * a + (x - center) * b + c; w may be NULL.
template <class T>
ATLED_TARGET static void combine(const T* g, const T* w, const T* x, T* y, int64_t n, T center, T a, T b, T c) {
  if (!w) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = g[i] * a + (x[i] - center) * b + c;
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      y[i] = g[i] * w[i] * a + (x[i] - center) * b + c;
  }
}

// y += g * (x - center) * scale
template <class T>
ATLED_TARGET static void accumulate_product(const T* g, const T* x, T* y, int64_t n, T center, T scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] += g[i] * (x[i] - center) * scale;
}

// y += x
template <class T, class A>
ATLED_TARGET static void accumulate(const T* x, A* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] += static_cast<A>(x[i]);
}

// y += x * scale
template <class T, class A>
ATLED_TARGET static void accumulate_scaled(const T* x, A scale, A* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] += static_cast<A>(x[i]) * scale;
}

// ---- losses of pairs: f.value(x, y) and grad * scale * f.slope(x, y) ----

template <class T, class F>
ATLED_TARGET static void pair_values(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const F f = *static_cast<const F*>(ctx);
  if (strides[0] == sizeof(T) && strides[1] == sizeof(T) && strides[2] == sizeof(T)) {
    T* out = reinterpret_cast<T*>(data[0]);
    const T *x = reinterpret_cast<const T*>(data[1]), *y = reinterpret_cast<const T*>(data[2]);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = f.value(x[i], y[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const T x = *reinterpret_cast<const T*>(data[1] + i * strides[1]), y = *reinterpret_cast<const T*>(data[2] + i * strides[2]);
    *reinterpret_cast<T*>(data[0] + i * strides[0]) = f.value(x, y);
  }
}

// The gradient is one number for all (a stride of 0), or one for each pair.
template <class T, class F>
ATLED_TARGET static void pair_slopes(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const auto& [f, scale] = *static_cast<const Scaled<T, F>*>(ctx);
  const F own = f;
  const T by = scale;
  if (strides[0] == sizeof(T) && strides[2] == sizeof(T) && strides[3] == sizeof(T)) {
    T* out = reinterpret_cast<T*>(data[0]);
    const T *g = reinterpret_cast<const T*>(data[1]), *x = reinterpret_cast<const T*>(data[2]), *y = reinterpret_cast<const T*>(data[3]);
    if (strides[1] == 0) {
      const T grad = by * *g;
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = grad * own.slope(x[i], y[i]);
      return;
    }
    if (strides[1] == sizeof(T)) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) out[i] = by * g[i] * own.slope(x[i], y[i]);
      return;
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    const T g = *reinterpret_cast<const T*>(data[1] + i * strides[1]);
    const T x = *reinterpret_cast<const T*>(data[2] + i * strides[2]), y = *reinterpret_cast<const T*>(data[3] + i * strides[3]);
    *reinterpret_cast<T*>(data[0] + i * strides[0]) = by * g * own.slope(x, y);
  }
}

template <class T, class F>
ATLED_TARGET static T pair_sum(const F& functor, const T* x, const T* y, int64_t n) {
  const F f = functor;
  T s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; ++i) s += f.value(x[i], y[i]);
  return s;
}

// ---- columns: row after row of (n, channels), one channel for each lane ----

// The means of columns of so many rows `before`, and the sums of squares about them, joined with those of some rows,
// `step` elements apart (Chan et al. 1983); room is for 2 n numbers.
template <class T>
ATLED_TARGET static void column_statistics(const T* x, int64_t step, int64_t rows, int64_t before, double* mean,
                                           double* squares, T* room, int64_t n) {
  T *center = room, *around = room + n;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) center[i] = around[i] = 0;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T *a = x + r * step, *b = a + step, *c = b + step, *d = c + step;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) center[i] += (a[i] + b[i]) + (c[i] + d[i]);
  }
  for (; r < rows; ++r) accumulate<T, T>(x + r * step, center, n);
  const T share = T(1) / static_cast<T>(rows);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) center[i] *= share;
  for (r = 0; r + 4 <= rows; r += 4) {
    const T *a = x + r * step, *b = a + step, *c = b + step, *d = c + step;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const T p = a[i] - center[i], q = b[i] - center[i], u = c[i] - center[i], v = d[i] - center[i];
      around[i] += (p * p + q * q) + (u * u + v * v);
    }
  }
  for (; r < rows; ++r)
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) around[i] += (x[r * step + i] - center[i]) * (x[r * step + i] - center[i]);
  const double all = static_cast<double>(before + rows), take = static_cast<double>(rows) / all,
               apart = static_cast<double>(before) * take;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const double delta = static_cast<double>(center[i]) - mean[i];
    mean[i] += delta * take;
    squares[i] += static_cast<double>(around[i]) + delta * delta * apart;
  }
}

// sum_g += g, sum_gx += g (x - center), for some rows; room is for 2 n numbers.
template <class T>
ATLED_TARGET static void column_grad_sums(const T* g, int64_t g_step, const T* x, int64_t x_step, int64_t rows, const T* center,
                                          double* sum_g, double* sum_gx, T* room, int64_t n) {
  T *s = room, *t = room + n;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) s[i] = t[i] = 0;
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2) {
    const T *g0 = g + r * g_step, *g1 = g0 + g_step, *x0 = x + r * x_step, *x1 = x0 + x_step;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      s[i] += g0[i] + g1[i];
      t[i] += g0[i] * (x0[i] - center[i]) + g1[i] * (x1[i] - center[i]);
    }
  }
  if (r < rows)
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      s[i] += g[r * g_step + i];
      t[i] += g[r * g_step + i] * (x[r * x_step + i] - center[i]);
    }
  accumulate<T, double>(s, sum_g, n);
  accumulate<T, double>(t, sum_gx, n);
}

// y = g a + (x - center) b + c; g may be NULL.
template <class T>
ATLED_TARGET static void column_combine(const T* g, const T* x, T* y, const T* center, const T* a, const T* b, const T* c, int64_t n) {
  if (!g) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - center[i]) * b[i] + c[i];
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i)
    y[i] = g[i] * a[i] + (x[i] - center[i]) * b[i] + c[i];
}

// ---- pooling ----

// y[i] = x[i * stride] in another dtype
template <class T, class A, int64_t kStride>
ATLED_TARGET static void assign_as(const T* x, int64_t stride, A* y, int64_t n) {
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if constexpr (std::is_same_v<T, Half> && std::is_same_v<A, float> && kStride == 1) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
      _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
    for (; i < n; ++i) y[i] = x[i];
    return;
  }
  if constexpr (std::is_same_v<T, float> && std::is_same_v<A, Half> && kStride == 1) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
    for (; i < n; ++i) y[i] = x[i];
    return;
  }
#endif
  const int64_t s = kStride > 0 ? kStride : stride;
  if constexpr (std::is_same_v<A, BFloat16>) {  // in integers, which are vector code
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t bits = float_to_bits(x[i * s]), nan = 0x7fc0u | ((bits >> 16) & 0x8000u);
      const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
      y[i].bits = static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
    }
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<A>(x[i * s]);
}

// The largest of y[i] and x[i * stride]; NaN wins over everything.
template <class T, class A, int64_t kStride>
ATLED_TARGET static void max_values(const T* x, int64_t stride, A* y, int64_t n) {
  const int64_t s = kStride > 0 ? kStride : stride;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const A v = static_cast<A>(x[i * s]), t = y[i];
    y[i] = ((v > t) | (v != v)) ? v : t;
  }
}

// The largest of n elements, `stride` apart; NaN wins over everything.
template <class A, int64_t kStride>
ATLED_TARGET static A max_of(const A* x, int64_t stride, int64_t n) {
  constexpr int64_t kLanes = 32;
  const int64_t s = kStride > 0 ? kStride : stride;
  A lanes[kLanes];
  for (A& lane : lanes) lane = -std::numeric_limits<A>::infinity();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) max_values<A, A, kStride>(x + i * s, s, lanes, kLanes);
  max_values<A, A, kStride>(x + i * s, s, lanes, n - i);
  for (int64_t left = kLanes / 2; left > 0; left /= 2) max_values<A, A, 1>(lanes + left, 1, lanes, left);
  return lanes[0];
}

// Which of n elements, `stride` apart, is their maximum `top`: in the order of rows, then columns, the first, or of
// NaNs the last.
template <class A, int64_t kStride>
ATLED_TARGET static int64_t max_place(const A* x, const int32_t* row, int64_t stride, A top, int64_t n) {
  constexpr int64_t kLanes = 32;
  const int64_t s = kStride > 0 ? kStride : stride;
  const bool nan = top != top;
  int64_t best = -1;
  for (int64_t from = 0; from < n; from += kLanes) {
    const int64_t end = n - from < kLanes ? n : from + kLanes;
    int32_t found = 0;
#pragma omp simd reduction(| : found)
    for (int64_t i = from; i < end; ++i) found |= (x[i * s] == top) | (x[i * s] != x[i * s]);
    if (!found) continue;
    for (int64_t i = from; i < end; ++i) {
      if (nan ? x[i * s] == x[i * s] : x[i * s] != top) continue;
      if (best < 0 || (nan ? row[i * s] >= row[best * s] : row[i * s] < row[best * s])) best = i;
    }
  }
  return best;
}

// Where row r beats what its column has so far (NaN beats everything), it takes the place.
template <class T, class A>
ATLED_TARGET static void max_rows(const T* x, A* best, int32_t* row, int32_t r, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const A v = static_cast<A>(x[i]);
    const bool better = (v > best[i]) | (v != v);
    best[i] = better ? v : best[i];
    row[i] = better ? r : row[i];
  }
}

// Step k of the kernel along a row: elements best[i * stride], which stand in row[i * stride], against the top so far.
template <class A, int64_t kStride>
ATLED_TARGET static void max_columns(const A* best, const int32_t* row, int64_t stride, A* top, int32_t* top_row,
                                     int32_t* top_step, int32_t k, int64_t n) {
  const int64_t s = kStride > 0 ? kStride : stride;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const A v = best[i * s], t = top[i];
    const int32_t r = row[i * s];
    // In the order of rows, then columns: the first of equal elements, the last NaN.
    const bool better = (v > t) | ((v == t) & (r < top_row[i])) | ((v != v) & ((t == t) | (r >= top_row[i])));
    top[i] = better ? v : t;
    top_row[i] = better ? r : top_row[i];
    top_step[i] = better ? k : top_step[i];
  }
}

// Output i at step k stands in column i * stride + k * dilation + offset; rows have w elements.
template <class T, class A>
ATLED_TARGET static void max_write(const A* top, const int32_t* top_row, const int32_t* top_step, T* y, int64_t* indices,
                                   int64_t w, int64_t stride, int64_t dilation, int64_t offset, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    y[i] = static_cast<T>(top[i]);
    indices[i] = top_row[i] * w + i * stride + top_step[i] * dilation + offset;
  }
}

// y = x * factors
template <class T, class A>
ATLED_TARGET static void scaled(const A* x, const A* factors, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(x[i] * factors[i]);
}

// y[i] += x[i * stride]
template <class A, int64_t kStride>
ATLED_TARGET static void add_columns(const A* x, int64_t stride, A* y, int64_t n) {
  const int64_t s = kStride > 0 ? kStride : stride;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] += x[i * s];
}

// y[i * stride] += x[i]
template <class A, int64_t kStride>
ATLED_TARGET static void spread_columns(const A* x, int64_t stride, A* y, int64_t n) {
  const int64_t s = kStride > 0 ? kStride : stride;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i * s] += x[i];
}

// ---- values at places: grids of n places, and elements of which -1 is none ----

// Where along a dimension of `size` elements the coordinates g, `stride` apart, lie.
template <class T>
ATLED_TARGET static void grid_places(const T* g, int64_t stride, T* place, int64_t size, bool corners, int64_t n) {
  const T whole = static_cast<T>(size), half = static_cast<T>(size - 1) / 2;
  if (corners) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) place[i] = (g[i * stride] + 1) * half;
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) place[i] = ((g[i * stride] + 1) * whole - 1) / 2;
  }
}

// Places brought inside: to the border, or by reflection at `low` and low + span, where span is not 0; `slope` is
// multiplied by that of doing so.
template <class T>
ATLED_TARGET static void grid_inside(T* place, T* slope, int64_t size, T low, T span, int64_t n) {
  const T last = static_cast<T>(size - 1);
  if (span > 0) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const T p = place[i], from = p < low ? low - p : p - low, turns = std::floor(from / span), rest = from - turns * span;
      const bool even = turns - 2 * std::floor(turns / 2) == 0;
      place[i] = (even ? rest : span - rest) + low;
      slope[i] = even == (p >= low) ? slope[i] : -slope[i];
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T p = place[i];
    const bool within = (p > 0) & (p < last);
    slope[i] = within ? slope[i] : T(0);
    place[i] = p > 0 ? (p < last ? p : last) : T(0);  // of NaN, 0
  }
}

template <class T>
ATLED_TARGET static void grid_floor(const T* place, T* low, T* share, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    low[i] = std::floor(place[i]);
    share[i] = place[i] - low[i];
  }
}

template <class T>
ATLED_TARGET static void grid_round(const T* place, T* nearest, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) nearest[i] = std::nearbyint(place[i]);
}

// Shares 1 - t and t of the elements below and above.
template <class T>
ATLED_TARGET static void grid_linear(const T* t, T* shares, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    shares[i] = 1 - t[i];
    shares[n + i] = t[i];
  }
}

// Shares of four elements around a place t behind the second (Keys 1981, with a = -0.75).
template <class T>
ATLED_TARGET static void grid_cubic(const T* t, T* shares, int64_t n) {
  const T a = T(-0.75);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T p = t[i], q = 1 - p, far = p + 1, farther = q + 1;
    shares[i] = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a;
    shares[n + i] = ((a + 2) * p - (a + 3)) * p * p + 1;
    shares[2 * n + i] = ((a + 2) * q - (a + 3)) * q * q + 1;
    shares[3 * n + i] = ((a * farther - 5 * a) * farther + 8 * a) * farther - 4 * a;
  }
}

// Their slopes, for places with slopes of their own.
template <class T>
ATLED_TARGET static void grid_linear_slopes(const T* slope, T* slopes, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    slopes[i] = -slope[i];
    slopes[n + i] = slope[i];
  }
}
template <class T>
ATLED_TARGET static void grid_cubic_slopes(const T* t, const T* slope, T* slopes, int64_t n) {
  const T a = T(-0.75);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T p = t[i], q = 1 - p, far = p + 1, farther = q + 1, s = slope[i];
    slopes[i] = ((3 * a * far - 10 * a) * far + 8 * a) * s;
    slopes[n + i] = (3 * (a + 2) * p - 2 * (a + 3)) * p * s;
    slopes[2 * n + i] = -((3 * (a + 2) * q - 2 * (a + 3)) * q) * s;
    slopes[3 * n + i] = -((3 * a * farther - 10 * a) * farther + 8 * a) * s;
  }
}

// The elements place + offset of a dimension of `size`.
template <class T>
ATLED_TARGET static void grid_elements(const T* place, T offset, int64_t size, int32_t* element, int64_t n) {
  const T last = static_cast<T>(size - 1);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T e = place[i] + offset;
    const bool there = (e >= 0) & (e <= last);
    const int32_t k = static_cast<int32_t>(there ? e : T(0));
    element[i] = there ? k : -1;
  }
}

// Of combinations of elements of several dimensions: one dimension more.
template <class T>
ATLED_TARGET static void grid_combine(int32_t* index, T* weight, const int32_t* element, const T* share, int32_t size,
                                      int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const bool there = (index[i] >= 0) & (element[i] >= 0);
    const int32_t k = index[i] * size + element[i];
    index[i] = there ? k : -1;
    weight[i] *= share[i];
  }
}

// y += x at the elements * weight
template <class T>
ATLED_TARGET static void add_at_elements(const T* x, const int32_t* index, const T* weight, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const int32_t k = index[i] < 0 ? 0 : index[i];
    const T v = x[k];
    y[i] += index[i] < 0 ? T(0) : v * weight[i];
  }
}

// y += a * b where there is an element
template <class T>
ATLED_TARGET static void add_products(const T* a, const T* b, const int32_t* index, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] += index[i] < 0 ? T(0) : a[i] * b[i];
}

// ---- recurrent cells: one row, in which the gates lie one after the other, n elements of each ----

template <class T>
ATLED_TARGET static void lstm_values(const T* gates, const T* cx, T* hy, T* cy, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const Lstm<T> s(gates[k], gates[n + k], gates[2 * n + k], gates[3 * n + k], cx[k]);
    hy[k] = s.hidden();
    cy[k] = s.next();
  }
}

template <class T>
ATLED_TARGET static void lstm_slopes(const T* grad_h, const T* grad_c, const T* gates, const T* cx, T* to_gates, T* to_cx, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const Lstm<T> s(gates[k], gates[n + k], gates[2 * n + k], gates[3 * n + k], cx[k]);
    const T g = grad_h[k], through = s.through(g, grad_c[k]);
    to_gates[k] = s.to_input(through);
    to_gates[n + k] = s.to_forget(through);
    to_gates[2 * n + k] = s.to_cell(through);
    to_gates[3 * n + k] = s.to_output(g);
    to_cx[k] = s.to_cx(through);
  }
}

template <class T>
ATLED_TARGET static void gru_values(const T* x, const T* h, const T* hx, T* hy, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const Gru<T> s(x[k], x[n + k], x[2 * n + k], h[k], h[n + k], h[2 * n + k], hx[k]);
    hy[k] = s.hidden();
  }
}

template <class T>
ATLED_TARGET static void gru_slopes(const T* grad, const T* x, const T* h, const T* hx, T* to_x, T* to_h, T* to_hx, int64_t n) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const Gru<T> s(x[k], x[n + k], x[2 * n + k], h[k], h[n + k], h[2 * n + k], hx[k]);
    const T g = grad[k], to_new = s.to_new(g);
    to_x[k] = to_h[k] = s.to_reset(to_new);
    to_x[n + k] = to_h[n + k] = s.to_update(g);
    to_x[2 * n + k] = to_new;
    to_h[2 * n + k] = to_new * s.r;
    to_hx[k] = g * s.z;
  }
}

// ---- random numbers ----

// The four words of n counters, word k of counter i at words[k * n + i].
template <class Counter>
ATLED_TARGET static void random_words(uint64_t seed, Counter offset, uint32_t* words, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Words4 four = philox(seed, offset + static_cast<Counter>(i));
    words[i] = four.w[0];
    words[n + i] = four.w[1];
    words[2 * n + i] = four.w[2];
    words[3 * n + i] = four.w[3];
  }
}
