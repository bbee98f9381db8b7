// Sums into places that indices name at random, as threads come: fixed-point numbers, whose sums know no order
// (functors/fixed_sum.h). Points are read twice, then all places once.
#include "cuda/indexed.cuh"
#include "functors/fixed_sum.h"

namespace atled::core::cuda {

namespace {

using fixed_sum::Summand;

constexpr int kEach = 4;                     // points of a thread that wait for memory together
constexpr int kCrowd = 4;                    // lanes of one place that are added up first: their atomics would queue
constexpr int64_t kMostPlaces = 4;           // a point: room for more takes as long to clear and read as points to sort
constexpr int64_t kMostPerPlace = 64;        // points, on average: where atomics queue, sorting does not
constexpr int64_t kMostPoints = 0xffffffff;  // so that float32 keeps 30 bits below the largest exponent
constexpr unsigned kWarp = 0xffffffffu;

// Values of the points at first, first + kThreads, …, and which of the tensor's elements are theirs: -1 for none.
template <bool kOne, bool kTells, class T>
__device__ __forceinline__ void read_points(const char* values, const PlaceWalk<3>& walk, const IndexArrays& arrays,
                                            int64_t first, T (&x)[kEach], int64_t (&place)[kEach]) {
  int64_t index[kEach];
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const int64_t i = first + int64_t{k} * kThreads;
    place[k] = -1;
    if (i >= walk.total) continue;
    int64_t offsets[3], bytes, slot;
    walk.locate(i, offsets);
    x[k] = *reinterpret_cast<const T*>(values + offsets[0]);
    if constexpr (kOne) {
      index[k] = read_index(arrays.at[0], offsets[2]);
      place[k] = offsets[1];
    } else if (find_place<false, kTells>(arrays, offsets[2], bytes, slot)) {
      place[k] = (offsets[1] + bytes) / static_cast<int64_t>(sizeof(T));
    }
  }
  if constexpr (kOne) {
    const IndexArray& a = arrays.at[0];
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      if (place[k] >= 0)
        place[k] = settle_index<kTells>(index[k], a.size, a.dim, arrays.site)
                       ? (place[k] + index[k] * a.stride) / static_cast<int64_t>(sizeof(T))
                       : -1;
  }
}

template <class T, bool kOne>
__global__ void __launch_bounds__(kThreads)
    tops_kernel(const char* values, uint32_t* tops, const __grid_constant__ PlaceWalk<3> walk,
                const __grid_constant__ IndexArrays arrays) {
  const int64_t step = int64_t{gridDim.x} * kThreads * kEach;
  for (int64_t first = int64_t{blockIdx.x} * kThreads * kEach + threadIdx.x; first < walk.total; first += step) {
    T x[kEach];
    int64_t place[kEach];
    uint32_t seen[kEach];
    read_points<kOne, true>(values, walk, arrays, first, x, place);
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      if (place[k] >= 0) seen[k] = static_cast<volatile uint32_t*>(tops)[place[k]];
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      if (place[k] < 0) continue;
      // Tops only grow, so an old look says enough.
      const uint32_t top = fixed_sum::top_of(x[k]);
      if (fixed_sum::join(seen[k], top) == seen[k]) continue;
      if (fixed_sum::is_finite(top))
        atomicMax(&tops[place[k]], top);
      else
        atomicOr(&tops[place[k]], top);
    }
  }
}

// Adds what each lane has to its own place, if any; all lanes of a warp call it. Where neighbours name the same place,
// it may be one that many points name.
template <class T>
__device__ __forceinline__ void add(Summand<T>* sums, int64_t place, Summand<T> own) {
  const int other = __shfl_xor_sync(kWarp, static_cast<int>(place), 1);
  const unsigned pairs = __ballot_sync(kWarp, place >= 0 && other == static_cast<int>(place));
  if (pairs != 0) {
    const long long crowded = __shfl_sync(kWarp, static_cast<long long>(place), __ffs(static_cast<int>(pairs)) - 1);
    const bool there = place == crowded;
    const unsigned crowd = __ballot_sync(kWarp, there);
    if (__popc(crowd) >= kCrowd) {
      for (uint64_t& limb : own.limbs) {
        unsigned long long sum = there ? limb : 0;
        for (int bit = 16; bit > 0; bit /= 2) sum += __shfl_xor_sync(kWarp, sum, bit);
        if (there) limb = sum;
      }
      if (there && static_cast<int>(threadIdx.x % 32) != __ffs(static_cast<int>(crowd)) - 1) place = -1;
    }
  }
  if (place < 0) return;
  for (int k = 0; k < Summand<T>::kLimbs; ++k)
    atomicAdd(reinterpret_cast<unsigned long long*>(&sums[place].limbs[k]),
              static_cast<unsigned long long>(own.limbs[k]));
}

