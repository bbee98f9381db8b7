#include "adam.h"
#include "multi_tensor.cuh"

namespace atled::optim {
namespace {

struct Counts {
  static constexpr int kMost = 480;
  float* at[kMost];
};

__global__ void __launch_bounds__(kThreads) count_kernel(const __grid_constant__ Counts counts, int n) {
  const int i = static_cast<int>(thread_index());
  if (i < n) *counts.at[i] += 1;
}

void count(Tensors list, cudaStream_t stream) {
  Counts counts;
  for (uint32_t from = 0; from < list.n; from += Counts::kMost) {
    const int n = static_cast<int>(std::min<uint32_t>(list.n - from, Counts::kMost));
    for (int i = 0; i < n; ++i) counts.at[i] = data<float>(entry(list, from + static_cast<uint32_t>(i)));
    launch(count_kernel, blocks_for(n), kThreads, stream, counts, n);
  }
}

// A graph's kernels keep the numbers that they were captured with.
void expect_no_capture(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  expect(cudaStreamIsCapturing(stream, &status), "ask whether a stream captures");
  if (status != cudaStreamCaptureStatusNone)
    fail(ATLED_E_VALUE,
         "expected counts on the device while a graph is captured, got steps as numbers, which each replay would "
         "repeat; make the optimizer with capturable=True");
}

void adam(atled_frame* f) {
  const AdamCall call(f);
  const int device = device_of(call.params).device_id;
  DeviceGuard guard(device);
  const cudaStream_t stream = current_stream(device);
  const Copies copies(f->args, call.amsgrad() ? 5 : 4, true);
  if (call.counted())
    count(call.counts, stream);
  else
    expect_no_capture(stream);
  each_type(call.params, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto run = [&](const auto& update) {
      using Step = typename std::decay_t<decltype(update)>::Step;
      update_all<T>(update, f->args, copies, stream, [&](uint32_t i) {
        return call.counted() ? Step{0, 0, data<float>(entry(call.counts, i))} : update.at_step(call.step(i));
      });
    };
    call.amsgrad() ? run(AdamUpdate<Compute<T>, true>(call)) : run(AdamUpdate<Compute<T>, false>(call));
  });
  copies.put_back();
  return_list(f, call.params);
}

void add_adam() { cuda_kernel("optim::adam_", kernel<adam>); }
ATLED_CUDA_KERNELS(add_adam);

}  // namespace
}  // namespace atled::optim
