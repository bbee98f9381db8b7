// Batch normalisation: sums of each channel, shared out among blocks by shape alone, then the elements, by the same
// blocks; two launches, or one where each channel is one block's.
#include "cuda/channels.cuh"

namespace atled::nn {

namespace {

// A number for each channel, in the input's dtype or in what that is computed in; or none.
template <class T>
struct PerChannel {
  T* narrow = nullptr;
  Wide<T>* wide = nullptr;

  explicit PerChannel(const atled_tensor* t) {
    if (t && t->dtype == dtype_of<T>)
      narrow = data<T>(t);
    else if (t)
      wide = data<Wide<T>>(t);
  }
  __device__ __forceinline__ explicit operator bool() const { return narrow || wide; }
  __device__ __forceinline__ Wide<T> operator[](int64_t c) const {
    return wide ? wide[c] : static_cast<Wide<T>>(narrow[c]);
  }
  __device__ __forceinline__ void put(int64_t c, Wide<T> x) const {
    if (wide)
      wide[c] = x;
    else
      narrow[c] = T(x);
  }
};

// What becomes of a channel's elements: x -> (x - center) * scale + shift.
template <class A>
struct Affine {
  A center, scale, shift;
};
template <class T>
__device__ __forceinline__ Affine<Wide<T>> affine(double mean, double var, double eps, const PerChannel<T>& w,
                                                  const PerChannel<T>& b, int64_t c) {
  using A = Wide<T>;
  const double weight = w ? static_cast<double>(w[c]) : 1.0;
  return {static_cast<A>(mean), static_cast<A>(weight / sqrt(var + eps)), b ? b[c] : A(0)};
}

template <class T, int V>
__device__ __forceinline__ void write_affine(const Channels& s, Walk<V> walk, const T* x, T* y,
                                             const Affine<Wide<T>>& f) {
  using A = Wide<T>;
  constexpr int N = kPiece<V>;
  while (walk.more()) {
    int64_t at[N];
    const int count = walk.take(s, at);
    Vector<T, V> v[N];
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < count) v[i] = load<T, V>(x + at[i]);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (i >= count) continue;
#pragma unroll
      for (int k = 0; k < V; ++k) v[i].item[k] = T((static_cast<A>(v[i].item[k]) - f.center) * f.scale + f.shift);
      store(y + at[i], v[i]);
    }
  }
}

enum class Step { kAll, kSums, kWrite };

// What this thread's elements add up to.
template <class T, int V>
__device__ __forceinline__ Moments sums_of(const Channels& s, const T* x) {
  using A = Wide<T>;
  constexpr int N = kPiece<V>;
  Walk<V> walk(s);
  Moments all;
  while (walk.more()) {
    int64_t at[N];
    const int count = walk.take(s, at);
    A piece[N * V];
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (i >= count) continue;
      const Vector<T, V> v = load<T, V>(x + at[i]);
#pragma unroll
      for (int k = 0; k < V; ++k) piece[i * V + k] = static_cast<A>(v.item[k]);
    }
    all = Join{}(all, moments(piece, count * V));
  }
  return all;
}

template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const Channels s, Step step, Moments* parts, const T* x, const PerChannel<T> w,
                   const PerChannel<T> b, double eps, T* y, Wide<T>* means, Wide<T>* vars) {
  using A = Wide<T>;
  const Moments all = step == Step::kWrite ? s.joined(parts) : s.together(sums_of<T, V>(s, x));
  if (step == Step::kSums) return s.keep(all, parts);
  const Walk<V> walk(s);
  const int64_t c = s.channel();
  if (c >= s.channels) return;
  const double var = all.squares / all.count;
  if (s.first()) {
    means[c] = static_cast<A>(all.mean);
    vars[c] = static_cast<A>(var);
  }
  write_affine<T, V>(s, walk, x, y, affine<T>(all.mean, var, eps, w, b, c));
}

