// Losses. Sums are made in double, in an order that the number of samples decides.
#include "cuda/kernel.cuh"
#include "functors/loss.h"

namespace atled::nn {

namespace {

constexpr int kMostBlocks = 1024;

// Blocks that share out n samples, each with some for every thread; their sums are joined by the second launch.
int64_t sum_blocks(int64_t n, int64_t each) {
  return std::clamp<int64_t>((n + each * kThreads - 1) / (each * kThreads), 1, kMostBlocks);
}
// Where blocks leave their sums; none for a single one.
Tensor room_for(int64_t blocks, DLDevice device) {
  if (blocks == 1) return Tensor();
  return Tensor::empty(ATLED_UINT8, {blocks * static_cast<int64_t>(sizeof(Pair2))}, device);
}
__device__ __forceinline__ void my_share(int64_t n, int64_t& from, int64_t& to) {
  const int64_t length = (n + gridDim.x - 1) / gridDim.x;
  from = blockIdx.x * length;
  to = from + length < n ? from + length : n;
}

// Reads the classes of samples, which are int32 or int64.
struct Targets {
  const void* data;
  bool wide;
  __device__ int64_t operator[](int64_t i) const {
    return wide ? static_cast<const int64_t*>(data)[i] : static_cast<const int32_t*>(data)[i];
  }
};

// Log-probabilities (n, classes, inner) and what each sample's classes weigh.
template <class T>
struct Nll {
  using A = Wide<T>;
  int64_t samples, classes, inner, ignore;
  Targets target;
  const T* weight;
  A smoothing, share;  // share: of each class in the smoothed part
  atled_cuda_index_site site;

