// The own product kernel of one instruction set level: the body of a struct in gemm.cpp, included once for each.

static constexpr int kRows = 4;    // of x at once
static constexpr int kDepth = 256;  // of k at once

template <class T>
static constexpr int width() {
  return sizeof(T) >= 16 ? 4 : 64 / static_cast<int>(sizeof(T));
}

template <class T>
ATLED_INLINE static T combine(T sum, T a, T b) {
  if constexpr (std::is_same_v<T, Truth>) {
    return T{static_cast<uint8_t>(sum.byte | (a.byte & b.byte))};
  } else if constexpr (is_complex_type<T>) {
    return T(sum.real() + a.real() * b.real() - a.imag() * b.imag(), sum.imag() + a.real() * b.imag() + a.imag() * b.real());
  } else if constexpr (sizeof(T) < 4) {
    return static_cast<T>(sum + static_cast<T>(static_cast<uint32_t>(a) * b));
  } else {
    return sum + a * b;
  }
}

// R rows of c, `columns` <= width of them, from R rows of x and a strip of y whose rows are `step` apart.
template <class T, int R>
ATLED_INLINE static void strip(const T* x, int64_t x_row, int64_t x_column, const T* y, int64_t step, int64_t depth, T* c,
                               int64_t c_row, int columns, T alpha, T beta, bool add) {
  constexpr int W = width<T>();
  T sums[R][W] = {};
#if defined(__GNUC__)
  if constexpr (std::is_arithmetic_v<T>) {
    // Left to itself, the compiler makes vectors of the rows instead; and vectors wider than a register stay in memory.
#ifdef ATLED_VECTOR_INSTRUCTIONS
    constexpr int kPiece = 32;
#else
    constexpr int kPiece = 16;
#endif
    typedef T Piece __attribute__((vector_size(kPiece)));
    constexpr int kPieces = static_cast<int>(sizeof(T)) * W / kPiece;
    Piece pieces[R][kPieces] = {};
    for (int64_t k = 0; k < depth; ++k) {
      Piece line[kPieces];
      for (int q = 0; q < kPieces; ++q) std::memcpy(&line[q], y + k * step + q * (W / kPieces), sizeof(Piece));
      for (int r = 0; r < R; ++r) {
        const T factor = x[r * x_row + k * x_column];
        for (int q = 0; q < kPieces; ++q) pieces[r][q] += factor * line[q];
      }
    }
    std::memcpy(sums, pieces, sizeof sums);
  } else if constexpr (is_complex_type<T>) {
    // y by the real and by the imaginary parts of x. Of products of complex numbers GCC 12 makes vectors of x as well,
    // and reads the column of x behind the last.
    using Real = typename T::value_type;
    typedef Real Line __attribute__((vector_size(sizeof(T) * W)));
    Line by_real[R] = {}, by_imaginary[R] = {};
    for (int64_t k = 0; k < depth; ++k) {
      Line line;
      std::memcpy(&line, y + k * step, sizeof line);
      for (int r = 0; r < R; ++r) {
        const T factor = x[r * x_row + k * x_column];
        by_real[r] += factor.real() * line;
        by_imaginary[r] += factor.imag() * line;
      }
    }
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < W; ++j)
        sums[r][j] = T(by_real[r][2 * j] - by_imaginary[r][2 * j + 1], by_real[r][2 * j + 1] + by_imaginary[r][2 * j]);
  } else
#endif
  {
    for (int64_t k = 0; k < depth; ++k)
      for (int r = 0; r < R; ++r)
        for (int j = 0; j < W; ++j) sums[r][j] = combine(sums[r][j], x[r * x_row + k * x_column], y[k * step + j]);
  }
  const T zero{};
  const bool plain = !add && columns == W && beta == zero && alpha == number_as<T>(1.0);
  for (int r = 0; r < R; ++r) {
    T* to = c + r * c_row;
    if (plain) {
      std::memcpy(to, sums[r], sizeof sums[r]);
      continue;
    }
    for (int j = 0; j < columns; ++j) {
      const T scaled = combine(zero, alpha, sums[r][j]);
      to[j] = add ? plus(to[j], scaled) : beta == zero ? scaled : combine(scaled, beta, to[j]);
    }
  }
}

