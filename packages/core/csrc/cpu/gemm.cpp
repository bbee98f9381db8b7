#include "cpu/gemm.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/blas.h"
#include "cpu/levels.h"
#include "cpu/parallel.h"
#include "functors/copy.h"

#if defined(_WIN32)
#define NOMINMAX
#include <windows.h>
#else
#include <unistd.h>
#endif

namespace atled::core {

namespace {

constexpr int64_t kTask = 1 << 18;        // multiplications that are worth a thread
constexpr int64_t kBlasWork = 1 << 13;    // below it, calling OpenBLAS costs more than it gives
constexpr int64_t kVectorWork = 1 << 11;  // the same of products with a vector
constexpr int64_t kDotChunk = 1 << 15;
constexpr int64_t kAlign = 64;         // tiles begin at multiples of it
constexpr double kTileWork = 1 << 20;  // multiplications that a tile must have
constexpr double kRoomy = 1 << 28;     // as many make a tile worth having though each processor has one

// bool: or of ands.
struct Truth {
  uint8_t byte = 0;
  bool operator==(Truth other) const { return byte == other.byte; }
};

template <class T>
ATLED_INLINE T plus(T a, T b) {
  if constexpr (std::is_same_v<T, Truth>) {
    return T{static_cast<uint8_t>(a.byte | b.byte)};
  } else {
    return static_cast<T>(a + b);
  }
}

// One product, or some rows of one.
template <class T>
struct Part {
  int64_t m, n, k;
  const T* x;
  int64_t x_row, x_column;
  const T* y;
  int64_t y_row, y_column;
  T* c;
  int64_t c_row;
  T alpha, beta;
};

template <class T>
ATLED_INLINE T number_as(std::complex<double> z) {
  if constexpr (std::is_same_v<T, Truth>) {
    return T{static_cast<uint8_t>(z != 0.0)};
  } else if constexpr (is_complex_type<T>) {
    return T(static_cast<typename T::value_type>(z.real()), static_cast<typename T::value_type>(z.imag()));
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<int64_t>(z.real()));
  } else {
    return static_cast<T>(z.real());
  }
}

namespace gemm {
#define ATLED_LEVEL_BODY "cpu/gemm.inl"
#include "cpu/each_level.inl"
}  // namespace gemm

template <class T>
void own_product(const Part<T>& p) {
  ATLED_PICK_OF(gemm, product<T>)(p);
}

template <class T>
T own_dot(const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t n) {
  return ATLED_PICK_OF(gemm, dot<T>)(x, x_step, y, y_step, n);
}

template <class T>
Part<T> part_of(const Products& p, int64_t batch) {
  return Part<T>{p.m,
                 p.n,
                 p.k,
                 static_cast<const T*>(p.x.data) + (p.x.offsets ? p.x.offsets[batch] : 0),
                 p.x.row,
                 p.x.column,
                 static_cast<const T*>(p.y.data) + (p.y.offsets ? p.y.offsets[batch] : 0),
                 p.y.row,
                 p.y.column,
                 static_cast<T*>(p.c) + batch * p.m * p.n,
                 p.n,
                 number_as<T>(p.alpha),
                 number_as<T>(p.beta)};
}

template <class T>
Part<T> rows_of(Part<T> p, int64_t begin, int64_t end) {
  p.m = end - begin;
  p.x += begin * p.x_row;
  p.c += begin * p.c_row;
  return p;
}

template <class T>
void multiply_own(const Products& p) {
  const int64_t row_work = std::max<int64_t>(1, p.n * std::max<int64_t>(p.k, 1));
  if (p.batches == 1 && p.m * row_work <= kTask) return own_product(part_of<T>(p, 0));
  // Rows in groups of 16, over all batches.
  const int64_t groups = (p.m + 15) / 16;
  parallel(p.batches * groups, std::max<int64_t>(1, kTask / (16 * row_work)), [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t row = g % groups * 16;
      own_product(rows_of(part_of<T>(p, g / groups), row, std::min(p.m, row + 16)));
    }
  });
}

template <class T>
void multiply_dot(const Products& p) {
  parallel(p.batches, std::max<int64_t>(1, kDotChunk / std::max<int64_t>(p.k, 1)), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const Part<T> one = part_of<T>(p, b);
      T sum{};
      if (one.k <= kDotChunk) {
        sum = own_dot(one.x, one.x_column, one.y, one.y_row, one.k);
      } else {
        const int64_t chunks = (one.k + kDotChunk - 1) / kDotChunk;
        std::vector<T> sums(static_cast<size_t>(chunks));
        parallel(chunks, 1, [&](int64_t first, int64_t last) {
          for (int64_t q = first; q < last; ++q) {
            const int64_t at = q * kDotChunk;
            sums[static_cast<size_t>(q)] = own_dot(one.x + at * one.x_column, one.x_column, one.y + at * one.y_row,
                                                   one.y_row, std::min(kDotChunk, one.k - at));
          }
        });
        for (const T& part : sums) sum = plus(sum, part);
      }
      if (one.beta == T{} && one.alpha == number_as<T>(1.0)) {
        *one.c = sum;
        continue;
      }
      own_product(Part<T>{1, 1, 1, &sum, 1, 1, &one.alpha, 1, 1, one.c, 1, number_as<T>(1.0), one.beta});
    }
  });
}

