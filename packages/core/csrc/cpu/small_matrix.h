// Factorizations of small real matrices, where a call of LAPACK costs more than the arithmetic. All column-major
// without gaps; they answer what LAPACK's routines of the same task answer.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace atled::core {

// Up to which size they are faster; the Jacobi methods need several sweeps.
constexpr int kSmallDirect = 16, kSmallJacobi = 8;

// The lower factor of a symmetric matrix of which the lower triangle counts; 0, or the order of the leading minor
// that is not positive. row and column are strides: the upper factor is the lower one of the transpose.
template <class T>
int small_cholesky(T* a, int n, int row, int column) {
  auto at = [&](int i, int j) -> T& { return a[i * row + j * column]; };
  for (int j = 0; j < n; ++j) {
    T d = at(j, j);
    for (int k = 0; k < j; ++k) d -= at(j, k) * at(j, k);
    if (!(d > 0)) return j + 1;
    d = std::sqrt(d);
    at(j, j) = d;
    const T inverse = 1 / d;
    for (int i = j + 1; i < n; ++i) {
      T s = at(i, j);
      for (int k = 0; k < j; ++k) s -= at(i, k) * at(j, k);
      at(i, j) = s * inverse;
    }
  }
  return 0;
}

// LU with partial pivoting of m x n; pivots count from 1. 0, or the first zero on U's diagonal, counted from 1.
template <class T>
int small_lu(T* a, int m, int n, int* pivots, bool pivot = true) {
  int info = 0;
  for (int j = 0; j < std::min(m, n); ++j) {
    T* column = a + j * m;
    int best = j;
    for (int i = j + 1; i < m && pivot; ++i)
      if (std::abs(column[i]) > std::abs(column[best])) best = i;
    pivots[j] = best + 1;
    if (best != j)
      for (int k = 0; k < n; ++k) std::swap(a[j + k * m], a[best + k * m]);
    if (column[j] == T(0)) {
      info = info ? info : j + 1;
      if (pivot) continue;
    }
    for (int i = j + 1; i < m; ++i) column[i] /= column[j];
    for (int k = j + 1; k < n; ++k) {
      const T factor = a[j + k * m];
      for (int i = j + 1; i < m; ++i) a[i + k * m] -= column[i] * factor;
    }
  }
  return info;
}

// Overwrites b, of n rows, by the solution.
template <class T>
void small_lu_solve(const T* lu, const int* pivots, int n, T* b, int columns) {
  for (int c = 0; c < columns; ++c, b += n) {
    for (int i = 0; i < n; ++i)
      if (pivots[i] - 1 != i) std::swap(b[i], b[pivots[i] - 1]);
    for (int j = 0; j < n; ++j)
      for (int i = j + 1; i < n; ++i) b[i] -= lu[i + j * n] * b[j];
    for (int j = n - 1; j >= 0; --j) {
      b[j] /= lu[j + j * n];
      for (int i = 0; i < j; ++i) b[i] -= lu[i + j * n] * b[j];
    }
  }
}

// Householder's reflection I - tau (1, v)(1, v)^T that takes x, of n elements, to (beta, 0, ...); x becomes (beta, v).
// Signs are LAPACK's (dlarfg).
template <class T>
T small_reflector(T* x, int n) {
  T below = 0, largest = std::abs(x[0]);
  for (int i = 1; i < n; ++i) {
    below += std::abs(x[i]);
    largest = std::max(largest, std::abs(x[i]));
  }
  if (below == 0) return 0;  // NaN goes on
  T sum = 0;
  for (int i = 0; i < n; ++i) sum += (x[i] / largest) * (x[i] / largest);
  const T beta = -std::copysign(largest * std::sqrt(sum), x[0]);
  const T tau = (beta - x[0]) / beta;
  for (int i = 1; i < n; ++i) x[i] /= x[0] - beta;
  x[0] = beta;
  return tau;
}

// Applies I - tau (1, v)(1, v)^T to m x n columns; v[0] is not read.
template <class T>
void small_reflect(const T* v, T tau, T* a, int m, int n, int step) {
  if (tau == 0) return;
  for (int j = 0; j < n; ++j, a += step) {
    T s = a[0];
    for (int i = 1; i < m; ++i) s += v[i] * a[i];
    s *= tau;
    a[0] -= s;
    for (int i = 1; i < m; ++i) a[i] -= v[i] * s;
  }
}

// a (m x n) becomes R above and the reflectors below the diagonal; q, if any, the first `columns` columns of Q.
template <class T>
void small_qr(T* a, int m, int n, T* q, int columns) {
  T tau[kSmallDirect];
  const int k = std::min(m, n);
  for (int j = 0; j < k; ++j) {
    tau[j] = small_reflector(a + j + j * m, m - j);
    small_reflect(a + j + j * m, tau[j], a + j + (j + 1) * m, m - j, n - j - 1, m);
  }
  if (!q) return;
  for (int j = 0; j < columns; ++j)
    for (int i = 0; i < m; ++i) q[i + j * m] = i == j;
  for (int j = k - 1; j >= 0; --j) small_reflect(a + j + j * m, tau[j], q + j + j * m, m - j, columns - j, m);
}

// The largest power of two not above the largest magnitude, to scale by without rounding; 1 for zeros.
template <class T>
T small_scale(const T* a, int n) {
  T largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::abs(a[i]));
  if (largest == 0) return 1;
  int exponent = 0;
  std::frexp(largest, &exponent);
  return std::ldexp(T(1), std::max(exponent - 1, std::numeric_limits<T>::min_exponent));
}

