// How one instruction set level transforms: the body of a struct in fft_levels.h, included once for each.
//
// Lanes of transforms go side by side: element l of point j is at j * kLanes<T> + l, so that every loop is over
// neighbours in memory. The passes are Stockham's (W. T. Cochran et al., "What is the fast Fourier transform?", 1967):
// out of place, in order. s is the stride of a pass in elements, m the length that is left, root k of the whole length
// n is exp(-2 pi i k / n).

template <class T>
ATLED_TARGET static void pass2(const T* xr, const T* xi, T* yr, T* yi, int64_t m, int64_t s, const T* wr, const T* wi,
                               int64_t step) {
  for (int64_t p = 0; p < m; ++p) {
    const T c = wr[p * step], d = wi[p * step];
    const T *ar = xr + s * p, *ai = xi + s * p, *br = ar + s * m, *bi = ai + s * m;
    T *ur = yr + s * 2 * p, *ui = yi + s * 2 * p, *vr = ur + s, *vi = ui + s;
    ATLED_IVDEP
    for (int64_t i = 0; i < s; ++i) {
      const T er = ar[i] - br[i], ei = ai[i] - bi[i];
      ur[i] = ar[i] + br[i];
      ui[i] = ai[i] + bi[i];
      vr[i] = er * c - ei * d;
      vi[i] = er * d + ei * c;
    }
  }
}

template <class T>
ATLED_TARGET static void pass4(const T* xr, const T* xi, T* yr, T* yi, int64_t m, int64_t s, const T* wr, const T* wi,
                               int64_t step) {
  for (int64_t p = 0; p < m; ++p) {
    const T c1 = wr[p * step], d1 = wi[p * step], c2 = wr[2 * p * step], d2 = wi[2 * p * step], c3 = wr[3 * p * step],
            d3 = wi[3 * p * step];
    const T *r0 = xr + s * p, *i0 = xi + s * p;
    const T *r1 = r0 + s * m, *i1 = i0 + s * m, *r2 = r1 + s * m, *i2 = i1 + s * m, *r3 = r2 + s * m, *i3 = i2 + s * m;
    T *ur = yr + s * 4 * p, *ui = yi + s * 4 * p;
    ATLED_IVDEP
    for (int64_t i = 0; i < s; ++i) {
      const T ar = r0[i] + r2[i], ai = i0[i] + i2[i], br = r0[i] - r2[i], bi = i0[i] - i2[i];
      const T er = r1[i] + r3[i], ei = i1[i] + i3[i], fr = r1[i] - r3[i], fi = i1[i] - i3[i];
      const T gr = br + fi, gi = bi - fr, hr = ar - er, hi = ai - ei, kr = br - fi, ki = bi + fr;
      ur[i] = ar + er;
      ui[i] = ai + ei;
      ur[i + s] = gr * c1 - gi * d1;
      ui[i + s] = gr * d1 + gi * c1;
      ur[i + 2 * s] = hr * c2 - hi * d2;
      ui[i + 2 * s] = hr * d2 + hi * c2;
      ur[i + 3 * s] = kr * c3 - ki * d3;
      ui[i + 3 * s] = kr * d3 + ki * c3;
    }
  }
}

