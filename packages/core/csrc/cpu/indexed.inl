// How one instruction set level looks over indices: the body of a struct, included once for each level.

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