  Nll(Shape input, const atled_tensor* targets, const Tensor& weights, int64_t ignore_index, double label_smoothing,
      const IndexCall& call)
      : samples(numel(targets)),
        classes(input.dims[input.ndim == 1 ? 0 : 1]),
        inner(1),
        ignore(ignore_index),
        target{targets->dl.data, targets->dtype == ATLED_INT64},
        weight(data_or_null<T>(weights)),
        smoothing(static_cast<A>(label_smoothing)),
        share(static_cast<A>(label_smoothing / static_cast<double>(classes ? classes : 1))),
        site(call.site()) {
    for (int i = 2; i < input.ndim; ++i) inner *= input.dims[i];
  }
  __device__ A class_weight(int64_t c) const { return weight ? static_cast<A>(weight[c]) : A(1); }
  // The class of sample i; false when it does not count. What is out of bounds is told and does not count.
  __device__ bool settle(int64_t i, int64_t& c) const {
    c = target[i];
    if (c == ignore) return false;
    if (c >= 0 && c < classes) return true;
    report_index(site, -1, c, classes, i);
    return false;
  }
  // Where class 0 of sample i lies; further classes are `inner` apart.
  __device__ int64_t start(int64_t i) const {
    return inner == 1 ? i * classes : i / inner * classes * inner + i % inner;
  }
};

// Each sample has `lanes` threads, which share its classes where all of them count. out is NULL, or has each loss.
template <class T>
__global__ void __launch_bounds__(kThreads)
    nll_kernel(const Nll<T> nll, const T* x, T* out, uint32_t lanes, bool mean, T* loss, Wide<T>* total, Pair2* parts) {
  using A = Wide<T>;
  const uint32_t lane = threadIdx.x % lanes, step = kThreads / lanes;
  int64_t from, to;
  my_share(nll.samples, from, to);
  Pair2 all;
  for (int64_t i = from + threadIdx.x / lanes; i < to; i += step) {
    int64_t c;
    if (!nll.settle(i, c)) {
      if (out && lane == 0) out[i] = T(A(0));
      continue;
    }
    const T* row = x + nll.start(i);
    A sum = 0;
    if (nll.smoothing > 0)
      for (int64_t k = lane; k < nll.classes; k += lanes)
        sum -= nll.share * nll.class_weight(k) * static_cast<A>(row[k * nll.inner]);
    if (lane == 0) {
      const A weight = nll.class_weight(c);
      sum -= (A(1) - nll.smoothing) * weight * static_cast<A>(row[c * nll.inner]);
      all.b += static_cast<double>(weight);
    }
    all.a += static_cast<double>(sum);
    if (out && lanes == 1) out[i] = T(sum);
  }
  all = across(all, kThreads);
  if (threadIdx.x != 0) return;
  if (parts) {
    parts[blockIdx.x] = all;
    return;
  }
  *total = static_cast<A>(all.b);
  if (!out) *loss = T(static_cast<A>(mean ? all.a / all.b : all.a));
}

// What blocks have summed up: the loss, and the sum of weights where that is asked for.
template <class T>
__global__ void __launch_bounds__(kThreads)
    finish_kernel(const Pair2* parts, int64_t n, double divisor, bool mean, T* loss, Wide<T>* total) {
  using A = Wide<T>;
  Pair2 all;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) all = Join{}(all, parts[i]);
  all = across(all, kThreads);
  if (threadIdx.x != 0) return;
  if (total) *total = static_cast<A>(all.b);
  if (loss) *loss = T(static_cast<A>(mean ? all.a / (total ? all.b : divisor) : all.a));
}

// One thread an element of (n, classes, inner).
template <class T, class Index>
__global__ void __launch_bounds__(kThreads)
    nll_backward_kernel(const Nll<T> nll, const T* g, bool each, const Wide<T>* total, T* out, Index n) {
  using A = Wide<T>;
  const A scale = total ? A(1) / *total : A(1);
  const Index classes = static_cast<Index>(nll.classes), inner = static_cast<Index>(nll.inner);
  for (Index k = thread_index(); k < n; k += thread_count()) {
    const Index row = inner == 1 ? k : k / inner, place = inner == 1 ? 0 : k - row * inner, sample = row / classes;
    const int64_t i = static_cast<int64_t>(sample * inner + place), c = static_cast<int64_t>(row - sample * classes);
    const int64_t hit = nll.target[i];
    A value = 0;
    if (hit != nll.ignore) {
      if (c == 0 && (hit < 0 || hit >= nll.classes)) report_index(nll.site, -1, hit, nll.classes, i);
      const A gi = -static_cast<A>(g[each ? i : 0]) * scale;
      if (nll.smoothing > 0) value = gi * nll.share * nll.class_weight(c);
      if (c == hit) value += gi * (A(1) - nll.smoothing) * nll.class_weight(c);
    }
    out[k] = T(value);
  }
}

// For gradients without an element.
template <class T>
__global__ void __launch_bounds__(kThreads) check_kernel(const Nll<T> nll) {
  int64_t unused;
  for (int64_t i = thread_index(); i < nll.samples; i += thread_count()) nll.settle(i, unused);
}

void nll(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0)), target = contiguous(arg_tensor(f, 1)),
               weight = contiguous(arg_tensor(f, 2));
  const Reduction reduction = arg_reduction(f, 3);
  const bool each = reduction == Reduction::kNone, mean = reduction == Reduction::kMean;
  const On on(input);
  const IndexCall call(f, input->dl.device.device_id, "target");
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Nll<T> nll(shape_of(input), target, weight, arg_int(f, 4), arg_double(f, 5), call);
    // Each loss is one thread's.
    const bool shared = nll.smoothing > 0 && nll.inner == 1 && !each;
    const int64_t blocks = sum_blocks(shared ? nll.samples * 32 : nll.samples, 4);
    T* loss = data<T>(out_tensor(f, 0));
    auto* total = data<Wide<T>>(out_tensor(f, 1));
    const Tensor room = room_for(blocks, input->dl.device);
    Pair2* parts = room ? data<Pair2>(room) : nullptr;
    on.run(nll_kernel<T>, dim3(static_cast<unsigned>(blocks)), nll, data<const T>(input), each ? loss : nullptr,
           shared ? 32u : 1u, mean, loss, total, parts);
    if (parts) on.run(finish_kernel<T>, 1, parts, blocks, 1.0, mean, each ? nullptr : loss, total);
  });
  call.finish();
}

void nll_backward(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), target = contiguous(arg_tensor(f, 1)),
               weight = contiguous(arg_tensor(f, 2));
  const Reduction reduction = arg_reduction(f, 5);
  const bool each = reduction == Reduction::kNone, mean = reduction == Reduction::kMean;
  const int64_t n = numel(out_tensor(f));
  if (numel(target) == 0) return;
  const On on(grad);
  const IndexCall call(f, grad->dl.device.device_id, "target");
  visit_float(grad->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Nll<T> nll(arg_shape(f, 4), target, weight, arg_int(f, 6), arg_double(f, 7), call);
    const auto* total = mean ? data<const Wide<T>>(arg_tensor(f, 3)) : nullptr;
    if (n == 0)
      on.run(check_kernel<T>, blocks_for(nll.samples), nll);
    else if (n <= INT32_MAX)
      on.run(nll_backward_kernel<T, uint32_t>, blocks_for(n), nll, data<const T>(grad), each, total,
             data<T>(out_tensor(f)), static_cast<uint32_t>(n));
    else
      on.run(nll_backward_kernel<T, int64_t>, blocks_for(n), nll, data<const T>(grad), each, total,
             data<T>(out_tensor(f)), n);
  });
  call.finish();
}

// ---- losses of pairs, whose reduction is the op's argument `at` ----

