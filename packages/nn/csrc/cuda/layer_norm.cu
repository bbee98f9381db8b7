// Layer normalisation: each row has a power of two of neighbouring threads. Rows that fit are held in registers, others
// are read twice. Gradients to weight and bias are sums over rows, which chunks of rows share out.
#include <limits>

#include "cuda/channels.cuh"

namespace atled::nn {

namespace {

// Vectors of a row that a thread has at once.
template <int V>
constexpr int kHeld = V == 1   ? 16
                      : V == 8 ? 4
                               : 8;

// `rows` groups of `vectors` vectors of V elements.
template <int V>
struct Rows {
  int64_t rows, vectors;
  uint32_t lanes;

  Rows(int64_t count, int64_t length) : rows(count), vectors(length / V), lanes(1) {
    constexpr uint32_t kSideBySide = V == 1 ? 32 : 8;  // threads that read 128 bytes
    while (lanes < kThreads && lanes < vectors && (lanes < kSideBySide || !held())) lanes *= 2;
  }
  bool held() const { return vectors <= static_cast<int64_t>(lanes) * kHeld<V>; }
  unsigned blocks() const { return blocks_for(rows, static_cast<int>(kThreads / lanes)); }

  // ---- on the device ----

  // Calls f(row, its first vector for this thread, its end): for all threads as often. Vectors are counted by I.
  template <class I, class F>
  __device__ void each(F&& f) const {
    const int64_t per_block = kThreads / lanes;
    for (int64_t first = blockIdx.x * per_block; first < rows; first += gridDim.x * per_block) {
      const int64_t row = first + threadIdx.x / lanes;
      f(row, static_cast<I>(threadIdx.x % lanes), static_cast<I>(row < rows ? vectors : 0));
    }
  }
  // Calls f(i) for the first vectors of a thread's pieces.
  template <class I, class F>
  __device__ void pieces(I lane, I end, F&& f) const {
    for (I i = lane; i < end; i += static_cast<I>(lanes) * kHeld<V>) f(i);
  }
  // Calls f(p, i) for the vectors of the piece that begins with `first`, which are p = 0, 1, ... of it.
  template <class I, class F>
  __device__ void piece(I first, I end, F&& f) const {
#pragma unroll
    for (int p = 0; p < kHeld<V>; ++p)
      if (const I i = first + p * static_cast<I>(lanes); i < end) f(p, i);
  }
};

template <class T, int V, bool held>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const Rows<V> s, const T* x, const T* w, const T* b, double eps, bool centers, T* y, Wide<T>* means,
                   Wide<T>* rstds) {
  using A = Wide<T>;
  using I = std::conditional_t<held, int32_t, int64_t>;
  const double share = 1 / static_cast<double>(s.vectors * V);
  s.template each<I>([&](int64_t row, I lane, I end) {
    const int64_t at = row * s.vectors * V;
    Vector<T, V> kept[kHeld<V>];
    auto read = [&](I first) { s.piece(first, end, [&](int p, I i) { kept[p] = load<T, V>(x + at + i * V); }); };
    // Sums of the distances from the mean of the thread's first piece, and of their squares.
    A near = 0;
    double count = 0, sum = 0, squares = 0;
    s.pieces(lane, end, [&](I first) {
      read(first);
      A whole = 0, rest = 0, square = 0;
      int here = 0;
      s.piece(first, end, [&](int p, I) {
        here += V;
#pragma unroll
        for (int k = 0; k < V; ++k) whole += static_cast<A>(kept[p].item[k]);
      });
      if (first == lane && centers) near = whole / static_cast<A>(here);
      s.piece(first, end, [&](int p, I) {
#pragma unroll
        for (int k = 0; k < V; ++k) {
          const A d = static_cast<A>(kept[p].item[k]) - near;
          rest += d;
          square += d * d;
        }
      });
      count += here;
      sum += static_cast<double>(rest);
      squares += static_cast<double>(square);
    });
    const double total = across(count * static_cast<double>(near) + sum, s.lanes) * share,
                 center = centers ? total : 0.0, shift = center - static_cast<double>(near),
                 variance = across(squares - shift * (2 * sum - count * shift), s.lanes) * share;
    const A mean = static_cast<A>(center), rstd = static_cast<A>(1 / sqrt(variance + eps));
    if (row < s.rows && lane == 0) {
      means[row] = mean;
      rstds[row] = rstd;
    }
    s.pieces(lane, end, [&](I first) {
      if (!held) read(first);
      s.piece(first, end, [&](int p, I i) {
        Vector<T, V> v = kept[p], ws, bs;
        if (w) ws = load<T, V>(w + i * V);
        if (b) bs = load<T, V>(b + i * V);
#pragma unroll
        for (int k = 0; k < V; ++k) {
          A value = (static_cast<A>(v.item[k]) - mean) * rstd;
          if (w) value *= static_cast<A>(ws.item[k]);
          if (b) value += static_cast<A>(bs.item[k]);
          v.item[k] = T(value);
        }
        store(y + at + i * V, v);
      });
    });
  });
}

// To the input: rstd (g w - mean(g w) - xhat mean(g w xhat)), without the first mean where x was not centered.
template <class T, int V, bool held>
__global__ void __launch_bounds__(kThreads, 2)
    backward_kernel(const Rows<V> s, const T* g, const T* x, const T* w, const Wide<T>* means, const Wide<T>* rstds,
                    bool centers, T* y) {
  using A = Wide<T>;
  using I = std::conditional_t<held, int32_t, int64_t>;
  const A n = static_cast<A>(s.vectors * V);
  s.template each<I>([&](int64_t row, I lane, I end) {
    const int64_t at = row * s.vectors * V;
    const A mean = end > 0 ? means[row] : A(0), rstd = end > 0 ? rstds[row] : A(0);
    Vector<T, V> gs[kHeld<V>], xs[kHeld<V>];
    auto read = [&](I first) {
      s.piece(first, end, [&](int p, I i) {
        gs[p] = load<T, V>(g + at + i * V);
        xs[p] = load<T, V>(x + at + i * V);
      });
    };
    // Calls f(element of vector i, times its weight; its input's distance from the mean; k).
    auto elements = [&](int p, I i, auto&& f) {
      Vector<T, V> ws;
      if (w) ws = load<T, V>(w + i * V);
#pragma unroll
      for (int k = 0; k < V; ++k) {
        A gi = static_cast<A>(gs[p].item[k]);
        if (w) gi *= static_cast<A>(ws.item[k]);
        f(gi, static_cast<A>(xs[p].item[k]) - mean, k);
      }
    };
    Pair2 all;
    s.pieces(lane, end, [&](I first) {
      read(first);
      A sum = 0, product = 0;
      s.piece(first, end, [&](int p, I i) {
        elements(p, i, [&](A gi, A d, int) {
          sum += gi;
          product += gi * d;
        });
      });
      all = Join{}(all, Pair2{static_cast<double>(sum), static_cast<double>(product)});
    });
    all = across(all, s.lanes);
    const A slope = -rstd * rstd * rstd * static_cast<A>(all.b) / n,
            shift = centers ? -rstd * static_cast<A>(all.a) / n : A(0);
    s.pieces(lane, end, [&](I first) {
      if (!held) read(first);
      s.piece(first, end, [&](int p, I i) {
        Vector<T, V> v;
        elements(p, i, [&](A gi, A d, int k) { v.item[k] = T(gi * rstd + d * slope + shift); });
        store(y + at + i * V, v);
      });
    });
  });
}

template <class T>
__device__ __forceinline__ void write_sums(const Pair2& all, int64_t column, T* grad_weight, T* grad_bias) {
  grad_weight[column] = T(static_cast<Wide<T>>(all.a));
  grad_bias[column] = T(static_cast<Wide<T>>(all.b));
}

// Columns of rows, V side by side as one channel of s: the sums of g * (x - mean) * rstd and of g. parts is NULL where
// there is one chunk.
template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    sums_kernel(const Channels s, const T* g, const T* x, const Wide<T>* means, const Wide<T>* rstds, Pair2* parts,
                T* grad_weight, T* grad_bias) {
  using A = Wide<T>;
  constexpr int N = kPiece<V>;
  const int64_t from = blockIdx.y * s.chunk_length, whole = from + s.chunk_length,
                to = s.channel() >= s.channels ? 0
                     : whole < s.length        ? whole
                                               : s.length;
  Pair2 all[V];
  for (int64_t first = from + s.lane(); first < to; first += N * s.lanes()) {
    Vector<T, V> gs[N], xs[N];
    A mean[N], rstd[N];
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (const int64_t row = first + i * s.lanes(); row < to) {
        gs[i] = load<T, V>(g + (row * s.channels + s.channel()) * V);
        xs[i] = load<T, V>(x + (row * s.channels + s.channel()) * V);
        mean[i] = means[row];
        rstd[i] = rstds[row];
      }
    A products[V] = {}, sums[V] = {};
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (first + i * s.lanes() < to)
#pragma unroll
        for (int k = 0; k < V; ++k) {
          const A gi = static_cast<A>(gs[i].item[k]);
          products[k] += gi * ((static_cast<A>(xs[i].item[k]) - mean[i]) * rstd[i]);
          sums[k] += gi;
        }
#pragma unroll
    for (int k = 0; k < V; ++k)
      all[k] = Join{}(all[k], Pair2{static_cast<double>(products[k]), static_cast<double>(sums[k])});
  }
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const Pair2 sum = s.together(all[k]);
    const int64_t column = s.channel() * V + k;
    if (s.lane() != 0 || s.channel() >= s.channels) continue;
    if (parts)
      parts[column * s.chunks + blockIdx.y] = sum;
    else
      write_sums(sum, column, grad_weight, grad_bias);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    finish_kernel(const Channels s, const Pair2* parts, T* grad_weight, T* grad_bias) {
  const Pair2 sum = s.joined(parts);
  if (s.first() && s.channel() < s.channels) write_sums(sum, s.channel(), grad_weight, grad_bias);
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
  const bool center = arg_bool(f, 5);
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
          const Rows<V> s(rows, n);
          on.run(s.held() ? forward_kernel<T, V, true> : forward_kernel<T, V, false>, s.blocks(), s, x, w, b, eps,
                 center, y, data<Wide<T>>(out_tensor(f, 1)), data<Wide<T>>(out_tensor(f, 2)));
        },
        x, w, b, y);
  });
}

