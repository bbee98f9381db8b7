// How one instruction set level draws: the body of a struct in random_levels.h, included once for each.

// Philox of `lanes` counters from `first` on, word by word, so that the compiler makes vectors of the lanes.
ATLED_TARGET static void words_of(uint64_t seed, uint64_t first, int64_t lanes, uint32_t (*words)[kLanes]) {
  for (int64_t i = 0; i < lanes; ++i) {
    const Words4 r = philox(seed, first + static_cast<uint64_t>(i));
    for (int j = 0; j < 4; ++j) words[j][i] = r.w[j];
  }
}

// out[i] = f's number for elements [begin, end) of a draw; begin is a counter's first.
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

// out[i] = yes with probability p[i], else no, a word for each element; begin is a counter's first.
template <class T, class P>
ATLED_TARGET static void draw_truth(T* out, const P* p, int64_t begin, int64_t end, uint64_t seed, uint64_t offset,
                                    T yes, T no) {
  uint32_t words[4][kLanes], ordered[4 * kLanes];
  for (; begin < end; begin += 4 * kLanes) {
    const int64_t count = end - begin < 4 * kLanes ? end - begin : 4 * kLanes;
    words_of(seed, offset + static_cast<uint64_t>(begin / 4), (count + 3) / 4, words);
    for (int64_t i = 0; i < kLanes; ++i)
      for (int j = 0; j < 4; ++j) ordered[4 * i + j] = words[j][i];
    for (int64_t i = 0; i < count; ++i) out[begin + i] = happens(ordered[i], p[begin + i]) ? yes : no;
  }
}

// Fisher and Yates' shuffle: each element from the last to the first changes places with one of begin to itself, which
// number i of the stream (64 bits) chooses for element i.
template <class T>
ATLED_TARGET static void shuffle(T* at, int64_t begin, int64_t end, uint64_t seed, uint64_t offset) {
  constexpr int64_t kBlock = 2 * kLanes;
  uint32_t words[4][kLanes];
  uint64_t picks[kBlock];
  for (int64_t block = (end - 1) / kBlock * kBlock; block > begin - kBlock; block -= kBlock) {
    words_of(seed, offset + static_cast<uint64_t>(block / 2), kLanes, words);
    for (int64_t i = 0; i < kLanes; ++i)
      for (int j = 0; j < 2; ++j) {
        const uint64_t bits = (static_cast<uint64_t>(words[2 * j][i]) << 32) | words[2 * j + 1][i];
        picks[2 * i + j] = multiply_high(bits, static_cast<uint64_t>(block + 2 * i + j - begin + 1));
      }
    const int64_t last = end - 1 < block + kBlock - 1 ? end - 1 : block + kBlock - 1;
    for (int64_t i = last; i >= block && i > begin; --i) {
      const int64_t other = begin + static_cast<int64_t>(picks[i - block]);
      const T kept = at[i];
      at[i] = at[other];
      at[other] = kept;
    }
  }
}

// digits[i] = byte begin + i of the stream; begin is a counter's first.
ATLED_TARGET static void draw_bytes(uint8_t* digits, int64_t begin, int64_t count, uint64_t seed, uint64_t offset) {
  uint32_t words[4][kLanes];
  for (int64_t done = 0; done < count; done += 16 * kLanes) {
    words_of(seed, offset + static_cast<uint64_t>((begin + done) / 16), kLanes, words);
    const int64_t some = count - done < 16 * kLanes ? count - done : 16 * kLanes;
    for (int64_t i = 0; i < some; ++i)
      digits[done + i] = static_cast<uint8_t>(words[i % 16 / 4][i / 16] >> 8 * (i % 4));
  }
}
