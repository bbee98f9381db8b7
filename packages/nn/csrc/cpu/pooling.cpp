#include <algorithm>

#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// Calls f(plane) for every plane of h * w elements, spread over the threads.
template <class F>
void each_plane(int64_t planes, int64_t size, F&& f) {
  parallel_for(planes, row_grain(size), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(p);
  });
}

// The part of window i that lies inside of [0, size), as steps of the kernel [first, last).
struct Steps {
  int64_t first, last;
};
Steps steps(int64_t start, int64_t kernel, int64_t dilation, int64_t size) {
  const int64_t first = start < 0 ? (-start + dilation - 1) / dilation : 0;
  const int64_t last = start >= size ? 0 : std::min(kernel, (size - start + dilation - 1) / dilation);
  return {first, std::max(first, last)};
}

template <class T>
void max_forward_as(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0));
  const Pooling s = pooling(shape_of(input), f, 1, true);
  const T* data_in = data<T>(input);
  T* data_out = data<T>(out_tensor(f, 0));
  int64_t* data_at = data<int64_t>(out_tensor(f, 1));
  // The common case: 2 x 2 windows side by side, all inside.
  const bool plain = s.kernel.h == 2 && s.kernel.w == 2 && s.dilation.h == 1 && s.dilation.w == 1 && s.padding.h == 0 && s.padding.w == 0 &&
                     (s.oh - 1) * s.stride.h + 2 <= s.h && (s.ow - 1) * s.stride.w + 2 <= s.w;
  each_plane(s.planes, s.h * s.w, [&](int64_t p) {
    const T* x = data_in + p * s.h * s.w;
    T* y = data_out + p * s.oh * s.ow;
    int64_t* at = data_at + p * s.oh * s.ow;
    for (int64_t oh = 0; oh < s.oh; ++oh) {
      const int64_t top = oh * s.stride.h - s.padding.h;
      if (plain) {
        const T *a = x + top * s.w, *b = a + s.w;
        for (int64_t ow = 0; ow < s.ow; ++ow) {
          const int64_t l = ow * s.stride.w;
          T best = a[l];
          int64_t where = top * s.w + l;
          const auto take = [&](T v, int64_t i) {
            const bool better = v > best || v != v;
            best = better ? v : best;
            where = better ? i : where;
          };
          take(a[l + 1], top * s.w + l + 1);
          take(b[l], top * s.w + s.w + l);
          take(b[l + 1], top * s.w + s.w + l + 1);
          y[oh * s.ow + ow] = best;
          at[oh * s.ow + ow] = where;
        }
        continue;
      }
      const Steps rows = steps(top, s.kernel.h, s.dilation.h, s.h);
      for (int64_t ow = 0; ow < s.ow; ++ow) {
        const int64_t left = ow * s.stride.w - s.padding.w;
        const Steps columns = steps(left, s.kernel.w, s.dilation.w, s.w);
        int64_t where = (top + rows.first * s.dilation.h) * s.w + left + columns.first * s.dilation.w;
        T best = x[where];
        for (int64_t kh = rows.first; kh < rows.last; ++kh)
          for (int64_t kw = columns.first; kw < columns.last; ++kw) {
            const int64_t i = (top + kh * s.dilation.h) * s.w + left + kw * s.dilation.w;
            if (x[i] > best || x[i] != x[i]) {
              best = x[i];
              where = i;
            }
          }
        y[oh * s.ow + ow] = best;
        at[oh * s.ow + ow] = where;
      }
    }
  });
}

template <class T>
void max_backward_as(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), indices = contiguous(arg_tensor(f, 1));
  const Shape shape = arg_shape(f, 2);
  int64_t planes = 1;
  for (int i = 0; i < shape.ndim - 2; ++i) planes *= shape.dims[i];
  const int64_t size = shape.dims[shape.ndim - 2] * shape.dims[shape.ndim - 1], n = planes > 0 ? numel(grad) / planes : 0;
  const T* g = data<T>(grad);
  const int64_t* at = data<int64_t>(indices);
  for (int64_t i = 0; i < n * planes; ++i)
    if (at[i] < 0 || at[i] >= size)
      fail(ATLED_E_BOUNDS, "expected indices in [0, %lld), got %lld", static_cast<long long>(size), static_cast<long long>(at[i]));
  T* out = data<T>(out_tensor(f));
  each_plane(planes, size, [&](int64_t p) {
    T* y = out + p * size;
    std::fill(y, y + size, T(0));
    for (int64_t i = p * n; i < (p + 1) * n; ++i) y[at[i]] = static_cast<T>(static_cast<Wide<T>>(y[at[i]]) + static_cast<Wide<T>>(g[i]));
  });
}

// One window's rows and columns inside of the plane, and what its sum is divided by.
struct Window {
  int64_t top, bottom, left, right;
  double divisor;
};

struct AverageWindows {
  Pooling s;
  bool count_padding;
  double divisor;  // 0: by the count

