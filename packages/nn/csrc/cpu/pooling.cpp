#include <algorithm>
#include <limits>
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

// Output rows one after another in one buffer, so that the loops along them are long however narrow they are. Each has
// `outputs` places, some of them past its last output, of `stride` elements; the input's begin at `padding`. Output i
// sees element i * stride + k * dilation at step k. Steps at which no output sees the input are left out.
struct Lines {
  int64_t first_step, steps, stride, padding, dilation, outputs;

  Lines(int64_t kernel, int64_t given_stride, int64_t given_padding, int64_t spread, int64_t size, int64_t count)
      : stride(count > 1 ? given_stride : 1), dilation(spread) {
    const int64_t before = given_padding - (count - 1) * stride;
    first_step = before > 0 ? before / dilation : 0;
    steps = std::max<int64_t>(1, std::min(kernel, (size - 1 + given_padding) / dilation + 1) - first_step);
    padding = given_padding - first_step * dilation;
    const int64_t length = std::max(padding + size, (count - 1) * stride + reach() + 1);
    outputs = (length + stride - 1) / stride;
  }
  int64_t pitch() const { return outputs * stride; }
  int64_t reach() const { return (steps - 1) * dilation; }
  // How many of `rows` are worth a buffer.
  int64_t block(int64_t rows) const { return std::max<int64_t>(1, std::min(rows, 1024 / outputs)); }
  size_t length(int64_t rows) const { return static_cast<size_t>(rows * pitch() + reach()); }
};

// The member whose stride is known when it is compiled, where there is one: only that is vector code.
#define ATLED_PICK_STRIDE(stride, name, ...)          \
  ((stride) == 1   ? ATLED_PICK(name<__VA_ARGS__, 1>) \
   : (stride) == 2 ? ATLED_PICK(name<__VA_ARGS__, 2>) \
                   : ATLED_PICK(name<__VA_ARGS__, 0>))

