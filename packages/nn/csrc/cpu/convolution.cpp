#include "cpu/convolution.h"

#include <algorithm>

#include "cpu/kernel.h"

namespace atled::nn {
namespace {

// The outputs [first, last) whose window step at `offset` (from the output's start) lies inside of [0, size).
struct Span {
  int64_t first, last;
};
Span inside(int64_t outputs, int64_t offset, int64_t stride, int64_t size) {
  const int64_t first = offset < 0 ? (-offset + stride - 1) / stride : 0;
  const int64_t last = offset >= size ? 0 : std::min(outputs, (size - offset + stride - 1) / stride);
  return {first, std::max(first, last)};
}

// Calls f(output position, input position, count, input step) for each row of one channel at one tap of the kernel.
template <class F>
ATLED_INLINE void each_row(const Convolution& s, int64_t tap, F&& f) {
  const int64_t in = tap / (s.kh * s.kw) * s.dilation.d - s.padding.d,
                down = tap / s.kw % s.kh * s.dilation.h - s.padding.h, right = tap % s.kw * s.dilation.w - s.padding.w;
  const Span planes = inside(s.od, in, s.stride.d, s.d), rows = inside(s.oh, down, s.stride.h, s.h),
             columns = inside(s.ow, right, s.stride.w, s.w);
  if (columns.first == columns.last) return;
  for (int64_t od = planes.first; od < planes.last; ++od)
    for (int64_t oh = rows.first; oh < rows.last; ++oh) {
      const int64_t row = (od * s.stride.d + in) * s.h + oh * s.stride.h + down;
      f((od * s.oh + oh) * s.ow + columns.first, row * s.w + columns.first * s.stride.w + right,
        columns.last - columns.first, s.stride.w);
    }
}

// Calls f(task) for every task, each about `work` multiplications.
template <class F>
void each_task(int64_t tasks, int64_t work, F&& f) {
  parallel_for(tasks, row_grain(work), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace

template <class T>
void direct_convolution(const Convolution& s, const T* input, const T* weight, const T* bias, T* output) {
  const int64_t group_in = s.c / s.groups, group_out = s.k / s.groups, taps = s.taps();
  each_task(s.n * s.k, group_in * taps * s.outputs(), [&](int64_t task) {
    const int64_t n = task / s.k, k = task % s.k, group = k / group_out;
    T* y = output + task * s.outputs();
    std::fill(y, y + s.outputs(), bias ? bias[k] : T(0));
    for (int64_t c = 0; c < group_in; ++c) {
      const T *x = input + (n * s.c + group * group_in + c) * s.inputs(), *w = weight + (k * group_in + c) * taps;
      for (int64_t tap = 0; tap < taps; ++tap)
        each_row(s, tap, [&](int64_t o, int64_t i, int64_t count, int64_t step) {
          for (int64_t j = 0; j < count; ++j) y[o + j] += w[tap] * x[i + j * step];
        });
    }
  });
}

template <class T>
void direct_convolution_input(const Convolution& s, const T* grad, const T* weight, T* grad_input) {
  const int64_t group_in = s.c / s.groups, group_out = s.k / s.groups, taps = s.taps();
  each_task(s.n * s.c, group_out * taps * s.outputs(), [&](int64_t task) {
    const int64_t n = task / s.c, c = task % s.c, group = c / group_in;
    T* x = grad_input + task * s.inputs();
    std::fill(x, x + s.inputs(), T(0));
    for (int64_t k = group * group_out; k < (group + 1) * group_out; ++k) {
      const T *g = grad + (n * s.k + k) * s.outputs(), *w = weight + (k * group_in + c % group_in) * taps;
      for (int64_t tap = 0; tap < taps; ++tap)
        each_row(s, tap, [&](int64_t o, int64_t i, int64_t count, int64_t step) {
          for (int64_t j = 0; j < count; ++j) x[i + j * step] += w[tap] * g[o + j];
        });
    }
  });
}

template <class T>
void direct_convolution_weight(const Convolution& s, const T* grad, const T* input, T* grad_weight) {
  const int64_t group_in = s.c / s.groups, group_out = s.k / s.groups, taps = s.taps();
  each_task(s.k * group_in, s.n * taps * s.outputs(), [&](int64_t task) {
    const int64_t k = task / group_in, c = k / group_out * group_in + task % group_in;
    T* w = grad_weight + task * taps;
    for (int64_t tap = 0; tap < taps; ++tap) {
      T total = 0;
      for (int64_t n = 0; n < s.n; ++n) {
        const T *g = grad + (n * s.k + k) * s.outputs(), *x = input + (n * s.c + c) * s.inputs();
        each_row(s, tap, [&](int64_t o, int64_t i, int64_t count, int64_t step) {
          T sum = 0;
#pragma omp simd reduction(+ : sum)
          for (int64_t j = 0; j < count; ++j) sum += g[o + j] * x[i + j * step];
          total += sum;
        });
      }
      w[tap] = total;
    }
  });
}

template void direct_convolution(const Convolution&, const float*, const float*, const float*, float*);
template void direct_convolution(const Convolution&, const double*, const double*, const double*, double*);
template void direct_convolution_input(const Convolution&, const float*, const float*, float*);
template void direct_convolution_input(const Convolution&, const double*, const double*, double*);
template void direct_convolution_weight(const Convolution&, const float*, const float*, float*);
template void direct_convolution_weight(const Convolution&, const double*, const double*, double*);

}  // namespace atled::nn