// An odd prime R: points j and R - j go together, so that all factors are real. cosines[j] and sines[j] are those of
// 2 pi j / R.
template <int R, class T>
ATLED_TARGET static void pass_odd(const T* xr, const T* xi, T* yr, T* yi, int64_t m, int64_t s, const T* wr,
                                  const T* wi, int64_t step, const T* cosines, const T* sines) {
  constexpr int kHalf = R / 2;
  for (int64_t p = 0; p < m; ++p) {
    for (int64_t from = 0; from < s; from += kLanes<T>) {
      T pr[kHalf][kLanes<T>], pi[kHalf][kLanes<T>], qr[kHalf][kLanes<T>], qi[kHalf][kLanes<T>];
      const T *ar = xr + s * p + from, *ai = xi + s * p + from;
      T *ur = yr + s * R * p + from, *ui = yi + s * R * p + from;
      T sumr[kLanes<T>], sumi[kLanes<T>];
      for (int64_t l = 0; l < kLanes<T>; ++l) {
        sumr[l] = ar[l];
        sumi[l] = ai[l];
      }
      for (int j = 1; j <= kHalf; ++j) {
        const T *br = ar + s * m * j, *bi = ai + s * m * j, *cr = ar + s * m * (R - j), *ci = ai + s * m * (R - j);
        ATLED_IVDEP
        for (int64_t l = 0; l < kLanes<T>; ++l) {
          pr[j - 1][l] = br[l] + cr[l];
          pi[j - 1][l] = bi[l] + ci[l];
          qr[j - 1][l] = br[l] - cr[l];
          qi[j - 1][l] = bi[l] - ci[l];
          sumr[l] += pr[j - 1][l];
          sumi[l] += pi[j - 1][l];
        }
      }
      for (int64_t l = 0; l < kLanes<T>; ++l) {
        ur[l] = sumr[l];
        ui[l] = sumi[l];
      }
      for (int k = 1; k <= kHalf; ++k) {
        T er[kLanes<T>], ei[kLanes<T>], fr[kLanes<T>] = {}, fi[kLanes<T>] = {};
        for (int64_t l = 0; l < kLanes<T>; ++l) {
          er[l] = ar[l];
          ei[l] = ai[l];
        }
        for (int j = 1; j <= kHalf; ++j) {
          const T c = cosines[j * k % R], d = sines[j * k % R];
          for (int64_t l = 0; l < kLanes<T>; ++l) {
            er[l] += c * pr[j - 1][l];
            ei[l] += c * pi[j - 1][l];
            fr[l] += d * qr[j - 1][l];
            fi[l] += d * qi[j - 1][l];
          }
        }
        const T c = wr[k * p * step], d = wi[k * p * step], g = wr[(R - k) * p * step], h = wi[(R - k) * p * step];
        T *vr = ur + s * k, *vi = ui + s * k, *zr = ur + s * (R - k), *zi = ui + s * (R - k);
        ATLED_IVDEP
        for (int64_t l = 0; l < kLanes<T>; ++l) {
          const T br = er[l] + fi[l], bi = ei[l] - fr[l], cr = er[l] - fi[l], ci = ei[l] + fr[l];
          vr[l] = br * c - bi * d;
          vi[l] = br * d + bi * c;
          zr[l] = cr * g - ci * h;
          zi[l] = cr * h + ci * g;
        }
      }
    }
  }
}

// All passes of a length; x holds the points and then the result, y is of the same size.
template <class T>
ATLED_TARGET static void passes(const Radices<T>& radices, Lanes<T>& x, Lanes<T>& y) {
  int64_t s = kLanes<T>, m = radices.length, step = 1;
  const T *wr = radices.cosines.data(), *wi = radices.sines.data();
  for (const int radix : radices.factors) {
    m /= radix;
    const T *cosines = radices.odd_cosines[radix].data(), *sines = radices.odd_sines[radix].data();
    switch (radix) {
      case 2:
        pass2(x.re, x.im, y.re, y.im, m, s, wr, wi, step);
        break;
      case 4:
        pass4(x.re, x.im, y.re, y.im, m, s, wr, wi, step);
        break;
      case 3:
        pass_odd<3>(x.re, x.im, y.re, y.im, m, s, wr, wi, step, cosines, sines);
        break;
      case 5:
        pass_odd<5>(x.re, x.im, y.re, y.im, m, s, wr, wi, step, cosines, sines);
        break;
      case 7:
        pass_odd<7>(x.re, x.im, y.re, y.im, m, s, wr, wi, step, cosines, sines);
        break;
      case 11:
        pass_odd<11>(x.re, x.im, y.re, y.im, m, s, wr, wi, step, cosines, sines);
        break;
      default:
        pass_odd<13>(x.re, x.im, y.re, y.im, m, s, wr, wi, step, cosines, sines);
    }
    std::swap(x, y);
    s *= radix;
    step *= radix;
  }
}

