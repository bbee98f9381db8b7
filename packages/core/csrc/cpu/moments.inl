// How one instruction set level makes the accumulators of cpu/moments.h from a block of elements in the cache: the body
// of a struct, included once for each level.

// The sum of f(x) over a row, in lanes.
template <class A, class T, class F>
ATLED_TARGET static A sum_row(const char* in, int64_t stride, int64_t n, F f) {
  constexpr int kLanes = 32;
  A lanes[kLanes];
  for (int k = 0; k < kLanes; ++k) lanes[k] = 0;
  int64_t i = 0;
  if (stride == sizeof(T)) {
    const T* x = reinterpret_cast<const T*>(in);
    for (; i + kLanes <= n; i += kLanes)
      for (int k = 0; k < kLanes; ++k) lanes[k] += f(static_cast<A>(x[i + k]));
    const int rest = static_cast<int>(n - i);
    ATLED_IVDEP
    for (int k = 0; k < rest; ++k) lanes[k] += f(static_cast<A>(x[i + k]));
    i = n;
  }
  for (int k = 0; i < n; ++i, k = (k + 1) % kLanes)
    lanes[k] += f(static_cast<A>(*reinterpret_cast<const T*>(in + i * stride)));
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  return lanes[0];
}

// The sums of the differences from one of a row's elements and of their squares, in lanes, in one pass.
template <class T>
ATLED_TARGET static void shifted_sums(const T* x, int64_t n, double shift, double* sum, double* squares) {
  constexpr int kLanes = 32;
  double sums[kLanes], more[kLanes];
  for (int k = 0; k < kLanes; ++k) sums[k] = more[k] = 0;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int k = 0; k < kLanes; ++k) {
      const double d = static_cast<double>(x[i + k]) - shift;
      sums[k] += d;
      more[k] += d * d;
    }
  for (int k = 0; i < n; ++i, ++k) {
    const double d = static_cast<double>(x[i]) - shift;
    sums[k] += d;
    more[k] += d * d;
  }
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) {
      sums[k] += sums[k + half];
      more[k] += more[k + half];
    }
  *sum = sums[0];
  *squares = more[0];
}

template <class T>
ATLED_TARGET static void variance_row(const void*, const char* in, int64_t stride, int64_t n, char* acc) {
  double* a = reinterpret_cast<double*>(acc);
  const double count = static_cast<double>(n);
  a[2] = count;
  if (sizeof(T) <= 4 && stride == sizeof(T)) {
    // What cancels is at most n times the result, as the shift is one of the elements: nothing for float32 in double.
    const T* x = reinterpret_cast<const T*>(in);
    const double shift = static_cast<double>(x[0]);
    double sum, squares;
    shifted_sums(x, n, shift, &sum, &squares);
    a[0] = shift + sum / count;
    a[1] = squares - sum * (sum / count);
    return;
  }
  const double mean = sum_row<double, T>(in, stride, n, Itself{}) / count;
  a[0] = mean;
  a[1] = sum_row<double, T>(in, stride, n, SquareFrom{mean});
}

template <class T>
ATLED_TARGET static void variance_columns(const void*, const char* in, int64_t row_stride, int64_t n, int64_t column_stride,
                                          int64_t m, char* acc) {
  double *mean = reinterpret_cast<double*>(acc), *squares = mean + m, *count = squares + m;
  const double length = static_cast<double>(n);
  for (int64_t j = 0; j < m; ++j) {
    mean[j] = 0;
    squares[j] = 0;
    count[j] = length;
  }
  if (column_stride == sizeof(T)) {
    for (int64_t i = 0; i < n; ++i) {
      const T* x = reinterpret_cast<const T*>(in + i * row_stride);
      ATLED_IVDEP
      for (int64_t j = 0; j < m; ++j) mean[j] += static_cast<double>(x[j]);
    }
    for (int64_t j = 0; j < m; ++j) mean[j] /= length;
    for (int64_t i = 0; i < n; ++i) {
      const T* x = reinterpret_cast<const T*>(in + i * row_stride);
      ATLED_IVDEP
      for (int64_t j = 0; j < m; ++j) {
        const double d = static_cast<double>(x[j]) - mean[j];
        squares[j] += d * d;
      }
    }
    return;
  }
  for (int64_t j = 0; j < m; ++j) {
    double one[3];
    variance_row<T>(nullptr, in + j * column_stride, row_stride, n, reinterpret_cast<char*>(one));
    mean[j] = one[0];
    squares[j] = one[1];
  }
}

