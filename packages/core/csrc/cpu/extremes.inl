// How one instruction set level searches: the body of a struct, included once for each level.

// The best of a row and where it is: block by block, so that only the block that holds it is searched.
template <class E>
ATLED_TARGET static void row(const char* in, int64_t stride, int64_t n, typename E::Acc* value, int64_t* index) {
  using In = typename E::In;
  using Acc = typename E::Acc;
  constexpr int64_t kBlock = 256;
  constexpr int kLanes = 32;  // of so few floats, comparing lanes takes longer than comparing one after the other
  Acc best = static_cast<Acc>(*reinterpret_cast<const In*>(in));
  int64_t at = 0, i = 1;
  if (stride == sizeof(In) && n >= (std::is_integral_v<Acc> ? 2 * kLanes : kBlock)) {
    const In* x = reinterpret_cast<const In*>(in);
    int64_t block = 0, end;
    for (i = 0; i + kLanes <= n; i = end) {
      end = n - i < kBlock ? n - n % kLanes : i + kBlock;
      Acc lanes[kLanes];
      for (int k = 0; k < kLanes; ++k) lanes[k] = static_cast<Acc>(x[i + k]);
      for (int64_t j = i + kLanes; j < end; j += kLanes)
        for (int k = 0; k < kLanes; ++k) lanes[k] = E::better(lanes[k], static_cast<Acc>(x[j + k]));
      for (int half = kLanes / 2; half > 0; half /= 2)
        for (int k = 0; k < half; ++k) lanes[k] = E::better(lanes[k], lanes[k + half]);
      const bool better = E::beats(lanes[0], best);
      best = better ? lanes[0] : best;
      block = better ? i : block;
    }
    at = block;
    while (E::beats(best, static_cast<Acc>(x[at]))) ++at;
  }
  for (; i < n; ++i) {
    const Acc y = static_cast<Acc>(*reinterpret_cast<const In*>(in + i * stride));
    if constexpr (std::is_integral_v<Acc>) {  // without a branch, which short rows would often take the wrong way
      const int64_t wins = -static_cast<int64_t>(E::beats(y, best));
      best = E::better(best, y);
      at = (i & wins) | (at & ~wins);
    } else if (E::beats(y, best)) {
      best = y;
      at = i;
    }
  }
  *value = best;
  *index = at;
}

// One more row for m columns side by side.
template <class E, class I>
ATLED_TARGET static void columns(const char* in, I row, int64_t m, typename E::Acc* value, I* index) {
  using In = typename E::In;
  using Acc = typename E::Acc;
  const In* x = reinterpret_cast<const In*>(in);
  ATLED_IVDEP
  for (int64_t j = 0; j < m; ++j) {
    const Acc y = static_cast<Acc>(x[j]);
    const bool better = row == 0 || E::beats(y, value[j]);
    value[j] = better ? y : value[j];
    index[j] = better ? row : index[j];
  }
}
