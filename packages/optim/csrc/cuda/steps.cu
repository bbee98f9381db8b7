#include "multi_tensor.cuh"
#include "rules.h"

namespace atled::optim {
namespace {

// ---- numbers on the device ----

template <int kCounts>
struct Counts {
  static constexpr int kMost = 440 / kCounts;
  float* at[kCounts][kMost];
};

template <class Rule>
__global__ void __launch_bounds__(kThreads)
    count_kernel(const __grid_constant__ Rule rule, const __grid_constant__ Counts<Rule::kCounts> counts, int n) {
  const int i = static_cast<int>(thread_index());
  if (i >= n) return;
  double numbers[Rule::kCounts];
  for (int k = 0; k < Rule::kCounts; ++k) numbers[k] = *counts.at[k][i];
  rule.advance(numbers);
  for (int k = 0; k < Rule::kCounts; ++k) *counts.at[k][i] = static_cast<float>(numbers[k]);
}

template <class Rule>
void count(const StepCall<Rule>& call, cudaStream_t stream) {
  Counts<Rule::kCounts> counts;
  for (uint32_t from = 0; from < call.params.n; from += counts.kMost) {
    const int n = static_cast<int>(std::min<uint32_t>(call.params.n - from, counts.kMost));
    for (int k = 0; k < Rule::kCounts; ++k)
      for (int i = 0; i < n; ++i) counts.at[k][i] = call.count(from + static_cast<uint32_t>(i), k);
    launch(count_kernel<Rule>, blocks_for(n), kThreads, stream, call.rule, counts, n);
  }
}

// A graph's kernels keep the numbers that they were captured with.
void expect_no_capture(cudaStream_t stream, bool countable) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  expect(cudaStreamIsCapturing(stream, &status), "ask whether a stream captures");
  if (status == cudaStreamCaptureStatusNone) return;
  if (countable)
    fail(ATLED_E_VALUE,
         "expected counts on the device while a graph is captured, got steps as numbers, which each replay would "
         "repeat; make the optimizer with capturable=True");
  fail(ATLED_E_VALUE,
       "expected no graph to be captured, got one, each replay of which would repeat this step's number; step outside "
       "of it");
}

// ---- steps ----

template <class Rule>
void step(atled_frame* f) {
  constexpr int kCounts = Rule::kCounts > 0 ? Rule::kNumbers : 0;  // that a step depends on
  const StepCall<Rule> call(f);
  const int device = device_of(call.params).device_id;
  DeviceGuard guard(device);
  const cudaStream_t stream = current_stream(device);
  const Copies copies(call.lists, call.n, true);
  if constexpr (Rule::kCounts > 0)
    if (call.counted()) count(call, stream);
  if (Rule::kNumbers > 0 && !call.counted()) expect_no_capture(stream, Rule::kCounts > 0);
  each_type(call.params, [&](auto tag) {
    using T = typename decltype(tag)::type;
    call.template with_update<Compute<T>>([&](const auto& update) {
      using U = std::decay_t<decltype(update)>;
      update_all<T, kCounts>(update, call.lists, copies, stream, [&](uint32_t i) {
        Slot<typename U::Step, kCounts> slot{};
        if constexpr (kCounts > 0) {
          if (call.counted()) {
            for (int k = 0; k < kCounts; ++k) slot.counts[k] = call.count(i, k);
            return slot;
          }
        }
        double numbers[2] = {};
        call.numbers(i, numbers);
        slot.step = update.at(numbers);
        return slot;
      });
    });
  });
  copies.put_back();
  return_list(f, f->args[0]);
}

void add_steps() {
  each_rule([](auto tag) {
    using Rule = typename decltype(tag)::type;
    cuda_kernel(Rule::kOp, kernel<step<Rule>>);
  });
}
ATLED_CUDA_KERNELS(add_steps);

}  // namespace
}  // namespace atled::optim
