#include <climits>

#include "atled/divisor.h"
#include "cuda/direct_convolution.h"
#include "cuda/kernel.cuh"

namespace atled::nn {

namespace {

constexpr int kStrip = 4;  // neighbouring columns that a thread computes
constexpr int kMany = 8;   // results' channels that it computes from what it reads, where a group has so many
constexpr int kMostProducts = 49, kMostOfMany = 32;  // of one result

// What one launch reads and writes. A group has `in` planes of h × w to read, and `out` planes of oh × ow to write.
struct Planes {
  int32_t groups, in, out;
  int32_t h, w, oh, ow;
  int32_t top, left;         // padding
  uint32_t tiles;            // of a group's planes to write, each a block's
  FastDivisor strips, rows;  // of a plane: strips of a row, and rows of strips
  uint32_t items;            // strips of all images
  bool transposed;           // the weight has `in` outermost, and its elements are to be met in the opposite order

  void divide(int64_t images, int rows_of_strip, int planes_of_tile) {
    strips = FastDivisor(static_cast<uint32_t>((ow + kStrip - 1) / kStrip));
    rows = FastDivisor(static_cast<uint32_t>((oh + rows_of_strip - 1) / rows_of_strip));
    items = static_cast<uint32_t>(images) * rows.divisor * strips.divisor;
    tiles = static_cast<uint32_t>((out + planes_of_tile - 1) / planes_of_tile);
  }
  dim3 blocks(uint32_t chunks) const { return dim3(chunks, tiles * static_cast<uint32_t>(groups)); }

  // ---- on the device ----

