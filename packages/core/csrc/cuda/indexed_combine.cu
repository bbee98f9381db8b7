// Combining values with what places hold. Whatever order gives the same result is combined as threads come; floats are
// summed and multiplied in an order that only the indices decide, after sorting the points by place, where
// indexed_sums.cu does not sum them in any.
#include "cuda/indexed.cuh"
#include "functors/reduction.h"
#include "functors/scatter.h"

namespace atled::core::cuda {

namespace {

// ---- in any order ----

template <class T>
struct Bits {
  using type = std::conditional_t<sizeof(T) == 8, unsigned long long, unsigned>;
};

// Extremes of floats: NaN stays, and of zeros the one of that sign that the result would have in any order.
template <class T, bool kLargest>
struct Extreme {
  __device__ T operator()(T a, T x) const {
    const auto u = loaded<OrderAcc<T>>(a), v = loaded<OrderAcc<T>>(x);
    if (u != u) return a;
    if (v != v) return x;
    if (u == v) return std::signbit(static_cast<double>(u)) == kLargest ? x : a;
    return (u > v) == kLargest ? a : x;
  }
};

// *at = f(*at, x), whole words at a time.
template <class T, class F>
__device__ __forceinline__ void apply_at_once(T* at, T x, const F& f) {
  if constexpr (sizeof(T) >= 4) {
    using B = typename Bits<T>::type;
    if constexpr (std::is_same_v<F, scattering::Sum> && std::is_integral_v<T>) {
      atomicAdd(reinterpret_cast<B*>(at), static_cast<B>(x));
    } else {
      B* word = reinterpret_cast<B*>(at);
      B seen = *static_cast<volatile B*>(word);
      for (;;) {
        T before;
        memcpy(&before, &seen, sizeof before);
        const T after = f(before, x);
        B next;
        memcpy(&next, &after, sizeof next);
        if (next == seen) return;
        const B found = atomicCAS(word, seen, next);
        if (found == seen) return;
        seen = found;
      }
    }
  } else {
    const auto address = reinterpret_cast<uintptr_t>(at);
    unsigned* word = reinterpret_cast<unsigned*>(address & ~uintptr_t{3});
    const unsigned shift = 8 * static_cast<unsigned>(address & 3);
    const unsigned mask = (1u << 8 * sizeof(T)) - 1;
    unsigned seen = *static_cast<volatile unsigned*>(word);
    for (;;) {
      const unsigned own = seen >> shift & mask;
      T before;
      if constexpr (std::is_same_v<T, bool>) {
        before = own != 0;
      } else {
        memcpy(&before, &own, sizeof before);
      }
      const T after = f(before, x);
      unsigned bits = 0;
      memcpy(&bits, &after, sizeof after);
      const unsigned next = (seen & ~(mask << shift)) | bits << shift;
      if (next == seen) return;
      const unsigned found = atomicCAS(word, seen, next);
      if (found == seen) return;
      seen = found;
    }
  }
}

template <class T, class F>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const char* values, char* t, const __grid_constant__ PlaceWalk<3> walk,
                   const __grid_constant__ IndexArrays arrays) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < walk.total; i += step) {
    int64_t offsets[3], bytes, slot;
    walk.locate(i, offsets);
    const T x = loaded<T>(*reinterpret_cast<const Stored<T>*>(values + offsets[0]));
    if (find_place<false>(arrays, offsets[2], bytes, slot))
      apply_at_once(reinterpret_cast<T*>(t + offsets[1] + bytes), x, F{});
  }
}

// ---- in order ----

constexpr int64_t kTile = 32;  // sorted items that one thread combines, one after the other
constexpr int64_t kAhead = 4;  // of them wait for memory together

template <class T>
using Accumulator = std::conditional_t<is_small_float<T>, float, T>;

// What a round combines: points at first, then what tiles have left of places that reach over their ends.
struct Items {
  Slots slots;
  uint32_t* points;
  int64_t count;
};
// Two a tile: of the place that it begins in, and of the one that it ends in.
struct LeftItems {
  Slots slots;
  uint32_t* points;
};
constexpr uint64_t kNoSlot = ~uint64_t{0};

