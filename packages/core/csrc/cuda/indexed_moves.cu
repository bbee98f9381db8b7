// Reading and writing places: elements are moved in the widest unit that fits, whatever they are.
#include "cuda/indexed.cuh"
#include "cuda/radix_sort.h"

namespace atled::core::cuda {

namespace {

constexpr int kEach = 4;  // moves of a thread that wait for memory together

template <class F>
void visit_unit(int unit, F&& f) {
  if (unit == 32) return f(Tag<Aligned16>{});
  visit_size(unit, f);
}

template <class U, bool kOne>
__global__ void __launch_bounds__(kThreads)
    read_kernel(char* out, const char* t, const __grid_constant__ PlaceWalk<3> walk,
                const __grid_constant__ IndexArrays arrays) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x * kEach;
  for (int64_t first = int64_t{blockIdx.x} * blockDim.x * kEach + threadIdx.x; first < walk.total; first += step) {
    // Beyond the end, the last one again: then no load is behind a condition.
    int64_t offsets[kEach][3], indices[kEach];
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const int64_t i = first + int64_t{k} * blockDim.x;
      walk.locate(i < walk.total ? i : walk.total - 1, offsets[k]);
    }
    if (kOne) {
#pragma unroll
      for (int k = 0; k < kEach; ++k) indices[k] = read_index(arrays.at[0], offsets[k][2]);
    }
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      int64_t bytes, slot;
      if (kOne) {
        settle_index(indices[k], arrays.at[0].size, arrays.at[0].dim, arrays.site);
        bytes = indices[k] * arrays.at[0].stride;
      } else {
        find_place<false>(arrays, offsets[k][2], bytes, slot);
      }
      offsets[k][1] += bytes;
    }
    U kept[kEach];
#pragma unroll
    for (int k = 0; k < kEach; ++k) kept[k] = *reinterpret_cast<const U*>(t + offsets[k][1]);
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      if (first + int64_t{k} * blockDim.x < walk.total) *reinterpret_cast<U*>(out + offsets[k][0]) = kept[k];
  }
}

// Who writes where several points name one place: the last one. NULL: nobody else does.
struct Winners {
  const uint32_t* by_slot;  // one more than the point's number
  const uint8_t* by_point;
};

template <class U, bool kOne>
__global__ void __launch_bounds__(kThreads)
    write_kernel(const char* values, char* t, const __grid_constant__ PlaceWalk<4> walk,
                 const __grid_constant__ IndexArrays arrays, Winners winners) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < walk.total; i += step) {
    int64_t offsets[4], bytes, slot;
    walk.locate(i, offsets);
    const U x = *reinterpret_cast<const U*>(values + offsets[0]);
    bool writes = find_place<kOne>(arrays, offsets[2], bytes, slot);
    if (winners.by_slot) writes = writes && winners.by_slot[offsets[3] + slot] == offsets[2] + 1;
    if (winners.by_point) writes = writes && winners.by_point[offsets[2]];
    if (writes) *reinterpret_cast<U*>(t + offsets[1] + bytes) = x;
  }
}

template <bool kOne>
__global__ void __launch_bounds__(kThreads) claim_kernel(uint32_t* winners, const __grid_constant__ PlaceWalk<1> walk,
                                                         const __grid_constant__ IndexArrays arrays) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < walk.total; i += step) {
    int64_t offsets[1], bytes, slot;
    walk.locate(i, offsets);
    if (!find_place<kOne>(arrays, i, bytes, slot)) continue;
    uint32_t* winner = winners + offsets[0] + slot;
    const uint32_t claim = static_cast<uint32_t>(i + 1);
    // Winners only grow, so an old look says enough; many points of one place need not queue.
    if (*static_cast<volatile uint32_t*>(winner) < claim) atomicMax(winner, claim);
  }
}

// Points outside go behind all others.
template <bool kOne>
__global__ void __launch_bounds__(kThreads)
    slots_kernel(Slots keys, uint32_t* numbers, uint64_t outside, const __grid_constant__ PlaceWalk<1> walk,
                 const __grid_constant__ IndexArrays arrays) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < walk.total; i += step) {
    int64_t offsets[1], bytes, slot;
    walk.locate(i, offsets);
    keys.set(i, find_place<kOne>(arrays, i, bytes, slot) ? static_cast<uint64_t>(offsets[0] + slot) : outside);
    numbers[i] = static_cast<uint32_t>(i);
  }
}

__global__ void __launch_bounds__(kThreads) last_kernel(Slots keys, const uint32_t* points, uint8_t* last, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) last[points[i]] = i + 1 == n || keys[i] != keys[i + 1];
}

