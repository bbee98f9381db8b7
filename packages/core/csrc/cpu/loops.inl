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

// For functors whose fast path holds only where F::fast(x): a block with any other element takes F::slow throughout.
template <class T, class F>
ATLED_TARGET static void unary_checked(void*, char* const* data, const int64_t* strides, int64_t n) {
  constexpr int64_t kBlock = 512;
  const int64_t so = strides[0], sa = strides[1];
  const F f{};
  if (so != sizeof(T) || sa != sizeof(T)) {
    for (int64_t i = 0; i < n; ++i) {
      const T x = *reinterpret_cast<const T*>(data[1] + i * sa);
      *reinterpret_cast<T*>(data[0] + i * so) = F::fast(x) ? f(x) : F::slow(x);
    }
    return;
  }
  T* r = reinterpret_cast<T*>(data[0]);
  const T* x = reinterpret_cast<const T*>(data[1]);
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = begin + kBlock < n ? begin + kBlock : n;
    int odd = 0;
    for (int64_t i = begin; i < end; ++i) odd += !F::fast(x[i]);
    if (odd) {
      for (int64_t i = begin; i < end; ++i) r[i] = F::fast(x[i]) ? f(x[i]) : F::slow(x[i]);
    } else {
      ATLED_IVDEP
      for (int64_t i = begin; i < end; ++i) r[i] = f(x[i]);
    }
  }
}

// The same of two operands, which are brought together in blocks first: for functors that cost much more than a copy.
template <class T, class F>
ATLED_TARGET static void binary_checked(void*, char* const* data, const int64_t* strides, int64_t n) {
  constexpr int64_t kBlock = 512;
  const F f{};
  T x[kBlock], y[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t m = n - begin < kBlock ? n - begin : kBlock;
    for (int64_t i = 0; i < m; ++i) x[i] = *reinterpret_cast<const T*>(data[1] + (begin + i) * strides[1]);
    for (int64_t i = 0; i < m; ++i) y[i] = *reinterpret_cast<const T*>(data[2] + (begin + i) * strides[2]);
    int odd = 0;
    for (int64_t i = 0; i < m; ++i) odd += !F::fast(x[i], y[i]);
    if (odd) {
      for (int64_t i = 0; i < m; ++i) x[i] = F::fast(x[i], y[i]) ? f(x[i], y[i]) : F::slow(x[i], y[i]);
    } else {
      for (int64_t i = 0; i < m; ++i) x[i] = f(x[i], y[i]);
    }
    for (int64_t i = 0; i < m; ++i) *reinterpret_cast<T*>(data[0] + (begin + i) * strides[0]) = x[i];
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
    for (int64_t i = 0; i < n; ++i)
      *reinterpret_cast<R*>(data[0] + i * so) =
          f(*reinterpret_cast<const A*>(data[1] + i * sa), *reinterpret_cast<const B*>(data[2] + i * sb),
            *reinterpret_cast<const C*>(data[3] + i * sc));
  }
}

