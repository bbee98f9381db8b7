// Layer normalisation: each row has a power of two of neighbouring threads, and is read twice, the second time from a
// cache. Gradients to weight and bias are sums over rows, which chunks of rows share out.
#include <limits>

#include "cuda/channels.cuh"

namespace atled::nn {

namespace {

// `rows` groups of `vectors` vectors.
struct Rows {
  int64_t rows, vectors;
  uint32_t lanes;

  Rows(int64_t count, int64_t length) : rows(count), vectors(length), lanes(1) {
    while (lanes < kThreads && lanes * 2 < static_cast<uint64_t>(vectors)) lanes *= 2;
  }
  unsigned blocks() const { return blocks_for(rows, static_cast<int>(kThreads / lanes)); }
  // Calls f(row, its first vector for this thread, its end): for all threads as often.
  template <class F>
  __device__ void each(F&& f) const {
    const int64_t per_block = kThreads / lanes;
    for (int64_t first = blockIdx.x * per_block; first < rows; first += gridDim.x * per_block) {
      const int64_t row = first + threadIdx.x / lanes;
      f(row, static_cast<int64_t>(threadIdx.x % lanes), row < rows ? vectors : 0);
    }
  }
};

template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const Rows s, const T* x, const T* w, const T* b, double eps, T* y, Wide<T>* means, Wide<T>* rstds) {
  using A = Wide<T>;
  constexpr int N = kPiece<V>;
  const double n = static_cast<double>(s.vectors * V);
  s.each([&](int64_t row, int64_t lane, int64_t end) {
    const T* from = x + row * s.vectors * V;
    Moments all;
    for (int64_t i = lane; i < end;) {
      A piece[N * V];
      int count = 0;
#pragma unroll
      for (int p = 0; p < N; ++p) {
        if (i >= end) continue;
        const Vector<T, V> v = load<T, V>(from + i * V);
#pragma unroll
        for (int k = 0; k < V; ++k) piece[p * V + k] = static_cast<A>(v.item[k]);
        count += V;
        i += s.lanes;
      }
      all = Join{}(all, moments(piece, count));
    }
    all = across(all, s.lanes);
    const A mean = static_cast<A>(n > 0 ? all.mean : std::numeric_limits<double>::quiet_NaN()),
            rstd = static_cast<A>(1 / sqrt(all.squares / n + eps));
    if (row < s.rows && lane == 0) {
      means[row] = mean;
      rstds[row] = rstd;
    }
    for (int64_t i = lane; i < end; i += s.lanes) {
      Vector<T, V> v = load<T, V>(from + i * V), ws, bs;
      if (w) ws = load<T, V>(w + i * V);
      if (b) bs = load<T, V>(b + i * V);
#pragma unroll
      for (int k = 0; k < V; ++k) {
        A value = (static_cast<A>(v.item[k]) - mean) * rstd;
        if (w) value *= static_cast<A>(ws.item[k]);
        if (b) value += static_cast<A>(bs.item[k]);
        v.item[k] = T(value);
      }
      store(y + row * s.vectors * V + i * V, v);
    }
  });
}

// To the input: rstd (g w - mean(g w) - xhat mean(g w xhat)).
template <class T, int V>
__global__ void __launch_bounds__(kThreads) backward_kernel(const Rows s, const T* g, const T* x, const T* w,
                                                            const Wide<T>* means, const Wide<T>* rstds, T* y) {
  using A = Wide<T>;
  const A n = static_cast<A>(s.vectors * V);
  s.each([&](int64_t row, int64_t lane, int64_t end) {
    const int64_t at = row * s.vectors * V;
    const A mean = end > 0 ? means[row] : A(0), rstd = end > 0 ? rstds[row] : A(0);
    auto weighted = [&](const Vector<T, V>& gs, const Vector<T, V>& ws, int k) {
      return w ? static_cast<A>(gs.item[k]) * static_cast<A>(ws.item[k]) : static_cast<A>(gs.item[k]);
    };
    Pair2 all;
    for (int64_t i = lane; i < end; i += s.lanes) {
      const Vector<T, V> gs = load<T, V>(g + at + i * V), xs = load<T, V>(x + at + i * V);
      Vector<T, V> ws;
      if (w) ws = load<T, V>(w + i * V);
      A sum = 0, product = 0;
#pragma unroll
      for (int k = 0; k < V; ++k) {
        const A gi = weighted(gs, ws, k);
        sum += gi;
        product += gi * (static_cast<A>(xs.item[k]) - mean);
      }
      all = Join{}(all, Pair2{static_cast<double>(sum), static_cast<double>(product)});
    }
    all = across(all, s.lanes);
    const A slope = -rstd * rstd * rstd * static_cast<A>(all.b) / n, shift = -rstd * static_cast<A>(all.a) / n;
    for (int64_t i = lane; i < end; i += s.lanes) {
      const Vector<T, V> gs = load<T, V>(g + at + i * V), xs = load<T, V>(x + at + i * V);
      Vector<T, V> ws, v;
      if (w) ws = load<T, V>(w + i * V);
#pragma unroll
      for (int k = 0; k < V; ++k)
        v.item[k] = T(weighted(gs, ws, k) * rstd + (static_cast<A>(xs.item[k]) - mean) * slope + shift);
      store(y + at + i * V, v);
    }
  });
}

template <class T>
__device__ __forceinline__ void write_sums(const Channels& s, const Pair2& all, T* grad_weight, T* grad_bias) {
  if (!s.first() || s.channel() >= s.channels) return;
  grad_weight[s.channel()] = T(static_cast<Wide<T>>(all.a));
  grad_bias[s.channel()] = T(static_cast<Wide<T>>(all.b));
}

// Columns of rows: the sums of g * (x - mean) * rstd and of g. parts is NULL where there is one chunk.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sums_kernel(const Channels s, const T* g, const T* x, const Wide<T>* means, const Wide<T>* rstds, Pair2* parts,
                T* grad_weight, T* grad_bias) {
  using A = Wide<T>;
  constexpr int N = 8;
  Walk<1> walk(s);
  Pair2 all;
  while (walk.more()) {
    int64_t at[N], rows[N];
    const int count = walk.take(s, at, rows);
    A gs[N], xs[N];
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < count) {
        gs[i] = static_cast<A>(g[at[i]]);
        xs[i] = (static_cast<A>(x[at[i]]) - means[rows[i]]) * rstds[rows[i]];
      }
    A product = 0, sum = 0;
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < count) {
        product += gs[i] * xs[i];
        sum += gs[i];
      }
    all = Join{}(all, Pair2{static_cast<double>(product), static_cast<double>(sum)});
  }
  all = s.together(all);
  if (parts)
    s.keep(all, parts);
  else
    write_sums(s, all, grad_weight, grad_bias);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    finish_kernel(const Channels s, const Pair2* parts, T* grad_weight, T* grad_bias) {
  write_sums(s, s.joined(parts), grad_weight, grad_bias);
}

