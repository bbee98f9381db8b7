#include <string>

#include "cpu/matrix_batch.h"
#include "cpu/small_matrix.h"
#include "dispatch/register.h"

namespace atled::core {
namespace {

template <class T>
void qr(atled_frame* f) {
  const MatrixBatch<T> input(arg_tensor(f, 0));
  atled_tensor *q_out = out_tensor(f, 0), *r_out = out_tensor(f, 1);
  const int m = lapack_int(input.rows), n = lapack_int(input.columns), k = std::min(m, n);
  const bool wants_q = std::string(f->args[1].u.str, f->args[1].n) != "r";
  const int width = static_cast<int>(r_out->dl.shape[r_out->dl.ndim - 2]);
  const bool small = !kIsComplex<T> && std::max(m, n) <= kSmallDirect;
  each_matrix(batch_size(r_out), 4.0 * m * n * k, [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{m} * n), q(wants_q ? int64_t{m} * std::max(width, n) : 0), tau(k);
    auto factor = [&] {
      if (small) {
        if constexpr (!kIsComplex<T>) small_qr<T>(a, m, n, wants_q ? q.get() : nullptr, width);
        return;
      }
      static const Routine<T> geqrf("geqrf"), orgqr("orgqr", "ungqr");
      int ignored = 0;
      with_work<T>([&](T* work, int size) { geqrf(m, n, a.get(), std::max(m, 1), tau.get(), work, size, &ignored); })();
      if (!wants_q) return;
      std::copy_n(a.get(), int64_t{m} * k, q.get());
      std::fill(q.get() + int64_t{m} * k, q.get() + int64_t{m} * width, T(0));
      with_work<T>(
          [&](T* work, int size) { orgqr(m, width, k, q.get(), std::max(m, 1), tau.get(), work, size, &ignored); })();
    };
    for (int64_t i = begin; i < end; ++i) {
      copy(input[i], column_major<T>(a, m, n));
      if (m > 0) factor();
      const Matrix<T> r{data<T>(r_out) + i * width * n, width, n, n, 1};
      for (int row = 0; row < width; ++row)
        for (int column = 0; column < n; ++column)
          r(row, column) = row <= column && row < k ? a[row + int64_t{column} * m] : T(0);
      if (wants_q) copy(column_major<T>(q, m, width), Matrix<T>{data<T>(q_out) + i * m * width, m, width, width, 1});
    }
  });
}

template <class T>
void geqrf(atled_frame* f) {
  const MatrixBatch<T> input(arg_tensor(f, 0));
  const int m = lapack_int(input.rows), n = lapack_int(input.columns), k = std::min(m, n);
  T *out = data<T>(out_tensor(f)), *tau = data<T>(out_tensor(f, 1));
  static const Routine<T> factor("geqrf");
  each_matrix(batch_size(out_tensor(f)), 2.0 * m * n * k, [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{m} * n);
    for (int64_t i = begin; i < end && k > 0; ++i) {
      copy(input[i], column_major<T>(a, m, n));
      int ignored = 0;
      with_work<T>([&](T* work, int size) { factor(m, n, a.get(), m, tau + i * k, work, size, &ignored); })();
      copy(column_major<T>(a, m, n), Matrix<T>{out + i * m * n, m, n, n, 1});
    }
  });
}

template <class T>
void householder_product(atled_frame* f) {
  const MatrixBatch<T> input(arg_tensor(f, 0)), factors(arg_tensor(f, 1), true);
  const int m = lapack_int(input.rows), n = lapack_int(input.columns), k = lapack_int(factors.rows);
  T* out = data<T>(out_tensor(f));
  static const Routine<T> orgqr("orgqr", "ungqr");
  each_matrix(batch_size(out_tensor(f)), 4.0 * m * n * n, [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{m} * n), tau(k);
    for (int64_t i = begin; i < end && n > 0; ++i) {
      copy(input[i], column_major<T>(a, m, n));
      copy(factors[i], column_major<T>(tau, k, 1));
      int ignored = 0;
      with_work<T>([&](T* work, int size) { orgqr(m, n, k, a.get(), m, tau.get(), work, size, &ignored); })();
      copy(column_major<T>(a, m, n), Matrix<T>{out + i * m * n, m, n, n, 1});
    }
  });
}

template <class T>
void ormqr(atled_frame* f) {
  const MatrixBatch<T> input(arg_tensor(f, 0)), factors(arg_tensor(f, 1), true), others(arg_tensor(f, 2));
  const bool left = arg_bool(f, 3), transpose = arg_bool(f, 4);
  const int order = lapack_int(input.rows), k = lapack_int(factors.rows), m = lapack_int(others.rows),
            n = lapack_int(others.columns);
  atled_tensor* out = out_tensor(f);
  static const Routine<T> multiply("ormqr", "unmqr");
  each_matrix(batch_size(out), 4.0 * m * n * k, [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{order} * k), tau(k), c(int64_t{m} * n);
    for (int64_t i = begin; i < end && numel(out) > 0; ++i) {
      Matrix<T> reflectors = input[i];
      reflectors.columns = k;
      copy(reflectors, column_major<T>(a, order, k));
      copy(factors[i], column_major<T>(tau, k, 1));
      copy(others[i], column_major<T>(c, m, n));
      int ignored = 0;
      const char trans = !transpose ? 'N' : kIsComplex<T> ? 'C' : 'T';
      with_work<T>([&](T* work, int size) {
        multiply(left ? 'L' : 'R', trans, m, n, k, a.get(), std::max(order, 1), tau.get(), c.get(), m, work, size,
                 &ignored);
      })();
      copy(column_major<T>(c, m, n), Matrix<T>{data<T>(out) + i * m * n, m, n, n, 1});
    }
  });
}

void add_orthogonal() {
  lapack_kernel("linalg::qr", [](auto tag, atled_frame* f) { qr<typename decltype(tag)::type>(f); });
  lapack_kernel("core::geqrf", [](auto tag, atled_frame* f) { geqrf<typename decltype(tag)::type>(f); });
  lapack_kernel("linalg::householder_product",
                [](auto tag, atled_frame* f) { householder_product<typename decltype(tag)::type>(f); });
  lapack_kernel("core::ormqr", [](auto tag, atled_frame* f) { ormqr<typename decltype(tag)::type>(f); });
}

ATLED_KERNELS(add_orthogonal);

}  // namespace
}  // namespace atled::core
