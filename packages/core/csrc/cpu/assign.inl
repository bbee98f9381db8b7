// How one instruction set level turns elements round: the body of a struct, included once for each level.

// to[i] = from[-i]
template <class T>
ATLED_TARGET static void backwards(T* to, const T* from, int64_t n) {
  int64_t i = 0;
  if constexpr (sizeof(T) == 1)  // of which vectors without shuffles turn none round
    for (; i + 8 <= n; i += 8) {
      uint64_t bytes;
      std::memcpy(&bytes, from - i - 7, 8);
      bytes = (bytes & 0x00ff00ff00ff00ffu) << 8 | (bytes >> 8 & 0x00ff00ff00ff00ffu);
      bytes = (bytes & 0x0000ffff0000ffffu) << 16 | (bytes >> 16 & 0x0000ffff0000ffffu);
      bytes = bytes << 32 | bytes >> 32;
      std::memcpy(to + i, &bytes, 8);
    }
  ATLED_IVDEP
  for (; i < n; ++i) to[i] = from[-i];
}