  // The image, row of strips and first column of an item.
  __device__ void locate(uint32_t item, int64_t& image, int32_t& row, int32_t& column) const {
    const uint32_t line = strips.quotient(item), whole = rows.quotient(line);
    image = whole;
    row = static_cast<int32_t>(line - whole * rows.divisor);
    column = static_cast<int32_t>(item - line * strips.divisor) * kStrip;
  }
  __device__ int64_t plane_to_read(int64_t image, int32_t group) const { return (image * groups + group) * in * h * w; }
  __device__ int64_t plane_to_write(int64_t image, int32_t group, int32_t plane) const {
    return ((image * groups + group) * out + plane) * oh * ow;
  }
};

// N elements of a plane's row from a column on, zeros outside.
template <class T, int N>
__device__ __forceinline__ void read_row(const T* plane, const Planes& s, int32_t row, int32_t column,
                                         float (&into)[N]) {
  const T* from = plane + static_cast<int64_t>(row) * s.w;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const int32_t at = column + k;
    into[k] = static_cast<uint32_t>(at) < static_cast<uint32_t>(s.w) ? static_cast<float>(from[at]) : 0.0f;
  }
}

// Cross-correlation with windows of K × K at every S-th place. A thread writes strips of R rows and kStrip columns of Q
// planes; `vectors`: a row's columns at once.
template <class T, int K, int S, int Q, int R>
__global__ void __launch_bounds__(kThreads)
    correlate_kernel(const T* x, const T* weight, const T* bias, const Planes s, bool vectors, T* y) {
  constexpr int kReach = (kStrip - 1) * S + K, kWindow = K * K;
  using Weights = Vector<float, Q>;
  __shared__ Weights weights[Q == 1 ? kMostProducts : kMostOfMany];
  const int32_t group = static_cast<int32_t>(blockIdx.y / s.tiles),
                first = static_cast<int32_t>(blockIdx.y % s.tiles) * Q;
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < s.in * kWindow * Q; i += kThreads) {
    const int32_t k = first + i % Q, at = i / Q % kWindow, c = i / (Q * kWindow);
    const int64_t place = s.transposed ? ((group * s.in + c) * s.out + k) * kWindow + kWindow - 1 - at
                                       : ((group * s.out + k) * s.in + c) * kWindow + at;
    weights[i / Q].item[i % Q] = k < s.out ? static_cast<float>(weight[place]) : 0.0f;
  }
  __syncthreads();
  for (uint32_t item = thread_index(); item < s.items; item += thread_count()) {
    int64_t image;
    int32_t row, column;
    s.locate(item, image, row, column);
    row *= R;
    float sums[Q][R][kStrip];
#pragma unroll
    for (int q = 0; q < Q; ++q) {
      const float start = bias && first + q < s.out ? static_cast<float>(bias[group * s.out + first + q]) : 0.0f;
#pragma unroll
      for (int k = 0; k < R * kStrip; ++k) sums[q][k / kStrip][k % kStrip] = start;
    }
    const T* plane = x + s.plane_to_read(image, group);
#pragma unroll 1
    for (int32_t c = 0; c < s.in; ++c, plane += static_cast<int64_t>(s.h) * s.w) {
#pragma unroll
      for (int i = 0; i < (R - 1) * S + K; ++i) {
        const int32_t from = row * S - s.top + i;
        if (static_cast<uint32_t>(from) >= static_cast<uint32_t>(s.h)) continue;
        float values[kReach];
        read_row(plane, s, from, column * S - s.left, values);
#pragma unroll
        for (int r = 0; r < R; ++r) {
          if (i < r * S || i >= r * S + K) continue;
#pragma unroll
          for (int j = 0; j < K; ++j) {
            const Weights by = weights[c * kWindow + (i - r * S) * K + j];
#pragma unroll
            for (int q = 0; q < Q; ++q)
#pragma unroll
              for (int k = 0; k < kStrip; ++k) sums[q][r][k] = fmaf(by.item[q], values[k * S + j], sums[q][r][k]);
          }
        }
      }
    }
#pragma unroll
    for (int q = 0; q < Q; ++q) {
      if (first + q >= s.out) break;
      T* to = y + s.plane_to_write(image, group, first + q) + static_cast<int64_t>(row) * s.ow + column;
#pragma unroll
      for (int r = 0; r < R; ++r, to += s.ow) {
        if (row + r >= s.oh) break;
        Vector<T, kStrip> result;
#pragma unroll
        for (int k = 0; k < kStrip; ++k) result.item[k] = T(sums[q][r][k]);
        if (vectors) {
          store(to, result);
        } else {
#pragma unroll
          for (int k = 0; k < kStrip; ++k)
            if (column + k < s.ow) to[k] = result.item[k];
        }
      }
    }
  }
}

// What windows at every other place give back: each element of the input looks at the windows that hold it.
template <class T, int K>
__global__ void __launch_bounds__(kThreads) spread_kernel(const T* g, const T* weight, const Planes s, T* dx) {
  constexpr int kWindow = K * K;
  __shared__ float weights[kMostProducts];
  const int32_t group = static_cast<int32_t>(blockIdx.y / s.tiles), c = static_cast<int32_t>(blockIdx.y % s.tiles);
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < s.in * kWindow; i += kThreads)
    weights[i] = static_cast<float>(weight[((group * s.in + i / kWindow) * s.out + c) * kWindow + i % kWindow]);
  __syncthreads();
  for (uint32_t item = thread_index(); item < s.items; item += thread_count()) {
    int64_t image;
    int32_t row, column;
    s.locate(item, image, row, column);
    float sums[kStrip] = {};
    const T* plane = g + s.plane_to_read(image, group);
#pragma unroll 1
    for (int32_t k = 0; k < s.in; ++k, plane += static_cast<int64_t>(s.h) * s.w) {
#pragma unroll
      for (int i = 0; i < K; ++i) {
        const int32_t down = row + s.top - i;
        if (down % 2 != 0 || static_cast<uint32_t>(down / 2) >= static_cast<uint32_t>(s.h)) continue;
        const T* from = plane + static_cast<int64_t>(down / 2) * s.w;
#pragma unroll
        for (int v = 0; v < kStrip; ++v)
#pragma unroll
          for (int j = 0; j < K; ++j) {
            const int32_t right = column + v + s.left - j;
            if (right % 2 == 0 && static_cast<uint32_t>(right / 2) < static_cast<uint32_t>(s.w))
              sums[v] = fmaf(weights[k * kWindow + i * K + j], static_cast<float>(from[right / 2]), sums[v]);
          }
      }
    }
    T* to = dx + s.plane_to_write(image, group, c) + static_cast<int64_t>(row) * s.ow + column;
#pragma unroll
    for (int v = 0; v < kStrip; ++v)
      if (column + v < s.ow) to[v] = T(sums[v]);
  }
}