template <class T, class F, bool kFirst>
__global__ void __launch_bounds__(kThreads)
    segment_kernel(Items items, const char* values, LeftItems left, Accumulator<T>* left_values, char* t,
                   uint64_t slots, int lanes, const __grid_constant__ PlaceWalk<2> points,
                   const __grid_constant__ PlaceWalk<2> columns, const __grid_constant__ IndexArrays arrays) {
  using A = Accumulator<T>;
  const F f{};
  const int64_t tiles = (items.count + kTile - 1) / kTile, per_block = blockDim.x / lanes;
  const int64_t column_blocks = (columns.total + lanes - 1) / lanes, tile_blocks = (tiles + per_block - 1) / per_block;
  for (int64_t work = blockIdx.x; work < column_blocks * tile_blocks; work += gridDim.x) {
    const int64_t column = work % column_blocks * lanes + threadIdx.x % lanes;
    const int64_t tile = work / column_blocks * per_block + threadIdx.x / lanes;
    if (column >= columns.total || tile >= tiles) continue;
    int64_t of_column[2];
    columns.locate(column, of_column);
    const int64_t begin = tile * kTile, end = begin + kTile < items.count ? begin + kTile : items.count;

    auto value_of = [&](int64_t i) -> A {
      if constexpr (kFirst) {
        int64_t of_point[2];
        points.locate(items.points[i], of_point);
        return static_cast<A>(*reinterpret_cast<const T*>(values + of_point[0] + of_column[0]));
      } else {
        return reinterpret_cast<const A*>(values)[i * columns.total + column];
      }
    };
    uint64_t slot = items.slots[begin];
    uint32_t point = items.points[begin];
    A sum{};
    bool first = true, reaches_back = begin > 0 && items.slots[begin - 1] == slot;
    if (left.points && column == 0) {
      left.slots.set(2 * tile, kNoSlot);
      left.slots.set(2 * tile + 1, kNoSlot);
    }

    auto leave = [&](int64_t item, const A& x) {
      left_values[item * columns.total + column] = x;
      if (column > 0) return;
      left.slots.set(item, slot);
      left.points[item] = point;
    };
    auto finish = [&](bool reaches_on) {
      if (slot >= slots) return;
      if (reaches_back || reaches_on) {
        leave(2 * tile + (reaches_back ? 0 : 1), sum);
        // So that the next tile's item stands beside one of its own place.
        if (reaches_back && reaches_on) leave(2 * tile + 1, F::template neutral<A>());
        return;
      }
      int64_t of_point[2], bytes, unused;
      points.locate(point, of_point);
      find_place<false>(arrays, point, bytes, unused);
      T* place = reinterpret_cast<T*>(t + of_point[1] + bytes + of_column[1]);
      *place = static_cast<T>(f(static_cast<A>(*place), sum));
    };
    for (int64_t i = begin; i < end; i += kAhead) {
      A next[kAhead];
#pragma unroll
      for (int64_t k = 0; k < kAhead; ++k)
        if (i + k < end && items.slots[i + k] < slots) next[k] = value_of(i + k);
#pragma unroll
      for (int64_t k = 0; k < kAhead; ++k) {
        if (i + k >= end) break;
        const uint64_t own = items.slots[i + k];
        if (own != slot) {
          finish(false);
          slot = own;
          point = items.points[i + k];
          first = true;
          reaches_back = false;
        }
        sum = first ? next[k] : f(sum, next[k]);
        first = false;
      }
    }
    finish(end < items.count && items.slots[end] == slot);
  }
}

// ---- in order, line by line ----

constexpr int64_t kLine = 6144;        // places of a line that a block keeps an eye on
constexpr int64_t kFewPoints = 1024;   // for which one block is faster than sorting
constexpr int64_t kEnoughLines = 128;  // to keep a device busy
constexpr int64_t kMostPerPlace = 4;   // points, on average: those of one place wait for each other
constexpr uint32_t kNobody = 0xffffffffu;

