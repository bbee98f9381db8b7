// Tensors (n, channels, inner) walked channel by channel: which threads have which elements, by shape alone.
//
// A block has one channel, or 32 side by side where inner is 1, and one chunk of their elements.
#pragma once

#include <initializer_list>

#include "cuda/kernel.cuh"

namespace atled::nn {

constexpr int kMostChunks = 256;
// Vectors of V elements that a thread has at once.
template <int V>
constexpr int kPiece = V == 1 ? 8 : 4;

struct Channels {
  int64_t n, channels, inner;
  int64_t vectors, length, chunk_length;  // vectors of a plane, of a channel, of a chunk
  uint32_t columns, chunks;               // columns: 1 or 32

  Channels(int64_t outer, int64_t count, int64_t inside, int vector)
      : n(outer), channels(count), inner(inside), vectors(std::max<int64_t>(inside / vector, 1)) {
    length = inside ? n * vectors : 0;
    columns = inner == 1 ? 32 : 1;
    // Enough blocks for a large device, each with some vectors for a thread.
    constexpr int64_t kBlocks = 1024;
    const int64_t least = vector == 1 ? 16 : 4, most = length * columns / (least * kThreads),
                  wanted = kBlocks / std::max<int64_t>(groups(), 1);
    const int64_t parts = std::clamp<int64_t>(std::min(most, wanted), 1, kMostChunks);
    chunk_length = std::max<int64_t>((length + parts - 1) / parts, 1);
    chunks = static_cast<uint32_t>(std::max<int64_t>((length + chunk_length - 1) / chunk_length, 1));
  }
  int64_t groups() const { return (channels + columns - 1) / columns; }
  dim3 blocks() const { return dim3(block_groups(), chunks); }
  unsigned block_groups() const {
    if (groups() > INT32_MAX) fail(ATLED_E_NOT_IMPLEMENTED, "expected less than 2^31 channels");
    return static_cast<unsigned>(groups());
  }

  // ---- on the device ----

  __device__ int64_t channel() const {
    return static_cast<int64_t>(blockIdx.x) * columns + (columns == 1 ? 0 : threadIdx.x % 32);
  }
  __device__ uint32_t lane() const { return columns == 1 ? threadIdx.x : threadIdx.x / 32; }
  __device__ uint32_t lanes() const { return columns == 1 ? kThreads : kThreads / 32; }
  // Whether this thread is the first of its channel.
  __device__ bool first() const { return blockIdx.y == 0 && lane() == 0; }
  template <class X>
  __device__ X together(const X& value) const {
    return columns == 1 ? across(value, kThreads) : across_warps(value);
  }
  // Leaves what the block's threads have of a channel together, for all to have in the next launch.
  template <class X>
  __device__ void keep(const X& all, X* parts) const {
    if (lane() == 0 && channel() < channels) parts[channel() * chunks + blockIdx.y] = all;
  }
  template <class X>
  __device__ X joined(const X* parts) const {
    X value;
    if (channel() < channels)
      for (uint32_t i = lane(); i < chunks; i += lanes()) value = Join{}(value, parts[channel() * chunks + i]);
    return together(value);
  }
};

// One thread's vectors of its block's chunk.
template <int V>
class Walk {
 public:
  __device__ explicit Walk(const Channels& s) {
    const int64_t from = blockIdx.y * s.chunk_length, to = from + s.chunk_length;
    end_ = s.channel() < s.channels ? (to < s.length ? to : s.length) : 0;
    i_ = from + s.lane();
    plane_ = i_ / s.vectors;
    place_ = i_ - plane_ * s.vectors;
    planes_ = s.lanes() / s.vectors;
    places_ = s.lanes() - planes_ * s.vectors;
  }
  __device__ bool more() const { return i_ < end_; }
  // The next vectors' places, up to N of them; how many there are.
  template <int N>
  __device__ int take(const Channels& s, int64_t (&at)[N]) {
    int64_t unused[N];
    return take(s, at, unused);
  }
  // Their planes as well.
  template <int N>
  __device__ int take(const Channels& s, int64_t (&at)[N], int64_t (&planes)[N]) {
    int count = 0;
#pragma unroll
    for (int k = 0; k < N; ++k) {
      at[k] = (plane_ * s.channels + s.channel()) * s.inner + place_ * V;
      planes[k] = plane_;
      count += more();
      i_ += s.lanes();
      plane_ += planes_;
      place_ += places_;
      if (place_ >= s.vectors) {
        place_ -= s.vectors;
        ++plane_;
      }
    }
    return count;
  }

 private:
  int64_t i_, end_, plane_, place_, planes_, places_;  // the last two: from one vector to the next
};

// What blocks leave for the next launch.
template <class X>
class Parts {
 public:
  Parts(const Channels& s, DLDevice device)
      : room_(Tensor::empty(ATLED_UINT8, {s.channels * s.chunks * static_cast<int64_t>(sizeof(X))}, device)) {}
  X* get() const { return data<X>(room_); }

 private:
  Tensor room_;
};

// Calls f(On, Channels, a vector's length), where there are channels; pointers are of tensors like t.
template <class T, class F>
void over_channels(const atled_tensor* t, std::initializer_list<const T*> pointers, F&& f) {
  constexpr int V = static_cast<int>(16 / sizeof(T));
  if (t->dl.shape[1] == 0) return;
  const On on(t);
  int64_t inner = 1;
  for (int i = 2; i < t->dl.ndim; ++i) inner *= t->dl.shape[i];
  bool vectors = inner % V == 0 && inner > 0;
  for (const T* pointer : pointers) vectors = vectors && reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
  if (vectors)
    f(on, Channels(t->dl.shape[0], t->dl.shape[1], inner, V), std::integral_constant<int, V>{});
  else
    f(on, Channels(t->dl.shape[0], t->dl.shape[1], inner, 1), std::integral_constant<int, 1>{});
}

}  // namespace atled::nn