template <class T, class F>
struct PairValue {
  F f;
  __device__ T operator()(T x, T y) const { return T(f.value(static_cast<Wide<T>>(x), static_cast<Wide<T>>(y))); }
};
template <class T, class F>
struct PairSlope {
  F f;
  Wide<T> scale;
  const T* grad;  // one for all, or NULL
  __device__ T operator()(T x, T y) const { return (*this)(*grad, x, y); }
  __device__ T operator()(T g, T x, T y) const {
    return T(scale * static_cast<Wide<T>>(g) * f.slope(static_cast<Wide<T>>(x), static_cast<Wide<T>>(y)));
  }
};

// parts is NULL where there is one block.
template <class T, class F>
__global__ void __launch_bounds__(kThreads)
    pairs_kernel(const F f, const T* x, const T* y, int64_t n, bool vectors, bool mean, Pair2* parts, T* out) {
  using A = Wide<T>;
  constexpr int V = static_cast<int>(16 / sizeof(T));
  Pair2 all;
  const int64_t whole = vectors ? n / V : 0;
#pragma unroll 4
  for (int64_t i = thread_index(); i < whole; i += thread_count()) {
    const Vector<T, V> a = load<T, V>(x + i * V), b = load<T, V>(y + i * V);
    A sum = 0;
#pragma unroll
    for (int k = 0; k < V; ++k) sum += f.value(static_cast<A>(a.item[k]), static_cast<A>(b.item[k]));
    all.a += static_cast<double>(sum);
  }
  for (int64_t i = whole * V + thread_index(); i < n; i += thread_count())
    all.a += static_cast<double>(f.value(static_cast<A>(x[i]), static_cast<A>(y[i])));
  all = across(all, kThreads);
  if (threadIdx.x != 0) return;
  if (parts)
    parts[blockIdx.x] = all;
  else
    *out = T(static_cast<A>(mean ? all.a / static_cast<double>(n) : all.a));
}

template <class T, class F>
void pairs(atled_frame* frame, F f, int at) {
  const Tensor input = contiguous(arg_tensor(frame, 0)), target = contiguous(arg_tensor(frame, 1));
  const Reduction reduction = arg_reduction(frame, at);
  const int64_t n = numel(input);
  const On on(input);
  const T *x = data<const T>(input), *y = data<const T>(target);
  T* out = data<T>(out_tensor(frame));
  if (reduction == Reduction::kNone) return map(on.stream(), PairValue<T, F>{f}, n, out, x, y);
  const int64_t blocks = sum_blocks(n, 16);
  const bool mean = reduction == Reduction::kMean;
  const Tensor room = room_for(blocks, input->dl.device);
  Pair2* parts = room ? data<Pair2>(room) : nullptr;
  on.run(pairs_kernel<T, F>, dim3(static_cast<unsigned>(blocks)), f, x, y, n, is_aligned(x, y), mean, parts, out);
  if (parts)
    on.run(finish_kernel<T>, 1, parts, blocks, static_cast<double>(n), mean, out, static_cast<Wide<T>*>(nullptr));
}

template <class T, class F>
void pairs_backward(atled_frame* frame, F f, int at) {
  const Tensor grad = contiguous(arg_tensor(frame, 0)), input = contiguous(arg_tensor(frame, 1)),
               target = contiguous(arg_tensor(frame, 2));
  const Reduction reduction = arg_reduction(frame, at);
  const int64_t n = numel(input);
  const On on(input);
  const auto scale = static_cast<Wide<T>>(reduction == Reduction::kMean ? 1 / static_cast<double>(n) : 1);
  const T *g = data<const T>(grad), *x = data<const T>(input), *y = data<const T>(target);
  T* out = data<T>(out_tensor(frame));
  if (reduction == Reduction::kNone)
    map(on.stream(), PairSlope<T, F>{f, scale, nullptr}, n, out, g, x, y);
  else
    map(on.stream(), PairSlope<T, F>{f, scale, g}, n, out, x, y);
}

void mse(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    pairs<T>(f, SquaredError<Wide<T>>{}, 2);
  });
}
void mse_backward(atled_frame* f) {
  visit_float(arg_tensor(f, 1)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    pairs_backward<T>(f, SquaredError<Wide<T>>{}, 3);
  });
}
void paired(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    visit_loss<Wide<T>>(f, 2, [&](auto functor) { pairs<T>(f, functor, 3); });
  });
}
void paired_backward(atled_frame* f) {
  visit_float(arg_tensor(f, 1)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    visit_loss<Wide<T>>(f, 3, [&](auto functor) { pairs_backward<T>(f, functor, 4); });
  });
}

void add_loss() {
  add_cuda_kernel<nll>("nn::nll_loss");
  add_cuda_kernel<nll_backward>("nn::nll_loss_backward");
  add_cuda_kernel<mse>("nn::mse_loss");
  add_cuda_kernel<mse_backward>("nn::mse_loss_backward");
  add_cuda_kernel<paired>("nn::paired_loss");
  add_cuda_kernel<paired_backward>("nn::paired_loss_backward");
}
ATLED_CUDA_KERNELS(add_loss);

}  // namespace

}  // namespace atled::nn
