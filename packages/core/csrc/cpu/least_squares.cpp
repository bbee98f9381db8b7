#include <string>

#include "cpu/matrix_batch.h"
#include "dispatch/register.h"
#include "ops/matrix_rules.h"

namespace atled::core {
namespace {

template <class T>
struct Problem {
  int m, n, columns, leading;  // leading: rows of b, which holds right-hand sides and solutions
  T *a, *b;
  Real<T> rcond;
  Real<T>* values;
  int rank, info;
};

// QR without pivots; rank is not computed.
template <class T>
void gels(Problem<T>& p) {
  static const Routine<T> routine("gels");
  with_work<T>(
      [&](T* work, int size) { routine('N', p.m, p.n, p.columns, p.a, p.m, p.b, p.leading, work, size, &p.info); })();
}

template <class T>
void gelsy(Problem<T>& p) {
  static const Routine<T> routine("gelsy");
  const Scratch<int> pivots(p.n);
  const Scratch<Real<T>> reals(2 * int64_t{p.n});
  std::fill_n(pivots.get(), p.n, 0);
  with_work<T>([&](T* work, int size) {
    if constexpr (kIsComplex<T>) {
      routine(p.m, p.n, p.columns, p.a, p.m, p.b, p.leading, pivots.get(), p.rcond, &p.rank, work, size, reals.get(),
              &p.info);
    } else {
      routine(p.m, p.n, p.columns, p.a, p.m, p.b, p.leading, pivots.get(), p.rcond, &p.rank, work, size, &p.info);
    }
  })();
}

template <class T>
void gelss(Problem<T>& p) {
  static const Routine<T> routine("gelss");
  const Scratch<Real<T>> reals(5 * int64_t{std::min(p.m, p.n)});
  with_work<T>([&](T* work, int size) {
    if constexpr (kIsComplex<T>) {
      routine(p.m, p.n, p.columns, p.a, p.m, p.b, p.leading, p.values, p.rcond, &p.rank, work, size, reals.get(),
              &p.info);
    } else {
      routine(p.m, p.n, p.columns, p.a, p.m, p.b, p.leading, p.values, p.rcond, &p.rank, work, size, &p.info);
    }
  })();
}

template <class T>
void gelsd(Problem<T>& p) {
  static const Routine<T> routine("gelsd");
  T size{};
  Real<T> reals{};
  int integers = 0;
  auto run = [&](T* work, int length, Real<T>* real_work, int* integer_work) {
    if constexpr (kIsComplex<T>) {
      routine(p.m, p.n, p.columns, p.a, p.m, p.b, p.leading, p.values, p.rcond, &p.rank, work, length, real_work,
              integer_work, &p.info);
    } else {
      routine(p.m, p.n, p.columns, p.a, p.m, p.b, p.leading, p.values, p.rcond, &p.rank, work, length, integer_work,
              &p.info);
    }
  };
  run(&size, -1, &reals, &integers);
  const Scratch<T> work(work_size(size));
  const Scratch<Real<T>> real_work(kIsComplex<T> ? work_size(reals) : 0);
  const Scratch<int> integer_work(integers);
  run(work.get(), static_cast<int>(work.size()), real_work.get(), integer_work.get());
}

template <class T>
void lstsq(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  const int batch = out->dl.ndim - 2;
  const std::string driver(f->args[3].u.str, f->args[3].n);
  auto* const run = driver == "gels" ? gels<T> : driver == "gelsd" ? gelsd<T> : driver == "gelss" ? gelss<T> : gelsy<T>;
  const MatrixBatch<T> matrices(arg_tensor(f, 0), batch, out->dl.shape), sides(arg_tensor(f, 1), batch, out->dl.shape);
  const int m = lapack_int(matrices.rows), n = lapack_int(matrices.columns), columns = lapack_int(sides.columns);
  const int k = std::min(m, n), leading = std::max({m, n, 1});
  const double eps = std::numeric_limits<Real<T>>::epsilon();
  const Real<T> rcond = static_cast<Real<T>>(arg_is_none(f, 2) ? eps * std::max(m, n) : arg_double(f, 2));
  const Tensor info = Tensor::empty(ATLED_INT32, batch, out->dl.shape), bad = Tensor::empty_like(info);
  int64_t* ranks = data<int64_t>(out_tensor(f, 1));
  Real<T>* values = data<Real<T>>(out_tensor(f, 2));
  each_matrix(batch_size(out), 4.0 * m * n * (k + columns), [&](int64_t begin, int64_t end) {
    const Scratch<T> a(int64_t{m} * n), b(int64_t{leading} * columns);
    const Scratch<Real<T>> spectrum(k);
    for (int64_t i = begin; i < end; ++i) {
      Problem<T> p{m, n, columns, leading, a.get(), b.get(), rcond, spectrum.get(), k, 0};
      copy(matrices[i], column_major<T>(a, m, n));
      std::fill_n(b.get(), b.size(), T(0));
      std::fill_n(spectrum.get(), k, Real<T>(0));  // which gels and gelsy leave alone
      Matrix<T> sides_here = column_major<T>(b, leading, columns);
      sides_here.rows = m;
      copy(sides[i], sides_here);
      data<int>(bad)[i] = !all_finite(column_major<T>(a, m, n)) || !all_finite(sides_here);
      if (k > 0 && !data<int>(bad)[i]) run(p);
      if (k == 0) std::fill_n(b.get(), b.size(), T(0));
      data<int>(info)[i] = p.info;
      ranks[i] = p.rank;
      std::copy_n(spectrum.get(), k, values + i * k);
      Matrix<T> solved = column_major<T>(b, leading, columns);
      solved.rows = n;
      copy(solved, Matrix<T>{data<T>(out) + i * n * columns, n, columns, columns, 1});
    }
  });
  expect_success(bad, "expected finite elements, got NaN or infinity in the system");
  expect_success(info, driver == "gels"
                           ? "expected a matrix of full rank, which gels needs (gelsy, gelsd and gelss do not), "
                             "got one whose pivot %d is zero"
                           : "expected the singular values to converge, which they did not (code %d)");
}

void add_least_squares() {
  lapack_kernel("linalg::_lstsq", [](auto tag, atled_frame* f) { lstsq<typename decltype(tag)::type>(f); });
}

ATLED_KERNELS(add_least_squares);

}  // namespace
}  // namespace atled::core
