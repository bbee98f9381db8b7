#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// Adds the bias to each row, in the output's dtype: as many elements as a small cache line's worth of work, so no
// threads.
template <class T>
void add_bias(T* y, const T* bias, int64_t rows, int64_t n) {
  parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
#pragma omp simd
      for (int64_t j = 0; j < n; ++j)
        y[i * n + j] = static_cast<T>(static_cast<Wide<T>>(y[i * n + j]) + static_cast<Wide<T>>(bias[j]));
  });
}

void linear(atled_frame* f) {
  static const Op matmul{"core::matmul"};
  atled_tensor *weight = arg_tensor(f, 1), *out = out_tensor(f);
  const Tensor bias = contiguous(arg_tensor(f, 2));
  const int64_t shape[2] = {weight->dl.shape[1], weight->dl.shape[0]},
                strides[2] = {weight->dl.strides[1], weight->dl.strides[0]};
  atled_tensor* view = nullptr;
  check(api.as_view(weight, weight->dtype, 2, shape, strides, 0, &view));
  const Tensor transposed = Tensor::steal(view);
  atled_value result = value(out);
  matmul.run(ATLED_CALL_OUT, &result, {value(arg_tensor(f, 0)), value(transposed)});
  api.release(result.u.tensor);
  if (!bias) return;
  // A complex number is added as two real ones.
  const bool pairs = is_complex(out->dtype);
  int dtype = out->dtype;
  if (pairs) dtype = dtype == ATLED_COMPLEX64 ? ATLED_FLOAT32 : ATLED_FLOAT64;
  visit_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const int64_t n = pairs ? 2 * shape[1] : shape[1];
    if (n > 0) add_bias(data<T>(out), data<T>(bias), numel(out) / shape[1], n);
  });
}

}  // namespace

void add_linear() { add_kernel("nn::linear", ATLED_DEVICE_CPU, kernel<linear>); }

}  // namespace atled::nn
