// Loops over float16 and bfloat16 that convert in registers, of one level: the body of a struct, included once for each.

// n numbers side by side as float: converted into `room`, or one of them everywhere where the stride is 0.
template <class T>
ATLED_TARGET static void widen(float* room, const char* from, int64_t stride, int64_t n) {
  int64_t i = 0;
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if constexpr (!std::is_same_v<T, float>)
    if (stride == sizeof(T))
      for (; i + 8 <= n; i += 8) ::atled::core::Avx2::load_eight(room + i, reinterpret_cast<const T*>(from) + i);
#endif
  if (stride == 0) {
    const float x = *reinterpret_cast<const T*>(from);
    for (; i < n; ++i) room[i] = x;
    return;
  }
  for (; i < n; ++i) room[i] = *reinterpret_cast<const T*>(from + i * stride);
}

template <class T>
ATLED_TARGET static void narrow(char* to, int64_t stride, const float* x, int64_t n) {
  int64_t i = 0;
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if (stride == sizeof(T))
    for (; i + 8 <= n; i += 8) ::atled::core::Avx2::store_eight(reinterpret_cast<T*>(to) + i, x + i);
#endif
  for (; i < n; ++i) *reinterpret_cast<T*>(to + i * stride) = T(x[i]);
}

// A and B are T, or float for a number, which has a stride of 0.
template <class T, class A, class B, class F>
ATLED_TARGET static void binary(void*, char* const* data, const int64_t* strides, int64_t n) {
  const F f{};
  const int64_t sa = strides[1], sb = strides[2];
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if (strides[0] == sizeof(T) && (sa == 0 || sa == sizeof(A)) && (sb == 0 || sb == sizeof(B))) {
    T* r = reinterpret_cast<T*>(data[0]);
    const A* x = reinterpret_cast<const A*>(data[1]);
    const B* y = reinterpret_cast<const B*>(data[2]);
    float a[8], b[8];  // which stay in registers
    for (int k = 0; k < 8; ++k) a[k] = *x, b[k] = *y;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
      float c[8];
      if constexpr (std::is_same_v<A, T>)
        if (sa != 0) ::atled::core::Avx2::load_eight(a, x + i);
      if constexpr (std::is_same_v<B, T>)
        if (sb != 0) ::atled::core::Avx2::load_eight(b, y + i);
      for (int k = 0; k < 8; ++k) c[k] = f(a[k], b[k]);
      ::atled::core::Avx2::store_eight(r + i, c);
    }
    for (; i < n; ++i) r[i] = T(f(static_cast<float>(x[sa ? i : 0]), static_cast<float>(y[sb ? i : 0])));
    return;
  }
#endif
  constexpr int64_t kBlock = 256;
  float x[kBlock], y[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = n - i < kBlock ? n - i : kBlock;
    widen<A>(x, data[1] + i * sa, sa, m);
    widen<B>(y, data[2] + i * sb, sb, m);
    ATLED_IVDEP
    for (int64_t k = 0; k < m; ++k) x[k] = f(x[k], y[k]);
    narrow<T>(data[0] + i * strides[0], strides[0], x, m);
  }
}

// F must have no branches.
template <class T, class F>
ATLED_TARGET static void ternary(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const F f = *static_cast<const F*>(ctx);
  const int64_t sa = strides[1], sb = strides[2], sc = strides[3];
  int64_t i = 0;
#ifdef ATLED_VECTOR_INSTRUCTIONS
  const auto lies_well = [](int64_t stride) { return stride == 0 || stride == sizeof(T); };
  if (strides[0] == sizeof(T) && lies_well(sa) && lies_well(sb) && lies_well(sc)) {
    const T *x = reinterpret_cast<const T*>(data[1]), *y = reinterpret_cast<const T*>(data[2]),
            *z = reinterpret_cast<const T*>(data[3]);
    float a[8], b[8], c[8];  // which stay in registers
    for (int k = 0; k < 8; ++k) a[k] = *x, b[k] = *y, c[k] = *z;
    for (; i + 8 <= n; i += 8) {
      float d[8];
      if (sa != 0) ::atled::core::Avx2::load_eight(a, x + i);
      if (sb != 0) ::atled::core::Avx2::load_eight(b, y + i);
      if (sc != 0) ::atled::core::Avx2::load_eight(c, z + i);
      for (int k = 0; k < 8; ++k) d[k] = f(a[k], b[k], c[k]);
      ::atled::core::Avx2::store_eight(reinterpret_cast<T*>(data[0]) + i, d);
    }
  }
#endif
  constexpr int64_t kBlock = 256;
  float x[kBlock], y[kBlock], z[kBlock];
  for (; i < n; i += kBlock) {
    const int64_t m = n - i < kBlock ? n - i : kBlock;
    widen<T>(x, data[1] + i * sa, sa, m);
    widen<T>(y, data[2] + i * sb, sb, m);
    widen<T>(z, data[3] + i * sc, sc, m);
    ATLED_IVDEP
    for (int64_t k = 0; k < m; ++k) x[k] = f(x[k], y[k], z[k]);
    narrow<T>(data[0] + i * strides[0], strides[0], x, m);
  }
}

template <class T, class F>
ATLED_TARGET static void unary(void*, char* const* data, const int64_t* strides, int64_t n) {
  const F f{};
  const int64_t to = strides[0], from = strides[1];
  int64_t i = 0;
#ifdef ATLED_VECTOR_INSTRUCTIONS
  if (to == sizeof(T) && from == sizeof(T))
    for (; i + 8 <= n; i += 8) {
      float x[8];
      ::atled::core::Avx2::load_eight(x, reinterpret_cast<const T*>(data[1]) + i);
      for (int k = 0; k < 8; ++k) x[k] = f(x[k]);
      ::atled::core::Avx2::store_eight(reinterpret_cast<T*>(data[0]) + i, x);
    }
#endif
  constexpr int64_t kBlock = 256;
  float x[kBlock];
  for (; i < n; i += kBlock) {
    const int64_t m = n - i < kBlock ? n - i : kBlock;
    widen<T>(x, data[1] + i * from, from, m);
    ATLED_IVDEP
    for (int64_t k = 0; k < m; ++k) x[k] = f(x[k]);
    narrow<T>(data[0] + i * to, to, x, m);
  }
}

// The sum of x[i] * y[i] in 32 sums of every 32nd product each.
template <class T>
ATLED_TARGET static float dot(const T* x, const T* y, int64_t n) {
  constexpr int kLanes = 32;
  float sums[kLanes] = {};
  int64_t i = 0;
#ifdef ATLED_VECTOR_INSTRUCTIONS
  for (; i + kLanes <= n; i += kLanes) {
    float a[kLanes], b[kLanes];
    for (int k = 0; k < kLanes; k += 8) {
      ::atled::core::Avx2::load_eight(a + k, x + i + k);
      ::atled::core::Avx2::load_eight(b + k, y + i + k);
    }
    for (int k = 0; k < kLanes; ++k) sums[k] += a[k] * b[k];
  }
#endif
  for (; i < n; ++i) sums[i % kLanes] += static_cast<float>(x[i]) * static_cast<float>(y[i]);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) sums[k] += sums[k + half];
  return sums[0];
}
