// Elimination of small matrices side by side, one in each lane: the body of a struct, included once for each level.
// Element (i, j) of lane l is a[(i + j * n) * kMatrixLanes + l]. The operations and their order are small_lu's, so the
// bits do not depend on how many matrices there are.

// Gaussian elimination with partial pivoting of the first n of m columns, the others being right-hand sides. For each
// lane: the sign of the row exchanges, and small_lu's answer.
template <class T>
ATLED_TARGET static void eliminate(T* a, int n, int m, T* sign, T* info) {
  constexpr int L = kMatrixLanes;
  for (int l = 0; l < L; ++l) {
    sign[l] = 1;
    info[l] = 0;
  }
  for (int j = 0; j < n; ++j) {
    T* column = a + j * n * L;
    T* top = column + j * L;
    T best[L], size[L];
    for (int l = 0; l < L; ++l) {
      best[l] = static_cast<T>(j);
      size[l] = top[l] < 0 ? -top[l] : top[l];
    }
    for (int i = j + 1; i < n; ++i) {
      const T* x = column + i * L;
      for (int l = 0; l < L; ++l) {
        const T here = x[l] < 0 ? -x[l] : x[l];
        const bool better = here > size[l];
        size[l] = better ? here : size[l];
        best[l] = better ? static_cast<T>(i) : best[l];
      }
    }
    for (int k = j; k < m; ++k) {
      T* x = a + (j + k * n) * L;
      for (int i = j + 1; i < n; ++i) {
        T* y = a + (i + k * n) * L;
        ATLED_IVDEP
        for (int l = 0; l < L; ++l) {
          const bool here = best[l] == static_cast<T>(i);
          const T u = x[l], v = y[l];
          x[l] = here ? v : u;
          y[l] = here ? u : v;
        }
      }
    }
    for (int l = 0; l < L; ++l) {
      sign[l] = best[l] == static_cast<T>(j) ? sign[l] : -sign[l];
      info[l] = top[l] == 0 && info[l] == 0 ? static_cast<T>(j + 1) : info[l];
    }
    for (int i = j + 1; i < n; ++i) {
      T* x = column + i * L;
      ATLED_IVDEP
      for (int l = 0; l < L; ++l) x[l] = top[l] == 0 ? x[l] : x[l] / top[l];
    }
    for (int k = j + 1; k < m; ++k) {
      const T* factor = a + (j + k * n) * L;
      for (int i = j + 1; i < n; ++i) {
        const T* x = column + i * L;
        T* y = a + (i + k * n) * L;
        ATLED_IVDEP
        for (int l = 0; l < L; ++l) y[l] = top[l] == 0 && k < n ? y[l] : y[l] - x[l] * factor[l];
      }
    }
  }
}

// What is left of the solution after elimination: b, of n rows, becomes it.
template <class T>
ATLED_TARGET static void substitute(const T* a, int n, T* b, int columns) {
  constexpr int L = kMatrixLanes;
  for (int c = 0; c < columns; ++c, b += n * L)
    for (int j = n - 1; j >= 0; --j) {
      T* x = b + j * L;
      const T* top = a + (j + j * n) * L;
      ATLED_IVDEP
      for (int l = 0; l < L; ++l) x[l] /= top[l];
      for (int i = 0; i < j; ++i) {
        const T* u = a + (i + j * n) * L;
        T* y = b + i * L;
        ATLED_IVDEP
        for (int l = 0; l < L; ++l) y[l] -= u[l] * x[l];
      }
    }
}