template <bool kOne>
__global__ void __launch_bounds__(kThreads) check_kernel(int64_t n, const __grid_constant__ IndexArrays arrays) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    int64_t bytes, slot;
    find_place<kOne>(arrays, i, bytes, slot);
  }
}

constexpr int64_t kMost = INT64_C(0xfffffffe);  // that 32-bit numbers count here

void expect_numbered(const PlaceLaunches& l) {
  if (l.points() > kMost)
    fail(ATLED_E_NOT_IMPLEMENTED, "expected less than 2^32 - 1 indices, got %lld", static_cast<long long>(l.points()));
}

}  // namespace

// Without elements there are still indices to be checked.
bool Places::nothing_to_do() const {
  if (total_ > 0 && numel(t_) > 0) return false;
  if (points_ == 0 || indices_.empty()) return true;
  const PlaceLaunches l(*this);
  visit_one(l.one(), [&](auto one) {
    launch(check_kernel<decltype(one)::value>, blocks_for(points_, kThreads), kThreads, l.stream, points_, l.arrays);
  });
  return true;
}

void Places::read(const atled_tensor* out) const {
  const DeviceGuard device(t_->dl.device.device_id);
  if (nothing_to_do()) return;
  const PlaceLaunches l(*this);
  PlaceWalk<3> walk = l.everything<3>(out);
  visit_unit(l.unit_of(walk, out), [&](auto tag) {
    using U = typename decltype(tag)::type;
    visit_one(l.one(), [&](auto one) {
      launch(read_kernel<U, decltype(one)::value>, blocks_for(walk.total, kThreads * kEach), kThreads, l.stream,
             data<char>(out), l.data, walk, l.arrays);
    });
  });
}

SortedPoints Places::sort() const {
  const PlaceLaunches l(*this);
  expect_numbered(l);
  const bool wide = slots_ > kMost;
  const SortedPoints sorted{Tensor::empty(wide ? ATLED_UINT64 : ATLED_UINT32, {points_}, l.device),
                            Tensor::empty(ATLED_UINT32, {points_}, l.device)};
  const Tensor keys = Tensor::empty_like(sorted.slots), numbers = Tensor::empty_like(sorted.points);
  const PlaceWalk<1> walk = l.slot_walk();
  visit_one(l.one(), [&](auto one) {
    launch(slots_kernel<decltype(one)::value>, blocks_for(points_, kThreads), kThreads, l.stream, Slots(keys),
           data<uint32_t>(numbers), static_cast<uint64_t>(slots_), walk, l.arrays);
  });
  auto sort = [&](auto tag) {
    using K = typename decltype(tag)::type;
    sort_pairs(data<K>(keys), data<K>(sorted.slots), data<uint32_t>(numbers), data<uint32_t>(sorted.points), points_,
               bits_below(static_cast<uint64_t>(slots_) + 1), l.device);
  };
  wide ? sort(Tag<uint64_t>{}) : sort(Tag<uint32_t>{});
  return sorted;
}

void Places::write(const atled_tensor* values) const {
  const DeviceGuard device(t_->dl.device.device_id);
  if (nothing_to_do()) return;
  const PlaceLaunches l(*this);
  Winners winners{};
  Tensor room;
  if (!l.unique() && numel(values) > 1) {
    expect_numbered(l);
    if (slots_ <= 8 * points_ + 65536) {
      room = Tensor::empty(ATLED_UINT32, {slots_}, l.device);
      expect(cudaMemsetAsync(room->dl.data, 0, static_cast<size_t>(slots_) * sizeof(uint32_t), l.stream),
             "fill with zeros");
      const PlaceWalk<1> walk = l.slot_walk();
      visit_one(l.one(), [&](auto one) {
        launch(claim_kernel<decltype(one)::value>, blocks_for(points_, kThreads), kThreads, l.stream,
               data<uint32_t>(room), walk, l.arrays);
      });
      winners.by_slot = data<uint32_t>(room);
    } else {
      const SortedPoints sorted = sort();
      room = Tensor::empty(ATLED_UINT8, {points_}, l.device);
      launch(last_kernel, blocks_for(points_, kThreads), kThreads, l.stream, Slots(sorted.slots),
             data<uint32_t>(sorted.points), data<uint8_t>(room), points_);
      winners.by_point = data<uint8_t>(room);
    }
  }
  PlaceWalk<4> walk = l.everything<4>(values);
  visit_unit(l.unit_of(walk, values), [&](auto tag) {
    using U = typename decltype(tag)::type;
    visit_one(l.one(), [&](auto one) {
      launch(write_kernel<U, decltype(one)::value>, blocks_for(walk.total, kThreads), kThreads, l.stream,
             data<const char>(values), l.data, walk, l.arrays, winners);
    });
  });
}

}  // namespace atled::core::cuda