// The weight's gradient for one of the planes that are read and Q of the outputs': a block's part of the sums over all
// windows, into parts (chunks, weight).
template <class T, int K, int S, int Q>
__global__ void __launch_bounds__(kThreads)
    weight_kernel(const T* x, const T* g, const Planes s, bool vectors, float* parts) {
  constexpr int kReach = (kStrip - 1) * S + K, kWindow = K * K, kWarps = kThreads / 32;
  const int32_t c = static_cast<int32_t>(blockIdx.z), group = static_cast<int32_t>(blockIdx.y / s.tiles),
                first = static_cast<int32_t>(blockIdx.y % s.tiles) * Q;
  float sums[Q * kWindow] = {};
  for (uint32_t item = thread_index(); item < s.items; item += thread_count()) {
    int64_t image;
    int32_t row, column;
    s.locate(item, image, row, column);
    float slopes[Q][kStrip];
    const T* from = g + s.plane_to_write(image, group, first) + static_cast<int64_t>(row) * s.ow + column;
#pragma unroll
    for (int q = 0; q < Q; ++q, from += static_cast<int64_t>(s.oh) * s.ow) {
      Vector<T, kStrip> piece{};
      if (first + q < s.out) {
        if (vectors) {
          piece = load<T, kStrip>(from);
        } else {
#pragma unroll
          for (int k = 0; k < kStrip; ++k)
            if (column + k < s.ow) piece.item[k] = from[k];
        }
      }
#pragma unroll
      for (int k = 0; k < kStrip; ++k) slopes[q][k] = static_cast<float>(piece.item[k]);
    }
    const T* plane = x + s.plane_to_read(image, group) + static_cast<int64_t>(c) * s.h * s.w;
#pragma unroll
    for (int i = 0; i < K; ++i) {
      const int32_t at = row * S - s.top + i;
      if (static_cast<uint32_t>(at) >= static_cast<uint32_t>(s.h)) continue;
      float values[kReach];
      read_row(plane, s, at, column * S - s.left, values);
#pragma unroll
      for (int j = 0; j < K; ++j)
#pragma unroll
        for (int q = 0; q < Q; ++q)
#pragma unroll
          for (int k = 0; k < kStrip; ++k) {
            float& sum = sums[q * kWindow + i * K + j];
            sum = fmaf(slopes[q][k], values[k * S + j], sum);
          }
    }
  }
  __shared__ float room[kWarps][Q * kWindow];
#pragma unroll
  for (int e = 0; e < Q * kWindow; ++e) {
    float sum = sums[e];
#pragma unroll
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
    if (threadIdx.x % 32 == 0) room[threadIdx.x / 32][e] = sum;
  }
  __syncthreads();
  const int64_t count = static_cast<int64_t>(s.groups) * s.out * s.in * kWindow;
  for (int32_t e = static_cast<int32_t>(threadIdx.x); e < Q * kWindow; e += kThreads) {
    const int32_t k = first + e / kWindow;
    if (k >= s.out) break;
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += room[w][e];
    parts[blockIdx.x * count + ((group * s.out + k) * s.in + c) * kWindow + e % kWindow] = sum;
  }
}

