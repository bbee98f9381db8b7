#include <cub/device/device_radix_sort.cuh>

#include "cuda/launch.cuh"
#include "cuda/radix_sort.h"

namespace atled::core::cuda {

namespace {

// Calls sort(memory, size): first to ask for the size, then to sort.
template <class Sort>
void with_room(DLDevice device, Sort&& sort) {
  size_t size = 0;
  expect(sort(nullptr, size), "sort");
  const Tensor room = Tensor::empty(ATLED_UINT8, {static_cast<int64_t>(size) + 1}, device);
  expect(sort(room->dl.data, size), "sort");
}

template <class K>
void pairs(const K* keys, K* sorted, const uint32_t* values, uint32_t* moved, int64_t n, int bits, DLDevice device) {
  if (n == 0) return;
  expect_sortable(n);
  with_room(device, [&](void* room, size_t& size) {
    return cub::DeviceRadixSort::SortPairs(room, size, keys, sorted, values, moved, n, 0, bits,
                                           current_stream(device.device_id));
  });
}
template <class K>
void alone(const K* keys, K* sorted, int64_t n, int bits, DLDevice device) {
  if (n == 0) return;
  with_room(device, [&](void* room, size_t& size) {
    return cub::DeviceRadixSort::SortKeys(room, size, keys, sorted, n, 0, bits, current_stream(device.device_id));
  });
}

template <class K>
__global__ void __launch_bounds__(kThreads) number_kernel(const int64_t* in, K* keys, uint32_t* places, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    keys[i] = static_cast<K>(in[i]);
    places[i] = static_cast<uint32_t>(i);
  }
}
template <class K>
__global__ void __launch_bounds__(kThreads)
    widen_kernel(const K* keys, const uint32_t* places, int64_t* sorted, int64_t* positions, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    if (sorted) sorted[i] = static_cast<int64_t>(keys[i]);
    if (positions) positions[i] = places[i];
  }
}

template <class K>
void positions_of(const int64_t* in, int64_t n, int bits, int64_t* sorted_keys, int64_t* positions, DLDevice device) {
  const cudaStream_t stream = current_stream(device.device_id);
  const Tensor key_room = Tensor::empty(ATLED_UINT8, {2 * n * static_cast<int64_t>(sizeof(K))}, device);
  const Tensor place_room = Tensor::empty(ATLED_UINT32, {2 * n}, device);
  K* keys = data<K>(key_room);
  uint32_t* places = data<uint32_t>(place_room);
  launch(number_kernel<K>, blocks_for(n, kThreads), kThreads, stream, in, keys, places, n);
  pairs(keys, keys + n, places, places + n, n, bits, device);
  launch(widen_kernel<K>, blocks_for(n, kThreads), kThreads, stream, keys + n, places + n, sorted_keys, positions, n);
}

}  // namespace

void expect_sortable(int64_t n) {
  if (n > kMostSorted)
    fail(ATLED_E_NOT_IMPLEMENTED, "expected less than 2^32 elements to put into order, got %lld",
         static_cast<long long>(n));
}

void sort_pairs(const uint32_t* keys, uint32_t* sorted, const uint32_t* values, uint32_t* moved, int64_t n, int bits,
                DLDevice device) {
  pairs(keys, sorted, values, moved, n, bits, device);
}
void sort_pairs(const uint64_t* keys, uint64_t* sorted, const uint32_t* values, uint32_t* moved, int64_t n, int bits,
                DLDevice device) {
  pairs(keys, sorted, values, moved, n, bits, device);
}
void sort_keys(const uint32_t* keys, uint32_t* sorted, int64_t n, int bits, DLDevice device) {
  alone(keys, sorted, n, bits, device);
}
void sort_keys(const uint64_t* keys, uint64_t* sorted, int64_t n, int bits, DLDevice device) {
  alone(keys, sorted, n, bits, device);
}

void sort_positions(const int64_t* keys, int64_t n, int64_t key_limit, int64_t* sorted_keys, int64_t* positions,
                    DLDevice device) {
  if (n == 0) return;
  expect_sortable(n);
  DeviceGuard current(device.device_id);
  const int bits = bits_below(static_cast<uint64_t>(key_limit));
  if (bits <= 32)
    positions_of<uint32_t>(keys, n, bits, sorted_keys, positions, device);
  else
    positions_of<uint64_t>(keys, n, bits, sorted_keys, positions, device);
}

}  // namespace atled::core::cuda