// A block takes its line's points by the number of its threads. Of those that name one place, the first goes first.
template <class T, class F>
__global__ void __launch_bounds__(kThreads)
    line_kernel(const char* values, char* t, PlaceLaunches::Line line, const __grid_constant__ PlaceWalk<3> lines,
                const __grid_constant__ IndexArrays arrays) {
  using A = Accumulator<T>;
  __shared__ uint32_t turns[kLine];  // whose turn it is at each place
  __shared__ int waiting;
  const F f{};
  const uint32_t me = threadIdx.x;
  for (int64_t i = me; i < arrays.at[0].size; i += kThreads) turns[i] = kNobody;
  __syncthreads();
  for (int64_t l = blockIdx.x; l < lines.total; l += gridDim.x) {
    int64_t at[3];
    lines.locate(l, at);
    for (int64_t first = 0; first < line.length; first += kThreads) {
      const int64_t i = first + me;
      bool waits = i < line.length;
      int64_t bytes = 0, slot = 0;
      A x{};
      if (waits) {
        x = static_cast<A>(*reinterpret_cast<const T*>(values + at[0] + i * line.values));
        waits = find_place<true>(arrays, at[2] + i * line.point, bytes, slot);
        slot /= arrays.at[0].slot;
      }
      bool more = true;
      while (more) {
        if (waits) atomicMin(&turns[slot], me);
        if (me == 0) waiting = 0;
        __syncthreads();
        const bool goes = waits && turns[slot] == me;
        if (goes) {
          T* place = reinterpret_cast<T*>(t + at[1] + bytes);
          *place = static_cast<T>(f(static_cast<A>(*place), x));
          waits = false;
        }
        if (waits) waiting = 1;
        __syncthreads();
        if (goes) turns[slot] = kNobody;
        more = waiting != 0;
        __syncthreads();
      }
    }
  }
}

struct OrderedSum : scattering::Sum {
  template <class A>
  static __device__ A neutral() {
    return A(0);
  }
};
struct OrderedProduct : scattering::Product {
  template <class A>
  static __device__ A neutral() {
    return A(1);
  }
};

template <class T, class F>
void combine_sorted(const PlaceLaunches& l, const SortedPoints& sorted, const atled_tensor* values) {
  using A = Accumulator<T>;
  const PlaceWalk<2> points = l.part<2>(values, true), columns = l.part<2>(values, false);
  int lanes = 1;
  while (lanes < kThreads && lanes < columns.total) lanes *= 2;
  Tensor slot_room = sorted.slots, point_room = sorted.points,
         value_room = Tensor::borrow(const_cast<atled_tensor*>(values));
  bool first = true;
  for (int64_t count = l.points(); count > 0; first = false) {
    const int64_t tiles = (count + kTile - 1) / kTile;
    Tensor left_slots, left_points, left_values;
    LeftItems left{};
    if (tiles > 1) {
      left_slots = Tensor::empty(slot_room->dtype, {2 * tiles}, l.device);
      left_points = Tensor::empty(ATLED_UINT32, {2 * tiles}, l.device);
      left_values = Tensor::empty(ATLED_UINT8, {2 * tiles * columns.total * static_cast<int64_t>(sizeof(A))}, l.device);
      left = LeftItems{Slots(left_slots), data<uint32_t>(left_points)};
    }
    const Items items{Slots(slot_room), data<uint32_t>(point_room), count};
    const int64_t per_block = kThreads / lanes, column_blocks = (columns.total + lanes - 1) / lanes;
    launch(first ? segment_kernel<T, F, true> : segment_kernel<T, F, false>,
           blocks_for((tiles + per_block - 1) / per_block * column_blocks, 1), kThreads, l.stream, items,
           data<const char>(value_room), left, tiles > 1 ? data<A>(left_values) : nullptr, l.data,
           static_cast<uint64_t>(l.slots()), lanes, points, columns, l.arrays);
    if (tiles == 1) return;
    slot_room = left_slots;
    point_room = left_points;
    value_room = left_values;
    count = 2 * tiles;
  }
}

