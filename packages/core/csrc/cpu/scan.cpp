#include "functors/scan.h"

#include <algorithm>
#include <vector>

#include "cpu/assign.h"
#include "cpu/cast.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"

namespace atled::core {

namespace {

constexpr int64_t kTile = 512;
constexpr int64_t kPiece = 65536;  // elements of a long line that one thread takes at a time

// Blocks of halves become doubles and come from them in loops that are vectors at every level.
void widened(double* to, const char* from, int dtype, int64_t n) {
  cast_loop(dtype, ATLED_FLOAT64)(reinterpret_cast<char*>(to), sizeof(double), from, 2, n);
}
void narrowed(char* to, const double* from, int dtype, int64_t n) {
  cast_loop(ATLED_FLOAT64, dtype)(to, 2, reinterpret_cast<const char*>(from), sizeof(double), n);
}

// m lines side by side, `step` elements from one element of a line to the next.
template <class T, class F>
void scan_tile(T* out, const T* in, int64_t n, int64_t step, int64_t m, ScanAcc<T> start) {
  using Acc = ScanAcc<T>;
  const F f{};
  Acc acc[kTile];
  std::fill(acc, acc + m, start);
  if constexpr (is_small_float<T>) {
    double wide[kTile];
    for (int64_t i = 0; i < n; ++i, in += step, out += step) {
      widened(wide, reinterpret_cast<const char*>(in), dtype_of<T>, m);
      for (int64_t j = 0; j < m; ++j) acc[j] = f(acc[j], wide[j]);
      narrowed(reinterpret_cast<char*>(out), acc, dtype_of<T>, m);
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i, in += step, out += step)
    for (int64_t j = 0; j < m; ++j) {
      acc[j] = f(acc[j], static_cast<Acc>(in[j]));
      out[j] = Cast<T, Acc>{}(acc[j]);
    }
}

// One line from what came before it on; returns what comes after. Blocks are scanned by themselves first, so that only
// one step for a block waits for the block before; NULL as out leaves only the result.
template <class T, class F>
ScanAcc<T> scan_line(T* out, const T* in, int64_t n, ScanAcc<T> before) {
  using Acc = ScanAcc<T>;
  constexpr int kBlock = 8;
  const F f{};
  int64_t i = 0;
  if constexpr (is_small_float<T>) {
    double wide[kTile];
    for (; i < n; i += kTile) {
      const int64_t m = std::min(kTile, n - i);
      widened(wide, reinterpret_cast<const char*>(in + i), dtype_of<T>, m);
      before = scan_line<double, F>(out ? wide : nullptr, wide, m, before);
      if (out) narrowed(reinterpret_cast<char*>(out + i), wide, dtype_of<T>, m);
    }
    return before;
  }
  for (; i + kBlock <= n; i += kBlock) {
    Acc block[kBlock];
    block[0] = static_cast<Acc>(in[i]);
    for (int k = 1; k < kBlock; ++k) block[k] = f(block[k - 1], static_cast<Acc>(in[i + k]));
    if (out)
      for (int k = 0; k < kBlock; ++k) out[i + k] = Cast<T, Acc>{}(f(before, block[k]));
    before = f(before, block[kBlock - 1]);
  }
  for (; i < n; ++i) {
    before = f(before, static_cast<Acc>(in[i]));
    if (out) out[i] = Cast<T, Acc>{}(before);
  }
  return before;
}

// Lines of halves of which several are converted together.
template <class T, class F>
void scan_short_lines(T* out, const T* in, int64_t lines, int64_t n, double start) {
  double wide[kTile];
  for (const int64_t together = kTile / n; lines > 0; lines -= together) {
    const int64_t some = std::min(together, lines) * n;
    widened(wide, reinterpret_cast<const char*>(in), dtype_of<T>, some);
    for (int64_t i = 0; i < some; i += n) scan_line<double, F>(wide + i, wide + i, n, start);
    narrowed(reinterpret_cast<char*>(out), wide, dtype_of<T>, some);
    in += some;
    out += some;
  }
}

// Lines in pieces, so that threads share a long one; the pieces depend on the shape alone.
template <class T, class F>
void scan_lines(T* out, const T* in, int64_t lines, int64_t n, ScanAcc<T> start) {
  using Acc = ScanAcc<T>;
  if (lines > 1 || n <= kPiece) {
    return parallel(lines, std::max<int64_t>(1, 32768 / n), [&](int64_t begin, int64_t end) {
      if constexpr (is_small_float<T>)
        if (n < kTile) return scan_short_lines<T, F>(out + begin * n, in + begin * n, end - begin, n, start);
      for (int64_t i = begin; i < end; ++i) scan_line<T, F>(out + i * n, in + i * n, n, start);
    });
  }
  const int64_t pieces = (n + kPiece - 1) / kPiece;
  std::vector<Acc> before(static_cast<size_t>(pieces));
  auto each = [&](T* to, int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      Acc& acc = before[static_cast<size_t>(p)];
      const Acc after = scan_line<T, F>(to ? to + p * kPiece : nullptr, in + p * kPiece,
                                        std::min(kPiece, n - p * kPiece), to ? acc : start);
      if (!to) acc = after;
    }
  };
  parallel(pieces, 1, [&](int64_t begin, int64_t end) { each(nullptr, begin, end); });
  Acc sum = start;
  for (Acc& acc : before) {
    const Acc after = F{}(sum, acc);
    acc = sum;
    sum = after;
  }
  parallel(pieces, 1, [&](int64_t begin, int64_t end) { each(out, begin, end); });
}

template <class F>
void scan(atled_frame* frame, int start) {
  const atled_tensor* out = out_tensor(frame);
  const Tensor input = contiguous(arg_tensor(frame, 0), out->dtype);
  const int ndim = input->dl.ndim, at = wrap_dim(arg_int(frame, 1), ndim);
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < at ? outer : d == at ? n : inner) *= input->dl.shape[d];
  if (outer * n * inner == 0) return;
  const int64_t tile = column_tile(outer, inner, kTile), tiles = (inner + tile - 1) / tile;
  const int64_t grain = std::max<int64_t>(1, 32768 / (n * tile));
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto first = ScanAcc<T>(start);
    if (inner == 1) return scan_lines<T, F>(data<T>(out), data<T>(input), outer, n, first);
    parallel(outer * tiles, grain, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t column = unit % tiles * tile, offset = unit / tiles * n * inner + column;
        scan_tile<T, F>(data<T>(out) + offset, data<T>(input) + offset, n, inner, std::min(tile, inner - column),
                        first);
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
