// How one instruction set level looks over indices and adds at them: the body of a struct, included once for each level.

// The lowest and the highest of n > 0 indices.
template <class I>
ATLED_TARGET static void range(const I* index, int64_t n, I* low, I* high) {
  I least = index[0], most = index[0];
  for (int64_t i = 1; i < n; ++i) {
    least = index[i] < least ? index[i] : least;
    most = index[i] > most ? index[i] : most;
  }
  *low = least;
  *high = most;
}

// to[places[i]] += from[i * step], one after the other: places may be the same.
template <class T>
ATLED_TARGET static void add(T* to, const int64_t* places, const T* from, int64_t step, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    T& x = to[places[i]];
    const T& y = from[i * step];
#ifdef ATLED_VECTOR_INSTRUCTIONS
    if constexpr (std::is_same_v<T, Half>) {
      x.bits = _cvtss_sh(_cvtsh_ss(x.bits) + _cvtsh_ss(y.bits), 0);
      continue;
    }
#endif
    x = static_cast<T>(x + y);
  }
}
