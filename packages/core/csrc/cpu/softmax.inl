// How one instruction set level makes softmax: the body of a struct, included once for each level.

// lanes[0] gets what f makes of all of them: the upper half is joined to the lower, then the same of that.
template <int kHalf, class T, class F>
ATLED_TARGET ATLED_INLINE static void join_lanes(T* lanes, F f) {
  ATLED_LANES
  for (int k = 0; k < kHalf; ++k) lanes[k] = f(lanes[k], lanes[k + kHalf]);
  if constexpr (kHalf > 1) join_lanes<kHalf / 2>(lanes, f);
}

// Softmax of one row, of numbers that are stored as Src. The two may be the same memory.
template <class Src, class T, class F, bool kLog>
ATLED_TARGET static void row(T* out, const T* in, int64_t n) {
  constexpr int kLanes = 32;  // more than the compiler takes apart before it makes vectors
  T lanes[kLanes];
  for (int k = 0; k < kLanes; ++k) lanes[k] = -std::numeric_limits<T>::infinity();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int k = 0; k < kLanes; ++k) lanes[k] = Maximum{}(lanes[k], in[i + k]);
  const int rest = static_cast<int>(n - i);
  ATLED_IVDEP
  for (int k = 0; k < rest; ++k) lanes[k] = Maximum{}(lanes[k], in[i + k]);
  join_lanes<kLanes / 2>(lanes, Maximum{});
  const T top = lanes[0];
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = begin + kBlock < n ? begin + kBlock : n;
    for (int k = 0; k < kLanes; ++k) lanes[k] = 0;
    T room[kLog ? kBlock : 1];
    T* made = kLog ? room : out + begin;
    const T* from = in + begin;
    const int64_t m = end - begin;
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j) made[j] = kLog ? sum_part<F>(from[j], top) : exp_below<Src, T, F>(from[j], top);
    for (i = 0; i + kLanes <= m; i += kLanes)
      for (int k = 0; k < kLanes; ++k) lanes[k] += made[i + k];
    for (int k = 0; i < m; ++i, ++k) lanes[k] += made[i];
    join_lanes<kLanes / 2>(lanes, Add{});
    sum += lanes[0];
  }
  if constexpr (kLog) {
    const double log = std::log(sum);
    ATLED_IVDEP
    for (int64_t j = 0; j < n; ++j) out[j] = log_below<T, T>(in[j], top, log);
  } else {
    const T scale = static_cast<T>(1 / sum);
    ATLED_IVDEP
    for (int64_t j = 0; j < n; ++j) out[j] = out[j] * scale;
  }
}

// The same for m <= kTile columns, `step` elements from row to row.
template <class Src, class T, class F, bool kLog>
ATLED_TARGET static void columns(T* out, const T* in, int64_t n, int64_t step, int64_t m) {
  T top[kTile], part[kTile];
  double sum[kTile];
  for (int64_t j = 0; j < m; ++j) top[j] = -std::numeric_limits<T>::infinity();
  for (int64_t j = 0; j < m; ++j) sum[j] = 0;
  for (int64_t i = 0; i < n; ++i) {
    const T* x = in + i * step;
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j) top[j] = Maximum{}(top[j], x[j]);
  }
  for (int64_t begin = 0; begin < n; begin += kRows<T>) {
    const int64_t end = begin + kRows<T> < n ? begin + kRows<T> : n;
    for (int64_t j = 0; j < m; ++j) part[j] = 0;
    for (int64_t i = begin; i < end; ++i) {
      const T* x = in + i * step;
      T* to = out + i * step;
      ATLED_IVDEP
      for (int64_t j = 0; j < m; ++j) {
        const T y = kLog ? sum_part<F>(x[j], top[j]) : exp_below<Src, T, F>(x[j], top[j]);
        if constexpr (!kLog) to[j] = y;
        part[j] += y;
      }
      (void)to;
    }
    for (int64_t j = 0; j < m; ++j) sum[j] += part[j];
  }
  for (int64_t j = 0; j < m; ++j) sum[j] = kLog ? std::log(sum[j]) : 1 / sum[j];
  for (int64_t j = 0; j < m; ++j) part[j] = static_cast<T>(sum[j]);
  for (int64_t i = 0; i < n; ++i) {
    const T* x = in + i * step;
    T* to = out + i * step;
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j) {
      if constexpr (kLog) {
        to[j] = log_below<T, T>(x[j], top[j], sum[j]);
      } else {
        to[j] = to[j] * part[j];
      }
    }
    (void)x;
  }
}

// The gradient along one row.
template <class T, class F, bool kLog>
ATLED_TARGET static void row_gradient(T* out, const T* grad, const T* result, int64_t n) {
  constexpr int kLanes = 32;
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = begin + kBlock < n ? begin + kBlock : n;
    int64_t i = begin;
    T lanes[kLanes];
    for (int k = 0; k < kLanes; ++k) lanes[k] = 0;
    for (; i + kLanes <= end; i += kLanes)
      for (int k = 0; k < kLanes; ++k) lanes[k] += gradient_part<kLog>(grad[i + k], result[i + k]);
    for (int k = 0; i < end; ++i, ++k) lanes[k] += gradient_part<kLog>(grad[i], result[i]);
    for (int half = kLanes / 2; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) lanes[k] += lanes[k + half];
    sum += lanes[0];
  }
  const T all = static_cast<T>(sum);
  ATLED_IVDEP
  for (int64_t j = 0; j < n; ++j)
    out[j] = softmax_gradient<kLog, F>(grad[j], result[j], all);
}

// The same for m <= kTile columns, `step` elements from row to row.
template <class T, class F, bool kLog>
ATLED_TARGET static void columns_gradient(T* out, const T* grad, const T* result, int64_t n, int64_t step, int64_t m) {
  T part[kTile];
  double sum[kTile];
  for (int64_t j = 0; j < m; ++j) sum[j] = 0;
  for (int64_t begin = 0; begin < n; begin += kRows<T>) {
    const int64_t end = begin + kRows<T> < n ? begin + kRows<T> : n;
    for (int64_t j = 0; j < m; ++j) part[j] = 0;
    for (int64_t i = begin; i < end; ++i) {
      const T *g = grad + i * step, *y = result + i * step;
      ATLED_IVDEP
      for (int64_t j = 0; j < m; ++j) part[j] += gradient_part<kLog>(g[j], y[j]);
    }
    for (int64_t j = 0; j < m; ++j) sum[j] += part[j];
  }
  for (int64_t j = 0; j < m; ++j) part[j] = static_cast<T>(sum[j]);
  for (int64_t i = 0; i < n; ++i) {
    const T *g = grad + i * step, *y = result + i * step;
    T* to = out + i * step;
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j)
      to[j] = softmax_gradient<kLog, F>(g[j], y[j], part[j]);
  }
}
