// The largest element of each window. Gradients are gathered: each element looks at the windows that may hold it.
#include <limits>

#include "cuda/windows.cuh"

namespace atled::nn {

namespace {

// The first of equal elements, in the order of rows, then columns; NaN wins over everything, the last one over others.
template <class A>
struct Best {
  A value;
  int32_t row, column;
  __device__ void meet(A v, int32_t h, int32_t w) {
    if (v > value || v != v) *this = {v, h, w};
  }
};

// K: the kernel's rows and columns, whose elements are then read at once, or 0 for any.
template <class T, int K>
__global__ void __launch_bounds__(kThreads)
    max_kernel(const T* x, const Windows rows, const Windows columns, const Grid out, T* y, int64_t* indices) {
  using A = Wide<T>;
  const int64_t plane_size = static_cast<int64_t>(rows.size) * columns.size;
  for (uint32_t i = thread_index(); i < out.total; i += thread_count()) {
    uint32_t plane;
    int32_t row, column;
    out.locate(i, plane, row, column);
    const T* in = x + plane * plane_size;
    const int32_t top = rows.start(row), left = columns.start(column), down = rows.dilation, right = columns.dilation;
    const int32_t above = top < 0 ? (-top + down - 1) / down * down + top : top,
                  before = left < 0 ? (-left + right - 1) / right * right + left : left,
                  below = std::min(top + rows.kernel * down, rows.size),
                  after = std::min(left + columns.kernel * right, columns.size);
    Best<A> best{-std::numeric_limits<A>::infinity(), above, before};
    auto at = [&](int32_t h, int32_t w) { return static_cast<A>(in[static_cast<int64_t>(h) * columns.size + w]); };
    if constexpr (K > 0) {
      A values[K * K];
#pragma unroll
      for (int k = 0; k < K * K; ++k) {
        const int32_t h = top + k / K * down, w = left + k % K * right;
        values[k] = h >= above && h < below && w >= before && w < after ? at(h, w) : best.value;
      }
#pragma unroll
      for (int k = 0; k < K * K; ++k) best.meet(values[k], top + k / K * down, left + k % K * right);
    } else {
      for (int32_t h = above; h < below; h += down)
        for (int32_t w = before; w < after; w += right) best.meet(at(h, w), h, w);
    }
    y[i] = T(best.value);
    indices[i] = static_cast<int64_t>(best.row) * columns.size + best.column;
  }
}

// Each thread takes V neighbours of a row, and reads at once H rows and W columns of windows, which hold all that may
// hold them; H of 0: any. Where H is 1, each window is the only one of V / W of the neighbours.
template <class T, int V, int H, int W>
__global__ void __launch_bounds__(kThreads) gather_kernel(const T* g, const int64_t* indices, const Windows rows,
                                                          const Windows columns, const Grid in, T* out) {
  using A = Wide<T>;
  for (uint32_t i = thread_index(); i < in.total; i += thread_count()) {
    uint32_t plane;
    int32_t row, column;
    in.locate(i, plane, row, column);
    column *= V;
    const int32_t place = row * columns.size + column, top = rows.first(row), left = columns.first(column);
    // The parts' sizes keep all places below 2^31.
    auto at = [&](int32_t h, int32_t w) {
      return (plane * static_cast<uint32_t>(rows.count) + static_cast<uint32_t>(h)) *
                 static_cast<uint32_t>(columns.count) +
             static_cast<uint32_t>(w);
    };
    A sums[V] = {};
    if constexpr (H > 0) {
      constexpr int kOwn = H == 1 ? V / W : V;
      uint32_t winners[H * W];  // which neighbour it is, if any
      A values[H * W];
#pragma unroll
      for (int k = 0; k < H * W; ++k) {
        const int32_t h = top + k / W, w = left + k % W;
        const bool inside = h < rows.count && w < columns.count;
        const auto ahead = static_cast<uint64_t>(inside ? indices[at(h, w)] - place : -1);
        winners[k] = ahead >> 32 ? UINT32_MAX : static_cast<uint32_t>(ahead);
        values[k] = inside ? static_cast<A>(g[at(h, w)]) : A(0);
      }
#pragma unroll
      for (int k = 0; k < H * W; ++k)
#pragma unroll
        for (int v = 0; v < V; ++v)
          if (H > 1 || v / kOwn == k) sums[v] += winners[k] == static_cast<uint32_t>(v) ? values[k] : A(0);
    } else {
      const int32_t bottom = rows.last(row), right = columns.last(column);
      for (int32_t h = top; h <= bottom; ++h)
        for (int32_t w = left; w <= right; ++w) {
          const A value = static_cast<A>(g[at(h, w)]);
          sums[0] += indices[at(h, w)] == place ? value : A(0);
        }
    }
    Vector<T, V> result;
#pragma unroll
    for (int v = 0; v < V; ++v) result.item[v] = T(sums[v]);
    store(out + static_cast<int64_t>(i) * V, result);
  }
}

// Indices that are in the plane; others are told.
__global__ void __launch_bounds__(kThreads)
    settle_kernel(const int64_t* indices, int64_t n, int64_t size, atled_cuda_index_site site, int64_t* settled) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    const int64_t at = indices[i];
    const bool inside = at >= 0 && at < size;
    if (!inside) report_index(site, -1, at, size);
    settled[i] = inside ? at : 0;
  }
}

