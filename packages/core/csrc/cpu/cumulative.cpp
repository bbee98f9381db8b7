#include "functors/cumulative.h"

#include <algorithm>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"

namespace atled::core {
namespace {

constexpr int64_t kTile = 64;

// A contiguous tensor seen as (outer, n, inner): f(offset of the first element, how many columns of it, the step from
// one element of a column to the next, n), for tiles of columns over the thread pool.
template <class F>
void each_tile(const atled_tensor* t, int64_t dim, F&& f) {
  const int ndim = t->dl.ndim, at = wrap_dim(dim, ndim);
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < at ? outer : d == at ? n : inner) *= t->dl.shape[d];
  if (outer * n * inner == 0) return;
  const int64_t tiles = (inner + kTile - 1) / kTile, grain = std::max<int64_t>(1, 32768 / (n * std::min(inner, kTile)));
  parallel(outer * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % tiles * kTile;
      f(unit / tiles * n * inner + first, std::min(kTile, inner - first), inner, n);
    }
  });
}

// One line alone: a new best is rare, so a branch costs less than waiting for the last choice.
template <bool kLargest, class A, class S>
void run_line(const S* in, int64_t step, int64_t n, S* values, int64_t* indices) {
  A best = static_cast<A>(in[0]);
  S stored = in[0];
  int64_t where = 0;
  for (int64_t i = 0; i < n; ++i) {
    const A x = static_cast<A>(in[i * step]);
    if (takes_over(kLargest, x, best)) {
      best = x;
      stored = in[i * step];
      where = i;
    }
    values[i * step] = stored;
    indices[i * step] = where;
  }
}

template <bool kLargest>
void extreme(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0));
  visit_dtype(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!is_complex_type<T>) {
      using A = OrderAcc<T>;
      const Stored<T>* in = data<Stored<T>>(input);
      Stored<T>* values = data<Stored<T>>(out_tensor(f, 0));
      int64_t* indices = data<int64_t>(out_tensor(f, 1));
      each_tile(input, arg_int(f, 1), [&](int64_t offset, int64_t columns, int64_t step, int64_t n) {
        if (columns == 1) return run_line<kLargest, A>(in + offset, step, n, values + offset, indices + offset);
        A best[kTile];
        int64_t where[kTile];
        for (int64_t i = 0; i < n; ++i, offset += step)
          for (int64_t j = 0; j < columns; ++j) {
            const A x = static_cast<A>(in[offset + j]);
            const bool better = i == 0 || takes_over(kLargest, x, best[j]);
            best[j] = better ? x : best[j];
            where[j] = better ? i : where[j];
            values[offset + j] = Stored<T>(best[j]);
            indices[offset + j] = where[j];
          }
      });
    }
  });
}

void logcumsumexp(atled_frame* f) {
  const atled_tensor* out = out_tensor(f);
  const Tensor input = contiguous(arg_tensor(f, 0), out->dtype);
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T> && !is_complex_type<T>) {
      each_tile(out, arg_int(f, 1), [&](int64_t offset, int64_t columns, int64_t step, int64_t n) {
        LogSum sums[kTile];
        for (int64_t i = 0; i < n; ++i, offset += step)
          for (int64_t j = 0; j < columns; ++j) {
            sums[j].add(Cast<double, T>{}(data<T>(input)[offset + j]));
            data<T>(out)[offset + j] = Cast<T, double>{}(sums[j].value());
          }
      });
    }
  });
}

void add_cumulative() {
  cpu_kernel("core::cummax", kernel<extreme<true>>);
  cpu_kernel("core::cummin", kernel<extreme<false>>);
  cpu_kernel("core::logcumsumexp", kernel<logcumsumexp>);
}
ATLED_KERNELS(add_cumulative);

}  // namespace
}  // namespace atled::core