// The stride between lines that BLAS is told; where there is one line, any will do.
int leading(int64_t lines, int64_t stride, int64_t length) {
  return static_cast<int>(lines > 1 ? stride : std::max<int64_t>(1, length));
}

template <class T>
void blas_product(const Blas<T>& blas, const Part<T>& p) {
  const bool x_rows = p.x_column == 1 || p.k == 1, y_rows = p.y_column == 1 || p.n == 1;
  const bool x_plain = x_rows && (p.m == 1 || p.x_row >= p.k), y_plain = y_rows && (p.k == 1 || p.y_row >= p.n);
  blas.gemm(kRowMajor, x_plain ? kNoTrans : kTrans, y_plain ? kNoTrans : kTrans, static_cast<int>(p.m),
            static_cast<int>(p.n), static_cast<int>(p.k), Blas<T>::number(p.alpha), p.x,
            x_plain ? leading(p.m, p.x_row, p.k) : leading(p.k, p.x_column, p.m), p.y,
            y_plain ? leading(p.k, p.y_row, p.n) : leading(p.n, p.y_column, p.k), Blas<T>::number(p.beta), p.c,
            static_cast<int>(p.c_row));
}

// The border before part i of `parts` of a dimension.
int64_t border(int64_t size, int64_t parts, int64_t i) {
  return i == parts ? size : (size * i / parts + kAlign / 2) / kAlign * kAlign;
}

// The processors of the machine, whether this process may use them or not: the same for every run on it.
int machine_processors() {
#if defined(_WIN32)
  static const int n = static_cast<int>(GetActiveProcessorCount(ALL_PROCESSOR_GROUPS));
#else
  static const int n = static_cast<int>(sysconf(_SC_NPROCESSORS_CONF));
#endif
  return std::max(n, 1);
}

struct Grid {
  int64_t down, across;
};

// As few tiles of c as keep the machine's processors busy, since each packs its rows and its columns anew. They do not
// depend on how many threads there are: OpenBLAS computes the borders of what it is given by other kernels, so another
// grid changes bits.
Grid grid(const Products& p) {
  const double work = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const double all = machine_processors();
  const double wanted = std::max(std::min(all, work / kTileWork), std::min(2 * all, work / kRoomy));
  const int64_t tiles = std::max<int64_t>(1, (static_cast<int64_t>(wanted) + p.batches - 1) / p.batches);
  Grid best{1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (int64_t down = 1; down <= std::clamp<int64_t>(p.m / (2 * kAlign), 1, tiles); ++down) {
    const int64_t across = std::min((tiles + down - 1) / down, std::max<int64_t>(1, p.n / (2 * kAlign)));
    const double missing = static_cast<double>(tiles) / static_cast<double>(down * across);
    const double packed = static_cast<double>(down * p.n + across * p.m) * std::max(1.0, missing);
    if (packed <= least) {
      least = packed;
      best = {down, across};
    }
  }
  return best;
}

template <class T>
void multiply_tiled(const Blas<T>& blas, const Products& p) {
  const auto [down, across] = grid(p);
  const int64_t tiles = down * across;
  const int64_t grain = std::max<int64_t>(1, kTask / std::max<int64_t>(1, p.m * p.n * p.k / tiles));
  parallel(p.batches * tiles, grain, [&, down = down, across = across](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t i = t % tiles / across, j = t % tiles % across, column = border(p.n, across, j);
      Part<T> tile = rows_of(part_of<T>(p, t / tiles), border(p.m, down, i), border(p.m, down, i + 1));
      tile.y += column * tile.y_column;
      tile.c += column;
      tile.n = border(p.n, across, j + 1) - column;
      blas_product(blas, tile);
    }
  });
}

// A matrix by a vector: c[i] = alpha * sum over j of matrix(i, j) vector[j] + beta * c[i].
template <class T>
struct ByVector {
  const T *matrix, *vector;
  int64_t rows, k, row, column, step;  // step: the vector's
  T* c;
  T alpha, beta;

  ByVector(const Part<T>& p, bool right)
      : matrix(right ? p.x : p.y),
        vector(right ? p.y : p.x),
        rows(right ? p.m : p.n),
        k(p.k),
        row(right ? p.x_row : p.y_column),
        column(right ? p.x_column : p.y_row),
        step(right ? p.y_row : p.x_column),
        c(p.c),
        alpha(p.alpha),
        beta(p.beta) {}

  // Whether each row lies in order; else each column does.
  bool plain() const { return (column == 1 || k == 1) && (rows == 1 || row >= k); }

  void run(const Blas<T>& blas) const {
    const bool by_rows = plain();
    blas.gemv(kRowMajor, by_rows ? kNoTrans : kTrans, static_cast<int>(by_rows ? rows : k),
              static_cast<int>(by_rows ? k : rows), Blas<T>::number(alpha), matrix,
              by_rows ? leading(rows, row, k) : leading(k, column, rows), vector, static_cast<int>(step),
              Blas<T>::number(beta), c, 1);
  }
};

