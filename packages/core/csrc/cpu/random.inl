// How one instruction set level draws: the body of a struct in random.cpp, included once for each.

// Philox of `lanes` counters from `first` on, word by word, so that the compiler makes vectors of the lanes.
ATLED_TARGET static void words_of(uint64_t seed, uint64_t first, int64_t lanes, uint32_t (*words)[kLanes]) {
  for (int64_t i = 0; i < lanes; ++i) {
    const Words4 r = philox(seed, first + static_cast<uint64_t>(i));
    for (int j = 0; j < 4; ++j) words[j][i] = r.w[j];
  }
}

template <int kPer, class T, class F>
ATLED_TARGET static void draw(T* out, int64_t begin, int64_t end, uint64_t seed, uint64_t offset, F f) {
  uint32_t words[4][kLanes];
  T drawn[kPer][kLanes];
  for (; begin < end; begin += kLanes * kPer) {
    const int64_t count = end - begin < kLanes * kPer ? end - begin : kLanes * kPer, lanes = (count + kPer - 1) / kPer;
    words_of(seed, offset + static_cast<uint64_t>(begin / kPer), lanes, words);
    for (int64_t i = 0; i < lanes; ++i) {
      T some[4];
      f(Words4{{words[0][i], words[1][i], words[2][i], words[3][i]}}, some);
      for (int j = 0; j < kPer; ++j) drawn[j][i] = some[j];
    }
    T* to = out + begin;
    if (count == kLanes * kPer) {
      for (int64_t i = 0; i < kLanes; ++i)
        for (int j = 0; j < kPer; ++j) to[i * kPer + j] = drawn[j][i];
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = drawn[i % kPer][i / kPer];
    }
  }
}