// The elements that are normalised together.
int64_t row_length(const atled_value& shape) {
  int64_t n = 1;
  for (uint32_t i = 0; i < shape.n; ++i) n *= shape.u.ints[i];
  return n;
}

// Calls f(a vector's length) with 16 bytes where n elements, and the addresses, allow that.
template <class T, class F, class... P>
void by_vectors(int64_t n, F&& f, const P*... pointers) {
  constexpr int V = static_cast<int>(16 / sizeof(T));
  if (n % V == 0 && is_aligned(pointers...))
    f(std::integral_constant<int, V>{});
  else
    f(std::integral_constant<int, 1>{});
}

void forward(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0)), weight = contiguous(arg_tensor(f, 2)),
               bias = contiguous(arg_tensor(f, 3));
  const int64_t n = row_length(f->args[1]), rows = numel(out_tensor(f, 1));
  const double eps = arg_double(f, 4);
  if (rows == 0) return;
  const On on(input);
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *x = data<const T>(input), *w = data_or_null<T>(weight), *b = data_or_null<T>(bias);
    T* y = data<T>(out_tensor(f, 0));
    by_vectors<T>(
        n,
        [&](auto vector) {
          constexpr int V = decltype(vector)::value;
          const Rows s(rows, n / V);
          on.run(forward_kernel<T, V>, s.blocks(), s, x, w, b, eps, y, data<Wide<T>>(out_tensor(f, 1)),
                 data<Wide<T>>(out_tensor(f, 2)));
        },
        x, w, b, y);
  });
}

void backward(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), input = contiguous(arg_tensor(f, 1)),
               mean = contiguous(arg_tensor(f, 3)), rstd = contiguous(arg_tensor(f, 4)),
               weight = contiguous(arg_tensor(f, 5));
  const int64_t n = row_length(f->args[2]), rows = numel(mean);
  if (n == 0) return;
  const On on(input);
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Wide<T>;
    const T *g = data<const T>(grad), *x = data<const T>(input), *w = data_or_null<T>(weight);
    const A *means = data<const A>(mean), *rstds = data<const A>(rstd);
    T* y = data<T>(out_tensor(f, 0));
    if (rows > 0)
      by_vectors<T>(
          n,
          [&](auto vector) {
            constexpr int V = decltype(vector)::value;
            const Rows s(rows, n / V);
            on.run(backward_kernel<T, V>, s.blocks(), s, g, x, w, means, rstds, y);
          },
          g, x, w, y);
    const Channels s(rows, n, 1, 1);
    const Parts<Pair2> parts(s, input->dl.device);
    T *to_weight = data<T>(out_tensor(f, 1)), *to_bias = data<T>(out_tensor(f, 2));
    on.run(sums_kernel<T>, s.blocks(), s, g, x, means, rstds, s.chunks > 1 ? parts.get() : nullptr, to_weight, to_bias);
    if (s.chunks > 1) on.run(finish_kernel<T>, s.block_groups(), s, parts.get(), to_weight, to_bias);
  });
}

void add_layer_norm() {
  add_cuda_kernel<forward>("nn::layer_norm");
  add_cuda_kernel<backward>("nn::layer_norm_backward");
}
ATLED_CUDA_KERNELS(add_layer_norm);

}  // namespace

}  // namespace atled::nn