// The sum of x[i] * y[i].
template <class T>
ATLED_TARGET static T dot(const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t n) {
  constexpr int W = 2 * width<T>();
  int64_t i = 0;
  if (n < W) {
    T sum{};
    for (; i < n; ++i) sum = combine(sum, x[i * x_step], y[i * y_step]);
    return sum;
  }
  T sums[W] = {};
  if (x_step == 1 && y_step == 1) {
    for (; i + W <= n; i += W)
      for (int j = 0; j < W; ++j) sums[j] = combine(sums[j], x[i + j], y[i + j]);
  }
  for (; i < n; ++i) sums[i % W] = combine(sums[i % W], x[i * x_step], y[i * y_step]);
  T total = sums[0];
  for (int j = 1; j < W; ++j) total = plus(total, sums[j]);
  return total;
}

// Each row of x by one column: no strips, which would be padded to their width.
template <class T>
ATLED_TARGET static void by_column(const Part<T>& p) {
  const T zero{};
  const bool plain = p.beta == zero && p.alpha == number_as<T>(1.0);
  for (int64_t i = 0; i < p.m; ++i) {
    const T sum = dot(p.x + i * p.x_row, p.x_column, p.y, p.y_row, p.k);
    T* to = p.c + i * p.c_row;
    const T scaled = plain ? sum : combine(zero, p.alpha, sum);
    *to = p.beta == zero ? scaled : combine(scaled, p.beta, *to);
  }
}

// The same of a few columns, for matrices so small that padding them costs more than their product.
constexpr static int64_t kFewRows = 16, kFewColumns = 4, kShallow = 16;
template <class T>
ATLED_TARGET static void by_columns(const Part<T>& p) {
  for (int64_t j = 0; j < p.n; ++j) {
    Part<T> column = p;
    column.n = 1;
    column.y += j * p.y_column;
    column.c += j;
    by_column(column);
  }
}

template <class T>
ATLED_TARGET static void product(const Part<T>& p) {
  constexpr int W = width<T>();
  if (p.n <= kFewColumns && p.m <= kFewRows && p.k < W && p.k <= kShallow) return by_columns(p);
  if (p.n == 1 && (p.k <= W || (p.x_column == 1 && p.y_row == 1))) return by_column(p);
  alignas(64) T packed[kDepth * W];
  for (int64_t j = 0; j < p.n; j += W) {
    const int columns = static_cast<int>(p.n - j < W ? p.n - j : W);
    for (int64_t k = 0; k == 0 || k < p.k; k += kDepth) {
      const int64_t depth = p.k - k < kDepth ? p.k - k : kDepth;
      const T* y = p.y + k * p.y_row + j * p.y_column;
      int64_t step = p.y_row;
      if (p.y_column != 1 || columns < W) {
        for (int64_t i = 0; i < depth; ++i) {
          for (int q = 0; q < columns; ++q) packed[i * W + q] = y[i * p.y_row + q * p.y_column];
          for (int q = columns; q < W; ++q) packed[i * W + q] = T{};
        }
        y = packed;
        step = W;
      }
      int64_t i = 0;
      const T* x = p.x + k * p.x_column;
      T* c = p.c + j;
      for (; i + kRows <= p.m; i += kRows)
        strip<T, kRows>(x + i * p.x_row, p.x_row, p.x_column, y, step, depth, c + i * p.c_row, p.c_row, columns, p.alpha,
                        p.beta, k > 0);
      for (; i < p.m; ++i)
        strip<T, 1>(x + i * p.x_row, p.x_row, p.x_column, y, step, depth, c + i * p.c_row, p.c_row, columns, p.alpha, p.beta,
                    k > 0);
    }
  }
}