template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    inference_kernel(const Channels s, const T* x, const Wide<T>* means, const Wide<T>* vars, const PerChannel<T> w,
                     const PerChannel<T> b, double eps, T* y) {
  const int64_t c = s.channel();
  if (c >= s.channels) return;
  write_affine<T, V>(s, Walk<V>(s), x, y,
                     affine<T>(static_cast<double>(means[c]), static_cast<double>(vars[c]), eps, w, b, c));
}

// The sums of grad and of grad * (x - mean).
template <class T, int V>
__device__ __forceinline__ Pair2 grad_sums_of(const Channels& s, const T* g, const T* x, const Wide<T>* means) {
  using A = Wide<T>;
  constexpr int N = kPiece<V>;
  const int64_t c = s.channel();
  const A mean = c < s.channels ? means[c] : A(0);
  Walk<V> walk(s);
  Pair2 all;
  while (walk.more()) {
    int64_t at[N];
    const int count = walk.take(s, at);
    Vector<T, V> gs[N], xs[N];
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < count) {
        gs[i] = load<T, V>(g + at[i]);
        xs[i] = load<T, V>(x + at[i]);
      }
    A sum = 0, product = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (i >= count) continue;
#pragma unroll
      for (int k = 0; k < V; ++k) {
        const A gi = static_cast<A>(gs[i].item[k]);
        sum += gi;
        product += gi * (static_cast<A>(xs[i].item[k]) - mean);
      }
    }
    all = Join{}(all, Pair2{static_cast<double>(sum), static_cast<double>(product)});
  }
  return all;
}

// To the input: weight rstd (g - mean(g) - xhat mean(g xhat)).
template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const Channels s, Step step, Pair2* parts, const T* g, const T* x, const Wide<T>* means,
                    const Wide<T>* vars, const PerChannel<T> w, double eps, T* y, const PerChannel<T> grad_weight,
                    const PerChannel<T> grad_bias) {
  using A = Wide<T>;
  const Pair2 sums = step == Step::kWrite ? s.joined(parts) : s.together(grad_sums_of<T, V>(s, g, x, means));
  if (step == Step::kSums) return s.keep(sums, parts);
  Walk<V> walk(s);
  const int64_t c = s.channel();
  if (c >= s.channels) return;
  const double rstd = 1 / sqrt(static_cast<double>(vars[c]) + eps), n = static_cast<double>(s.n * s.inner),
               a = (w ? static_cast<double>(w[c]) : 1.0) * rstd;
  const A mean = means[c], scale = static_cast<A>(a), slope = static_cast<A>(-a * rstd * rstd * sums.b / n),
          shift = static_cast<A>(-a * sums.a / n);
  if (s.first()) {
    grad_weight.put(c, static_cast<A>(sums.b * rstd));
    grad_bias.put(c, static_cast<A>(sums.a));
  }
  constexpr int N = kPiece<V>;
  while (walk.more()) {
    int64_t at[N];
    const int count = walk.take(s, at);
    Vector<T, V> gs[N], xs[N];
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < count) {
        gs[i] = load<T, V>(g + at[i]);
        xs[i] = load<T, V>(x + at[i]);
      }
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (i >= count) continue;
#pragma unroll
      for (int k = 0; k < V; ++k)
        xs[i].item[k] =
            T(static_cast<A>(gs[i].item[k]) * scale + (static_cast<A>(xs[i].item[k]) - mean) * slope + shift);
      store(y + at[i], xs[i]);
    }
  }
}

// ---- the host's side ----

// Calls launch(step, parts) once or twice.
template <class X, class F>
void by_steps(const Channels& s, DLDevice device, F&& launch) {
  if (s.chunks == 1) return launch(Step::kAll, static_cast<X*>(nullptr));
  const Parts<X> parts(s, device);
  launch(Step::kSums, parts.get());
  launch(Step::kWrite, parts.get());
}

void forward(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0)), weight = contiguous(arg_tensor(f, 1)),
               bias = contiguous(arg_tensor(f, 2));
  const double eps = arg_double(f, 3);
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = data<T>(input);
    T* y = data<T>(out_tensor(f, 0));
    over_channels<T>(input, {x, y}, [&](const auto& on, const Channels& s, auto vector) {
      constexpr int V = decltype(vector)::value;
      by_steps<Moments>(s, input->dl.device, [&](Step step, Moments* parts) {
        on.run(forward_kernel<T, V>, s.blocks(), s, step, parts, x, PerChannel<T>(weight), PerChannel<T>(bias), eps, y,
               data<Wide<T>>(out_tensor(f, 1)), data<Wide<T>>(out_tensor(f, 2)));
      });
    });
  });
}