// First down the columns, row by row, then along: the first of equal elements wins, and the last NaN.
template <class T, bool kPlaces>
void max_forward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor input = contiguous(arg_tensor(f, 0));
  const Pooling s = pooling(shape_of(input), f, 1, true);
  const T* x = data<T>(input);
  T* y = data<T>(out_tensor(f, 0));
  int64_t* indices = kPlaces ? data<int64_t>(out_tensor(f, 1)) : nullptr;
  if (numel(out_tensor(f, 0)) == 0) return;
  // Few wide windows are looked through one by one, many narrow ones side by side.
  const bool wide = s.kernel.w > s.ow;
  const Lines lines =
      wide ? Lines(1, 1, 0, 1, s.w, s.ow) : Lines(s.kernel.w, s.stride.w, s.padding.w, s.dilation.w, s.w, s.ow);
  const auto fill_row = ATLED_PICK(assign_as<T, A, 1>);
  const auto max_rows = ATLED_PICK(max_rows<T, A>);
  const auto max_row_values = ATLED_PICK(max_values<T, A, 1>);
  const auto max_columns = ATLED_PICK_STRIDE(lines.stride, max_columns, A);
  const auto max_column_values = ATLED_PICK_STRIDE(lines.stride, max_values, A, A);
  const auto max_of = ATLED_PICK_STRIDE(s.dilation.w, max_of, A);
  const auto max_place = ATLED_PICK_STRIDE(s.dilation.w, max_place, A);
  const auto write = ATLED_PICK(max_write<T, A>);
  const auto fill_columns = ATLED_PICK_STRIDE(lines.stride, assign_as, A, A);
  const auto write_values = ATLED_PICK(assign_as<A, T, 1>);
  const int64_t block = lines.block(s.oh);
  parallel_for(s.planes, row_grain(s.h * s.w), [&](int64_t begin, int64_t end) {
    const size_t length = lines.length(block), outputs = static_cast<size_t>(block * lines.outputs);
    // Around the elements are numbers that lose against each of them.
    std::vector<A> best(length, -std::numeric_limits<A>::infinity()), top(outputs);
    std::vector<int32_t> row, top_row, top_step;
    if (kPlaces) {
      row.assign(length, std::numeric_limits<int32_t>::max());
      top_row.resize(outputs), top_step.resize(outputs);
    }
    for (int64_t out = begin * s.oh; out < end * s.oh;) {
      const int64_t rows_here = std::min(block, s.oh - out % s.oh), n = rows_here * lines.outputs;
      const T* plane = x + out / s.oh * s.h * s.w;
      for (int64_t r = 0; r < rows_here; ++r) {
        const int64_t above = (out % s.oh + r) * s.stride.h - s.padding.h;
        const Steps rows = steps(above, s.kernel.h, s.dilation.h, s.h);
        const int64_t at = r * lines.pitch() + lines.padding, first = above + rows.first * s.dilation.h;
        fill_row(plane + first * s.w, 1, best.data() + at, s.w);
        if (kPlaces) std::fill_n(row.begin() + at, s.w, static_cast<int32_t>(first));
        for (int64_t kh = rows.first + 1; kh < rows.last; ++kh) {
          const int64_t h = above + kh * s.dilation.h;
          if (kPlaces)
            max_rows(plane + h * s.w, best.data() + at, row.data() + at, static_cast<int32_t>(h), s.w);
          else
            max_row_values(plane + h * s.w, 1, best.data() + at, s.w);
        }
      }
      if (wide) {
        for (int64_t r = 0; r < rows_here; ++r, ++out) {
          for (int64_t i = 0; i < s.ow; ++i) {
            const int64_t start = i * s.stride.w - s.padding.w;
            const Steps columns = steps(start, s.kernel.w, s.dilation.w, s.w);
            const int64_t first = start + columns.first * s.dilation.w, at = r * lines.pitch() + first,
                          count = columns.last - columns.first;
            const A value = max_of(best.data() + at, s.dilation.w, count);
            y[out * s.ow + i] = static_cast<T>(value);
            if (!kPlaces) continue;
            const int64_t k = max_place(best.data() + at, row.data() + at, s.dilation.w, value, count) * s.dilation.w;
            indices[out * s.ow + i] = row[static_cast<size_t>(at + k)] * s.w + first + k;
          }
        }
        continue;
      }
      if constexpr (!kPlaces) {
        // Long rows of the output's own dtype need no room between.
        A* values = top.data();
        if constexpr (std::is_same_v<T, A>)
          if (block == 1) values = y + out * s.ow;
        const int64_t count = block == 1 ? s.ow : n;
        fill_columns(best.data(), lines.stride, values, count);
        for (int64_t k = 1; k < lines.steps; ++k)
          max_column_values(best.data() + k * lines.dilation, lines.stride, values, count);
        for (int64_t r = 0; r < rows_here; ++r, ++out)
          if (static_cast<void*>(values) != y + out * s.ow)
            write_values(values + r * lines.outputs, 1, y + out * s.ow, s.ow);
        continue;
      }
      std::fill_n(top.begin(), n, -std::numeric_limits<A>::infinity());
      std::fill_n(top_row.begin(), n, std::numeric_limits<int32_t>::max());
      for (int64_t k = 0; k < lines.steps; ++k)
        max_columns(best.data() + k * lines.dilation, row.data() + k * lines.dilation, lines.stride, top.data(),
                    top_row.data(), top_step.data(), static_cast<int32_t>(k), n);
      for (int64_t r = 0; r < rows_here; ++r, ++out) {
        const int64_t at = r * lines.outputs;
        write(top.data() + at, top_row.data() + at, top_step.data() + at, y + out * s.ow, indices + out * s.ow, s.w,
              lines.stride, lines.dilation, -lines.padding, s.ow);
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
// divide by the counts. Columns that slide evenly say how; else `kernel` is 0.
struct Slide {
  int64_t kernel, stride, padding;
};
struct Windows {
  int64_t planes, h, w;
  std::vector<Range> rows, columns;
  double divisor;
  Slide slide;
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
          arg_is_none(f, kernel + 5) ? 0.0 : static_cast<double>(arg_int(f, kernel + 5)),
          {s.kernel.w, s.stride.w, s.padding.w}};
}

Windows adaptive_windows(Shape input, Shape output) {
  int64_t planes = 1;
  for (int i = 0; i < input.ndim - 2; ++i) planes *= input.dims[i];
  const int64_t h = input.dims[input.ndim - 2], w = input.dims[input.ndim - 1], oh = output.dims[output.ndim - 2],
                ow = output.dims[output.ndim - 1];
  return {planes, h, w, adaptive(oh, h), adaptive(ow, w), 0.0, {w % ow == 0 ? w / ow : 0, w / ow, 0}};
}

// What the outputs of row i are multiplied by.
template <class A>
void fill_factors(const Windows& s, size_t i, std::vector<A>& factors) {
  if (i > 0 && s.rows[i].count == s.rows[i - 1].count) return;
  for (size_t j = 0; j < factors.size(); ++j)
    factors[j] = static_cast<A>(1 / (s.divisor != 0 ? s.divisor : s.rows[i].count * s.columns[j].count));
}

// Few wide columns are summed one by one, many narrow ones side by side.
bool side_by_side(const Windows& s) {
  return s.slide.kernel > 0 && s.slide.kernel <= static_cast<int64_t>(s.columns.size());
}

Lines lines_of(const Windows& s) {
  const int64_t outputs = static_cast<int64_t>(s.columns.size());
  return side_by_side(s) ? Lines(s.slide.kernel, s.slide.stride, s.slide.padding, 1, s.w, outputs)
                         : Lines(1, 1, 0, 1, s.w, outputs);
}

// One window that holds every element and nothing else.
bool whole_planes(const Windows& s) {
  auto whole = [](const std::vector<Range>& ranges, int64_t size) {
    return ranges.size() == 1 && ranges[0].begin == 0 && ranges[0].end == size &&
           ranges[0].count == static_cast<double>(size);
  };
  return whole(s.rows, s.h) && whole(s.columns, s.w);
}

// The mean of each plane, in pieces that keep the sums short.
template <class T>
void average_planes(const Windows& s, const T* x, T* y) {
  using A = Wide<T>;
  const auto sum = ATLED_PICK(sum<T, A>);
  const int64_t size = s.h * s.w, piece = 1024;
  const A factor = static_cast<A>(1 / (s.divisor != 0 ? s.divisor : static_cast<double>(size)));
  parallel_for(s.planes, row_grain(size), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      A total = 0;
      for (int64_t i = 0; i < size; i += piece) total += sum(x + p * size + i, std::min(piece, size - i));
      y[p] = static_cast<T>(total * factor);
    }
  });
}

// Rows are added up first, then the columns of the sum.
template <class T>
void average(const Windows& s, const atled_tensor* input, atled_tensor* output) {
  using A = Wide<T>;
  const size_t oh = s.rows.size(), ow = s.columns.size();
  if (whole_planes(s)) return average_planes(s, data<T>(input), data<T>(output));
  const auto add = ATLED_PICK(accumulate<T, A>);
  const Lines lines = lines_of(s);
  const auto add_columns = ATLED_PICK_STRIDE(lines.stride, add_columns, A);
  const auto write = ATLED_PICK(scaled<T, A>);
  const int64_t rows = static_cast<int64_t>(oh), columns = static_cast<int64_t>(ow), block = lines.block(rows);
  T* y = data<T>(output);
  parallel_for(s.planes, row_grain(s.h * s.w), [&](int64_t begin, int64_t end) {
    std::vector<A> sums(lines.length(block)), total(static_cast<size_t>(block * lines.outputs)), factors(ow);
    for (int64_t out = begin * rows; out < end * rows;) {
      const int64_t here = std::min(block, rows - out % rows);
      const T* x = data<T>(input) + out / rows * s.h * s.w;
      for (int64_t r = 0; r < here; ++r) {
        const Range& range = s.rows[static_cast<size_t>(out % rows + r)];
        A* sum = sums.data() + r * lines.pitch() + lines.padding;
        std::fill_n(sum, s.w, A(0));
        for (int64_t h = range.begin; h < range.end; ++h) add(x + h * s.w, sum, s.w);
      }
      std::fill(total.begin(), total.end(), A(0));
      if (side_by_side(s)) {
        for (int64_t k = 0; k < lines.steps; ++k)
          add_columns(sums.data() + k, lines.stride, total.data(), here * lines.outputs);
      } else {
        for (int64_t r = 0; r < here; ++r)
          for (size_t j = 0; j < ow; ++j)
            for (int64_t w = s.columns[j].begin; w < s.columns[j].end; ++w)
              total[static_cast<size_t>(r * lines.outputs) + j] += sums[static_cast<size_t>(r * lines.pitch() + w)];
      }
      for (int64_t r = 0; r < here; ++r, ++out) {
        fill_factors(s, static_cast<size_t>(out % rows), factors);
        write(total.data() + r * lines.outputs, factors.data(), y + out * columns, columns);
      }
    }
  });
}

template <class T>
void average_backward(const Windows& s, const atled_tensor* grad, atled_tensor* out) {
  using A = Wide<T>;
  const size_t oh = s.rows.size(), ow = s.columns.size(), size = static_cast<size_t>(s.h * s.w);
  if (whole_planes(s)) {
    const A factor = static_cast<A>(1 / (s.divisor != 0 ? s.divisor : static_cast<double>(size)));
    return parallel_for(s.planes, row_grain(s.h * s.w), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        std::fill_n(data<T>(out) + static_cast<size_t>(p) * size, size,
                    static_cast<T>(static_cast<A>(data<T>(grad)[p]) * factor));
    });
  }
  const Lines lines = lines_of(s);
  const auto add = ATLED_PICK(accumulate<A, A>);
  const auto spread_columns = ATLED_PICK_STRIDE(lines.stride, spread_columns, A);
  parallel_for(s.planes, row_grain(s.h * s.w), [&](int64_t begin, int64_t end) {
    std::vector<A> shares(lines.length(1)), total(size), factors(ow), row(static_cast<size_t>(lines.outputs));
    for (int64_t p = begin; p < end; ++p) {
      const T* g = data<T>(grad) + static_cast<size_t>(p) * oh * ow;
      std::fill(total.begin(), total.end(), A(0));
      for (size_t i = 0; i < oh; ++i) {
        fill_factors(s, i, factors);
        for (size_t j = 0; j < ow; ++j) row[j] = static_cast<A>(g[i * ow + j]) * factors[j];
        std::fill(shares.begin(), shares.end(), A(0));
        if (side_by_side(s)) {
          for (int64_t k = 0; k < lines.steps; ++k)
            spread_columns(row.data(), lines.stride, shares.data() + k, lines.outputs);
        } else {
          for (size_t j = 0; j < ow; ++j)
            for (int64_t w = s.columns[j].begin; w < s.columns[j].end; ++w) shares[static_cast<size_t>(w)] += row[j];
        }
        for (int64_t h = s.rows[i].begin; h < s.rows[i].end; ++h)
          add(shares.data() + lines.padding, total.data() + h * s.w, s.w);
      }
      T* y = data<T>(out) + static_cast<size_t>(p) * size;
      for (size_t k = 0; k < size; ++k) y[k] = static_cast<T>(total[k]);
    }
  });
}

