// Captured graphs: what runs of a stream's work again, with its memory and its random numbers.
#pragma once

#include <cuda_runtime_api.h>

#include "atled/cuda.h"
#include "functors/inline.h"

namespace atled::core::cuda {

atled_cuda_graph* begin_graph(int device, cudaStreamCaptureMode mode, uint64_t* pool);
void end_graph(atled_cuda_graph* graph);
void launch_graph(atled_cuda_graph* graph);
void destroy_graph(atled_cuda_graph* graph) noexcept;

bool is_capturing(cudaStream_t stream);
bool any_capture();  // by any thread, on any device

// A draw's counters on the device's current stream; in a capture they are the graph's, which gets them at each replay.
atled_cuda_counters take_counters(int device, atled_generator* generator, uint64_t n);

// What a kernel begins at.
struct PhiloxStart {
  uint64_t seed, offset;
};
ATLED_FN PhiloxStart philox_start(const atled_cuda_counters& at) {
  if (!at.words) return {at.seed, at.offset};
  return {at.words[0], at.words[1] + at.offset};
}

// Refuses a draw that knows nothing of graphs while this thread captures one.
void refuse_in_capture();

}  // namespace atled::core::cuda