template <class T, class F>
void combine_lines(const PlaceLaunches& l, const atled_tensor* values) {
  PlaceWalk<3> walk;
  const PlaceLaunches::Line line = l.lines(values, walk);
  launch(line_kernel<T, F>, blocks_for(walk.total, 1), kThreads, l.stream, data<const char>(values), l.data, line, walk,
         l.arrays);
}

// Calls run(Tag of the type, sum or product).
template <class Run>
void visit_ordered(int dtype, Combine how, Run&& run) {
  visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_floating_point_v<T> || is_small_float<T> || is_complex_type<T>) {
      if (how == Combine::kSum)
        run(tag, OrderedSum{});
      else
        run(tag, OrderedProduct{});
    }
  });
}

template <class T, class F>
void combine_now(const PlaceLaunches& l, const atled_tensor* values) {
  const PlaceWalk<3> walk = l.everything<3>(values);
  launch(combine_kernel<T, F>, blocks_for(walk.total, kThreads), kThreads, l.stream, data<const char>(values), l.data,
         walk, l.arrays);
}

}  // namespace

void Places::combine_in_order(const atled_tensor* values, Combine how) const {
  const PlaceLaunches l(*this);
  const SortedPoints sorted = sort();
  visit_ordered(t_->dtype, how, [&](auto tag, auto f) {
    combine_sorted<typename decltype(tag)::type, decltype(f)>(l, sorted, values);
  });
}

bool Places::combine_in_lines(const atled_tensor* values, Combine how) const {
  if (line_ < 0 || indices_[0].size > kLine) return false;
  const int64_t length = dims_[static_cast<size_t>(line_)].size;
  const bool close = indices_[0].stride == itemsize(t_->dtype) && points_ / length >= kEnoughLines;
  if (points_ > kFewPoints && (!close || length > kMostPerPlace * indices_[0].size)) return false;
  const PlaceLaunches l(*this);
  visit_ordered(t_->dtype, how,
                [&](auto tag, auto f) { combine_lines<typename decltype(tag)::type, decltype(f)>(l, values); });
  return true;
}

void Places::combine_at_once(const atled_tensor* values, Combine how) const {
  const PlaceLaunches l(*this);
  visit_dtype(t_->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      // Sums and products are the same bits whether there is a sign or not.
      using U = typename std::conditional_t<std::is_same_v<T, bool>, Tag<bool>, std::make_unsigned<T>>::type;
      if (how == Combine::kSum) return combine_now<U, scattering::Sum>(l, values);
      if (how == Combine::kProduct) return combine_now<U, scattering::Product>(l, values);
      if (how == Combine::kLargest) return combine_now<T, scattering::Largest>(l, values);
      combine_now<T, scattering::Smallest>(l, values);
    } else if constexpr (!is_complex_type<T>) {
      if (how == Combine::kLargest)
        combine_now<T, Extreme<T, true>>(l, values);
      else
        combine_now<T, Extreme<T, false>>(l, values);
    }
  });
}

void Places::combine(const atled_tensor* values, Combine how) const {
  const DeviceGuard device(t_->dl.device.device_id);
  if (nothing_to_do()) return;
  const bool extreme = how == Combine::kLargest || how == Combine::kSmallest;
  if (extreme && is_complex(t_->dtype))
    fail(ATLED_E_DTYPE, "expected real numbers for amax and amin, got complex ones");
  if (t_->dtype < ATLED_FLOAT16 || extreme) return combine_at_once(values, how);
  if (!unique_) {
    if (combine_in_lines(values, how) || (how == Combine::kSum && sum_in_any_order(values))) return;
    return combine_in_order(values, how);
  }
  // Nobody else is there, so what places hold can be read and written.
  static const Op add{"core::add"}, mul{"core::mul"};
  const Layout layout = result();
  const Tensor held = Tensor::empty(t_->dtype, layout.ndim, layout.shape, t_->dl.device);
  read(held);
  write((how == Combine::kSum ? add : mul)(held, const_cast<atled_tensor*>(values)));
}

}  // namespace atled::core::cuda