// Lane l of point j times the product of roots (c, d)[j] and (lr, li)[j, l].
template <class T>
ATLED_TARGET static void multiply_lanes(const Lanes<T>& x, const T* c, const T* d, const T* lr, const T* li,
                                        int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    T *re = x.re + j * kLanes<T>, *im = x.im + j * kLanes<T>;
    const T *pr = lr + j * kLanes<T>, *pi = li + j * kLanes<T>, a = c[j], b = d[j];
    ATLED_IVDEP
    for (int64_t l = 0; l < kLanes<T>; ++l) {
      const T wr = a * pr[l] - b * pi[l], wi = a * pi[l] + b * pr[l], xr = re[l], xi = im[l];
      re[l] = xr * wr - xi * wi;
      im[l] = xr * wi + xi * wr;
    }
  }
}

// Every lane of point j times (wr[j], wi[j]).
template <class T>
ATLED_TARGET static void multiply_points(const Lanes<T>& x, const T* wr, const T* wi, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    T *re = x.re + j * kLanes<T>, *im = x.im + j * kLanes<T>;
    const T c = wr[j], d = wi[j];
    ATLED_IVDEP
    for (int64_t l = 0; l < kLanes<T>; ++l) {
      const T a = re[l], b = im[l];
      re[l] = a * c - b * d;
      im[l] = a * d + b * c;
    }
  }
}

// The second half of a Hermitian sequence of n points from its first.
template <class T>
ATLED_TARGET static void mirror(const Lanes<T>& x, int64_t n) {
  for (int64_t j = n / 2 + 1; j < n; ++j) {
    const T *re = x.re + (n - j) * kLanes<T>, *im = x.im + (n - j) * kLanes<T>;
    T *to_re = x.re + j * kLanes<T>, *to_im = x.im + j * kLanes<T>;
    for (int64_t l = 0; l < kLanes<T>; ++l) {
      to_re[l] = re[l];
      to_im[l] = -im[l];
    }
  }
}

// From the transform x of n complex points, whose parts are 2n real ones by turns, to the n + 1 points y that the real
// ones' spectrum is known by; w are roots of 2n.
template <class T>
ATLED_TARGET static void unfold(const Lanes<T>& x, const Lanes<T>& y, const T* wr, const T* wi, int64_t n) {
  for (int64_t k = 0; k <= n; ++k) {
    const int64_t j = k == n ? 0 : k, i = k == 0 ? 0 : n - k;
    const T *ar = x.re + j * kLanes<T>, *ai = x.im + j * kLanes<T>, *br = x.re + i * kLanes<T>,
            *bi = x.im + i * kLanes<T>;
    T *yr = y.re + k * kLanes<T>, *yi = y.im + k * kLanes<T>;
    ATLED_IVDEP
    for (int64_t l = 0; l < kLanes<T>; ++l) unfold_point(ar[l], ai[l], br[l], bi[l], wr[k], wi[k], yr[l], yi[l]);
  }
}

// The other way round, twice as large: from n + 1 points x to n points y.
template <class T>
ATLED_TARGET static void fold(const Lanes<T>& x, const Lanes<T>& y, const T* wr, const T* wi, int64_t n) {
  for (int64_t l = 0; l < kLanes<T>; ++l) x.im[l] = x.im[n * kLanes<T> + l] = 0;
  for (int64_t k = 0; k < n; ++k) {
    const T *ar = x.re + k * kLanes<T>, *ai = x.im + k * kLanes<T>;
    const T *br = x.re + (n - k) * kLanes<T>, *bi = x.im + (n - k) * kLanes<T>;
    T *yr = y.re + k * kLanes<T>, *yi = y.im + k * kLanes<T>;
    ATLED_IVDEP
    for (int64_t l = 0; l < kLanes<T>; ++l) fold_point(ar[l], ai[l], br[l], bi[l], wr[k], wi[k], yr[l], yi[l]);
  }
}