  AverageWindows(Shape input, const atled_frame* f, int kernel)
      : s(pooling(input, f, kernel, false)),
        count_padding(arg_bool(f, kernel + 4)),
        divisor(arg_is_none(f, kernel + 5) ? 0.0 : static_cast<double>(arg_int(f, kernel + 5))) {}
  Window operator()(int64_t oh, int64_t ow) const {
    const int64_t top = oh * s.stride.h - s.padding.h, left = ow * s.stride.w - s.padding.w;
    // With ceil_mode a window may reach past the padding; that part never counts.
    const int64_t end_h = std::min(top + s.kernel.h, s.h + s.padding.h), end_w = std::min(left + s.kernel.w, s.w + s.padding.w);
    Window window{std::max<int64_t>(top, 0), std::min(end_h, s.h), std::max<int64_t>(left, 0), std::min(end_w, s.w), divisor};
    if (divisor == 0)
      window.divisor = static_cast<double>(count_padding ? (end_h - top) * (end_w - left)
                                                         : (window.bottom - window.top) * (window.right - window.left));
    return window;
  }
};

struct AdaptiveWindows {
  Pooling s;

  AdaptiveWindows(Shape input, Shape output) : s{} {
    s.planes = 1;
    for (int i = 0; i < input.ndim - 2; ++i) s.planes *= input.dims[i];
    s.h = input.dims[input.ndim - 2], s.w = input.dims[input.ndim - 1];
    s.oh = output.dims[output.ndim - 2], s.ow = output.dims[output.ndim - 1];
  }
  Window operator()(int64_t oh, int64_t ow) const {
    Window window{oh * s.h / s.oh, ((oh + 1) * s.h + s.oh - 1) / s.oh, ow * s.w / s.ow, ((ow + 1) * s.w + s.ow - 1) / s.ow, 0};
    window.divisor = static_cast<double>((window.bottom - window.top) * (window.right - window.left));
    return window;
  }
};

template <class T, class Windows>
void average(const Windows& windows, const atled_tensor* input, atled_tensor* out) {
  using A = Wide<T>;
  const Pooling& s = windows.s;
  each_plane(s.planes, s.h * s.w, [&](int64_t p) {
    const T* x = data<T>(input) + p * s.h * s.w;
    T* y = data<T>(out) + p * s.oh * s.ow;
    for (int64_t oh = 0; oh < s.oh; ++oh)
      for (int64_t ow = 0; ow < s.ow; ++ow) {
        const Window window = windows(oh, ow);
        A sum = 0;
        for (int64_t h = window.top; h < window.bottom; ++h)
          for (int64_t w = window.left; w < window.right; ++w) sum += static_cast<A>(x[h * s.w + w]);
        y[oh * s.ow + ow] = static_cast<T>(sum / static_cast<A>(window.divisor));
      }
  });
}

template <class T, class Windows>
void average_backward(const Windows& windows, const atled_tensor* grad, atled_tensor* out) {
  using A = Wide<T>;
  const Pooling& s = windows.s;
  each_plane(s.planes, s.h * s.w, [&](int64_t p) {
    const T* g = data<T>(grad) + p * s.oh * s.ow;
    T* y = data<T>(out) + p * s.h * s.w;
    std::fill(y, y + s.h * s.w, T(0));
    for (int64_t oh = 0; oh < s.oh; ++oh)
      for (int64_t ow = 0; ow < s.ow; ++ow) {
        const Window window = windows(oh, ow);
        const A share = static_cast<A>(g[oh * s.ow + ow]) / static_cast<A>(window.divisor);
        for (int64_t h = window.top; h < window.bottom; ++h)
          for (int64_t w = window.left; w < window.right; ++w) y[h * s.w + w] = static_cast<T>(static_cast<A>(y[h * s.w + w]) + share);
      }
  });
}

void max_forward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { max_forward_as<typename decltype(tag)::type>(f); });
}
void max_backward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { max_backward_as<typename decltype(tag)::type>(f); });
}

// What the four average pooling kernels share: `windows` from the frame, forward or backward by what it runs.
template <bool backward, class Windows>
void run_average(const Windows& windows, atled_frame* f) {
  const Tensor given = contiguous(arg_tensor(f, 0));
  visit_float(given->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (backward)
      average_backward<T>(windows, given, out_tensor(f));
    else
      average<T>(windows, given, out_tensor(f));
  });
}

void average_forward(atled_frame* f) { run_average<false>(AverageWindows(shape_of(arg_tensor(f, 0)), f, 1), f); }
void average_gradient(atled_frame* f) { run_average<true>(AverageWindows(arg_shape(f, 1), f, 2), f); }
void adaptive_forward(atled_frame* f) { run_average<false>(AdaptiveWindows(shape_of(arg_tensor(f, 0)), shape_of(out_tensor(f))), f); }
void adaptive_gradient(atled_frame* f) { run_average<true>(AdaptiveWindows(shape_of(out_tensor(f)), shape_of(arg_tensor(f, 0))), f); }

}  // namespace

void add_pooling() {
  constexpr int kCpu = ATLED_DEVICE_CPU;
  add_kernel("nn::max_pool2d_with_indices", kCpu, kernel<max_forward>);
  add_kernel("nn::max_pool2d_backward", kCpu, kernel<max_backward>);
  add_kernel("nn::avg_pool2d", kCpu, kernel<average_forward>);
  add_kernel("nn::avg_pool2d_backward", kCpu, kernel<average_gradient>);
  add_kernel("nn::adaptive_avg_pool2d", kCpu, kernel<adaptive_forward>);
  add_kernel("nn::adaptive_avg_pool2d_backward", kCpu, kernel<adaptive_gradient>);
}

}  // namespace atled::nn
