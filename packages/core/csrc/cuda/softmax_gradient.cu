// Gradients of softmax and log_softmax, laid out as those are: rows that fit are held in registers, other lines are
// read twice; few and long ones are left to other ops.
#include "cuda/softmax.cuh"
#include "functors/arithmetic.h"

namespace atled::core::cuda {

namespace {

// What a lane holds past a row's end is 0, which adds nothing.
template <class T, bool kLog, int kHeld>
__global__ void __launch_bounds__(kSoftmaxThreads, 2)
    held_kernel(T* out, const T* grad, const T* result, const SoftmaxPlan plan, bool vectors) {
  using Acc = SoftmaxAcc<T>;
  constexpr uint32_t V = kSoftmaxVector<T>, P = kHeld / V;
  using Piece = Vector<T, V>;
  __shared__ double sums[kSoftmaxThreads / 32];
  const uint32_t lanes = plan.lanes, per_block = plan.width, lane = threadIdx.x % lanes, n = plan.n;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * per_block; first < plan.outer;
       first += static_cast<int64_t>(gridDim.x) * per_block) {
    const int64_t row = first + threadIdx.x / lanes;
    const uint32_t length = row < plan.outer ? n : 0;
    const T *from = grad + row * n, *past = result + row * n;
    T* to = out + row * n;
    Piece g[P] = {}, y[P] = {};
    if (vectors) {
#pragma unroll
      for (uint32_t p = 0; p < P; ++p) {
        const uint32_t at = (p * lanes + lane) * V;
        if (at >= length) continue;
        g[p] = *reinterpret_cast<const Piece*>(from + at);
        y[p] = *reinterpret_cast<const Piece*>(past + at);
      }
    } else {
#pragma unroll
      for (uint32_t k = 0; k < kHeld; ++k) {
        if (k * lanes + lane >= length) continue;
        g[k / V].item[k % V] = from[k * lanes + lane];
        y[k / V].item[k % V] = past[k * lanes + lane];
      }
    }
    Acc part = 0;
#pragma unroll
    for (uint32_t k = 0; k < kHeld; ++k)
      part += gradient_part<kLog>(static_cast<Acc>(g[k / V].item[k % V]), static_cast<Acc>(y[k / V].item[k % V]));
    const Acc sum = static_cast<Acc>(across(Add{}, static_cast<double>(part), lanes, sums));
#pragma unroll
    for (uint32_t k = 0; k < kHeld; ++k)
      g[k / V].item[k % V] = T(softmax_gradient<kLog, Exp>(static_cast<Acc>(g[k / V].item[k % V]),
                                                           static_cast<Acc>(y[k / V].item[k % V]), sum));
    if (vectors) {
#pragma unroll
      for (uint32_t p = 0; p < P; ++p)
        if ((p * lanes + lane) * V < length) *reinterpret_cast<Piece*>(to + (p * lanes + lane) * V) = g[p];
    } else {
#pragma unroll
      for (uint32_t k = 0; k < kHeld; ++k)
        if (k * lanes + lane < length) to[k * lanes + lane] = g[k / V].item[k % V];
    }
  }
}

// Threads: `width` neighbours have neighbouring lines, and each line `lanes` threads.
template <class T, bool kLog>
__global__ void __launch_bounds__(kSoftmaxRowThreads)
    streamed_kernel(T* out, const T* grad, const T* result, const SoftmaxPlan plan) {
  using Acc = SoftmaxAcc<T>;
  constexpr int kUnroll = 8;
  __shared__ double room[kSoftmaxRowThreads];
  const int64_t lanes = plan.lanes, width = plan.width, lane = threadIdx.x / width, column = threadIdx.x % width;
  const int64_t n = plan.n, stride = plan.inner;
  for (int64_t unit = blockIdx.x; unit < plan.units(); unit += gridDim.x) {
    const int64_t j = unit % plan.tiles * width + column, base = unit / plan.tiles * n * stride + j;
    const bool here = j < plan.inner;
    double sum = 0;
    for (int64_t i = lane; here && i < n; i += kUnroll * lanes) {
      Acc some = 0;
#pragma unroll
      for (int k = 0; k < kUnroll; ++k) {
        const int64_t at = base + (i + k * lanes) * stride;
        if (i + k * lanes < n) some += gradient_part<kLog>(static_cast<Acc>(grad[at]), static_cast<Acc>(result[at]));
      }
      sum += static_cast<double>(some);
    }
    room[threadIdx.x] = sum;
    for (uint32_t half = lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half) {
        sum += room[threadIdx.x + half * width];
        room[threadIdx.x] = sum;
      }
    }
    __syncthreads();
    const Acc all = static_cast<Acc>(room[column]);
    __syncthreads();  // the room is used again
#pragma unroll 8
    for (int64_t i = lane; here && i < n; i += lanes) {
      const int64_t at = base + i * stride;
      out[at] = T(softmax_gradient<kLog, Exp>(static_cast<Acc>(grad[at]), static_cast<Acc>(result[at]), all));
    }
  }
}

