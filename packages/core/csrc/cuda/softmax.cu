// Softmax and log_softmax: one pass over rows that fit in registers, two over others (softmax_plan.h).
#include "cuda/softmax.cuh"
#include "functors/arithmetic.h"

namespace atled::core::cuda {

namespace {

struct LargerNumber {
  template <class T>
  __device__ T operator()(T a, T b) const {
    if constexpr (sizeof(T) == 4)
      return fmaxf(a, b);
    else
      return fmax(a, b);
  }
};

// `vectors`: rows are whole and aligned pieces of V elements, which a lane reads and writes at once. The elements that
// a lane holds past a row's end are -inf, which adds nothing.
template <class T, bool kLog, int kHeld>
__global__ void __launch_bounds__(kSoftmaxThreads)
    held_kernel(T* out, const T* in, const SoftmaxPlan plan, bool vectors) {
  using Acc = SoftmaxAcc<T>;
  constexpr uint32_t V = kSoftmaxVector<T>, P = kHeld / V;
  constexpr Acc kLowest = -std::numeric_limits<Acc>::infinity();
  using Piece = Vector<T, V>;
  __shared__ Acc tops[kSoftmaxThreads / 32];
  __shared__ double sums[kSoftmaxThreads / 32];
  const uint32_t lanes = plan.lanes, per_block = plan.width, n = plan.n;
  const uint32_t line = threadIdx.x * per_block / kSoftmaxThreads, lane = threadIdx.x - line * lanes;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * per_block; first < plan.outer;
       first += static_cast<int64_t>(gridDim.x) * per_block) {
    const int64_t row = first + line;
    const uint32_t length = row < plan.outer ? n : 0;
    const T* from = in + row * n;
    T* to = out + row * n;
    Acc x[kHeld];
    if (vectors) {
#pragma unroll
      for (uint32_t p = 0; p < P; ++p) {
        const uint32_t at = (p * lanes + lane) * V;
        Piece piece;
        if (at < length) piece = *reinterpret_cast<const Piece*>(from + at);
#pragma unroll
        for (uint32_t k = 0; k < V; ++k) x[p * V + k] = at < length ? static_cast<Acc>(piece.item[k]) : kLowest;
      }
    } else {
#pragma unroll
      for (uint32_t k = 0; k < kHeld; ++k)
        x[k] = k * lanes + lane < length ? static_cast<Acc>(from[k * lanes + lane]) : kLowest;
    }
    // A NaN is left out here, and comes back in the sum.
    Acc top = x[0];
#pragma unroll
    for (uint32_t k = 1; k < kHeld; ++k) top = LargerNumber{}(top, x[k]);
    top = across(LargerNumber{}, top, lanes, tops);
    Acc part = 0;
#pragma unroll
    for (uint32_t k = 0; k < kHeld; ++k) {
      const Acc y = exp_below<T, Acc, Exp>(x[k], top);
      if constexpr (!kLog) x[k] = y;
      part += y;
    }
    const double sum = across(Add{}, static_cast<double>(part), lanes, sums);
    const double rest = kLog ? std::log(sum) : 0;
    const Acc scale = kLog ? Acc(1) : static_cast<Acc>(1 / sum);
    auto result = [&](uint32_t k) { return kLog ? log_below<T, Acc>(x[k], top, rest) : T(x[k] * scale); };
    if (vectors) {
#pragma unroll
      for (uint32_t p = 0; p < P; ++p) {
        const uint32_t at = (p * lanes + lane) * V;
        if (at >= length) continue;
        Piece piece;
#pragma unroll
        for (uint32_t k = 0; k < V; ++k) piece.item[k] = result(p * V + k);
        *reinterpret_cast<Piece*>(to + at) = piece;
      }
    } else {
#pragma unroll
      for (uint32_t k = 0; k < kHeld; ++k)
        if (k * lanes + lane < length) to[k * lanes + lane] = result(k);
    }
  }
}

// The largest element of a part of a line, and the sum of exponentials relative to it.
template <class Acc>
struct Part {
  Acc top;
  double sum;
};
// What a sum relative to `top` is multiplied by to be one relative to `higher`. Equal infinities have no difference.
template <class Acc>
__device__ __forceinline__ double lowered(Acc top, Acc higher) {
  return top == higher ? 1.0 : std::exp(static_cast<double>(top) - static_cast<double>(higher));
}
template <class Acc>
__device__ __forceinline__ Part<Acc> joined(Part<Acc> a, Part<Acc> b) {
  const Acc top = Maximum{}(a.top, b.top);
  return {top, a.sum * lowered(a.top, top) + b.sum * lowered(b.top, top)};
}

enum class Step { kAll, kPart, kWrite };

// Threads: `width` neighbours have neighbouring lines, and each line `lanes` threads. Blocks: lines along x, chunks
// along y.
template <class T, bool kLog>
__global__ void __launch_bounds__(kSoftmaxRowThreads)
    streamed_kernel(T* out, const T* in, Part<SoftmaxAcc<T>>* parts, const SoftmaxPlan plan, Step step) {
  using Acc = SoftmaxAcc<T>;
  constexpr int kUnroll = 8;
  constexpr Acc kLowest = -std::numeric_limits<Acc>::infinity();
  alignas(16) __shared__ char storage[kSoftmaxRowThreads * sizeof(Part<Acc>)];
  auto* room = reinterpret_cast<Part<Acc>*>(storage);
  const int64_t lanes = plan.lanes, width = plan.width, lane = threadIdx.x / width, column = threadIdx.x % width;
  const int64_t from = blockIdx.y * plan.chunk_length;
  const int64_t to = from + plan.chunk_length < plan.n ? from + plan.chunk_length : plan.n;
  for (int64_t unit = blockIdx.x; unit < plan.units(); unit += gridDim.x) {
    const int64_t j = unit % plan.tiles * width + column, line = unit / plan.tiles * plan.inner + j;
    const bool here = j < plan.inner;
    const int64_t base = unit / plan.tiles * plan.n * plan.inner + j, stride = plan.inner;
    Part<Acc> part{kLowest, 0};
    if (step != Step::kWrite) {
      for (int64_t i = from + lane; here && i < to; i += kUnroll * lanes) {
        Acc x[kUnroll], top = part.top;
#pragma unroll
        for (int k = 0; k < kUnroll; ++k) {
          const int64_t at = i + k * lanes;
          x[k] = at < to ? static_cast<Acc>(in[base + at * stride]) : kLowest;
        }
#pragma unroll
        for (int k = 0; k < kUnroll; ++k) top = Maximum{}(top, x[k]);
        if (top == kLowest) continue;  // nothing but exp(-inf) yet
        Acc some = 0;
#pragma unroll
        for (int k = 0; k < kUnroll; ++k)
          if (i + k * lanes < to) some += exp_below<T, Acc, Exp>(x[k], top);
        part = {top, part.sum * lowered(part.top, top) + static_cast<double>(some)};
      }
    } else if (here) {
      for (int64_t c = lane; c < plan.chunks; c += lanes) part = joined(part, parts[line * plan.chunks + c]);
    }
    room[threadIdx.x] = part;
    for (uint32_t half = lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half) {
        part = joined(part, room[threadIdx.x + half * width]);
        room[threadIdx.x] = part;
      }
    }
    __syncthreads();
    part = room[column];
    __syncthreads();  // the room is used again
    if (!here) continue;
    if (step == Step::kPart) {
      if (lane == 0) parts[line * plan.chunks + blockIdx.y] = part;
      continue;
    }
    const double rest = std::log(part.sum);
    const Acc scale = static_cast<Acc>(1 / part.sum);
#pragma unroll 8
    for (int64_t i = from + lane; i < to; i += lanes) {
      const T x = in[base + i * stride];
      out[base + i * stride] = kLog ? log_below<T, Acc>(x, part.top, rest)
                                    : T(exp_below<T, Acc, Exp>(static_cast<Acc>(x), part.top) * scale);
    }
  }
}