template <class T>
ATLED_TARGET static void logsumexp_row(const void*, const char* in, int64_t stride, int64_t n, char* acc) {
  using A = OrderAcc<T>;
  constexpr int kLanes = 32;
  A lanes[kLanes];
  for (int k = 0; k < kLanes; ++k) lanes[k] = -std::numeric_limits<A>::infinity();
  int64_t i = 0;
  if (stride == sizeof(T)) {
    const T* x = reinterpret_cast<const T*>(in);
    for (; i + kLanes <= n; i += kLanes)
      for (int k = 0; k < kLanes; ++k) lanes[k] = Maximum{}(lanes[k], static_cast<A>(x[i + k]));
    const int rest = static_cast<int>(n - i);
    ATLED_IVDEP
    for (int k = 0; k < rest; ++k) lanes[k] = Maximum{}(lanes[k], static_cast<A>(x[i + k]));
    i = n;
  }
  for (int k = 0; i < n; ++i, k = (k + 1) % kLanes)
    lanes[k] = Maximum{}(lanes[k], static_cast<A>(*reinterpret_cast<const T*>(in + i * stride)));
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) lanes[k] = Maximum{}(lanes[k], lanes[k + half]);
  const A top = lanes[0];
  A* a = reinterpret_cast<A*>(acc);
  a[0] = top;
  a[1] = sum_row<A, T>(in, stride, n, ExpFrom<A>{finite_or_zero(top)});
}

template <class T, class A>
ATLED_TARGET static void side_by_side(const char* in, int64_t row_stride, int64_t n, int64_t m, A* top, A* sum) {
  for (int64_t j = 0; j < m; ++j) top[j] = -std::numeric_limits<A>::infinity();
  for (int64_t j = 0; j < m; ++j) sum[j] = 0;
  for (int64_t i = 0; i < n; ++i) {
    const T* x = reinterpret_cast<const T*>(in + i * row_stride);
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j) top[j] = Maximum{}(top[j], static_cast<A>(x[j]));
  }
  for (int64_t i = 0; i < n; ++i) {
    const T* x = reinterpret_cast<const T*>(in + i * row_stride);
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j) sum[j] += ExpFrom<A>{finite_or_zero(top[j])}(static_cast<A>(x[j]));
  }
}

template <class T>
ATLED_TARGET static void logsumexp_columns(const void*, const char* in, int64_t row_stride, int64_t n,
                                           int64_t column_stride, int64_t m, char* acc) {
  using A = OrderAcc<T>;
  A *top = reinterpret_cast<A*>(acc), *sum = top + m;
  if (column_stride == sizeof(T)) return side_by_side<T, A>(in, row_stride, n, m, top, sum);
  // Short rows are turned, so that vectors lie across them.
  constexpr int64_t kTile = 64;
  A room[kColumnRows * kTile];
  for (int64_t first = 0; first < m; first += kTile, in += kTile * column_stride) {
    const int64_t width = m - first < kTile ? m - first : kTile;
    for (int64_t j = 0; j < width; ++j)
      for (int64_t i = 0; i < n; ++i)
        room[i * kTile + j] = static_cast<A>(*reinterpret_cast<const T*>(in + j * column_stride + i * row_stride));
    side_by_side<A, A>(reinterpret_cast<const char*>(room), kTile * sizeof(A), n, width, top + first, sum + first);
  }
}
