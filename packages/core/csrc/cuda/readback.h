// Numbers that the host must know before it goes on, for the shape of a result or an error: reading them waits for the
// stream.
#pragma once

#include <vector>

#include "cuda/reduce.cuh"
#include "functors/reduction.h"
#include "ops/layout.h"

namespace atled::core::cuda {

template <class T>
std::vector<T> read_back(const T* from, int64_t n, DLDevice device) {
  DeviceGuard current(device.device_id);
  const cudaStream_t stream = current_stream(device.device_id);
  std::vector<T> numbers(static_cast<size_t>(n));
  const size_t bytes = numbers.size() * sizeof(T);
  expect(cudaMemcpyAsync(numbers.data(), from, bytes, cudaMemcpyDeviceToHost, stream), "copy");
  expect(cudaStreamSynchronize(stream), "finish a kernel");
  return numbers;
}

// The smallest and the largest of at least one int64 number.
struct Range {
  int64_t low, high;
};
inline Range range_of(const atled_tensor* t) {
  const Tensor both = Tensor::empty(ATLED_INT64, {2}, t->dl.device);
  Layout second;
  second.offset = 1;
  const DimSet all = reduced_dims(none(), t->dl.ndim);
  reduce(t, all, both, Smallest<int64_t>{});
  reduce(t, all, second.view(both), Largest<int64_t>{});
  const std::vector<int64_t> found = read_back(data<int64_t>(both), 2, t->dl.device);
  return {found[0], found[1]};
}

}  // namespace atled::core::cuda
