#include "gradients.h"
#include "multi_tensor.cuh"

namespace atled::optim {
namespace {

struct NoStep {};
template <class T>
using Gradients = Table<T, 1, NoStep>;

// Calls launch(table, blocks) with the gradients of type T.
template <class T, class F>
void fill_tables(Tensors grads, const Copies& copies, const F& launch) {
  Tables<T, 1, NoStep, F> tables(copies, launch);
  for (uint32_t i = 0; i < grads.n; ++i) {
    atled_tensor* g = entry(grads, i);
    if (g->dtype == dtype_of<T>) tables.add(i, &g, {});
  }
  tables.finish();
}

// ---- the norm: a part for each block, joined in a fixed order ----

constexpr int kFinishThreads = 1024;  // of the one block that joins the parts

// part, joined over the block's threads; thread 0 has it.
__device__ __forceinline__ double join_block(const Norm& norm, double part) {
  __shared__ double warps[kFinishThreads / 32];
  for (int by = 16; by > 0; by /= 2) part = norm.join(part, __shfl_down_sync(0xffffffffu, part, by));
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = part;
  __syncthreads();
  if (threadIdx.x == 0)
    for (unsigned k = 1; k < blockDim.x / 32; ++k) part = norm.join(part, warps[k]);
  return part;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    parts_kernel(const __grid_constant__ Norm norm, const __grid_constant__ Gradients<T> table, double* parts) {
  double part = 0;
  Chunk<T, 1>(table).template each<false>([&](const Compute<T>* x) { part = norm.add(part, *x); });
  part = join_block(norm, part);
  if (threadIdx.x == 0) parts[blockIdx.x] = part;
}

template <class R>
__global__ void __launch_bounds__(kFinishThreads)
    finish_kernel(const __grid_constant__ Norm norm, const double* parts, int64_t n, R* out) {
  double all = 0;
  for (int64_t i = threadIdx.x; i < n; i += kFinishThreads) all = norm.join(all, parts[i]);
  all = join_block(norm, all);
  if (threadIdx.x == 0) *out = static_cast<R>(norm.finish(all));
}

void grad_norm(atled_frame* f) {
  const RealList lengths(f->args[0], length);
  Tensors grads = lengths;
  const Norm norm(arg_double(f, 1));
  const int dtype = norm_dtype(grads);
  const DLDevice device = device_of(grads);
  DeviceGuard guard(device.device_id);
  const cudaStream_t stream = current_stream(device.device_id);

  int64_t blocks = 0;
  for (uint32_t i = 0; i < grads.n; ++i) blocks += (numel(entry(grads, i)) + kChunk - 1) / kChunk;
  const Tensor parts = Tensor::empty(ATLED_FLOAT64, {blocks}, device);
  const Copies copies(&grads, 1, false);
  double* next = data<double>(parts);
  each_type(grads, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto run = [&](const Gradients<T>& table, uint32_t count) {
      launch(parts_kernel<T>, count, kThreads, stream, norm, table, next);
      next += count;
    };
    fill_tables<T>(grads, copies, run);
  });

  Tensor out = Tensor::empty(dtype, {}, device);
  if (dtype == ATLED_FLOAT64)
    launch(finish_kernel<double>, 1, kFinishThreads, stream, norm, data<double>(parts), blocks, data<double>(out));
  else
    launch(finish_kernel<float>, 1, kFinishThreads, stream, norm, data<double>(parts), blocks, data<float>(out));
  set_out(f, 0, std::move(out));
}

// ---- scaling by it ----

template <class T, class R>
__global__ void __launch_bounds__(kThreads)
    scale_kernel(const __grid_constant__ Gradients<T> table, const R* norm, double max_norm) {
  const double factor = ScaleCall::factor(*norm, max_norm);
  if (factor == 1) return;
  const auto by = static_cast<Compute<T>>(factor);
  Chunk<T, 1>(table).template each<true>([&](Compute<T>* x) { x[0] = x[0] * by; });
}

void scale_by_norm(atled_frame* f) {
  const ScaleCall call(f);
  const int device = device_of(call.grads).device_id;
  DeviceGuard guard(device);
  const cudaStream_t stream = current_stream(device);
  const Copies copies(&call.grads, 1, true);
  each_type(call.grads, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto run = [&](const Gradients<T>& table, uint32_t blocks) {
      if (call.norm->dtype == ATLED_FLOAT64)
        launch(scale_kernel<T, double>, blocks, kThreads, stream, table, data<double>(call.norm), call.max_norm);
      else
        launch(scale_kernel<T, float>, blocks, kThreads, stream, table, data<float>(call.norm), call.max_norm);
    };
    fill_tables<T>(call.grads, copies, run);
  });
  copies.put_back();
  return_list(f, f->args[0]);
}

// ---- unscaling ----

template <class T>
__global__ void __launch_bounds__(kThreads)
    unscale_kernel(const __grid_constant__ Gradients<T> table, double inv_scale, float* found) {
  const auto by = static_cast<Compute<T>>(inv_scale);
  bool bad = false;
  Chunk<T, 1>(table).template each<true>([&](Compute<T>* x) {
    bad |= !finite(x[0]);
    x[0] = x[0] * by;
  });
  if (bad) *found = 1;  // whoever writes last writes the same
}

void unscale(atled_frame* f) {
  const UnscaleCall call(f);
  const DLDevice device = device_of(call.grads);
  DeviceGuard guard(device.device_id);
  const cudaStream_t stream = current_stream(device.device_id);
  const Copies copies(&call.grads, 1, true);
  Tensor found = Tensor::empty(ATLED_FLOAT32, {}, device);
  expect(cudaMemsetAsync(data<float>(found), 0, sizeof(float), stream), "clear a result");
  each_type(call.grads, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto run = [&](const Gradients<T>& table, uint32_t blocks) {
      launch(unscale_kernel<T>, blocks, kThreads, stream, table, call.by, data<float>(found));
    };
    fill_tables<T>(call.grads, copies, run);
  });
  copies.put_back();
  set_out(f, 0, std::move(found));
}

void add_gradients() {
  cuda_kernel("optim::grad_norm", kernel<grad_norm>);
  cuda_kernel("optim::scale_by_norm_", kernel<scale_by_norm>);
  cuda_kernel("optim::unscale_", kernel<unscale>);
}
ATLED_CUDA_KERNELS(add_gradients);

}  // namespace
}  // namespace atled::optim