template <class T>
void small_rotate(T* x, T* y, int n, T c, T s) {
  for (int i = 0; i < n; ++i) {
    const T u = x[i], v = y[i];
    x[i] = c * u - s * v;
    y[i] = s * u + c * v;
  }
}

// Jacobi's rotation: tan of the smaller angle that makes the off-diagonal element of ((p, g), (g, q)) zero.
template <class T>
T small_tangent(T p, T q, T g) {
  const T zeta = (q - p) / (2 * g);
  return std::copysign(T(1), zeta) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
}

// Eigenvalues, ascending, and the eigenvectors (columns of v, unless NULL) of a symmetric n x n matrix by cyclic Jacobi
// rotations (Golub & Van Loan, section 8.5). a is destroyed. False when it did not converge.
template <class T>
bool small_eigh(T* a, int n, T* w, T* v) {
  const T scale = small_scale(a, n * n), eps = std::numeric_limits<T>::epsilon();
  T total = 0;
  for (int i = 0; i < n * n; ++i) {
    a[i] /= scale;
    total += a[i] * a[i];
    if (v) v[i] = i % (n + 1) == 0;
  }
  const T tiny = eps * eps * total / 16;
  bool done = false;
  for (int sweep = 0; sweep < 30 && !done; ++sweep) {
    done = true;
    for (int p = 0; p < n - 1; ++p)
      for (int q = p + 1; q < n; ++q) {
        const T g = a[p + q * n];
        if (g * g <= tiny) continue;
        done = false;
        const T t = small_tangent(a[p + p * n], a[q + q * n], g), c = 1 / std::sqrt(1 + t * t), s = t * c;
        small_rotate(a + p * n, a + q * n, n, c, s);
        for (int k = 0; k < n; ++k) {
          const T x = a[p + k * n], y = a[q + k * n];
          a[p + k * n] = c * x - s * y;
          a[q + k * n] = s * x + c * y;
        }
        if (v) small_rotate(v + p * n, v + q * n, n, c, s);
      }
  }
  for (int i = 0; i < n; ++i) w[i] = a[i + i * n] * scale;
  for (int i = 0; i < n; ++i) {
    const int best = static_cast<int>(std::min_element(w + i, w + n) - w);
    if (best == i) continue;
    std::swap(w[i], w[best]);
    if (v) std::swap_ranges(v + i * n, v + i * n + n, v + best * n);
  }
  return done;
}

// Makes column k of u (m rows) a unit vector orthogonal to the columns before it.
template <class T>
void small_complete(T* u, int m, int k) {
  T* x = u + k * m;
  for (int axis = 0; axis < m; ++axis) {
    for (int i = 0; i < m; ++i) x[i] = i == axis;
    for (int round = 0; round < 2; ++round)
      for (int j = 0; j < k; ++j) {
        T dot = 0;
        for (int i = 0; i < m; ++i) dot += u[i + j * m] * x[i];
        for (int i = 0; i < m; ++i) x[i] -= dot * u[i + j * m];
      }
    T sum = 0;
    for (int i = 0; i < m; ++i) sum += x[i] * x[i];
    // Some axis keeps at least this much of its length.
    if (sum < T(1) / (2 * m)) continue;
    for (int i = 0; i < m; ++i) x[i] /= std::sqrt(sum);
    return;
  }
}

// The singular value decomposition of m x n, m >= n, by one-sided Jacobi rotations (Hestenes 1958; Demmel & Veselic
// 1992): u (m x n) holds the matrix and becomes the left vectors; v (n x n, or NULL when only values are wanted) the
// right ones as columns. False when it did not converge.
template <class T>
bool small_svd(T* u, int m, int n, T* s, T* v) {
  const T scale = small_scale(u, m * n), eps = std::numeric_limits<T>::epsilon();
  for (int i = 0; i < m * n; ++i) u[i] /= scale;
  for (int i = 0; i < n * n && v; ++i) v[i] = i % (n + 1) == 0;
  bool done = false;
  for (int sweep = 0; sweep < 30 && !done; ++sweep) {
    done = true;
    for (int p = 0; p < n - 1; ++p)
      for (int q = p + 1; q < n; ++q) {
        T *x = u + p * m, *y = u + q * m, a = 0, b = 0, g = 0;
        for (int i = 0; i < m; ++i) {
          a += x[i] * x[i];
          b += y[i] * y[i];
          g += x[i] * y[i];
        }
        // Columns of rounding errors alone count as zero.
        if (g * g <= eps * eps * a * b || std::min(a, b) <= eps * eps * std::max(a, b)) continue;
        done = false;
        const T t = small_tangent(a, b, g), c = 1 / std::sqrt(1 + t * t);
        small_rotate(x, y, m, c, t * c);
        if (v) small_rotate(v + p * n, v + q * n, n, c, t * c);
      }
  }
  for (int j = 0; j < n; ++j) {
    T sum = 0;
    for (int i = 0; i < m; ++i) sum += u[i + j * m] * u[i + j * m];
    s[j] = std::sqrt(sum);
  }
  for (int j = 0; j < n; ++j) {
    const int best = static_cast<int>(std::max_element(s + j, s + n) - s);
    if (best == j) continue;
    std::swap(s[j], s[best]);
    std::swap_ranges(u + j * m, u + j * m + m, u + best * m);
    if (v) std::swap_ranges(v + j * n, v + j * n + n, v + best * n);
  }
  for (int j = 0; j < n; ++j) {
    if (v && s[j] > eps * s[0]) {
      for (int i = 0; i < m; ++i) u[i + j * m] /= s[j];
    } else if (v) {
      small_complete(u, m, j);
    }
  }
  for (int j = 0; j < n; ++j) s[j] *= scale;
  return done;
}

}  // namespace atled::core
