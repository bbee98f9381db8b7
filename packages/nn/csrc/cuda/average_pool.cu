// Means of windows, sliding and adaptive. Gradients are gathered: each element looks at the windows that hold it.
#include "cuda/windows.cuh"

namespace atled::nn {

namespace {

// What the elements of a window are divided by: a number, or how many they are, with padding or without.
struct Divisor {
  double number;  // 0: the elements' count
  bool padded;
  template <class A>
  __device__ A factor(const Windows& rows, const Windows& columns, int32_t row, int32_t column) const {
    const int64_t count = static_cast<int64_t>(rows.length(row, padded)) * columns.length(column, padded);
    return A(1) / (number != 0 ? static_cast<A>(number) : static_cast<A>(count));
  }
};

// Each window has `lanes` threads, 1 or 32.
template <class T>
__global__ void __launch_bounds__(kThreads) mean_kernel(const T* x, const Windows rows, const Windows columns,
                                                        const Divisor divisor, const Grid out, uint32_t lanes, T* y) {
  using A = Wide<T>;
  const int64_t plane_size = static_cast<int64_t>(rows.size) * columns.size;
  const uint32_t lane = threadIdx.x % lanes, step = thread_count() / lanes;
  const uint32_t rounds = (out.total + step - 1) / step;
  for (uint32_t r = 0; r < rounds; ++r) {
    const uint32_t i = r * step + thread_index() / lanes;
    A sum = 0;
    uint32_t plane;
    int32_t row = 0, column = 0;
    if (i < out.total) {
      out.locate(i, plane, row, column);
      const int32_t top = rows.begin(row), bottom = rows.end(row), left = columns.begin(column),
                    right = columns.end(column);
      const T* in = x + plane * plane_size;
      if (lanes == 1) {
        for (int32_t h = top; h < bottom; ++h)
          for (int32_t w = left; w < right; ++w) sum += static_cast<A>(in[static_cast<int64_t>(h) * columns.size + w]);
      } else if (right - left == columns.size) {
        const T* from = in + static_cast<int64_t>(top) * columns.size;
        for (int64_t e = lane; e < static_cast<int64_t>(bottom - top) * columns.size; e += lanes)
          sum += static_cast<A>(from[e]);
      } else {
        for (int32_t h = top; h < bottom; ++h)
          for (int32_t w = left + static_cast<int32_t>(lane); w < right; w += static_cast<int32_t>(lanes))
            sum += static_cast<A>(in[static_cast<int64_t>(h) * columns.size + w]);
      }
    }
    if (lanes > 1)
      for (int half = 16; half > 0; half /= 2) sum += __shfl_xor_sync(kAllLanes, sum, half);
    if (i < out.total && lane == 0) y[i] = T(sum * divisor.factor<A>(rows, columns, row, column));
  }
}

// Means of whole planes of `vectors` vectors, of which each has a power of two of neighbouring threads.
template <class T, int V>
__global__ void __launch_bounds__(kThreads)
    plane_kernel(const T* x, int64_t planes, int64_t vectors, Wide<T> factor, uint32_t lanes, T* y) {
  using A = Wide<T>;
  constexpr int N = V == 1 ? 8 : 4;
  const int64_t lane = threadIdx.x % lanes, per_block = kThreads / lanes;
  for (int64_t first = blockIdx.x * per_block; first < planes; first += gridDim.x * per_block) {
    const int64_t plane = first + threadIdx.x / lanes, end = plane < planes ? vectors : 0;
    const T* from = x + plane * vectors * V;
    A sum = 0;
    for (int64_t i = lane; i < end; i += N * lanes) {
      Vector<T, V> piece[N];
#pragma unroll
      for (int p = 0; p < N; ++p)
        if (i + p * lanes < end) piece[p] = load<T, V>(from + (i + p * lanes) * V);
#pragma unroll
      for (int p = 0; p < N; ++p)
        if (i + p * lanes < end)
#pragma unroll
          for (int k = 0; k < V; ++k) sum += static_cast<A>(piece[p].item[k]);
    }
    const double all = across(static_cast<double>(sum), lanes);
    if (plane < planes && lane == 0) y[plane] = T(static_cast<A>(all) * factor);
  }
}

template <class T>
void means_of_planes(const On& on, const T* x, int64_t planes, int64_t size, T* y) {
  constexpr int V = static_cast<int>(16 / sizeof(T));
  const auto factor = static_cast<Wide<T>>(1) / static_cast<Wide<T>>(size);
  const bool vectors = size % V == 0 && is_aligned(x);
  const uint32_t lanes = size < 256 ? 8 : size < 16384 ? 32 : kThreads;
  const uint32_t blocks = blocks_for(planes, static_cast<int>(kThreads / lanes));
  on.run(vectors ? plane_kernel<T, V> : plane_kernel<T, 1>, blocks, x, planes, vectors ? size / V : size, factor, lanes,
         y);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    spread_kernel(const T* g, const Windows rows, const Windows columns, const Divisor divisor, const Grid in, T* out) {
  using A = Wide<T>;
  const int64_t plane_size = static_cast<int64_t>(rows.count) * columns.count;
  for (uint32_t i = thread_index(); i < in.total; i += thread_count()) {
    uint32_t plane;
    int32_t row, column;
    in.locate(i, plane, row, column);
    const int32_t first_row = rows.first(row), last_row = rows.last(row), first = columns.first(column),
                  last = columns.last(column);
    A sum = 0;
    for (int32_t h = first_row; h <= last_row; ++h)
      for (int32_t w = first; w <= last; ++w)
        sum += static_cast<A>(g[plane * plane_size + static_cast<int64_t>(h) * columns.count + w]) *
               divisor.factor<A>(rows, columns, h, w);
    out[i] = T(sum);
  }
}

// `planes` of inputs and outputs; the frame's first argument and its output.
template <bool backward>
void run(atled_frame* f, int64_t planes, const Windows& rows, const Windows& columns, const Divisor& divisor) {
  const Tensor given = contiguous(arg_tensor(f, 0));
  const int64_t in = static_cast<int64_t>(rows.size) * columns.size,
                out = static_cast<int64_t>(rows.count) * columns.count;
  const On on(given);
  visit_float(given->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!backward)
      if (rows.kernel == 0 && out == 1 && in > 0)
        return means_of_planes(on, data<const T>(given), planes, in, data<T>(out_tensor(f)));
    each_part(planes, in, out, [&](int64_t from, int64_t here) {
      const T* x = data<const T>(given) + from * (backward ? out : in);
      T* y = data<T>(out_tensor(f)) + from * (backward ? in : out);
      if constexpr (backward) {
        const Grid grid(here, rows.size, columns.size);
        on.run(spread_kernel<T>, blocks_for(grid.total), x, rows, columns, divisor, grid, y);
      } else {
        // Large windows have a warp each.
        const uint32_t lanes = in / 32 >= out ? 32 : 1;
        const Grid grid(here, rows.count, columns.count);
        on.run(mean_kernel<T>, blocks_for(static_cast<int64_t>(grid.total) * lanes), x, rows, columns, divisor, grid,
               lanes, y);
      }
    });
  });
}

// `kernel` is the position of kernel_size.
template <bool backward>
void sliding(atled_frame* f, Shape input, int kernel) {
  const Pooling s = pooling(input, f, kernel, false);
  const Divisor divisor{arg_is_none(f, kernel + 5) ? 0.0 : static_cast<double>(arg_int(f, kernel + 5)),
                        arg_bool(f, kernel + 4)};
  run<backward>(f, s.planes, Windows::sliding(s.h, s.oh, s.kernel.h, s.stride.h, s.padding.h, 1),
                Windows::sliding(s.w, s.ow, s.kernel.w, s.stride.w, s.padding.w, 1), divisor);
}

template <bool backward>
void adaptive(atled_frame* f, Shape input, Shape output) {
  int64_t planes = 1;
  for (int i = 0; i < input.ndim - 2; ++i) planes *= input.dims[i];
  run<backward>(f, planes, Windows::adaptive(input.dims[input.ndim - 2], output.dims[output.ndim - 2]),
                Windows::adaptive(input.dims[input.ndim - 1], output.dims[output.ndim - 1]), Divisor{0.0, false});
}

void average(atled_frame* f) { sliding<false>(f, shape_of(arg_tensor(f, 0)), 1); }
void average_backward(atled_frame* f) { sliding<true>(f, arg_shape(f, 1), 2); }
void adaptive_average(atled_frame* f) { adaptive<false>(f, shape_of(arg_tensor(f, 0)), shape_of(out_tensor(f))); }
void adaptive_average_backward(atled_frame* f) {
  adaptive<true>(f, shape_of(out_tensor(f)), shape_of(arg_tensor(f, 0)));
}

void add_average_pool() {
  add_cuda_kernel<average>("nn::avg_pool2d");
  add_cuda_kernel<average_backward>("nn::avg_pool2d_backward");
  add_cuda_kernel<adaptive_average>("nn::adaptive_avg_pool2d");
  add_cuda_kernel<adaptive_average_backward>("nn::adaptive_avg_pool2d_backward");
}
ATLED_CUDA_KERNELS(add_average_pool);

}  // namespace

}  // namespace atled::nn
