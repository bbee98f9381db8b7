#include <string>

#include "cpu/matrix_batch.h"
#include "cpu/small_lanes.h"
#include "dispatch/register.h"
#include "ops/matrix_rules.h"

namespace atled::core {
namespace {

constexpr char kSingular[] = "expected an invertible matrix, got a singular one";

// Solves A X = B for column-major a, which is destroyed, and b, which becomes X; answers LAPACK's info.
template <class T>
int solve_in_place(T* a, int n, int* pivots, T* b, int columns) {
  if (n == 0) return 0;
  if constexpr (!kIsComplex<T>) {
    if (n <= kSmallDirect) {
      const int info = small_lu(a, n, n, pivots);
      small_lu_solve(a, pivots, n, b, columns);
      return info;
    }
  }
  static const Routine<T> getrf("getrf"), getrs("getrs");
  int info = 0, ignored = 0;
  getrf(n, n, a, n, pivots, &info);
  getrs('N', n, columns, a, n, pivots, b, n, &ignored);
  return info;
}

// Solves the systems [begin, end) of n unknowns and `columns` right-hand sides: given(i) is the matrix, sides(i, x)
// writes the right-hand sides, the solution goes to result(i).
template <class T, class Given, class Sides, class Result>
void solve_each(int64_t begin, int64_t end, int n, int columns, int* info, Given given, Sides sides, Result result) {
  if constexpr (!kIsComplex<T>) {
    for (int count; (count = lanes_for(n, int64_t{n} + columns, end - begin)) > 0; begin += count) {
      Lanes<T> lanes(n, n + columns);
      for (int l = 0; l < kMatrixLanes; ++l) {
        const int64_t from = begin + std::min(l, count - 1);
        copy(given(from), lanes.columns(l, 0, n));
        sides(from, lanes.columns(l, n, columns));
      }
      lanes.eliminate(n + columns);
      lanes.substitute(columns);
      for (int l = 0; l < count; ++l) {
        copy(lanes.columns(l, n, columns), result(begin + l));
        info[begin + l] = static_cast<int>(lanes.info[l]);
      }
    }
  }
  const Scratch<T> lu(int64_t{n} * n), x(int64_t{n} * columns);
  const Scratch<int> pivots(n);
  for (int64_t i = begin; i < end; ++i) {
    copy(given(i), column_major<T>(lu, n, n));
    sides(i, column_major<T>(x, n, columns));
    info[i] = solve_in_place<T>(lu, n, pivots, x, columns);
    copy(column_major<T>(x, n, columns), result(i));
  }
}

// A and B have the same batch dimensions as the result.
template <class T>
void solve(atled_frame* f, bool vectors) {
  atled_tensor *out = out_tensor(f), *a = arg_tensor(f, 0);
  const bool left = arg_bool(f, 2);
  const MatrixBatch<T> matrices(a), sides(arg_tensor(f, 1), a->dl.ndim - 2, a->dl.shape, vectors);
  const int n = lapack_int(matrices.rows), columns = lapack_int(left ? sides.columns : sides.rows);
  const int64_t rows_out = sides.rows, columns_out = sides.columns;
  auto turned = [=](const Matrix<T>& m) { return left ? m : m.transposed(); };
  each_matrix(batch_size(a), n * double(n) * (0.7 * n + 2.0 * columns), [&](int64_t begin, int64_t end) {
    solve_each<T>(
        begin, end, n, columns, data<int>(out_tensor(f, 1)), [&](int64_t i) { return turned(matrices[i]); },
        [&](int64_t i, const Matrix<T>& x) { copy(turned(sides[i]), x); },
        [&](int64_t i) {
          return turned({data<T>(out) + i * rows_out * columns_out, rows_out, columns_out, columns_out, 1});
        });
  });
}

// Where A broadcasts against B, each of A's matrices is factored once.
void solve_broadcast(atled_frame* f, bool vectors) {
  static const Op factor{"linalg::lu_factor_ex"}, solve_op{"linalg::lu_solve"}, unsqueeze{"core::unsqueeze"},
      squeeze{"core::squeeze"};
  atled_tensor* out = out_tensor(f);
  atled_value made[3] = {none(), none(), none()};
  const Tensor a = contiguous(arg_tensor(f, 0), out->dtype);
  factor.run(0, made, {value(a)});
  const Tensor lu = Tensor::steal(made[0].u.tensor), pivots = Tensor::steal(made[1].u.tensor),
               info = Tensor::steal(made[2].u.tensor);
  assign(out_tensor(f, 1), info);
  Tensor b = Tensor::borrow(arg_tensor(f, 1));
  if (vectors) b = unsqueeze(b, -1);
  const Tensor x = solve_op(lu, pivots, b, f->args[2]);
  assign(out, vectors ? squeeze(x, -1) : x);
}

void solve_ex(atled_frame* f) {
  const atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1), *out = out_tensor(f);
  const bool vectors = holds_vectors(a, b);
  const int batch = a->dl.ndim - 2;
  bool whole = out->dl.ndim - (vectors ? 1 : 2) == batch;
  for (int d = 0; d < batch && whole; ++d) whole = out->dl.shape[d] == a->dl.shape[d];
  if (whole) {
    visit_lapack(out->dtype, [&](auto tag) { solve<typename decltype(tag)::type>(f, vectors); });
  } else {
    solve_broadcast(f, vectors);
  }
  if (arg_bool(f, 3)) expect_success(Tensor::borrow(out_tensor(f, 1)), kSingular);
}

template <class T>
void inv(atled_frame* f) {
  const MatrixBatch<T> input(arg_tensor(f, 0));
  const int n = lapack_int(input.rows);
  T* out = data<T>(out_tensor(f));
  each_matrix(batch_size(out_tensor(f)), 2 * double(n) * n * n, [&](int64_t begin, int64_t end) {
    solve_each<T>(
        begin, end, n, n, data<int>(out_tensor(f, 1)), [&](int64_t i) { return input[i]; },
        [](int64_t, const Matrix<T>& x) { set_identity(x); },
        [&](int64_t i) { return Matrix<T>{out + i * n * n, n, n, n, 1}; });
  });
}

void inv_ex(atled_frame* f) {
  visit_lapack(out_tensor(f)->dtype, [&](auto tag) { inv<typename decltype(tag)::type>(f); });
  if (arg_bool(f, 1)) expect_success(Tensor::borrow(out_tensor(f, 1)), kSingular);
}

// Pivots from the caller, who may have made them up: LAPACK does not check them.
void check_pivots(const int* pivots, int64_t count, int n) {
  for (int64_t i = 0; i < count; ++i)
    if (pivots[i] < 1 || pivots[i] > n) fail(ATLED_E_BOUNDS, "expected pivots in [1, %d], got %d", n, pivots[i]);
}

template <class T>
void lu_solve(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  const int batch = out->dl.ndim - 2;
  const bool left = arg_bool(f, 3);
  const MatrixBatch<T> factors(arg_tensor(f, 0), batch, out->dl.shape), sides(arg_tensor(f, 2), batch, out->dl.shape);
  const MatrixBatch<int> all_pivots(arg_tensor(f, 1), batch, out->dl.shape, true);
  const int n = lapack_int(factors.rows), columns = lapack_int(left ? sides.columns : sides.rows);
  const Tensor given = contiguous(arg_tensor(f, 1));
  check_pivots(data<int>(given), numel(given), n);
  // X A = B is A^T X^T = B^T; X A^H = B is conj(A) X^T = B^T, or A conj(X^T) = conj(B^T).
  const bool adjoint = arg_bool(f, 4), conjugated = kIsComplex<T> && adjoint && !left;
  const char trans = left ? (adjoint ? 'C' : 'N') : (adjoint ? 'N' : 'T');
  static const Routine<T> getrs("getrs");
  const int64_t rows_out = sides.rows, columns_out = sides.columns;
  each_matrix(batch_size(out), 2.0 * n * n * columns, [&](int64_t begin, int64_t end) {
    const Scratch<T> lu(int64_t{n} * n), x(int64_t{n} * columns);
    const Scratch<int> pivots(n);
    for (int64_t i = begin; i < end; ++i) {
      const Matrix<T> result{data<T>(out) + i * rows_out * columns_out, rows_out, columns_out, columns_out, 1};
      const Matrix<T> b = column_major<T>(x, n, columns);
      copy(factors[i], column_major<T>(lu, n, n));
      copy(all_pivots[i], column_major<int>(pivots, n, 1));
      copy(left ? sides[i] : sides[i].transposed(), b);
      if (conjugated) std::transform(b.data, b.data + x.size(), b.data, conjugate<T>);
      int ignored = 0;
      getrs(trans, n, columns, lu.get(), std::max(n, 1), pivots.get(), x.get(), std::max(n, 1), &ignored);
      if (conjugated) std::transform(b.data, b.data + x.size(), b.data, conjugate<T>);
      copy(b, left ? result : result.transposed());
    }
  });
}

// Row-major memory of X and A is column-major memory of their transposes, so A X = B is solved as X^T A^T = B^T, in
// place and without transposing anything.
template <class T>
void triangular(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  const int batch = out->dl.ndim - 2;
  const bool upper = arg_bool(f, 2), left = arg_bool(f, 3), unit = arg_bool(f, 4);
  const MatrixBatch<T> factors(arg_tensor(f, 0), batch, out->dl.shape), sides(arg_tensor(f, 1), batch, out->dl.shape);
  const int n = lapack_int(factors.rows), rows = lapack_int(sides.rows), columns = lapack_int(sides.columns);
  if (numel(out) == 0) return;
  static const Routine<T> trsm("trsm");
  each_matrix(batch_size(out), double(n) * rows * columns, [&](int64_t begin, int64_t end) {
    Matrix<T> a = factors[0];
    const bool flipped = a.row == 1 && a.column >= n, readable = flipped || (a.column == 1 && a.row >= n);
    const Scratch<T> whole(readable ? 0 : int64_t{n} * n);
    for (int64_t i = begin; i < end; ++i) {
      a = factors[i];
      if (!readable) {
        copy(a, Matrix<T>{whole.get(), n, n, n, 1});
        a = Matrix<T>{whole.get(), n, n, n, 1};
      }
      const Matrix<T> x{data<T>(out) + i * rows * columns, rows, columns, columns, 1};
      copy(sides[i], x);
      const char uplo = upper == flipped ? 'U' : 'L';
      trsm(left ? 'R' : 'L', uplo, flipped ? 'T' : 'N', unit ? 'U' : 'N', columns, rows, T(1), a.data,
           static_cast<int>(flipped ? a.column : a.row), x.data, columns);
    }
  });
}

template <class T>
void ldl_solve(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  const int batch = out->dl.ndim - 2;
  const MatrixBatch<T> factors(arg_tensor(f, 0), batch, out->dl.shape), sides(arg_tensor(f, 2), batch, out->dl.shape);
  const MatrixBatch<int> all_pivots(arg_tensor(f, 1), batch, out->dl.shape, true);
  const int n = lapack_int(factors.rows), columns = lapack_int(sides.columns);
  const Tensor given = contiguous(arg_tensor(f, 1)), positive = Tensor::empty_like(given);
  for (int64_t i = 0; i < numel(given); ++i) data<int>(positive)[i] = std::abs(data<int>(given)[i]);
  check_pivots(data<int>(positive), numel(given), n);
  static const Routine<T> symmetric("sytrs"), conjugate_symmetric("sytrs", "hetrs");
  const Routine<T>& solve = arg_bool(f, 3) ? conjugate_symmetric : symmetric;
  each_matrix(batch_size(out), 2.0 * n * n * columns, [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{n} * n), x(int64_t{n} * columns);
    const Scratch<int> pivots(n);
    for (int64_t i = begin; i < end; ++i) {
      copy(factors[i], column_major<T>(a, n, n));
      copy(all_pivots[i], column_major<int>(pivots, n, 1));
      // A 2 x 2 block has two equal negative pivots; one alone would lead LAPACK beyond its arrays.
      for (int k = 0; k < n; ++k) {
        if (pivots[k] > 0) continue;
        if (k + 1 == n || pivots[k + 1] != pivots[k])
          fail(ATLED_E_VALUE, "expected negative pivots in equal pairs, as ldl_factor makes them");
        ++k;
      }
      copy(sides[i], column_major<T>(x, n, columns));
      int ignored = 0;
      solve('L', n, columns, a.get(), std::max(n, 1), pivots.get(), x.get(), std::max(n, 1), &ignored);
      copy(column_major<T>(x, n, columns), Matrix<T>{data<T>(out) + i * n * columns, n, columns, columns, 1});
    }
  });
}

