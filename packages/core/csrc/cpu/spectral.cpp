#include <string>

#include "cpu/matrix_batch.h"
#include "cpu/small_matrix.h"
#include "dispatch/register.h"
#include "ops/matrix_rules.h"

namespace atled::core {
namespace {

// LAPACK may run for ever, or crash, on NaN.
template <class T>
void expect_finite(const atled_tensor* t, const MatrixBatch<T>& batch) {
  const Tensor info = Tensor::empty(ATLED_INT32, t->dl.ndim - 2, t->dl.shape);
  each_matrix(batch_size(t), double(batch.rows) * batch.columns, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) data<int>(info)[i] = all_finite(batch[i]) ? 0 : 1;
  });
  expect_success(info, "expected finite elements, got NaN or infinity in the matrix");
}

// What LAPACK's iterations answer: 0, or that they did not converge.
Tensor fresh_info(const atled_tensor* t) {
  Tensor info = Tensor::empty(ATLED_INT32, t->dl.ndim - 2, t->dl.shape);
  std::fill_n(data<int>(info), numel(info), 0);
  return info;
}
constexpr char kDiverged[] = "expected the iteration to converge, which it did not (code %d) for the matrix";

template <class T>
int gesdd(char job, int m, int n, T* a, Real<T>* s, T* u, int ldu, T* vt, int ldvt) {
  static const Routine<T> routine("gesdd");
  const int k = std::min(m, n);
  int info = 0;
  const Scratch<int> integers(8 * int64_t{k});
  if constexpr (kIsComplex<T>) {
    const int64_t big = std::max(m, n);
    const Scratch<Real<T>> reals(job == 'N' ? 7 * int64_t{k} : k * std::max(5 * int64_t{k} + 7, 2 * big + 2 * k + 1));
    with_work<T>([&](T* work, int size) {
      routine(job, m, n, a, m, s, u, ldu, vt, ldvt, work, size, reals.get(), integers.get(), &info);
    })();
  } else {
    with_work<T>(
        [&](T* work, int size) { routine(job, m, n, a, m, s, u, ldu, vt, ldvt, work, size, integers.get(), &info); })();
  }
  return info;
}

// Where one side is longer, as columns: u (m x k) and s, and v (n x k) if vectors are wanted.
template <class T>
bool small_both(const Matrix<T>& a, T* s, const Matrix<T>* u, const Matrix<T>* vh) {
  T left[kSmallJacobi * kSmallJacobi], right[kSmallJacobi * kSmallJacobi];
  const bool tall = a.rows >= a.columns;
  const int m = static_cast<int>(std::max(a.rows, a.columns)), n = static_cast<int>(std::min(a.rows, a.columns));
  copy(tall ? a : a.transposed(), column_major<T>(left, m, n));
  if (!small_svd(left, m, n, s, u ? right : nullptr)) return false;
  if (!u) return true;
  copy(column_major<T>(tall ? left : right, tall ? m : n, n), *u);
  copy(column_major<T>(tall ? right : left, tall ? n : m, n).transposed(), *vh);
  return true;
}

// Row-major memory of A is column-major memory of A^T = Vh^T S U^T, so LAPACK's left vectors are Vh in row-major
// memory, and its right ones U: nothing is transposed.
template <class T>
void svd(atled_tensor* input, atled_tensor* u_out, atled_tensor* s_out, atled_tensor* vh_out) {
  const MatrixBatch<T> batch(input);
  expect_finite(input, batch);
  const int m = lapack_int(batch.rows), n = lapack_int(batch.columns), k = std::min(m, n);
  Real<T>* values = data<Real<T>>(s_out);
  T *u = u_out ? data<T>(u_out) : nullptr, *vh = u_out ? data<T>(vh_out) : nullptr;
  const int64_t u_width = u_out ? u_out->dl.shape[u_out->dl.ndim - 1] : 0;
  const int64_t vh_rows = u_out ? vh_out->dl.shape[vh_out->dl.ndim - 2] : 0;
  const bool square = u_width == vh_rows || !u_out;
  const bool small = !kIsComplex<T> && std::max(m, n) <= kSmallJacobi && square;
  const Tensor info = fresh_info(input);
  each_matrix(batch_size(input), 20.0 * m * n * k, [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{m} * n);
    for (int64_t i = begin; i < end; ++i) {
      const Matrix<T> u_i{u + i * m * u_width, m, u_width, u_width, 1}, vh_i{vh + i * vh_rows * n, vh_rows, n, n, 1};
      if (k == 0) {
        if (u) {
          set_identity(u_i);
          set_identity(vh_i);
        }
        continue;
      }
      if constexpr (!kIsComplex<T>) {
        if (small && small_both(batch[i], values + i * k, u ? &u_i : nullptr, &vh_i)) continue;
      }
      copy(batch[i], Matrix<T>{a.get(), m, n, n, 1});
      const char job = !u ? 'N' : u_width == m && vh_rows == n ? 'A' : 'S';
      T unused{};
      data<int>(info)[i] = gesdd(job, n, m, a.get(), values + i * k, u ? vh_i.data : &unused, n, u ? u_i.data : &unused,
                                 std::max<int>(static_cast<int>(u_width), 1));
    }
  });
  expect_success(info, kDiverged);
}

