#include <algorithm>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "functors/reduction.h"

namespace atled::core {

namespace {

constexpr int64_t kTile = 64;

// Floats run in double: the error must not grow along the way.
template <class T>
using ScanAcc = std::conditional_t<std::is_integral_v<T>, uint64_t,
                                   std::conditional_t<is_complex_type<T>, std::complex<double>, double>>;

template <class T, class F>
void scan_tile(T* out, const T* in, int64_t n, int64_t step, int64_t m, ScanAcc<T> start) {
  using Acc = ScanAcc<T>;
  const F f{};
  Acc acc[kTile];
  std::fill(acc, acc + m, start);
  for (int64_t i = 0; i < n; ++i, in += step, out += step)
    for (int64_t j = 0; j < m; ++j) {
      acc[j] = f(acc[j], static_cast<Acc>(in[j]));
      out[j] = Cast<T, Acc>{}(acc[j]);
    }
}

constexpr int64_t kRows = 4;  // rows that are run together, since each waits for its last sum

template <class T, class F>
void scan_rows(T* out, const T* in, int64_t n, int64_t rows, ScanAcc<T> start) {
  using Acc = ScanAcc<T>;
  const F f{};
  Acc acc[kRows];
  std::fill(acc, acc + kRows, start);
  if (rows == kRows) {
    for (int64_t i = 0; i < n; ++i)
      for (int64_t r = 0; r < kRows; ++r) {
        acc[r] = f(acc[r], static_cast<Acc>(in[r * n + i]));
        out[r * n + i] = Cast<T, Acc>{}(acc[r]);
      }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    Acc sum = start;
    for (int64_t i = r * n; i < (r + 1) * n; ++i) {
      sum = f(sum, static_cast<Acc>(in[i]));
      out[i] = Cast<T, Acc>{}(sum);
    }
  }
}

template <class F>
void scan(atled_frame* frame, int start) {
  const atled_tensor* out = out_tensor(frame);
  const Tensor input = contiguous(arg_tensor(frame, 0), out->dtype);
  const int ndim = input->dl.ndim, at = wrap_dim(arg_int(frame, 1), ndim);
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < at ? outer : d == at ? n : inner) *= input->dl.shape[d];
  if (outer * n * inner == 0) return;
  const int64_t tiles = (inner + kTile - 1) / kTile, grain = std::max<int64_t>(1, 32768 / (n * std::min(inner, kTile)));
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (inner == 1)
      return parallel((outer + kRows - 1) / kRows, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin * kRows; row < std::min(outer, end * kRows); row += kRows)
          scan_rows<T, F>(data<T>(out) + row * n, data<T>(input) + row * n, n, std::min(kRows, outer - row),
                          ScanAcc<T>(start));
      });
    parallel(outer * tiles, grain, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t first = unit % tiles * kTile, offset = unit / tiles * n * inner + first;
        scan_tile<T, F>(data<T>(out) + offset, data<T>(input) + offset, n, inner, std::min(kTile, inner - first),
                        ScanAcc<T>(start));
      }
    });
  });
}

void cumsum(atled_frame* frame) { scan<Add>(frame, 0); }
void cumprod(atled_frame* frame) { scan<Mul>(frame, 1); }

void add_scan() {
  cpu_kernel("core::cumsum", kernel<cumsum>);
  cpu_kernel("core::cumprod", kernel<cumprod>);
}
ATLED_KERNELS(add_scan);

}  // namespace

}  // namespace atled::core
