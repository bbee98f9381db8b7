// Stands in for CUB's radix sort where there is no device: the same calls, over copies on the host.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace cub {

struct DeviceRadixSort {
  template <class K, class V, class N>
  static cudaError_t SortPairs(void* room, size_t& bytes, const K* keys, K* sorted, const V* values, V* moved, N n,
                               int begin_bit = 0, int end_bit = 8 * sizeof(K), cudaStream_t stream = nullptr) {
    if (!room) {
      bytes = 1;
      return cudaSuccess;
    }
    const size_t count = static_cast<size_t>(n);
    std::vector<K> from(count), to(count);
    std::vector<V> with(count), out(count);
    cudaError_t status = cudaMemcpyAsync(from.data(), keys, count * sizeof(K), cudaMemcpyDeviceToHost, stream);
    if (status == cudaSuccess && values)
      status = cudaMemcpyAsync(with.data(), values, count * sizeof(V), cudaMemcpyDeviceToHost, stream);
    if (status == cudaSuccess) status = cudaStreamSynchronize(stream);
    if (status != cudaSuccess) return status;
    const int bits = end_bit - begin_bit;
    auto part = [=](K key) -> K {
      if (bits <= 0) return 0;
      const K high = static_cast<K>(key >> begin_bit);
      return bits >= static_cast<int>(8 * sizeof(K)) ? high : static_cast<K>(high & ((K{1} << bits) - 1));
    };
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return part(from[a]) < part(from[b]); });
    for (size_t i = 0; i < count; ++i) {
      to[i] = from[order[i]];
      if (values) out[i] = with[order[i]];
    }
    status = cudaMemcpyAsync(sorted, to.data(), count * sizeof(K), cudaMemcpyHostToDevice, stream);
    if (status == cudaSuccess && values)
      status = cudaMemcpyAsync(moved, out.data(), count * sizeof(V), cudaMemcpyHostToDevice, stream);
    return status == cudaSuccess ? cudaStreamSynchronize(stream) : status;
  }

  template <class K, class N>
  static cudaError_t SortKeys(void* room, size_t& bytes, const K* keys, K* sorted, N n, int begin_bit = 0,
                              int end_bit = 8 * sizeof(K), cudaStream_t stream = nullptr) {
    return SortPairs(room, bytes, keys, sorted, static_cast<const uint32_t*>(nullptr), static_cast<uint32_t*>(nullptr),
                     n, begin_bit, end_bit, stream);
  }
};

}  // namespace cub