template <class T, bool kOne>
__global__ void __launch_bounds__(kThreads)
    sums_kernel(const char* values, const uint32_t* tops, Summand<T>* sums, int unit_bits,
                const __grid_constant__ PlaceWalk<3> walk, const __grid_constant__ IndexArrays arrays) {
  const int64_t step = int64_t{gridDim.x} * kThreads * kEach;
  for (int64_t first = int64_t{blockIdx.x} * kThreads * kEach; first < walk.total; first += step) {
    T x[kEach];
    int64_t place[kEach];
    uint32_t top[kEach];
    read_points<kOne, false>(values, walk, arrays, first + threadIdx.x, x, place);
#pragma unroll
    for (int k = 0; k < kEach; ++k)
      if (place[k] >= 0) top[k] = tops[place[k]];
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      // Finite numbers add nothing to what is not, and zeros nothing at all.
      Summand<T> own;
      if (place[k] >= 0 && fixed_sum::is_finite(top[k])) own = fixed_sum::summand(x[k], top[k], unit_bits);
      bool adds = false;
      for (const uint64_t limb : own.limbs) adds |= limb != 0;
      add(sums, adds ? place[k] : -1, own);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    places_kernel(T* t, const uint32_t* tops, const Summand<T>* sums, int unit_bits, int64_t n) {
  const int64_t step = int64_t{gridDim.x} * kThreads;
#pragma unroll 1
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += step) {
    const uint32_t top = tops[i];
    if (top > fixed_sum::kMinusZero) t[i] = fixed_sum::added(t[i], top, unit_bits, sums[i]);
  }
}

template <class T>
void sum_places(const PlaceLaunches& l, int64_t places, const atled_tensor* values) {
  const Tensor room = Tensor::empty(ATLED_INT64, {places * Summand<T>::kLimbs + (places + 1) / 2}, l.device);
  auto* sums = static_cast<Summand<T>*>(room->dl.data);
  auto* tops = reinterpret_cast<uint32_t*>(sums + places);
  expect(cudaMemsetAsync(sums, 0, static_cast<size_t>(numel(room)) * sizeof(int64_t), l.stream), "fill with zeros");
  const int unit_bits = fixed_sum::unit_bits(static_cast<uint64_t>(l.points()));
  const PlaceWalk<3> walk = l.everything<3>(values);
  const uint32_t blocks = blocks_for(walk.total, kThreads * kEach);
  visit_one(l.one(), [&](auto one) {
    constexpr bool kOne = decltype(one)::value;
    launch(tops_kernel<T, kOne>, blocks, kThreads, l.stream, data<const char>(values), tops, walk, l.arrays);
    launch(sums_kernel<T, kOne>, blocks, kThreads, l.stream, data<const char>(values), tops, sums, unit_bits, walk,
           l.arrays);
  });
  launch(places_kernel<T>, blocks_for(places, kThreads), kThreads, l.stream, reinterpret_cast<T*>(l.data), tops, sums,
         unit_bits, places);
}

}  // namespace

bool Places::sum_in_any_order(const atled_tensor* values) const {
  const int64_t places = numel(t_);
  if (is_complex(t_->dtype) || !is_contiguous(t_) || total_ != points_ || points_ > kMostPoints) return false;
  if (places > kMostPlaces * points_ || points_ > kMostPerPlace * places) return false;
  const PlaceLaunches l(*this);
  visit_float(t_->dtype, [&](auto tag) { sum_places<typename decltype(tag)::type>(l, places, values); });
  return true;
}

}  // namespace atled::core::cuda