// Each warp of a block adds its share of the parts of the same 32 elements.
template <class T>
__global__ void __launch_bounds__(kThreads) join_kernel(const float* parts, int64_t chunks, int64_t count, T* out) {
  const int64_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int64_t first = blockIdx.x * INT64_C(32); first < count; first += gridDim.x * INT64_C(32)) {
    const int64_t i = first + lane;
    double sum = 0;
    if (i < count)
      for (int64_t p = warp; p < chunks; p += kThreads / 32) sum += static_cast<double>(parts[p * count + i]);
    sum = across_warps(sum);
    if (i < count && warp == 0) out[i] = T(static_cast<float>(sum));
  }
}

// ---- on the host ----

// As the one that computes a result sees it: the planes that are read, for the weight's gradient the input's.
struct Sides {
  int64_t in, out;  // planes of a group
};
Sides sides(cudnn::Kind kind, const Convolution& s) {
  const Sides forward{s.c / s.groups, s.k / s.groups};
  return kind == cudnn::kBackwardInput ? Sides{forward.out, forward.in} : forward;
}
constexpr bool is_many(int64_t planes) { return planes >= kMany / 2; }

template <int N>
using Int = std::integral_constant<int, N>;

// Calls f(Int<K>, Int<S>, Int<Q>) with the window's size, the stride, and 1 or kMany.
template <class F>
void visit_sizes(const Convolution& s, bool many, F&& f) {
  const auto with_stride = [&](auto k, auto q) {
    if (s.stride.h == 1)
      f(k, Int<1>{}, q);
    else
      f(k, Int<2>{}, q);
  };
  if (s.kh == 3) return many ? with_stride(Int<3>{}, Int<kMany>{}) : with_stride(Int<3>{}, Int<1>{});
  if (s.kh == 5) return many ? with_stride(Int<5>{}, Int<kMany>{}) : with_stride(Int<5>{}, Int<1>{});
  with_stride(Int<7>{}, Int<1>{});
}

// Calls f(Tag of the dtype).
template <class F>
void visit_narrow(int dtype, F&& f) {
  visit_float(dtype, [&](auto tag) {
    if constexpr (!std::is_same_v<typename decltype(tag)::type, double>) f(tag);
  });
}

Planes planes_of(cudnn::Kind kind, const Convolution& s) {
  const Sides side = sides(kind, s);
  Planes p{};
  p.groups = static_cast<int32_t>(s.groups);
  p.in = static_cast<int32_t>(side.in);
  p.out = static_cast<int32_t>(side.out);
  p.h = static_cast<int32_t>(s.h);
  p.w = static_cast<int32_t>(s.w);
  p.oh = static_cast<int32_t>(s.oh);
  p.ow = static_cast<int32_t>(s.ow);
  p.top = static_cast<int32_t>(s.padding.h);
  p.left = static_cast<int32_t>(s.padding.w);
  if (kind != cudnn::kBackwardInput) return p;
  std::swap(p.h, p.oh);
  std::swap(p.w, p.ow);
  if (s.stride.h > 1) return p;
  p.transposed = true;
  p.top = static_cast<int32_t>(s.kh) - 1 - p.top;
  p.left = static_cast<int32_t>(s.kw) - 1 - p.left;
  return p;
}

// Whether a row of a plane to write is whole vectors.
template <class T>
bool has_vectors(const Planes& p, const T* data) {
  return p.ow % kStrip == 0 && is_aligned(data);
}

template <class T>
void correlate(const On& on, const Convolution& s, Planes p, const T* x, const T* weight, const T* bias, T* y) {
  visit_sizes(s, is_many(p.out), [&](auto k, auto stride, auto many) {
    constexpr int K = decltype(k)::value, S = decltype(stride)::value, Q = decltype(many)::value, R = Q == 1 ? 4 : 1;
    p.divide(s.n, R, Q);
    on.run(correlate_kernel<T, K, S, Q, R>, p.blocks(blocks_for(p.items)), x, weight, bias, p, has_vectors(p, y), y);
  });
}

