#include "cpu/matrix_batch.h"
#include "cpu/small_matrix.h"
#include "dispatch/register.h"
#include "ops/matrix_rules.h"

namespace atled::core {
namespace {

// Row-major memory of A is column-major memory of A^T = conj(A), whose factors are the transposes of A's: LAPACK works
// in place, on the other triangle.
template <class T>
void cholesky(atled_frame* f) {
  const MatrixBatch<T> input(arg_tensor(f, 0));
  const bool upper = arg_bool(f, 1);
  const int n = lapack_int(input.rows);
  T* factors = data<T>(out_tensor(f));
  int* info = data<int>(out_tensor(f, 1));
  auto clear = [&](T* a) {
    for (int64_t i = 0; i < n; ++i) {
      T* row = a + i * n;
      upper ? std::fill(row, row + i, T(0)) : std::fill(row + i + 1, row + n, T(0));
    }
  };
  each_matrix(batch_size(out_tensor(f)), n * double(n) * n / 3, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* a = factors + i * n * n;
      copy(input[i], Matrix<T>{a, n, n, n, 1});
      if constexpr (!kIsComplex<T>) {
        if (n <= kSmallDirect) {
          info[i] = upper ? small_cholesky(a, n, 1, n) : small_cholesky(a, n, n, 1);
          clear(a);
          continue;
        }
      }
      static const Routine<T> potrf("potrf");
      potrf(upper ? 'L' : 'U', n, a, std::max(n, 1), &info[i]);
      // OpenBLAS goes on with NaN.
      for (int k = 0; k < n && info[i] == 0; ++k)
        if (!(std::real(a[k * (int64_t{n} + 1)]) > 0)) info[i] = k + 1;
      clear(a);
    }
  });
}

void cholesky_ex(atled_frame* f) {
  visit_lapack(out_tensor(f)->dtype, [&](auto tag) { cholesky<typename decltype(tag)::type>(f); });
  if (arg_bool(f, 2))
    expect_success(Tensor::borrow(out_tensor(f, 1)),
                   "expected a positive-definite matrix, got one whose leading minor of order %d is not positive");
}

template <class T>
void lu(atled_frame* f) {
  const MatrixBatch<T> input(arg_tensor(f, 0));
  const bool pivot = arg_bool(f, 1);
  const int m = lapack_int(input.rows), n = lapack_int(input.columns), k = std::min(m, n);
  T* out = data<T>(out_tensor(f));
  int *pivots = data<int>(out_tensor(f, 1)), *info = data<int>(out_tensor(f, 2));
  each_matrix(batch_size(out_tensor(f)), double(m) * n * k, [&](int64_t begin, int64_t end) {
    const Scratch<T> scratch(int64_t{m} * n);
    for (int64_t i = begin; i < end; ++i) {
      const Matrix<T> a = column_major<T>(scratch, m, n);
      copy(input[i], a);
      const bool small = !kIsComplex<T> && std::max(m, n) <= kSmallDirect;
      if (small || !pivot) {
        info[i] = small_lu<T>(scratch, m, n, pivots + i * k, pivot);
      } else {
        static const Routine<T> getrf("getrf");
        info[i] = 0;
        if (k > 0) getrf(m, n, a.data, m, pivots + i * k, &info[i]);
      }
      copy(a, Matrix<T>{out + i * m * n, m, n, n, 1});
    }
  });
}

void lu_factor_ex(atled_frame* f) {
  visit_lapack(out_tensor(f)->dtype, [&](auto tag) { lu<typename decltype(tag)::type>(f); });
  if (arg_bool(f, 2))
    expect_success(Tensor::borrow(out_tensor(f, 2)), "expected a matrix of full rank, got one whose pivot %d is zero");
}

template <class T>
void ldl(atled_frame* f) {
  const MatrixBatch<T> input(arg_tensor(f, 0));
  const bool hermitian = arg_bool(f, 1);
  const int n = lapack_int(input.rows);
  T* out = data<T>(out_tensor(f));
  int *pivots = data<int>(out_tensor(f, 1)), *info = data<int>(out_tensor(f, 2));
  static const Routine<T> symmetric("sytrf"), conjugate_symmetric("sytrf", "hetrf");
  const Routine<T>& factor = hermitian ? conjugate_symmetric : symmetric;
  each_matrix(batch_size(out_tensor(f)), n * double(n) * n / 3, [&](int64_t begin, int64_t end) {
    const Scratch<T> scratch(int64_t{n} * n);
    for (int64_t i = begin; i < end; ++i) {
      const Matrix<T> a = column_major<T>(scratch, n, n);
      copy(input[i], a);
      with_work<T>(
          [&](T* work, int size) { factor('L', n, a.data, std::max(n, 1), pivots + i * n, work, size, &info[i]); })();
      for (int64_t j = 1; j < n; ++j) std::fill_n(a.data + j * n, j, T(0));
      copy(a, Matrix<T>{out + i * n * n, n, n, n, 1});
    }
  });
}

void ldl_factor_ex(atled_frame* f) {
  visit_lapack(out_tensor(f)->dtype, [&](auto tag) { ldl<typename decltype(tag)::type>(f); });
  if (arg_bool(f, 2))
    expect_success(Tensor::borrow(out_tensor(f, 2)), "expected a matrix of full rank, got one whose pivot %d is zero");
}

void pivots_to_permutation(atled_frame* f) {
  const Tensor pivots = contiguous(arg_tensor(f, 0), ATLED_INT64);
  atled_tensor* out = out_tensor(f);
  const int64_t n = arg_int(f, 1), k = pivots->dl.shape[pivots->dl.ndim - 1], count = n ? numel(out) / n : 0;
  for (int64_t b = 0; b < count; ++b) {
    int64_t* order = data<int64_t>(out) + b * n;
    for (int64_t i = 0; i < n; ++i) order[i] = i;
    for (int64_t i = 0; i < k; ++i) {
      const int64_t other = data<int64_t>(pivots)[b * k + i];
      if (other < 1 || other > n)
        fail(ATLED_E_BOUNDS, "expected pivots in [1, %lld], got %lld", (long long)n, (long long)other);
      std::swap(order[i], order[other - 1]);
    }
  }
}

void add_factorization() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("linalg::cholesky_ex", kernel<cholesky_ex>);
  cpu("linalg::lu_factor_ex", kernel<lu_factor_ex>);
  cpu("linalg::ldl_factor_ex", kernel<ldl_factor_ex>);
  cpu("linalg::_pivots_to_permutation", kernel<pivots_to_permutation>);
}

ATLED_KERNELS(add_factorization);

}  // namespace
}  // namespace atled::core