template <class To, class From, class F>
ATLED_TARGET static void convert(char* out, int64_t so, const char* in, int64_t si, int64_t n) {
  const F f{};
  if (so == sizeof(To) && si == sizeof(From)) {
    To* r = reinterpret_cast<To*>(out);
    const From* x = reinterpret_cast<const From*>(in);
#ifdef ATLED_HALF_INSTRUCTIONS
    if constexpr (std::is_same_v<To, float> && std::is_same_v<From, Half>) {
      int64_t done = 0;
      for (; done + 8 <= n; done += 8)
        _mm256_storeu_ps(r + done, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + done))));
      for (; done < n; ++done) r[done] = f(x[done]);
      return;
    }
    if constexpr (std::is_same_v<To, Half> && std::is_same_v<From, float>) {
      int64_t done = 0;
      for (; done + 8 <= n; done += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(r + done), _mm256_cvtps_ph(_mm256_loadu_ps(x + done), 0));
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

// Reductions: see cpu/reduce.h. Many accumulators hide the latency of one and fill the vectors.
template <class R>
ATLED_TARGET static void reduce_row(const void* ctx, const char* in, int64_t stride, int64_t n, const char* param, char* result) {
  using In = typename R::In;
  using Acc = typename R::Acc;
  constexpr int kLanes = sizeof(Acc) >= 16 ? 8 : sizeof(Acc) == 8 ? 16 : 32;
  const R r = functor<R>(ctx);
  const Acc p = param ? *reinterpret_cast<const Acc*>(param) : Acc();
  Acc total = r.identity();
  int64_t i = 0;
  if (stride == sizeof(In) && n >= kLanes) {
    const In* x = reinterpret_cast<const In*>(in);
    Acc lanes[kLanes];
    for (int k = 0; k < kLanes; ++k) lanes[k] = r.load(x[k], p);
    for (i = kLanes; i + kLanes <= n; i += kLanes)
      for (int k = 0; k < kLanes; ++k) lanes[k] = r.combine(lanes[k], r.load(x[i + k], p));
    for (int half = kLanes / 2; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) lanes[k] = r.combine(lanes[k], lanes[k + half]);
    total = lanes[0];
  } else if (n >= 4) {
    Acc a = r.identity(), b = a, c = a, d = a;
    for (; i + 4 <= n; i += 4) {
      a = r.combine(a, r.load(*reinterpret_cast<const In*>(in + i * stride), p));
      b = r.combine(b, r.load(*reinterpret_cast<const In*>(in + (i + 1) * stride), p));
      c = r.combine(c, r.load(*reinterpret_cast<const In*>(in + (i + 2) * stride), p));
      d = r.combine(d, r.load(*reinterpret_cast<const In*>(in + (i + 3) * stride), p));
    }
    total = r.combine(r.combine(a, b), r.combine(c, d));
  }
  for (; i < n; ++i) total = r.combine(total, r.load(*reinterpret_cast<const In*>(in + i * stride), p));
  *reinterpret_cast<Acc*>(result) = total;
}

template <class R>
ATLED_TARGET static void reduce_columns(const void* ctx, const char* in, int64_t row_stride, int64_t n, int64_t column_stride,
                                        int64_t m, const char* param, int64_t param_step, char* result) {
  using In = typename R::In;
  using Acc = typename R::Acc;
  const R r = functor<R>(ctx);
  Acc* acc = reinterpret_cast<Acc*>(result);
  for (int64_t j = 0; j < m; ++j) acc[j] = r.identity();
  const bool wide = column_stride == sizeof(In);
  for (int64_t i = 0; i < n; ++i, in += row_stride) {
    const In* x = reinterpret_cast<const In*>(in);
    if (param && wide && param_step == sizeof(Acc)) {
      const Acc* p = reinterpret_cast<const Acc*>(param);
      ATLED_IVDEP
      for (int64_t j = 0; j < m; ++j) acc[j] = r.combine(acc[j], r.load(x[j], p[j]));
    } else if (param) {
      for (int64_t j = 0; j < m; ++j)
        acc[j] = r.combine(acc[j], r.load(*reinterpret_cast<const In*>(in + j * column_stride),
                                          *reinterpret_cast<const Acc*>(param + j * param_step)));
    } else if (wide) {
      ATLED_IVDEP
      for (int64_t j = 0; j < m; ++j) acc[j] = r.combine(acc[j], r.load(x[j], Acc()));
    } else {
      for (int64_t j = 0; j < m; ++j)
        acc[j] = r.combine(acc[j], r.load(*reinterpret_cast<const In*>(in + j * column_stride), Acc()));
    }
  }
}

// The best of a row and where it is: block by block, so that only a block that holds a better one is searched.
template <class E>
ATLED_TARGET static void extreme_row(const char* in, int64_t stride, int64_t n, typename E::Acc* value, int64_t* index) {
  using In = typename E::In;
  using Acc = typename E::Acc;
  constexpr int64_t kBlock = 256;
  constexpr int kLanes = sizeof(Acc) == 8 ? 8 : 16;
  Acc best = static_cast<Acc>(*reinterpret_cast<const In*>(in));
  int64_t at = 0, i = 1;
  if (stride == sizeof(In)) {
    const In* x = reinterpret_cast<const In*>(in);
    for (i = 0; i + kBlock <= n; i += kBlock) {
      Acc lanes[kLanes];
      for (int k = 0; k < kLanes; ++k) lanes[k] = best;
      for (int64_t j = i; j < i + kBlock; j += kLanes)
        for (int k = 0; k < kLanes; ++k) {
          const Acc y = static_cast<Acc>(x[j + k]);
          lanes[k] = E::beats(y, lanes[k]) ? y : lanes[k];
        }
      bool better = false;
      for (int k = 0; k < kLanes; ++k) better |= E::beats(lanes[k], best);
      if (!better) continue;
      for (int64_t j = i; j < i + kBlock; ++j)
        if (E::beats(static_cast<Acc>(x[j]), best)) {
          best = static_cast<Acc>(x[j]);
          at = j;
        }
    }
  }
  for (; i < n; ++i) {
    const Acc y = static_cast<Acc>(*reinterpret_cast<const In*>(in + i * stride));
    if (E::beats(y, best)) {
      best = y;
      at = i;
    }
  }
  *value = best;
  *index = at;
}

// One more row for m columns side by side.
template <class E>
ATLED_TARGET static void extreme_columns(const char* in, int64_t row, int64_t m, typename E::Acc* value, int64_t* index) {
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

// Softmax of one row in Acc: exp(x - top) is made once, or twice where the output cannot hold it.
template <class T, class Acc, class F, bool kLog>
ATLED_TARGET static void softmax_row(T* out, const T* in, int64_t n) {
  constexpr int kLanes = sizeof(Acc) == 8 ? 8 : 16;
  constexpr bool kKeep = std::is_same_v<T, Acc> && !kLog;
  const F e{};
  Acc tops[kLanes], sums[kLanes];
  const Acc lowest = -std::numeric_limits<Acc>::infinity();
  for (int k = 0; k < kLanes; ++k) tops[k] = lowest;
  for (int k = 0; k < kLanes; ++k) sums[k] = Acc(0);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int k = 0; k < kLanes; ++k) {
      const Acc x = static_cast<Acc>(in[i + k]);
      tops[k] = x > tops[k] || x != x ? x : tops[k];
    }
  Acc top = lowest;
  for (; i < n; ++i) {
    const Acc x = static_cast<Acc>(in[i]);
    top = x > top || x != x ? x : top;
  }
  for (int k = 0; k < kLanes; ++k) top = tops[k] > top || tops[k] != tops[k] ? tops[k] : top;
  i = 0;
  if constexpr (kKeep) {
    ATLED_IVDEP
    for (int64_t j = 0; j < n; ++j) out[j] = e(in[j] - top);
    for (; i + kLanes <= n; i += kLanes)
      for (int k = 0; k < kLanes; ++k) sums[k] += out[i + k];
  } else {
    for (; i + kLanes <= n; i += kLanes)
      for (int k = 0; k < kLanes; ++k) sums[k] += e(static_cast<Acc>(in[i + k]) - top);
  }
  Acc sum = 0;
  for (; i < n; ++i) sum += kKeep ? static_cast<Acc>(out[i]) : e(static_cast<Acc>(in[i]) - top);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) sums[k] += sums[k + half];
  sum += sums[0];
  if constexpr (kLog) {
    const Acc rest = std::log(sum);
    ATLED_IVDEP
    for (int64_t j = 0; j < n; ++j) out[j] = T((static_cast<Acc>(in[j]) - top) - rest);
  } else if constexpr (kKeep) {
    const Acc scale = Acc(1) / sum;
    ATLED_IVDEP
    for (int64_t j = 0; j < n; ++j) out[j] = out[j] * scale;
  } else {
    const Acc scale = Acc(1) / sum;
    ATLED_IVDEP
    for (int64_t j = 0; j < n; ++j) out[j] = T(e(static_cast<Acc>(in[j]) - top) * scale);
  }
}

// The same for m columns, `step` elements from row to row; tops and sums are scratch of m.
template <class T, class Acc, class F, bool kLog>
ATLED_TARGET static void softmax_columns(T* out, const T* in, int64_t n, int64_t step, int64_t m, Acc* tops, Acc* sums) {
  const F e{};
  for (int64_t j = 0; j < m; ++j) tops[j] = -std::numeric_limits<Acc>::infinity();
  for (int64_t j = 0; j < m; ++j) sums[j] = Acc(0);
  for (int64_t i = 0; i < n; ++i) {
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j) {
      const Acc x = static_cast<Acc>(in[i * step + j]);
      tops[j] = x > tops[j] || x != x ? x : tops[j];
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j) sums[j] += e(static_cast<Acc>(in[i * step + j]) - tops[j]);
  }
  for (int64_t j = 0; j < m; ++j) sums[j] = kLog ? std::log(sums[j]) : Acc(1) / sums[j];
  for (int64_t i = 0; i < n; ++i) {
    ATLED_IVDEP
    for (int64_t j = 0; j < m; ++j) {
      const Acc x = static_cast<Acc>(in[i * step + j]) - tops[j];
      out[i * step + j] = T(kLog ? x - sums[j] : e(x) * sums[j]);
    }
  }
}
