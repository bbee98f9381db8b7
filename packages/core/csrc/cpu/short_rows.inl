// How one instruction set level copies short rows: the body of a struct, included once for each level.

// `bytes` >= kWidth of a row in pieces of kWidth, the last of which ends where the row does.
template <int kWidth>
ATLED_TARGET ATLED_INLINE static void pieces(char* to, const char* from, int64_t bytes) {
  for (int64_t i = 0; i + kWidth < bytes; i += kWidth) std::memcpy(to + i, from + i, kWidth);
  std::memcpy(to + bytes - kWidth, from + bytes - kWidth, kWidth);
}
template <int kWidth>
ATLED_TARGET static void solid(char* to, int64_t to_step, const char* from, int64_t step, int64_t bytes, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) pieces<kWidth>(to + r * to_step, from + r * step, bytes);
}

// The same of one element for each row.
template <int kWidth, class T>
ATLED_TARGET static void repeated(char* to, int64_t to_step, const char* from, int64_t step, int64_t n, int64_t rows) {
  constexpr int kCount = kWidth / sizeof(T);
  for (int64_t r = 0; r < rows; ++r) {
    const T element = *reinterpret_cast<const T*>(from + r * step);
    T* row = reinterpret_cast<T*>(to + r * to_step);
    for (int64_t i = 0; i + kCount < n; i += kCount)
      for (int k = 0; k < kCount; ++k) row[i + k] = element;
    for (int k = 0; k < kCount; ++k) row[n - kCount + k] = element;
  }
}

// Calls f(a constant): the widest piece, of whole elements, that fits a row.
template <class T, class F>
ATLED_TARGET ATLED_INLINE static void with_width(int64_t bytes, F&& f) {
  if (bytes >= 32) return f(std::integral_constant<int, 32>{});
  if (bytes >= 16) return f(std::integral_constant<int, 16>{});
  if constexpr (sizeof(T) <= 8)
    if (bytes >= 8) return f(std::integral_constant<int, 8>{});
  if constexpr (sizeof(T) <= 4)
    if (bytes >= 4) return f(std::integral_constant<int, 4>{});
  f(std::integral_constant<int, sizeof(T)>{});
}

template <class T>
ATLED_TARGET static void copy(char* to, int64_t to_step, const char* from, int64_t stride, int64_t step, int64_t n,
                              int64_t rows) {
  const int64_t bytes = n * int64_t{sizeof(T)};
  if (stride == sizeof(T))
    return with_width<T>(bytes, [&](auto width) { solid<width>(to, to_step, from, step, bytes, rows); });
  if (stride == 0)
    return with_width<T>(bytes, [&](auto width) { repeated<width, T>(to, to_step, from, step, n, rows); });
  for (int64_t r = 0; r < rows; ++r) {
    T* row = reinterpret_cast<T*>(to + r * to_step);
    const char* x = from + r * step;
    if (stride == -static_cast<int64_t>(sizeof(T))) {
      const T* last = reinterpret_cast<const T*>(x);
      ATLED_IVDEP
      for (int64_t i = 0; i < n; ++i) row[i] = last[-i];
    } else {
      for (int64_t i = 0; i < n; ++i) row[i] = *reinterpret_cast<const T*>(x + i * stride);
    }
  }
}
