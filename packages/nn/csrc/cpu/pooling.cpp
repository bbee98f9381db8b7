#include <algorithm>
#include <vector>

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

// First down the columns, row by row, then along: the first of equal elements wins, and the last NaN.
template <class T>
void max_forward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor input = contiguous(arg_tensor(f, 0));
  const Pooling s = pooling(shape_of(input), f, 1, true);
  const T* x = data<T>(input);
  T* y = data<T>(out_tensor(f, 0));
  int64_t* indices = data<int64_t>(out_tensor(f, 1));
  const auto max_rows = ATLED_PICK(max_rows<T, A>);
  parallel_for(s.planes, row_grain(s.h * s.w), [&](int64_t begin, int64_t end) {
    std::vector<A> best(static_cast<size_t>(s.w));
    std::vector<int32_t> row(static_cast<size_t>(s.w));
    for (int64_t out = begin * s.oh; out < end * s.oh; ++out) {
      const T* plane = x + out / s.oh * s.h * s.w;
      const int64_t top = out % s.oh * s.stride.h - s.padding.h;
      const Steps rows = steps(top, s.kernel.h, s.dilation.h, s.h);
      const int64_t first = top + rows.first * s.dilation.h;
      for (int64_t i = 0; i < s.w; ++i) best[static_cast<size_t>(i)] = static_cast<A>(plane[first * s.w + i]);
      std::fill(row.begin(), row.end(), static_cast<int32_t>(first));
      for (int64_t kh = rows.first + 1; kh < rows.last; ++kh) {
        const int64_t h = top + kh * s.dilation.h;
        max_rows(plane + h * s.w, best.data(), row.data(), static_cast<int32_t>(h), s.w);
      }
      for (int64_t ow = 0; ow < s.ow; ++ow) {
        const int64_t left = ow * s.stride.w - s.padding.w;
        const Steps columns = steps(left, s.kernel.w, s.dilation.w, s.w);
        size_t at = static_cast<size_t>(left + columns.first * s.dilation.w);
        for (int64_t kw = columns.first + 1; kw < columns.last; ++kw) {
          const size_t i = static_cast<size_t>(left + kw * s.dilation.w);
          const bool nan = best[i] != best[i], had_nan = best[at] != best[at];
          const bool better =
              nan ? !had_nan || row[i] >= row[at] : best[i] > best[at] || (best[i] == best[at] && row[i] < row[at]);
          at = better ? i : at;
        }
        y[out * s.ow + ow] = static_cast<T>(best[at]);
        indices[out * s.ow + ow] = row[at] * s.w + static_cast<int64_t>(at);
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
  const int64_t size = shape.dims[shape.ndim - 2] * shape.dims[shape.ndim - 1],
                n = planes > 0 ? numel(grad) / planes : 0;
  const T* g = data<T>(grad);
  const int64_t* at = data<int64_t>(indices);
  for (int64_t i = 0; i < n * planes; ++i)
    if (at[i] < 0 || at[i] >= size)
      fail(ATLED_E_BOUNDS, "expected indices in [0, %lld), got %lld", static_cast<long long>(size),
           static_cast<long long>(at[i]));
  T* out = data<T>(out_tensor(f));
  each_plane(planes, size, [&](int64_t p) {
    T* y = out + p * size;
    std::fill(y, y + size, T(0));
    for (int64_t i = p * n; i < (p + 1) * n; ++i)
      y[at[i]] = static_cast<T>(static_cast<Wide<T>>(y[at[i]]) + static_cast<Wide<T>>(g[i]));
  });
}

// What one output row or column averages: the inputs [begin, end), counted as `count`.
struct Range {
  int64_t begin, end;
  double count;
};

// The windows of the two average poolings: the range of each output row and column, and the divisor of all, or 0 to
// divide by the counts.
struct Windows {
  int64_t planes, h, w;
  std::vector<Range> rows, columns;
  double divisor;
};

std::vector<Range> sliding(int64_t outputs, int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                           bool count_padding) {
  std::vector<Range> ranges;
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t start = i * stride - padding;
    // With ceil_mode a window may reach past the padding; that part never counts.
    const int64_t stop = std::min(start + kernel, size + padding), begin = std::max<int64_t>(start, 0),
                  end = std::min(stop, size);
    ranges.push_back({begin, end, static_cast<double>(count_padding ? stop - start : end - begin)});
  }
  return ranges;
}

std::vector<Range> adaptive(int64_t outputs, int64_t size) {
  std::vector<Range> ranges;
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t begin = i * size / outputs, end = ((i + 1) * size + outputs - 1) / outputs;
    ranges.push_back({begin, end, static_cast<double>(end - begin)});
  }
  return ranges;
}

Windows sliding_windows(Shape input, const atled_frame* f, int kernel) {
  const Pooling s = pooling(input, f, kernel, false);
  const bool count_padding = arg_bool(f, kernel + 4);
  return {s.planes,
          s.h,
          s.w,
          sliding(s.oh, s.h, s.kernel.h, s.stride.h, s.padding.h, count_padding),
          sliding(s.ow, s.w, s.kernel.w, s.stride.w, s.padding.w, count_padding),
          arg_is_none(f, kernel + 5) ? 0.0 : static_cast<double>(arg_int(f, kernel + 5))};
}

Windows adaptive_windows(Shape input, Shape output) {
  int64_t planes = 1;
  for (int i = 0; i < input.ndim - 2; ++i) planes *= input.dims[i];
  const int64_t h = input.dims[input.ndim - 2], w = input.dims[input.ndim - 1];
  return {planes, h, w, adaptive(output.dims[output.ndim - 2], h), adaptive(output.dims[output.ndim - 1], w), 0.0};
}

template <class A>
A factor(const Windows& windows, size_t oh, size_t ow) {
  return static_cast<A>(1 /
                        (windows.divisor != 0 ? windows.divisor : windows.rows[oh].count * windows.columns[ow].count));
}

// Rows are added up first, which is SIMD work, then the columns of the sum.
template <class T>
void average(const Windows& s, const atled_tensor* input, atled_tensor* out) {
  using A = Wide<T>;
  const size_t oh = s.rows.size(), ow = s.columns.size();
  const auto add = ATLED_PICK(accumulate<T, A>);
  parallel_for(s.planes, row_grain(s.h * s.w), [&](int64_t begin, int64_t end) {
    std::vector<A> sums(static_cast<size_t>(s.w));
    for (int64_t p = begin; p < end; ++p) {
      const T* x = data<T>(input) + p * s.h * s.w;
      T* y = data<T>(out) + static_cast<size_t>(p) * oh * ow;
      for (size_t i = 0; i < oh; ++i) {
        std::fill(sums.begin(), sums.end(), A(0));
        for (int64_t h = s.rows[i].begin; h < s.rows[i].end; ++h) add(x + h * s.w, sums.data(), s.w);
        for (size_t j = 0; j < ow; ++j) {
          A sum = 0;
          for (int64_t w = s.columns[j].begin; w < s.columns[j].end; ++w) sum += sums[static_cast<size_t>(w)];
          y[i * ow + j] = static_cast<T>(sum * factor<A>(s, i, j));
        }
      }
    }
  });
}

template <class T>
void average_backward(const Windows& s, const atled_tensor* grad, atled_tensor* out) {
  using A = Wide<T>;
  const size_t oh = s.rows.size(), ow = s.columns.size(), size = static_cast<size_t>(s.h * s.w);
  const auto add = ATLED_PICK(accumulate<A, A>);
  parallel_for(s.planes, row_grain(s.h * s.w), [&](int64_t begin, int64_t end) {
    std::vector<A> shares(static_cast<size_t>(s.w)), total(size);
    for (int64_t p = begin; p < end; ++p) {
      const T* g = data<T>(grad) + static_cast<size_t>(p) * oh * ow;
      std::fill(total.begin(), total.end(), A(0));
      for (size_t i = 0; i < oh; ++i) {
        std::fill(shares.begin(), shares.end(), A(0));
        for (size_t j = 0; j < ow; ++j) {
          const A share = static_cast<A>(g[i * ow + j]) * factor<A>(s, i, j);
          for (int64_t w = s.columns[j].begin; w < s.columns[j].end; ++w) shares[static_cast<size_t>(w)] += share;
        }
        for (int64_t h = s.rows[i].begin; h < s.rows[i].end; ++h) add(shares.data(), total.data() + h * s.w, s.w);
      }
      T* y = data<T>(out) + static_cast<size_t>(p) * size;
      for (size_t k = 0; k < size; ++k) y[k] = static_cast<T>(total[k]);
    }
  });
}

void max_forward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { max_forward_as<typename decltype(tag)::type>(f); });
}
void max_backward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { max_backward_as<typename decltype(tag)::type>(f); });
}

// What the four average pooling kernels share.
template <bool backward>
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

void average_forward(atled_frame* f) { run_average<false>(sliding_windows(shape_of(arg_tensor(f, 0)), f, 1), f); }
void average_gradient(atled_frame* f) { run_average<true>(sliding_windows(arg_shape(f, 1), f, 2), f); }
void adaptive_forward(atled_frame* f) {
  run_average<false>(adaptive_windows(shape_of(arg_tensor(f, 0)), shape_of(out_tensor(f))), f);
}
void adaptive_gradient(atled_frame* f) {
  run_average<true>(adaptive_windows(shape_of(out_tensor(f)), shape_of(arg_tensor(f, 0))), f);
}

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