// n = 1: the rows of x against one column; also m = 1, seen as transposed. Divided along what lies farther apart.
template <class T>
void multiply_vector(const Blas<T>& blas, const Products& p) {
  const bool right = p.n == 1;
  const ByVector<T> whole(part_of<T>(p, 0), right);
  const int64_t k = std::max<int64_t>(p.k, 1);
  if (whole.plain() || whole.rows > 16 * k || p.batches * k * whole.rows <= 2 * kTask) {
    const int64_t chunk = std::max<int64_t>(64, (kTask / 4 / k + 63) / 64 * 64);
    const int64_t chunks = (whole.rows + chunk - 1) / chunk;
    return parallel(p.batches * chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        ByVector<T> part(part_of<T>(p, t / chunks), right);
        const int64_t at = t % chunks * chunk;
        part.rows = std::min(chunk, part.rows - at);
        part.matrix += at * part.row;
        part.c += at;
        part.run(blas);
      }
    });
  }
  // Columns of the matrix lie in order: some of them make a part of every sum.
  const int64_t pieces = std::min<int64_t>(16, std::max<int64_t>(1, k * whole.rows / kTask));
  const int64_t length = (k + pieces - 1) / pieces;
  std::vector<T> sums(static_cast<size_t>(p.batches * pieces * whole.rows));
  parallel(p.batches * pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      ByVector<T> part(part_of<T>(p, t / pieces), right);
      const int64_t at = t % pieces * length;
      part.k = std::max<int64_t>(0, std::min(length, k - at));
      part.matrix += at * part.column;
      part.vector += at * part.step;
      part.c = &sums[static_cast<size_t>(t * whole.rows)];
      part.beta = T{};
      if (part.k > 0) part.run(blas);
    }
  });
  for (int64_t b = 0; b < p.batches; ++b) {
    T* c = static_cast<T*>(p.c) + b * whole.rows;
    const T* sum = &sums[static_cast<size_t>(b * pieces * whole.rows)];
    for (int64_t i = 0; i < whole.rows; ++i) {
      T total = sum[i];
      for (int64_t q = 1; q < pieces; ++q) total += sum[q * whole.rows + i];
      c[i] = whole.beta == T{} ? total : total + whole.beta * c[i];
    }
  }
}

bool fits_int(const Products& p) {
  constexpr int64_t limit = std::numeric_limits<int32_t>::max();
  auto small = [](const Matrices& a) { return std::abs(a.row) < limit && std::abs(a.column) < limit; };
  return p.m < limit && p.n < limit && p.k < limit && small(p.x) && small(p.y);
}

template <class T>
void multiply_as(const Products& p) {
  if (p.m == 1 && p.n == 1) return multiply_dot<T>(p);
  if constexpr (std::is_floating_point_v<T> || is_complex_type<T>) {
    if (wants_blas(p.dtype, p.m, p.n, p.k) && fits_int(p) && blas_layout(p.m, p.k, p.x.row, p.x.column) &&
        blas_layout(p.k, p.n, p.y.row, p.y.column)) {
      if (const Blas<T>* library = blas<T>()) {
        const bool vector = (p.n == 1 && p.y.row > 0) || (p.m == 1 && p.x.column > 0);
        return vector ? multiply_vector(*library, p) : multiply_tiled(*library, p);
      }
    }
  }
  multiply_own<T>(p);
}

}  // namespace

bool wants_blas(int dtype, int64_t m, int64_t n, int64_t k) {
  return dtype >= ATLED_FLOAT32 && static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) >
                                       static_cast<double>(m == 1 || n == 1 ? kVectorWork : kBlasWork);
}

bool blas_layout(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  const bool row_major = (column == 1 || columns == 1) && (rows == 1 || row >= columns);
  const bool column_major = (row == 1 || rows == 1) && (columns == 1 || column >= rows);
  return row_major || column_major;
}

void multiply(const Products& p) {
  if (p.batches * p.m * p.n == 0) return;
  switch (p.dtype) {
    case ATLED_BOOL:
      return multiply_as<Truth>(p);
    case ATLED_UINT8:
    case ATLED_INT8:
      return multiply_as<uint8_t>(p);
    case ATLED_UINT16:
    case ATLED_INT16:
      return multiply_as<uint16_t>(p);
    case ATLED_UINT32:
    case ATLED_INT32:
      return multiply_as<uint32_t>(p);
    case ATLED_UINT64:
    case ATLED_INT64:
      return multiply_as<uint64_t>(p);
    case ATLED_FLOAT32:
      return multiply_as<float>(p);
    case ATLED_FLOAT64:
      return multiply_as<double>(p);
    case ATLED_COMPLEX64:
      return multiply_as<std::complex<float>>(p);
    default:
      return multiply_as<std::complex<double>>(p);
  }
}

}  // namespace atled::core