template <class T>
void spread(const On& on, const Convolution& s, Planes p, const T* g, const T* weight, T* dx) {
  p.divide(s.n, 1, 1);
  const auto run = [&](auto kernel) { on.run(kernel, p.blocks(blocks_for(p.items)), g, weight, p, dx); };
  s.kh == 3 ? run(spread_kernel<T, 3>) : s.kh == 5 ? run(spread_kernel<T, 5>) : run(spread_kernel<T, 7>);
}

template <class T>
void add_up(const On& on, const Convolution& s, Planes p, const T* x, const T* g, const atled_tensor* weight) {
  visit_sizes(s, is_many(p.out), [&](auto k, auto stride, auto many) {
    // As many sums as registers hold.
    constexpr int K = decltype(k)::value, S = decltype(stride)::value,
                  Q = decltype(many)::value == 1 ? 1
                      : K == 3                   ? 4
                                                 : 2;
    p.divide(s.n, 1, Q);
    // Blocks add up eight strips a thread at least, but where the device would have little to do.
    const int64_t others = int64_t{p.tiles} * p.groups * p.in, strips = (int64_t{p.items} + kThreads - 1) / kThreads;
    const int64_t chunks = std::min({std::max(strips / 8, 512 / others), strips, INT64_C(1024)});
    const Tensor parts = Tensor::empty(ATLED_FLOAT32, {std::max<int64_t>(chunks, 1), numel(weight)}, weight->dl.device);
    dim3 blocks = p.blocks(static_cast<uint32_t>(parts->dl.shape[0]));
    blocks.z = static_cast<uint32_t>(p.in);
    on.run(weight_kernel<T, K, S, Q>, blocks, x, g, p, has_vectors(p, g), data<float>(parts));
    on.run(join_kernel<T>, blocks_for(numel(weight), 32), data<const float>(parts), parts->dl.shape[0], numel(weight),
           data<T>(weight));
  });
}

}  // namespace

bool has_few_products(cudnn::Kind kind, const Convolution& s, int dtype) {
  const auto is_one_of = [](int64_t x, auto... values) { return (... || (x == values)); };
  if (s.dims != 2 || dtype == ATLED_FLOAT64 || s.kh != s.kw || !is_one_of(s.kh, 3, 5, 7)) return false;
  if (s.stride.h != s.stride.w || !is_one_of(s.stride.h, 1, 2) || s.dilation.h != 1 || s.dilation.w != 1) return false;
  if (s.padding.h >= s.kh || s.padding.w >= s.kw) return false;
  const Sides side = sides(kind, s);
  const bool many = is_many(side.out), spreads = kind == cudnn::kBackwardInput && s.stride.h > 1;
  if (side.in * s.kh * s.kw > (many ? kMostOfMany : kMostProducts) || (spreads && many)) return false;
  // 32-bit numbers keep count of strips, and of a group's planes; a grid has so many rows of blocks.
  return std::max(s.h * s.w, s.oh * s.ow) <= INT_MAX / std::max<int64_t>(s.n, 1) && s.c <= 0xffff && s.k <= 0xffff;
}

void convolve_directly(cudnn::Kind kind, const Convolution& s, const atled_tensor* weight, const atled_tensor* input,
                       const atled_tensor* output, const atled_tensor* bias) {
  const On on(weight);
  const Planes p = planes_of(kind, s);
  visit_narrow(weight->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *x = data<const T>(input), *w = data<const T>(weight), *g = data<const T>(output);
    if (kind == cudnn::kForward)
      return correlate<T>(on, s, p, x, w, bias ? data<const T>(bias) : nullptr, data<T>(output));
    if (kind == cudnn::kBackwardWeight) return add_up<T>(on, s, p, x, g, weight);
    if (s.stride.h > 1) return spread<T>(on, s, p, g, w, data<T>(input));
    correlate<T>(on, s, p, g, w, nullptr, data<T>(input));
  });
}

}  // namespace atled::nn