template <class T>
int syevd(char job, char uplo, int n, T* a, Real<T>* w) {
  static const Routine<T> routine("syevd", "heevd");
  int info = 0, integers = 0;
  if constexpr (kIsComplex<T>) {
    T size{};
    Real<T> reals{};
    routine(job, uplo, n, a, n, w, &size, -1, &reals, -1, &integers, -1, &info);
    const Scratch<T> work(work_size(size));
    const Scratch<Real<T>> real_work(work_size(reals));
    const Scratch<int> integer_work(integers);
    routine(job, uplo, n, a, n, w, work.get(), int(work.size()), real_work.get(), int(real_work.size()),
            integer_work.get(), integers, &info);
  } else {
    T size{};
    routine(job, uplo, n, a, n, w, &size, -1, &integers, -1, &info);
    const Scratch<T> work(work_size(size));
    const Scratch<int> integer_work(integers);
    routine(job, uplo, n, a, n, w, work.get(), int(work.size()), integer_work.get(), integers, &info);
  }
  return info;
}

template <class T>
void eigh(atled_frame* f, bool vectors) {
  const MatrixBatch<T> batch(arg_tensor(f, 0));
  const bool upper = f->args[1].u.str[0] == 'U' || f->args[1].u.str[0] == 'u';
  const int n = lapack_int(batch.rows);
  Real<T>* values = data<Real<T>>(out_tensor(f));
  T* out = vectors ? data<T>(out_tensor(f, 1)) : nullptr;
  const Tensor info = fresh_info(arg_tensor(f, 0)), bad = fresh_info(arg_tensor(f, 0));
  each_matrix(batch_size(arg_tensor(f, 0)), 9.0 * n * n * n, [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{n} * n), v(int64_t{n} * n);
    for (int64_t i = begin; i < end && n > 0; ++i) {
      // The triangle that counts becomes both.
      const Matrix<T> from = batch[i], to = column_major<T>(a, n, n);
      auto fill = [&] {
        for (int64_t j = 0; j < n; ++j)
          for (int64_t r = j; r < n; ++r) {
            const T x = upper ? conjugate(from(j, r)) : from(r, j);
            to(r, j) = x;
            to(j, r) = conjugate(x);
          }
      };
      fill();
      if (!all_finite(to)) {
        data<int>(bad)[i] = 1;
        continue;
      }
      bool done = false;
      if constexpr (!kIsComplex<T>) {
        if (n <= kSmallJacobi) done = small_eigh(a.get(), n, values + i * n, vectors ? v.get() : nullptr);
      }
      if (!done) {
        fill();
        data<int>(info)[i] = syevd(vectors ? 'V' : 'N', 'L', n, a.get(), values + i * n);
      }
      if (vectors) copy(column_major<T>(done ? v : a, n, n), Matrix<T>{out + i * n * n, n, n, n, 1});
    }
  });
  expect_success(bad, "expected finite elements, got NaN or infinity in the matrix");
  expect_success(info, kDiverged);
}