void forward(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0));
  const Pooling s = pooling(shape_of(input), f, 1, true);
  const Windows rows = Windows::sliding(s.h, s.oh, s.kernel.h, s.stride.h, s.padding.h, s.dilation.h),
                columns = Windows::sliding(s.w, s.ow, s.kernel.w, s.stride.w, s.padding.w, s.dilation.w);
  const On on(input);
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_part(s.planes, s.h * s.w, s.oh * s.ow, [&](int64_t from, int64_t planes) {
      const Grid out(planes, s.oh, s.ow);
      const auto kernel = s.kernel.h != s.kernel.w ? max_kernel<T, 0>
                          : s.kernel.h == 2        ? max_kernel<T, 2>
                          : s.kernel.h == 3        ? max_kernel<T, 3>
                                                   : max_kernel<T, 0>;
      on.run(kernel, blocks_for(out.total), data<const T>(input) + from * s.h * s.w, rows, columns, out,
             data<T>(out_tensor(f, 0)) + from * s.oh * s.ow, data<int64_t>(out_tensor(f, 1)) + from * s.oh * s.ow);
    });
  });
}

// For indices that any op may have made.
void scatter(atled_frame* f, const Tensor& grad, const Tensor& indices, int64_t planes, int64_t size) {
  static const Op zero{"core::zero_"}, scatter_add{"core::scatter_add"}, copy{"core::copy_"}, reshape{"core::reshape"};
  atled_tensor* out = out_tensor(f);
  const int64_t n = numel(grad);
  const Tensor settled = Tensor::empty_like(indices);
  const IndexCall call(f, grad->dl.device.device_id, "indices");
  if (n > 0) {
    const On on(grad);
    on.run(settle_kernel, blocks_for(n), data<const int64_t>(indices), n, size, call.site(), data<int64_t>(settled));
  }
  call.finish();
  if (numel(out) == 0) return;
  const int wide = compute_dtype(grad->dtype);
  const Tensor sums = Tensor::empty(wide, {planes, size}, grad->dl.device);
  zero(sums);
  const int64_t each[2] = {planes, n / planes};
  scatter_add.inplace(sums, 1, reshape(settled, ints_value(each, 2)),
                      reshape(converted(grad, wide), ints_value(each, 2)));
  copy(out, reshape(sums, ints_value(out->dl.shape, static_cast<size_t>(out->dl.ndim))));
}

// How many windows may hold any of `neighbours` elements.
int32_t holders(const Windows& w, int32_t neighbours) {
  return (neighbours - 1 + (w.kernel - 1) * w.dilation) / w.stride + 1;
}

template <class T>
struct Gather {
  int neighbours = 1;
  decltype(&gather_kernel<T, 1, 0, 0>) kernel = gather_kernel<T, 1, 0, 0>;

  Gather(const Windows& rows, const Windows& columns, const T* out) {
    const bool apart = holders(rows, 1) == 1 && holders(columns, 1) == 1;
    auto take = [&](auto n) {
      constexpr int V = decltype(n)::value, kOwn = V > 1 ? V / 2 : 1, kShared = V > 1 ? V / 2 + 1 : 2;
      if (columns.size % V || reinterpret_cast<uintptr_t>(out) % (V * sizeof(T))) return;
      if (apart && (V == 1 || (columns.stride == 2 && columns.padding == 0)))
        *this = {V, gather_kernel<T, V, 1, kOwn>};
      else if (!apart && holders(rows, 1) <= 2 && holders(columns, V) <= kShared)
        *this = {V, gather_kernel<T, V, 2, kShared>};
    };
    take(std::integral_constant<int, 1>{});
    take(std::integral_constant<int, 8 / sizeof(T)>{});
    take(std::integral_constant<int, 16 / sizeof(T)>{});
  }

 private:
  Gather(int n, decltype(kernel) k) : neighbours(n), kernel(k) {}
};

void backward(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), indices = contiguous(arg_tensor(f, 1));
  const Shape shape = arg_shape(f, 2);
  const int64_t h = shape.dims[shape.ndim - 2], w = shape.dims[shape.ndim - 1], oh = grad->dl.shape[shape.ndim - 2],
                ow = grad->dl.shape[shape.ndim - 1];
  int64_t planes = 1;
  for (int i = 0; i < shape.ndim - 2; ++i) planes *= shape.dims[i];
  if (arg_is_none(f, 3) || oh * ow == 0) return scatter(f, grad, indices, planes, h * w);
  const Pair kernel = arg_pair(f, 3, {1, 1}), stride = arg_pair(f, 4, kernel), padding = arg_pair(f, 5),
             dilation = arg_pair(f, 6, {1, 1});
  const Windows rows = Windows::sliding(h, oh, kernel.h, stride.h, padding.h, dilation.h),
                columns = Windows::sliding(w, ow, kernel.w, stride.w, padding.w, dilation.w);
  const On on(grad);
  visit_float(grad->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const Gather<T> gather(rows, columns, data<T>(out_tensor(f)));
    each_part(planes, h * w, oh * ow, [&](int64_t from, int64_t here) {
      const Grid in(here, h, w / gather.neighbours);
      on.run(gather.kernel, blocks_for(in.total), data<const T>(grad) + from * oh * ow,
             data<const int64_t>(indices) + from * oh * ow, rows, columns, in, data<T>(out_tensor(f)) + from * h * w);
    });
  });
}

void add_max_pool() {
  add_cuda_kernel<forward>("nn::max_pool2d_with_indices");
  add_cuda_kernel<backward>("nn::max_pool2d_backward");
}
ATLED_CUDA_KERNELS(add_max_pool);

}  // namespace

}  // namespace atled::nn
