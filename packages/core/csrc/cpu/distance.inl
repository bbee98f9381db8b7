// How one instruction set level measures distances: the body of a struct, included once for each level.

// From x to each of `columns` rows of y, all of n coordinates.
template <class T, class A, class M>
ATLED_TARGET static void row(const A* x, const A* y, int64_t n, int64_t columns, T* out, const M& metric) {
  for (int64_t j = 0; j < columns; ++j, y += n) {
    A sums[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
      ATLED_LANES
      for (int l = 0; l < kLanes; ++l) sums[l] = metric.add(sums[l], x[i + l] - y[i + l]);
    for (int l = 0; i + l < n; ++l) sums[l] = metric.add(sums[l], x[i + l] - y[i + l]);
    for (int width = kLanes / 2; width > 0; width /= 2)
      for (int l = 0; l < width; ++l) sums[l] = metric.join(sums[l], sums[l + width]);
    out[j] = T(metric.finish(sums[0]));
  }
}