template <class T, bool kLog>
void run(const atled_tensor* to, const atled_tensor* from, int64_t outer, int64_t n, int64_t inner) {
  using Acc = SoftmaxAcc<T>;
  const DLDevice where = to->dl.device;
  DeviceGuard device(where.device_id);
  const cudaStream_t stream = current_stream(where.device_id);
  const SoftmaxPlan plan = plan_softmax(outer, n, inner, kHeldMany<Acc>, kSoftmaxVector<T>);
  T* out = data<T>(to);
  const T* in = data<const T>(from);
  if (plan.held) {
    const auto kernel = plan.held == kHeldLeast ? held_kernel<T, kLog, kHeldLeast>
                        : plan.held == kHeldFew ? held_kernel<T, kLog, kHeldFew>
                                                : held_kernel<T, kLog, kHeldMany<Acc>>;
    constexpr size_t kPiece = kSoftmaxVector<T> * sizeof(T);
    const bool vectors = n % kSoftmaxVector<T> == 0 && reinterpret_cast<uintptr_t>(out) % kPiece == 0 &&
                         reinterpret_cast<uintptr_t>(in) % kPiece == 0;
    return launch(kernel, blocks_for(outer, plan.width), kSoftmaxThreads, stream, out, in, plan, vectors);
  }
  const dim3 blocks(blocks_for(plan.units(), 1), static_cast<unsigned>(plan.chunks));
  Part<Acc>* parts = nullptr;
  Tensor room;
  if (plan.chunks > 1) {
    room = Tensor::empty(ATLED_UINT8, {outer * inner * plan.chunks * static_cast<int64_t>(sizeof(Part<Acc>))}, where);
    parts = data<Part<Acc>>(room);
    launch(streamed_kernel<T, kLog>, blocks, plan.threads(), stream, out, in, parts, plan, Step::kPart);
  }
  launch(streamed_kernel<T, kLog>, blocks, plan.threads(), stream, out, in, parts, plan,
         parts ? Step::kWrite : Step::kAll);
}

template <bool kLog>
void softmax(atled_frame* frame) {
  const atled_tensor* out = out_tensor(frame);
  const Tensor input = contiguous(arg_tensor(frame, 0), out->dtype);
  const int ndim = input->dl.ndim, at = wrap_dim(arg_int(frame, 1), ndim);
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < at ? outer : d == at ? n : inner) *= input->dl.shape[d];
  if (outer * n * inner == 0) return;
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T> && !is_complex_type<T>) run<T, kLog>(out, input, outer, n, inner);
  });
}

void add_softmax() {
  cuda_kernel("core::softmax", kernel<softmax<false>>);
  cuda_kernel("core::log_softmax", kernel<softmax<true>>);
}
ATLED_CUDA_KERNELS(add_softmax);

}  // namespace

}  // namespace atled::core::cuda