void inference(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0)), weight = contiguous(arg_tensor(f, 3)),
               bias = contiguous(arg_tensor(f, 4));
  const int wide = compute_dtype(input->dtype);
  const Tensor mean = converted(arg_tensor(f, 1), wide), var = converted(arg_tensor(f, 2), wide);
  const double eps = arg_double(f, 5);
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = data<T>(input);
    T* y = data<T>(out_tensor(f));
    over_channels<T>(input, {x, y}, [&](const auto& on, const Channels& s, auto vector) {
      constexpr int V = decltype(vector)::value;
      on.run(inference_kernel<T, V>, s.blocks(), s, x, data<Wide<T>>(mean), data<Wide<T>>(var), PerChannel<T>(weight),
             PerChannel<T>(bias), eps, y);
    });
  });
}

void backward(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), input = contiguous(arg_tensor(f, 1)),
               weight = contiguous(arg_tensor(f, 4));
  const int wide = compute_dtype(input->dtype);
  const Tensor mean = converted(arg_tensor(f, 2), wide), var = converted(arg_tensor(f, 3), wide);
  const double eps = arg_double(f, 5);
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *g = data<T>(grad), *x = data<T>(input);
    T* y = data<T>(out_tensor(f, 0));
    over_channels<T>(input, {g, x, y}, [&](const auto& on, const Channels& s, auto vector) {
      constexpr int V = decltype(vector)::value;
      by_steps<Pair2>(s, input->dl.device, [&](Step step, Pair2* parts) {
        on.run(backward_kernel<T, V>, s.blocks(), s, step, parts, g, x, data<const Wide<T>>(mean),
               data<const Wide<T>>(var), PerChannel<T>(weight), eps, y, PerChannel<T>(out_tensor(f, 1)),
               PerChannel<T>(out_tensor(f, 2)));
      });
    });
  });
}

// ---- running averages ----

template <class T, class V>
struct Average {
  double keep, take;
  __device__ T operator()(T old, V now) const {
    const double before = static_cast<double>(static_cast<Wide<T>>(old)),
                 value = static_cast<double>(static_cast<Wide<V>>(now));
    return T(static_cast<Wide<T>>(keep * before + take * value));
  }
};

void update_average(atled_frame* f) {
  static const Op copy{"core::copy_"};
  atled_tensor *average = arg_tensor(f, 0), *value = arg_tensor(f, 1);
  expect_float(average, "input");
  expect_float(value, "value");
  expect_shape(value, "value", average->dl.ndim, average->dl.shape);
  const double keep = 1 - arg_double(f, 2), take = arg_double(f, 2) * arg_double(f, 3);
  const int wide = compute_dtype(average->dtype);
  const Tensor now = value->dtype == average->dtype ? contiguous(value) : converted(value, wide),
               old = contiguous(average);
  const On on(average);
  visit_float(average->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto run = [&](const auto* from) {
      using V = std::remove_cv_t<std::remove_pointer_t<decltype(from)>>;
      map(on.stream(), Average<T, V>{keep, take}, numel(old), data<T>(old), data<const T>(old), from);
    };
    if (now->dtype == dtype_of<T>)
      run(data<const T>(now));
    else
      run(data<const Wide<T>>(now));
  });
  if (old.get() != average) copy(average, old);
}

void add_batch_norm() {
  add_cuda_kernel<forward>("nn::batch_norm");
  add_cuda_kernel<inference>("nn::batch_norm_inference");
  add_cuda_kernel<backward>("nn::batch_norm_backward");
  add_cuda_kernel<update_average>("nn::update_average");
}
ATLED_CUDA_KERNELS(add_batch_norm);

}  // namespace

}  // namespace atled::nn
