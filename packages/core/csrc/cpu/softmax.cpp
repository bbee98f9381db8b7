#include "functors/softmax.h"

#include <algorithm>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/lanes.h"
#include "cpu/parallel.h"
#include "cpu/transpose.h"
#include "functors/arithmetic.h"
#include "functors/explog.h"

namespace atled::core {

namespace {

namespace lines {

constexpr int64_t kTile = 1024;  // columns side by side
// Elements of a row, in lanes, and rows of a column whose exponentials are summed in their own dtype, their sums in
// double. Equal ones all round the same way: float32's results stay within 8 ulp. Double has nothing wider; with more
// rows to a sum neither sum is long.
constexpr int64_t kBlock = 512;
template <class T>
constexpr int64_t kRows = std::is_same_v<T, float> ? 8 : 32;

#define ATLED_LEVEL_BODY "cpu/softmax.inl"
#include "cpu/each_level.inl"

}  // namespace lines

// Calls rows(offset, count) or columns(offset, step, m) for all lines of a contiguous tensor along dim, on many
// threads.
template <class Rows, class Columns>
void each_line(const atled_tensor* t, int64_t dim, int64_t& n, Rows&& rows, Columns&& columns) {
  const int ndim = t->dl.ndim, at = wrap_dim(dim, ndim);
  int64_t outer = 1, inner = 1;
  n = 1;
  for (int d = 0; d < ndim; ++d) (d < at ? outer : d == at ? n : inner) *= t->dl.shape[d];
  if (outer * n * inner == 0) return;
  const int64_t tile = column_tile(outer, inner, lines::kTile), tiles = (inner + tile - 1) / tile;
  const int64_t grain = std::max<int64_t>(1, 8192 / (n * tile)), length = n;
  parallel(outer * tiles, grain, [&](int64_t begin, int64_t end) {
    if (inner == 1) return rows(begin * length, end - begin);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % tiles * tile, offset = unit / tiles * length * inner + first;
      columns(offset, inner, std::min(tile, inner - first));
    }
  });
}

// Short rows are computed as columns, kSide of them beside each other, which fill vectors; sums have the same order.
constexpr int64_t kShort = 80, kSide = 64;

// Calls columns(in, m) with m rows of each input turned into columns, kSide elements from row to row; what it leaves in
// the first of them becomes rows of out.
template <class T, size_t kInputs, class Columns>
void beside(T* out, const T* const (&in)[kInputs], int64_t n, int64_t count, Columns&& columns) {
  constexpr int item = sizeof(T);
  T room[kInputs][kShort * kSide];
  for (int64_t r = 0; r < count; r += kSide) {
    const int64_t m = std::min(kSide, count - r);
    for (size_t k = 0; k < kInputs; ++k)
      transpose(reinterpret_cast<char*>(room[k]), kSide * item, reinterpret_cast<const char*>(in[k] + r * n), n * item,
                n, m, item);
    columns(room, m);
    transpose(reinterpret_cast<char*>(out + r * n), n * item, reinterpret_cast<const char*>(room[0]), kSide * item, m,
              n, item);
  }
}

// Calls f(Tag<T>, Tag<Src>, out, inputs) with T float or double. float16 and bfloat16 become float32, which is rounded
// in the end: both in vectors. Src is one of them then.
template <size_t kInputs, class F>
void in_wide_floats(atled_frame* frame, F&& f) {
  const atled_tensor* out = out_tensor(frame);
  const int dtype = compute_dtype(out->dtype);
  Tensor inputs[kInputs];
  for (size_t k = 0; k < kInputs; ++k) {
    inputs[k] = contiguous(arg_tensor(frame, static_cast<int>(k)), out->dtype);
    inputs[k] = contiguous(inputs[k], dtype);
  }
  if (dtype == ATLED_FLOAT64) return f(Tag<double>{}, Tag<double>{}, out, inputs);
  if (out->dtype == dtype) return f(Tag<float>{}, Tag<float>{}, out, inputs);
  f(Tag<float>{}, Tag<Half>{}, inputs[0].get(), inputs);  // a copy of ours, read before it is written
  assign(out, inputs[0]);
}

template <bool kLog>
void softmax(atled_frame* frame) {
  in_wide_floats<1>(frame, [&](auto tag, auto stored, const atled_tensor* out, const Tensor* inputs) {
    using T = typename decltype(tag)::type;
    using Src = typename decltype(stored)::type;
    T* to = data<T>(out);
    const T* from = data<T>(inputs[0]);
    const auto columns = ATLED_PICK_OF(lines, columns<Src, T, ExpOfNegative, kLog>);
    const auto row = ATLED_PICK_OF(lines, row<Src, T, ExpOfNegative, kLog>);
    int64_t n;
    each_line(
        out, arg_int(frame, 1), n,
        [&](int64_t at, int64_t count) {
          if (n < kShort)
            return beside(to + at, {from + at}, n, count,
                          [&](auto& in, int64_t m) { columns(in[0], in[0], n, kSide, m); });
          for (int64_t r = 0; r < count; ++r) row(to + at + r * n, from + at + r * n, n);
        },
        [&](int64_t at, int64_t step, int64_t m) { columns(to + at, from + at, n, step, m); });
  });
}

template <bool kLog>
void softmax_backward(atled_frame* frame) {
  in_wide_floats<2>(frame, [&](auto tag, auto, const atled_tensor* out, const Tensor* inputs) {
    using T = typename decltype(tag)::type;
    T* to = data<T>(out);
    const T *g = data<T>(inputs[0]), *y = data<T>(inputs[1]);
    const auto columns = ATLED_PICK_OF(lines, columns_gradient<T, Exp, kLog>);
    const auto row = ATLED_PICK_OF(lines, row_gradient<T, Exp, kLog>);
    int64_t n;
    each_line(
        out, arg_int(frame, 2), n,
        [&](int64_t at, int64_t count) {
          if (n < kShort)
            return beside(to + at, {g + at, y + at}, n, count,
                          [&](auto& in, int64_t m) { columns(in[0], in[0], in[1], n, kSide, m); });
          for (int64_t r = 0; r < count; ++r) row(to + at + r * n, g + at + r * n, y + at + r * n, n);
        },
        [&](int64_t at, int64_t step, int64_t m) { columns(to + at, g + at, y + at, n, step, m); });
  });
}

void add_softmax() {
  cpu_kernel("core::softmax", kernel<softmax<false>>);
  cpu_kernel("core::log_softmax", kernel<softmax<true>>);
  cpu_kernel("core::softmax_backward", kernel<softmax_backward<false>>);
  cpu_kernel("core::log_softmax_backward", kernel<softmax_backward<true>>);
}
ATLED_KERNELS(add_softmax);

}  // namespace

}  // namespace atled::core