// The parts of n complex numbers, which come and go by turns in pairs.
template <class T>
ATLED_TARGET static void part(const T* pairs, T* re, T* im, int64_t n) {
  ATLED_IVDEP
  for (int64_t i = 0; i < n; ++i) {
    re[i] = pairs[2 * i];
    im[i] = pairs[2 * i + 1];
  }
}

// And back, times scale.
template <class T>
ATLED_TARGET static void pair(const T* re, const T* im, T* pairs, int64_t n, T scale) {
  ATLED_IVDEP
  for (int64_t i = 0; i < n; ++i) {
    pairs[2 * i] = re[i] * scale;
    pairs[2 * i + 1] = im[i] * scale;
  }
}

// A square of complex numbers turned over: number j of line l, which begins at from + from_at[l], goes to number l of
// line j, at to + to_at[j].
template <class T>
ATLED_TARGET static ATLED_INLINE void turn_square(const T* from, const int64_t* from_at, T* to, const int64_t* to_at) {
#if defined(ATLED_VECTOR_INSTRUCTIONS)
  if constexpr (sizeof(T) == 4) {
    __m256d row[4];
    for (int i = 0; i < 4; ++i) row[i] = _mm256_castps_pd(_mm256_loadu_ps(from + from_at[i]));
    const __m256d a = _mm256_unpacklo_pd(row[0], row[1]), b = _mm256_unpackhi_pd(row[0], row[1]);
    const __m256d c = _mm256_unpacklo_pd(row[2], row[3]), d = _mm256_unpackhi_pd(row[2], row[3]);
    _mm256_storeu_ps(to + to_at[0], _mm256_castpd_ps(_mm256_permute2f128_pd(a, c, 0x20)));
    _mm256_storeu_ps(to + to_at[1], _mm256_castpd_ps(_mm256_permute2f128_pd(b, d, 0x20)));
    _mm256_storeu_ps(to + to_at[2], _mm256_castpd_ps(_mm256_permute2f128_pd(a, c, 0x31)));
    _mm256_storeu_ps(to + to_at[3], _mm256_castpd_ps(_mm256_permute2f128_pd(b, d, 0x31)));
  } else {
    const __m256d a = _mm256_loadu_pd(from + from_at[0]), b = _mm256_loadu_pd(from + from_at[1]);
    _mm256_storeu_pd(to + to_at[0], _mm256_permute2f128_pd(a, b, 0x20));
    _mm256_storeu_pd(to + to_at[1], _mm256_permute2f128_pd(a, b, 0x31));
  }
#else
  for (int l = 0; l < kSide<T>; ++l)
    for (int j = 0; j < kSide<T>; ++j)
      std::memcpy(to + to_at[j] + 2 * l, from + from_at[l] + 2 * j, 2 * sizeof(T));
#endif
}

// count points of all lanes, whose lines begin at from + at[lane] and have their points side by side, to a tile with
// the lanes side by side; and back. count is a multiple of kSide.
template <class T>
ATLED_TARGET static void turn_in(const T* from, const int64_t* at, T* tile, int64_t count) {
  int64_t rows[kSide<T>];
  for (int i = 0; i < kSide<T>; ++i) rows[i] = 2 * kLanes<T> * i;
  for (int64_t l = 0; l < kLanes<T>; l += kSide<T>)
    for (int64_t j = 0; j < count; j += kSide<T>)
      turn_square(from + 2 * j, at + l, tile + 2 * (j * kLanes<T> + l), rows);
}

template <class T>
ATLED_TARGET static void turn_out(const T* tile, T* to, const int64_t* at, int64_t count) {
  int64_t rows[kSide<T>];
  for (int i = 0; i < kSide<T>; ++i) rows[i] = 2 * kLanes<T> * i;
  for (int64_t l = 0; l < kLanes<T>; l += kSide<T>)
    for (int64_t j = 0; j < count; j += kSide<T>)
      turn_square(tile + 2 * (j * kLanes<T> + l), rows, to + 2 * j, at + l);
}