template <bool kPlaces>
void max_forward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { max_forward_as<typename decltype(tag)::type, kPlaces>(f); });
}
void max_backward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { max_backward_as<typename decltype(tag)::type>(f); });
}

// What the four average pooling kernels share.
template <bool backward>
void run_average(const Windows& windows, atled_frame* f) {
  static const Op zero{"core::zero_"};
  if (numel(out_tensor(f)) == 0) return;
  // No windows: rounding up may leave none of an empty plane.
  if (windows.rows.empty() || windows.columns.empty()) return void(zero(out_tensor(f)));
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
  add_kernel("nn::max_pool2d", kCpu, kernel<max_forward<false>>);
  add_kernel("nn::max_pool2d_with_indices", kCpu, kernel<max_forward<true>>);
  add_kernel("nn::max_pool2d_backward", kCpu, kernel<max_backward>);
  add_kernel("nn::avg_pool2d", kCpu, kernel<average_forward>);
  add_kernel("nn::avg_pool2d_backward", kCpu, kernel<average_gradient>);
  add_kernel("nn::adaptive_avg_pool2d", kCpu, kernel<adaptive_forward>);
  add_kernel("nn::adaptive_avg_pool2d_backward", kCpu, kernel<adaptive_gradient>);
}

}  // namespace atled::nn
