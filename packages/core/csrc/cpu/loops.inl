// The loops of one level: the body of a struct in levels.h, included once for each.

template <class F>
ATLED_INLINE static F functor(const void* ctx) {
  if constexpr (std::is_empty_v<F>) {
    return F{};
  } else {
    return *static_cast<const F*>(ctx);
  }
}

template <class R, class A, class F>
ATLED_TARGET static void unary(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const F f = functor<F>(ctx);
  char* out = data[0];
  const char* a = data[1];
  const int64_t so = strides[0], sa = strides[1];
  if (so == sizeof(R) && sa == sizeof(A)) {
    R* r = reinterpret_cast<R*>(out);
    const A* x = reinterpret_cast<const A*>(a);
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(x[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<R*>(out + i * so) = f(*reinterpret_cast<const A*>(a + i * sa));
}

// n elements of an operand side by side: as they are, or brought together in `room`.
template <class T>
ATLED_TARGET static const T* gathered(const char* from, int64_t stride, int64_t n, T* room) {
  if (stride == sizeof(T)) return reinterpret_cast<const T*>(from);
  const T* x = reinterpret_cast<const T*>(from);
  if (stride == 0 || stride == 2 * sizeof(T)) {  // of which vectors are made
    const T first = *x;
    if (stride == 0) {
      ATLED_IVDEP
      for (int64_t i = 0; i < n; ++i) room[i] = first;
    } else {
      ATLED_IVDEP
      for (int64_t i = 0; i < n; ++i) room[i] = x[2 * i];
    }
    return room;
  }
  for (int64_t i = 0; i < n; ++i) room[i] = *reinterpret_cast<const T*>(from + i * stride);
  return room;
}

// For functors whose fast path holds only where F::fast(x): of a block with other elements, those take F::slow. They
// cost much more than a copy, so what lies apart is brought together first.
template <class T, class F>
ATLED_TARGET static void unary_checked(void*, char* const* data, const int64_t* strides, int64_t n) {
  constexpr int64_t kBlock = 512;
  const F f{};
  alignas(T) unsigned char rooms[2][kBlock * sizeof(T)];  // no array of T: complex numbers would be made zeros
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t m = n - begin < kBlock ? n - begin : kBlock;
    const T* x = gathered(data[1] + begin * strides[1], strides[1], m, reinterpret_cast<T*>(rooms[1]));
    const bool direct = strides[0] == sizeof(T);
    T* r = direct ? reinterpret_cast<T*>(data[0]) + begin : reinterpret_cast<T*>(rooms[0]);
    int odd = 0;
    for (int64_t i = 0; i < m; ++i) odd += !F::fast(x[i]);
    if (odd) {
      for (int64_t i = 0; i < m; ++i) r[i] = F::fast(x[i]) ? f(x[i]) : F::slow(x[i]);
    } else {
      ATLED_IVDEP
      for (int64_t i = 0; i < m; ++i) r[i] = f(x[i]);
    }
    if (direct) continue;
    for (int64_t i = 0; i < m; ++i) *reinterpret_cast<T*>(data[0] + (begin + i) * strides[0]) = r[i];
  }
}

// The same of two operands.
template <class T, class F>
ATLED_TARGET static void binary_checked(void*, char* const* data, const int64_t* strides, int64_t n) {
  constexpr int64_t kBlock = 512;
  const F f{};
  alignas(T) unsigned char rooms[3][kBlock * sizeof(T)];  // no array of T: complex numbers would be made zeros
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t m = n - begin < kBlock ? n - begin : kBlock;
    const T* x = gathered(data[1] + begin * strides[1], strides[1], m, reinterpret_cast<T*>(rooms[1]));
    const T* y = gathered(data[2] + begin * strides[2], strides[2], m, reinterpret_cast<T*>(rooms[2]));
    const bool direct = strides[0] == sizeof(T);
    T* r = direct ? reinterpret_cast<T*>(data[0]) + begin : reinterpret_cast<T*>(rooms[0]);
    int odd = 0;
    for (int64_t i = 0; i < m; ++i) odd += !F::fast(x[i], y[i]);
    if (odd) {
      for (int64_t i = 0; i < m; ++i) r[i] = F::fast(x[i], y[i]) ? f(x[i], y[i]) : F::slow(x[i], y[i]);
    } else {
      ATLED_IVDEP
      for (int64_t i = 0; i < m; ++i) r[i] = f(x[i], y[i]);
    }
    if (direct) continue;
    for (int64_t i = 0; i < m; ++i) *reinterpret_cast<T*>(data[0] + (begin + i) * strides[0]) = r[i];
  }
}

template <class R, class A, class B, class F>
ATLED_TARGET static void binary(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const F f = functor<F>(ctx);
  const int64_t so = strides[0], sa = strides[1], sb = strides[2];
  R* r = reinterpret_cast<R*>(data[0]);
  const A* x = reinterpret_cast<const A*>(data[1]);
  const B* y = reinterpret_cast<const B*>(data[2]);
  if (so == sizeof(R) && sa == sizeof(A) && sb == sizeof(B)) {
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(x[i], y[i]);
    return;
  }
  if (so == sizeof(R) && sa == sizeof(A) && sb == 0) {
    const B b = *y;
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(x[i], b);
    return;
  }
  if (so == sizeof(R) && sa == 0 && sb == sizeof(B)) {
    const A a = *x;
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(a, y[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<R*>(data[0] + i * so) =
        f(*reinterpret_cast<const A*>(data[1] + i * sa), *reinterpret_cast<const B*>(data[2] + i * sb));
}

template <class R, class A, class B, class C, class F>
ATLED_TARGET static void ternary(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const F f = functor<F>(ctx);
  const int64_t so = strides[0], sa = strides[1], sb = strides[2], sc = strides[3];
  R* r = reinterpret_cast<R*>(data[0]);
  const A* x = reinterpret_cast<const A*>(data[1]);
  const B* y = reinterpret_cast<const B*>(data[2]);
  const C* z = reinterpret_cast<const C*>(data[3]);
  const bool wide = so == sizeof(R) && sa == sizeof(A);
  if (wide && sb == sizeof(B) && sc == sizeof(C)) {
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(x[i], y[i], z[i]);
  } else if (wide && sb == sizeof(B) && sc == 0) {
    const C c = *z;
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(x[i], y[i], c);
  } else if (wide && sb == 0 && sc == sizeof(C)) {
    const B b = *y;
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(x[i], b, z[i]);
  } else if (wide && sb == 0 && sc == 0) {
    const B b = *y;
    const C c = *z;
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(x[i], b, c);
  } else {
    constexpr int64_t kBlock = 256;
    alignas(16) unsigned char rooms[4][kBlock * 16];  // no arrays of numbers: complex ones would be made zeros
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t m = n - begin < kBlock ? n - begin : kBlock;
      const A* a = gathered(data[1] + begin * sa, sa, m, reinterpret_cast<A*>(rooms[1]));
      const B* b = gathered(data[2] + begin * sb, sb, m, reinterpret_cast<B*>(rooms[2]));
      const C* c = gathered(data[3] + begin * sc, sc, m, reinterpret_cast<C*>(rooms[3]));
      R* to = so == sizeof(R) ? r + begin : reinterpret_cast<R*>(rooms[0]);
      ATLED_IVDEP
      for (int64_t i = 0; i < m; ++i) to[i] = f(a[i], b[i], c[i]);
      if (so == sizeof(R)) continue;
      for (int64_t i = 0; i < m; ++i) *reinterpret_cast<R*>(data[0] + (begin + i) * so) = to[i];
    }
  }
}

#ifdef ATLED_VECTOR_INSTRUCTIONS
// Eight numbers of float16 or bfloat16 as float, and back.
template <class T>
ATLED_TARGET static inline void load_eight(float* to, const T* from) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  if constexpr (std::is_same_v<T, Half>)
    _mm256_storeu_ps(to, _mm256_cvtph_ps(bits));
  else
    _mm256_storeu_ps(to, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)));
}
template <class T>
ATLED_TARGET static inline void store_eight(T* to, const float* from) {
  const __m256 x = _mm256_loadu_ps(from);
  __m128i* bits = reinterpret_cast<__m128i*>(to);
  if constexpr (std::is_same_v<T, Half>) {
    _mm_storeu_si128(bits, _mm256_cvtps_ph(x, 0));
  } else {
    const __m256i whole = _mm256_castps_si256(x), high = _mm256_srli_epi32(whole, 16);
    const __m256i half = _mm256_add_epi32(_mm256_and_si256(high, _mm256_set1_epi32(1)), _mm256_set1_epi32(0x7fff));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(whole, half), 16);
    const __m256i nan = _mm256_or_si256(_mm256_and_si256(high, _mm256_set1_epi32(0x8000)), _mm256_set1_epi32(0x7fc0));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i result = _mm256_blendv_epi8(rounded, nan, is_nan);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(result, result), 0x08);
    _mm_storeu_si128(bits, _mm256_castsi256_si128(packed));
  }
}
#endif

template <class To, class From, class F>
ATLED_TARGET static void convert(char* out, int64_t so, const char* in, int64_t si, int64_t n) {
  const F f{};
  if (so == sizeof(To) && si == sizeof(From)) {
    To* r = reinterpret_cast<To*>(out);
    const From* x = reinterpret_cast<const From*>(in);
#ifdef ATLED_VECTOR_INSTRUCTIONS
    constexpr bool kHalves = std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>;
    constexpr bool kToHalves = std::is_same_v<To, Half> || std::is_same_v<To, BFloat16>;
    if constexpr ((kHalves && std::is_same_v<To, float>) || (kToHalves && std::is_same_v<From, float>)) {
      int64_t done = 0;
      for (; done + 8 <= n; done += 8) {
        if constexpr (kHalves)
          load_eight(r + done, x + done);
        else
          store_eight(r + done, x + done);
      }
      for (; done < n; ++done) r[done] = f(x[done]);
      return;
    }
#endif
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) r[i] = f(x[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<To*>(out + i * so) = f(*reinterpret_cast<const From*>(in + i * si));
}
