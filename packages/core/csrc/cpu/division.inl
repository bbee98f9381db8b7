// How one instruction set level divides integers: the body of a struct, included once for each level.

// Integers that are divided by double, of which vectors are made: a quotient of them that is not whole is further from
// the next whole number than double rounds it.
template <class T>
static constexpr bool kByDouble = sizeof(T) < 4 || std::is_same_v<T, int32_t>;

// The quotient towards 0, of b != 0 where it fits T.
template <class T>
ATLED_TARGET ATLED_INLINE static T quotient(T a, T b) {
  if constexpr (kByDouble<T>)
    return static_cast<T>(static_cast<int32_t>(static_cast<double>(a) / static_cast<double>(b)));
  else
    return static_cast<T>(a / b);
}

// kFloor: quotients are rounded down, and remainders have b's sign; else both are as in C.
template <class T, bool kFloor, bool kRemainder>
ATLED_TARGET ATLED_INLINE static T divided(T a, T b) {
  const T q = quotient(a, b), r = static_cast<T>(a - q * b);
  const T moves = static_cast<T>(kFloor && (r != 0) & ((r < 0) != (b < 0)));  // 1 or 0, without a branch
  return static_cast<T>(kRemainder ? r + (b & static_cast<T>(-moves)) : q - moves);
}

template <class T>
ATLED_TARGET ATLED_INLINE static bool has_quotient(T a, T b) {
  const bool over =
      std::is_signed_v<T> && (a == std::numeric_limits<T>::min()) & (b == static_cast<T>(-1));
  return !((b == 0) | over);
}

// m of an operand's elements from `begin` on, side by side: as they are, or brought together in `room`.
template <class T>
ATLED_TARGET ATLED_INLINE static const T* together(const char* data, int64_t stride, int64_t begin, int64_t m, T* room) {
  const char* from = data + begin * stride;
  if (stride == sizeof(T)) return reinterpret_cast<const T*>(from);
  if (stride == 0 && begin > 0) return room;
  for (int64_t i = 0; i < m; ++i) room[i] = *reinterpret_cast<const T*>(from + i * stride);
  return room;
}

// F does the same of one pair, also where there is no quotient.
template <class T, class F, bool kFloor, bool kRemainder>
ATLED_TARGET static void divide(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const F& f = *static_cast<const F*>(ctx);
  if constexpr (!kByDouble<T>) {
    for (int64_t i = 0; i < n; ++i) {
      const T a = *reinterpret_cast<const T*>(data[1] + i * strides[1]);
      const T b = *reinterpret_cast<const T*>(data[2] + i * strides[2]);
      *reinterpret_cast<T*>(data[0] + i * strides[0]) =
          has_quotient(a, b) ? divided<T, kFloor, kRemainder>(a, b) : f(a, b);
    }
    return;
  }
  constexpr int64_t kBlock = 512;
  T rooms[3][kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t m = n - begin < kBlock ? n - begin : kBlock;
    const T* a = together(data[1], strides[1], begin, m, rooms[1]);
    const T* b = together(data[2], strides[2], begin, m, rooms[2]);
    const bool direct = strides[0] == sizeof(T);
    T* to = direct ? reinterpret_cast<T*>(data[0]) + begin : rooms[0];
    T odd = 0;
    for (int64_t i = 0; i < m; ++i) odd |= static_cast<T>(!has_quotient(a[i], b[i]));
    if (odd) {
      for (int64_t i = 0; i < m; ++i) to[i] = f(a[i], b[i]);
    } else {
      ATLED_IVDEP
      for (int64_t i = 0; i < m; ++i) to[i] = divided<T, kFloor, kRemainder>(a[i], b[i]);
    }
    if (direct) continue;
    for (int64_t i = 0; i < m; ++i) *reinterpret_cast<T*>(data[0] + (begin + i) * strides[0]) = to[i];
  }
}