void backward(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), input = contiguous(arg_tensor(f, 1)),
               mean = contiguous(arg_tensor(f, 3)), rstd = contiguous(arg_tensor(f, 4)),
               weight = contiguous(arg_tensor(f, 5));
  const int64_t n = row_length(f->args[2]), rows = numel(mean);
  const bool center = arg_bool(f, 6);
  if (n == 0) return;
  const On on(input);
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using A = Wide<T>;
    const T *g = data<const T>(grad), *x = data<const T>(input), *w = data_or_null<T>(weight);
    const A *means = data<const A>(mean), *rstds = data<const A>(rstd);
    T* y = data<T>(out_tensor(f, 0));
    T *to_weight = data<T>(out_tensor(f, 1)), *to_bias = data<T>(out_tensor(f, 2));
    by_vectors<T>(
        n,
        [&](auto vector) {
          constexpr int V = decltype(vector)::value;
          const Rows<V> s(rows, n);
          if (rows > 0)
            on.run(s.held() ? backward_kernel<T, V, true> : backward_kernel<T, V, false>, s.blocks(), s, g, x, w, means,
                   rstds, center, y);
        },
        g, x, w, y);
    auto sums = [&](auto vector) {
      constexpr int V = decltype(vector)::value;
      const Channels s(rows, n / V, 1, 1);
      Channels columns(rows, n, 1, 1);
      columns.chunks = s.chunks;
      const Parts<Pair2> room(columns, input->dl.device);
      Pair2* parts = s.chunks > 1 ? room.get() : nullptr;
      on.run(sums_kernel<T, V>, s.blocks(), s, g, x, means, rstds, parts, to_weight, to_bias);
      if (parts) on.run(finish_kernel<T>, columns.block_groups(), columns, parts, to_weight, to_bias);
    };
    // A warp has 32 vectors side by side, where rows are as long as that.
    if (n >= 32 * static_cast<int64_t>(16 / sizeof(T)))
      by_vectors<T>(n, sums, g, x);
    else
      sums(std::integral_constant<int, 1>{});
  });
}

void add_layer_norm() {
  add_cuda_kernel<forward>("nn::layer_norm");
  add_cuda_kernel<backward>("nn::layer_norm_backward");
}
ATLED_CUDA_KERNELS(add_layer_norm);

}  // namespace

}  // namespace atled::nn