template <class T, bool kLog>
void run(const SoftmaxPlan& plan, const atled_tensor* to, const atled_tensor* from, const atled_tensor* past) {
  DeviceGuard device(to->dl.device.device_id);
  const cudaStream_t stream = current_stream(to->dl.device.device_id);
  T* out = data<T>(to);
  const T *grad = data<const T>(from), *result = data<const T>(past);
  if (!plan.held)
    return launch(streamed_kernel<T, kLog>, blocks_for(plan.units(), 1), plan.threads(), stream, out, grad, result,
                  plan);
  constexpr int kMany = kHeldMany<SoftmaxAcc<T>>;
  const auto kernel = plan.held == kHeldLeast ? held_kernel<T, kLog, kHeldLeast>
                      : plan.held == kHeldFew ? held_kernel<T, kLog, kHeldFew>
                                              : held_kernel<T, kLog, kMany>;
  constexpr size_t kPiece = kSoftmaxVector<T> * sizeof(T);
  bool vectors = plan.n % kSoftmaxVector<T> == 0;
  for (const void* pointer :
       {static_cast<const void*>(out), static_cast<const void*>(grad), static_cast<const void*>(result)})
    vectors = vectors && reinterpret_cast<uintptr_t>(pointer) % kPiece == 0;
  launch(kernel, blocks_for(plan.outer, plan.width), kSoftmaxThreads, stream, out, grad, result, plan, vectors);
}

void by_ops(bool log, atled_tensor* out, const Tensor& grad, const Tensor& result, int64_t dim) {
  static const Op mul{"core::mul"}, sum{"core::sum"}, sub{"core::sub"}, exp{"core::exp"}, copy{"core::copy_"};
  const Tensor parts = log ? grad : mul(grad, result);
  const Tensor all = sum(parts, ints_value(&dim, 1), true);
  copy(out, log ? sub(grad, mul(exp(result), all)) : mul(sub(grad, all), result));
}

template <bool kLog>
void softmax_backward(atled_frame* frame) {
  atled_tensor* out = out_tensor(frame);
  const Tensor grad = contiguous(arg_tensor(frame, 0), out->dtype),
               result = contiguous(arg_tensor(frame, 1), out->dtype);
  const int ndim = out->dl.ndim, at = wrap_dim(arg_int(frame, 2), ndim);
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < at ? outer : d == at ? n : inner) *= out->dl.shape[d];
  if (outer * n * inner == 0) return;
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T> && !is_complex_type<T>) {
      const SoftmaxPlan plan = plan_softmax(outer, n, inner, kHeldMany<SoftmaxAcc<T>>, kSoftmaxVector<T>);
      if (plan.chunks > 1) return by_ops(kLog, out, grad, result, at);
      run<T, kLog>(plan, out, grad, result);
    }
  });
}

void add_softmax_gradient() {
  cuda_kernel("core::softmax_backward", kernel<softmax_backward<false>>);
  cuda_kernel("core::log_softmax_backward", kernel<softmax_backward<true>>);
}
ATLED_CUDA_KERNELS(add_softmax_gradient);

}  // namespace

}  // namespace atled::core::cuda