// f(i, diagonal, sign) for each matrix: U's diagonal of its LU factorization and the sign of the row exchanges.
template <class T, class F>
void each_diagonal(atled_tensor* t, F&& f) {
  const MatrixBatch<T> input(t);
  const int n = lapack_int(input.rows);
  each_matrix(batch_size(t), 0.7 * double(n) * n * n, [&](int64_t begin, int64_t end) {
    if constexpr (!kIsComplex<T>) {
      for (int count; (count = lanes_for(n, n, end - begin)) > 0; begin += count) {
        Lanes<T> lanes(n, n);
        for (int l = 0; l < kMatrixLanes; ++l) copy(input[begin + std::min(l, count - 1)], lanes.columns(l, 0, n));
        lanes.eliminate(n);
        T diagonal[kSmallDirect];
        for (int l = 0; l < count; ++l) {
          for (int k = 0; k < n; ++k) diagonal[k] = lanes.columns(l, 0, n)(k, k);
          f(begin + l, diagonal, n, lanes.sign[l] < 0 ? -1 : 1);
        }
      }
    }
    const Scratch<T> lu(int64_t{n} * n), diagonal(n);
    const Scratch<int> pivots(n);
    for (int64_t i = begin; i < end; ++i) {
      copy(input[i], column_major<T>(lu, n, n));
      if (!kIsComplex<T> && n <= kSmallDirect) {
        small_lu<T>(lu, n, n, pivots);
      } else {
        static const Routine<T> getrf("getrf");
        int ignored = 0;
        getrf(n, n, lu.get(), std::max(n, 1), pivots.get(), &ignored);
      }
      int sign = 1;
      for (int k = 0; k < n; ++k) {
        if (pivots[k] != k + 1) sign = -sign;
        diagonal[k] = lu[k + int64_t{k} * n];
      }
      f(i, diagonal.get(), n, sign);
    }
  });
}