// The eigenvalues, and right eigenvectors unless v is NULL, of a, which is destroyed; v has n columns.
template <class T>
int geev(int n, T* a, std::complex<Real<T>>* w, std::complex<Real<T>>* v) {
  static const Routine<T> routine("geev");
  using C = std::complex<Real<T>>;
  const char job = v ? 'V' : 'N';
  int info = 0;
  T unused{};
  if constexpr (kIsComplex<T>) {
    const Scratch<Real<T>> reals(2 * int64_t{n});
    with_work<T>([&](T* work, int size) {
      routine('N', job, n, a, n, w, &unused, 1, v ? v : &unused, n, work, size, reals.get(), &info);
    })();
  } else {
    const Scratch<T> parts(2 * int64_t{n}), vectors(v ? int64_t{n} * n : 1);
    const T *re = parts.get(), *im = parts.get() + n;
    with_work<T>([&](T* work, int size) {
      routine('N', job, n, a, n, re, im, &unused, 1, vectors.get(), n, work, size, &info);
    })();
    for (int j = 0; j < n; ++j) w[j] = C(re[j], im[j]);
    // A pair of conjugate eigenvalues has its vectors as real and imaginary parts in two columns.
    for (int j = 0; j < n && v; ++j) {
      const T *x = vectors.get() + int64_t{j} * n, *y = x + n;
      C* out = v + int64_t{j} * n;
      if (im[j] == 0) {
        for (int r = 0; r < n; ++r) out[r] = x[r];
        continue;
      }
      for (int r = 0; r < n; ++r) {
        out[r] = C(x[r], y[r]);
        out[n + r] = C(x[r], -y[r]);
      }
      ++j;
    }
  }
  return info;
}

template <class T>
void eig(atled_frame* f, bool vectors) {
  using C = std::complex<Real<T>>;
  const MatrixBatch<T> batch(arg_tensor(f, 0));
  expect_finite(arg_tensor(f, 0), batch);
  const int n = lapack_int(batch.rows);
  C *values = data<C>(out_tensor(f)), *out = vectors ? data<C>(out_tensor(f, 1)) : nullptr;
  const Tensor info = fresh_info(arg_tensor(f, 0));
  each_matrix(batch_size(arg_tensor(f, 0)), 25.0 * n * n * n, [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{n} * n);
    const Scratch<C> v(vectors ? int64_t{n} * n : 0);
    for (int64_t i = begin; i < end && n > 0; ++i) {
      copy(batch[i], column_major<T>(a, n, n));
      data<int>(info)[i] = geev(n, a.get(), values + i * n, vectors ? v.get() : nullptr);
      if (vectors) copy(column_major<C>(v, n, n), Matrix<C>{out + i * n * n, n, n, n, 1});
    }
  });
  expect_success(info, kDiverged);
}

// The kernels of (A) -> (eigenvalues[, eigenvectors]) and their like, by A's dtype.
template <class F>
void by_input(const atled_frame* f, F&& run) {
  visit_lapack(arg_tensor(f, 0)->dtype, run);
}

void svd_kernel(atled_frame* f) {
  by_input(f, [&](auto tag) {
    svd<typename decltype(tag)::type>(arg_tensor(f, 0), out_tensor(f, 0), out_tensor(f, 1), out_tensor(f, 2));
  });
}
void svdvals(atled_frame* f) {
  by_input(f, [&](auto tag) { svd<typename decltype(tag)::type>(arg_tensor(f, 0), nullptr, out_tensor(f), nullptr); });
}
template <bool kVectors>
void eigh_kernel(atled_frame* f) {
  by_input(f, [&](auto tag) { eigh<typename decltype(tag)::type>(f, kVectors); });
}
template <bool kVectors>
void eig_kernel(atled_frame* f) {
  by_input(f, [&](auto tag) { eig<typename decltype(tag)::type>(f, kVectors); });
}

void add_spectral() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("linalg::svd", kernel<svd_kernel>);
  cpu("linalg::svdvals", kernel<svdvals>);
  cpu("linalg::eigh", kernel<eigh_kernel<true>>);
  cpu("linalg::eigvalsh", kernel<eigh_kernel<false>>);
  cpu("linalg::eig", kernel<eig_kernel<true>>);
  cpu("linalg::eigvals", kernel<eig_kernel<false>>);
}

ATLED_KERNELS(add_spectral);

}  // namespace
}  // namespace atled::core
