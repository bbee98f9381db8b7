// What the kernels over indexed places are handed, and how a place is found.
#pragma once

#include "cuda/elementwise.cuh"
#include "cuda/index_error.cuh"
#include "cuda/indexed.h"
#include "cuda/place_walk.h"

namespace atled::core::cuda {

struct IndexArray {
  const void* data;  // int64, or int32 where narrow
  int64_t size, stride, slot;
  int32_t narrow, dim;
};
struct IndexArrays {
  IndexSite site;
  int32_t count;
  IndexArray at[kMostIndices];
};

__device__ __forceinline__ int64_t read_index(const IndexArray& a, int64_t point) {
  return a.narrow ? static_cast<const int32_t*>(a.data)[point] : static_cast<const int64_t*>(a.data)[point];
}

// Where a point is: bytes from the tensor's data, and its number among all places. False when an index is outside; it
// then counts as 0.
template <bool kOne, bool kTells = true>
__device__ __forceinline__ bool find_place(const IndexArrays& arrays, int64_t point, int64_t& bytes, int64_t& slot) {
  bytes = slot = 0;
  bool inside = true;
  const int count = kOne ? 1 : arrays.count;
#pragma unroll 1
  for (int k = 0; k < count; ++k) {
    const IndexArray& a = arrays.at[k];
    int64_t index = read_index(a, point);
    inside &= settle_index<kTells>(index, a.size, a.dim, arrays.site);
    bytes += index * a.stride;
    slot += index * a.slot;
  }
  return inside;
}

// Numbers of places: uint32, or uint64 where wide.
struct Slots {
  void* data;
  int32_t wide;

  Slots() = default;
  explicit Slots(const Tensor& t) : data(t->dl.data), wide(t->dtype == ATLED_UINT64) {}
  __device__ uint64_t operator[](int64_t i) const {
    return wide ? static_cast<const uint64_t*>(data)[i] : static_cast<const uint32_t*>(data)[i];
  }
  __device__ void set(int64_t i, uint64_t slot) const {
    if (wide)
      static_cast<uint64_t*>(data)[i] = slot;
    else
      static_cast<uint32_t*>(data)[i] = static_cast<uint32_t>(slot);
  }
};

// Builds what launches need of a plan.
class PlaceLaunches {
 public:
  explicit PlaceLaunches(const Places& places) : p(places), device(places.t_->dl.device) {
    stream = current_stream(device.device_id);
    item = itemsize(p.t_->dtype);
    data = static_cast<char*>(p.t_->dl.data);
    arrays.site = current_index_site();
    arrays.count = static_cast<int32_t>(p.indices_.size());
    for (size_t k = 0; k < p.indices_.size(); ++k) {
      const Places::Index& index = p.indices_[k];
      arrays.at[k] = IndexArray{
          index.tensor->dl.data, index.size, index.stride, index.slot, index.tensor->dtype == ATLED_INT32, index.dim};
    }
  }

  int64_t points() const { return p.points_; }
  int64_t slots() const { return p.slots_; }
  bool unique() const { return p.unique_ || p.points_ <= 1 || arrays.count == 0; }
  bool one() const { return arrays.count == 1; }

  // Operands: values in bytes, the tensor in bytes, the point, its slot but for the indices' part.
  template <int N>
  PlaceWalk<N> everything(const atled_tensor* values) const {
    PlaceWalk<N> walk;
    each(values, [&](const Places::Dim& d, int64_t step) {
      const int64_t all[4] = {step, d.stride, d.indexed ? d.point : 0, d.slot};
      add(walk, d.size, all);
    });
    walk.settle();
    return walk;
  }
  // The same over points alone, in their order, and over what each point has.
  template <int N>
  PlaceWalk<N> part(const atled_tensor* values, bool indexed) const {
    PlaceWalk<N> walk;
    each(values, [&](const Places::Dim& d, int64_t step) {
      const int64_t all[4] = {step, d.stride, d.indexed ? d.point : 0, d.slot};
      if (d.indexed == indexed) add(walk, d.size, all);
    });
    walk.settle();
    return walk;
  }
  PlaceWalk<1> slot_walk() const {
    PlaceWalk<1> walk;
    each(nullptr, [&](const Places::Dim& d, int64_t) {
      if (d.indexed && !walk.add(d.size, {d.slot})) too_many();
    });
    walk.settle();
    return walk;
  }

  // What lines have besides the one dimension that the index runs along, which is answered.
  struct Line {
    int64_t length, values, point;
  };
  Line lines(const atled_tensor* values, PlaceWalk<3>& walk) const {
    Line line{1, 0, 0};
    size_t d = p.dims_.size();
    each(values, [&](const Places::Dim& dim, int64_t step) {
      if (static_cast<int>(--d) == p.line_)
        line = Line{dim.size, step, dim.point};
      else
        add(walk, dim.size, {step, dim.stride, dim.point, 0});
    });
    walk.settle();
    return line;
  }

  // Widens a walk; the unit is 32 where it is 16 bytes that are aligned, too.
  template <int N>
  int unit_of(PlaceWalk<N>& walk, const atled_tensor* values) const {
    uint64_t alignment = reinterpret_cast<uintptr_t>(data) | reinterpret_cast<uintptr_t>(values->dl.data);
    for (int k = 0; k < arrays.count; ++k) alignment |= static_cast<uint64_t>(arrays.at[k].stride);
    const int unit = widen(walk, item, alignment);
    for (int d = 0; d < walk.ndim; ++d)
      alignment |= static_cast<uint64_t>(walk.strides[0][d]) | static_cast<uint64_t>(walk.strides[1][d]);
    return unit == 16 && alignment % 16 == 0 ? 32 : unit;
  }

  const Places& p;
  DLDevice device;
  cudaStream_t stream;
  int item;
  char* data;
  IndexArrays arrays{};

 private:
  [[noreturn]] static void too_many() {
    fail(ATLED_E_NOT_IMPLEMENTED, "expected at most %d dimensions that do not join", kMaxDims);
  }
  template <int N>
  static void add(PlaceWalk<N>& walk, int64_t size, const int64_t (&all)[4]) {
    int64_t steps[N];
    for (int k = 0; k < N; ++k) steps[k] = all[k];
    if (!walk.add(size, steps)) too_many();
  }
  // From the innermost dimension on; values broadcast.
  template <class F>
  void each(const atled_tensor* values, F&& f) const {
    int own = values ? values->dl.ndim : 0;
    for (size_t d = p.dims_.size(); d-- > 0;) {
      const bool has = --own >= 0 && values->dl.shape[own] != 1;
      f(p.dims_[d], has ? values->dl.strides[own] * itemsize(values->dtype) : 0);
    }
  }
};

// Calls f(std::true_type or std::false_type): whether there is one index tensor, which kernels read without a loop.
template <class F>
void visit_one(bool one, F&& f) {
  if (one)
    f(std::true_type{});
  else
    f(std::false_type{});
}

}  // namespace atled::core::cuda
