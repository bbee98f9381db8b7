#include <algorithm>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "functors/explog.h"

namespace atled::core {

namespace {

constexpr int64_t kTile = 64;

template <bool kLog>
void softmax(atled_frame* frame) {
  const atled_tensor* out = out_tensor(frame);
  const Tensor input = contiguous(arg_tensor(frame, 0), out->dtype);
  const int ndim = input->dl.ndim, at = wrap_dim(arg_int(frame, 1), ndim);
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < at ? outer : d == at ? n : inner) *= input->dl.shape[d];
  if (outer * n * inner == 0) return;
  const int64_t tiles = (inner + kTile - 1) / kTile, grain = std::max<int64_t>(1, 8192 / (n * std::min(inner, kTile)));
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T> && !is_complex_type<T>) {
      using Acc = std::conditional_t<is_small_float<T>, float, T>;
      T* to = data<T>(out);
      const T* from = data<T>(input);
      parallel(outer * tiles, grain, [&](int64_t begin, int64_t end) {
        Acc tops[kTile], sums[kTile];
        for (int64_t unit = begin; unit < end; ++unit) {
          const int64_t first = unit % tiles * kTile, offset = unit / tiles * n * inner + first;
          if (inner == 1) {
            ATLED_PICK(softmax_row<T, Acc, Exp, kLog>)(to + offset, from + offset, n);
          } else {
            ATLED_PICK(softmax_columns<T, Acc, Exp, kLog>)(to + offset, from + offset, n, inner,
                                                           std::min(kTile, inner - first), tops, sums);
          }
        }
      });
    }
  });
}

void add_softmax() {
  cpu_kernel("core::softmax", kernel<softmax<false>>);
  cpu_kernel("core::log_softmax", kernel<softmax<true>>);
}
ATLED_KERNELS(add_softmax);

}  // namespace

}  // namespace atled::core
