#include <algorithm>

#include "cuda/counting.h"
#include "cuda/readback.h"
#include "functors/triangle.h"
#include "ops/counting.h"

namespace atled::core::cuda {

namespace {

bool answer(const Tensor& t) { return read_back(data<uint8_t>(t), 1, t->dl.device)[0] != 0; }

void equal(atled_frame* f) {
  static const Op ne{"core::ne"}, any{"core::any"};
  atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  f->outs[0] = value(same_shape(a, b) && !answer(any(ne(a, b))));
}

void allclose(atled_frame* f) {
  static const Op isclose{"core::isclose"}, all{"core::all"};
  f->outs[0] = value(answer(all(isclose(f->args[0], f->args[1], f->args[2], f->args[3], f->args[4]))));
}

void diag_embed(atled_frame* f) {
  static const Op diagonal{"core::diagonal"};
  atled_tensor* out = out_tensor(f);
  assign(out, value(0));
  assign(diagonal(out, f->args[1], f->args[2], f->args[3]), arg_tensor(f, 0));
}

// Element e of a triangle, which is wide in its first rows or in its last.
template <bool kLower>
__global__ void __launch_bounds__(kThreads)
    triangle_kernel(int64_t* row, int64_t* column, int64_t count, int64_t rows, int64_t columns, int64_t shift) {
  auto before = [=](int64_t r) {
    const int64_t below = ramp(r, columns, shift);
    return kLower ? below : r * columns - below;
  };
  for (int64_t e = thread_index(); e < count; e += thread_count()) {
    int64_t low = 0, high = rows - 1;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (before(middle + 1) > e)
        high = middle;
      else
        low = middle + 1;
    }
    row[e] = low;
    column[e] = e - before(low) + (kLower ? 0 : clamped(low + shift, 0, columns));
  }
}

template <bool kLower>
void triangle_indices(atled_frame* f) {
  const int64_t rows = arg_int(f, 0), columns = arg_int(f, 1);
  const int64_t shift = std::clamp(arg_int(f, 2), -rows - 1, columns) + (kLower ? 1 : 0);
  atled_tensor* out = out_tensor(f);
  const int64_t count = out->dl.shape[1];
  if (count == 0) return;
  const DLDevice device = out->dl.device;
  DeviceGuard current(device.device_id);
  const Tensor places = Tensor::empty(ATLED_INT64, {2, count}, device);
  launch(triangle_kernel<kLower>, blocks_for(count, kThreads), kThreads, current_stream(device.device_id),
         data<int64_t>(places), data<int64_t>(places) + count, count, rows, columns, shift);
  assign(out, places.get());
}

void bincount(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *weights = arg_tensor(f, 1);
  const int64_t n = numel(input);
  int64_t bins = arg_int(f, 2);
  expect_countable(input, weights, bins);
  const DLDevice device = input->dl.device;
  const Tensor places = contiguous(input, ATLED_INT64);
  if (n > 0) {
    const Range range = range_of(places);
    if (range.low < 0) fail(ATLED_E_VALUE, "expected input >= 0, got %lld", (long long)range.low);
    bins = std::max(bins, std::min(range.high, INT64_MAX - 1) + 1);
  }
  if (!weights) {
    const Tensor out = Tensor::empty(ATLED_INT64, {bins}, device);
    count_places(data<int64_t>(places), n, data<uint64_t>(out), bins, device);
    return set_out(f, 0, out);
  }
  const Tensor weight = contiguous(weights, ATLED_FLOAT64), sums = Tensor::empty(ATLED_FLOAT64, {bins}, device);
  sum_places(data<int64_t>(places), data<double>(weight), n, data<double>(sums), bins, device);
  set_out(f, 0, weights->dtype == ATLED_FLOAT32 ? contiguous(sums, ATLED_FLOAT32) : sums);
}

void add_matrices() {
  cuda_kernel("core::equal", kernel<equal>);
  cuda_kernel("core::allclose", kernel<allclose>);
  cuda_kernel("core::diag_embed", kernel<diag_embed>);
  cuda_kernel("core::tril_indices", kernel<triangle_indices<true>>);
  cuda_kernel("core::triu_indices", kernel<triangle_indices<false>>);
  cuda_kernel("core::bincount", kernel<bincount>);
}
ATLED_CUDA_KERNELS(add_matrices);

}  // namespace

}  // namespace atled::core::cuda
