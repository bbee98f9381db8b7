#include "functors/distance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/lanes.h"
#include "cpu/parallel.h"
#include "functors/reduction.h"
#include "ops/layout.h"

namespace atled::core {
namespace {

constexpr int64_t kManyRows = 25;  // from so many on, products are quicker than differences
constexpr int64_t kBlock = 256;    // distances that are looked at together
constexpr int kLanes = 16;         // partial sums side by side, for vector code and for accuracy

namespace distances {

#define ATLED_LEVEL_BODY "cpu/distance.inl"
#include "cpu/each_level.inl"

}  // namespace distances

template <class T, class M>
void fill_distances(const Tensor& x1, const Tensor& x2, const atled_tensor* out, const M& metric) {
  using A = OrderAcc<T>;
  const int ndim = out->dl.ndim;
  const int64_t rows = out->dl.shape[ndim - 2], columns = out->dl.shape[ndim - 1], n = x1->dl.shape[ndim - 1];
  const int64_t lines = columns > 0 ? numel(out) / columns : 0;
  parallel(lines, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, columns * n)), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const A *x = data<A>(x1) + line * n, *y = data<A>(x2) + line / rows * columns * n;
      ATLED_PICK_OF(distances, row<T, A, M>)(x, y, n, columns, data<T>(out) + line * columns, metric);
    }
  });
}

// Euclid's from products, as |x|^2 + |y|^2 - 2 x.y; where that cancels, from differences after all.
template <class T>
void fill_from_products(const Tensor& x1, const Tensor& x2, const atled_tensor* out) {
  static const Op matmul{"core::matmul"}, transpose{"core::transpose"};
  using A = OrderAcc<T>;
  const int ndim = out->dl.ndim;
  const int64_t rows = out->dl.shape[ndim - 2], columns = out->dl.shape[ndim - 1], n = x1->dl.shape[ndim - 1];
  const Tensor products = matmul(x1, transpose(x2, -1, -2));
  auto squares = [n](const Tensor& x) {
    std::vector<A> sums(static_cast<size_t>(numel(x) / n));
    for (size_t i = 0; i < sums.size(); ++i) {
      const A* row = data<A>(x) + static_cast<int64_t>(i) * n;
      double sum = 0;
      for (int64_t k = 0; k < n; ++k) sum += static_cast<double>(row[k]) * static_cast<double>(row[k]);
      sums[i] = static_cast<A>(sum);
    }
    return sums;
  };
  const std::vector<A> first = squares(x1), second = squares(x2);
  parallel(numel(out) / columns, std::max<int64_t>(1, 16384 / columns), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t batch = line / rows * columns;
      const A *x = data<A>(x1) + line * n, *product = data<A>(products) + line * columns;
      const A lead = first[static_cast<size_t>(line)], *other = second.data() + batch;
      T* to = data<T>(out) + line * columns;
      for (int64_t j = 0; j < columns; j += kBlock) {
        const int64_t end = std::min(columns, j + kBlock);
        int inexact = 0;
        ATLED_IVDEP
        for (int64_t k = j; k < end; ++k) {
          const A total = lead + other[k], square = total - 2 * product[k];
          // NaN and infinity fail the test too.
          inexact += !(square > total / 8);
          to[k] = T(std::sqrt(square));
        }
        for (int64_t k = j; k < end && inexact > 0; ++k) {
          const A total = lead + other[k];
          if (!(total - 2 * product[k] > total / 8))
            ATLED_PICK_OF(distances, row<T, A, Euclid>)(x, data<A>(x2) + (batch + k) * n, n, 1, to + k, Euclid{});
        }
      }
    }
  });
}

void cdist(atled_frame* f) {
  const atled_tensor* out = out_tensor(f);
  const int dtype = compute_dtype(out->dtype);
  const Tensor x1 = contiguous(batched(arg_tensor(f, 0), out), dtype),
               x2 = contiguous(batched(arg_tensor(f, 1), out), dtype);
  const double p = arg_double(f, 2);
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T> && !is_complex_type<T>) {
      if (p == 2 && std::min(x1->dl.shape[out->dl.ndim - 2], x2->dl.shape[out->dl.ndim - 2]) >= kManyRows &&
          x1->dl.shape[out->dl.ndim - 1] > 0)
        return fill_from_products<T>(x1, x2, out);
      visit_metric(p, [&](const auto& metric) { fill_distances<T>(x1, x2, out, metric); });
    }
  });
}

void add_distance() { cpu_kernel("core::cdist", kernel<cdist>); }
ATLED_KERNELS(add_distance);

}  // namespace
}  // namespace atled::core
