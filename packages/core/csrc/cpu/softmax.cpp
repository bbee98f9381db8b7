#include "functors/softmax.h"

#include <algorithm>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "functors/arithmetic.h"
#include "functors/explog.h"

namespace atled::core {

namespace {

namespace lines {

constexpr int64_t kTile = 1024;  // columns side by side
// Elements of a row, and rows of a column, whose exponentials are summed in Acc: few enough that equal ones, which all
// round the same way, leave the result within 4 ulp.
constexpr int64_t kBlock = 512;
constexpr int64_t kRows = 32;

#define ATLED_LEVEL_BODY "cpu/softmax.inl"
#include "cpu/each_level.inl"

}  // namespace lines

template <bool kLog>
void softmax(atled_frame* frame) {
  const atled_tensor* out = out_tensor(frame);
  const Tensor input = contiguous(arg_tensor(frame, 0), out->dtype);
  const int ndim = input->dl.ndim, at = wrap_dim(arg_int(frame, 1), ndim);
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < at ? outer : d == at ? n : inner) *= input->dl.shape[d];
  if (outer * n * inner == 0) return;
  const int64_t tile = column_tile(outer, inner, lines::kTile), tiles = (inner + tile - 1) / tile;
  const int64_t grain = std::max<int64_t>(1, 8192 / (n * tile));
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T> && !is_complex_type<T>) {
      using Acc = std::conditional_t<is_small_float<T>, float, T>;
      T* to = data<T>(out);
      const T* from = data<T>(input);
      parallel(outer * tiles, grain, [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) {
          const int64_t first = unit % tiles * tile, offset = unit / tiles * n * inner + first;
          if (inner == 1) {
            ATLED_PICK_OF(lines, row<T, Acc, Exp, kLog>)(to + offset, from + offset, n);
          } else {
            ATLED_PICK_OF(lines, columns<T, Acc, Exp, kLog>)(to + offset, from + offset, n, inner,
                                                             std::min(tile, inner - first));
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