void det(atled_frame* f) {
  visit_lapack(out_tensor(f)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = data<T>(out_tensor(f));
    each_diagonal<T>(arg_tensor(f, 0), [=](int64_t i, const T* diagonal, int n, int sign) {
      T product = static_cast<T>(sign);
      for (int k = 0; k < n; ++k) product *= diagonal[k];
      out[i] = product;
    });
  });
}

void slogdet(atled_frame* f) {
  visit_lapack(out_tensor(f)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* signs = data<T>(out_tensor(f));
    Real<T>* logs = data<Real<T>>(out_tensor(f, 1));
    each_diagonal<T>(arg_tensor(f, 0), [=](int64_t i, const T* diagonal, int n, int sign) {
      T direction = static_cast<T>(sign);
      Real<T> sum = 0;
      for (int k = 0; k < n; ++k) {
        const Real<T> size = std::abs(diagonal[k]);
        direction *= size == 0 ? T(0) : diagonal[k] / size;
        sum += std::log(size);
      }
      signs[i] = direction;
      logs[i] = sum;
    });
  });
}

void add_solving() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("linalg::solve_ex", kernel<solve_ex>);
  cpu("linalg::inv_ex", kernel<inv_ex>);
  lapack_kernel("linalg::lu_solve", [](auto tag, atled_frame* f) { lu_solve<typename decltype(tag)::type>(f); });
  lapack_kernel("linalg::solve_triangular",
                [](auto tag, atled_frame* f) { triangular<typename decltype(tag)::type>(f); });
  lapack_kernel("linalg::ldl_solve", [](auto tag, atled_frame* f) { ldl_solve<typename decltype(tag)::type>(f); });
  cpu("linalg::det", kernel<det>);
  cpu("linalg::slogdet", kernel<slogdet>);
}

ATLED_KERNELS(add_solving);

}  // namespace
}  // namespace atled::core
