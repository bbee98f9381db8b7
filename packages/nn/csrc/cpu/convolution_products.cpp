// Convolution as products of matrices: what each tap of the kernel sees becomes a row of numbers beside the others',
// for a block of outputs at a time.
#include <algorithm>

#include "cpu/convolution.h"
#include "cpu/kernel.h"

namespace atled::nn {
namespace {

// The sizes of one group's matrices.
struct Matrices {
  int64_t groups, out, seen;  // channels of the output; taps of all input channels
  explicit Matrices(const Convolution& s) : groups(s.groups), out(s.k / s.groups), seen(s.c / s.groups * s.taps()) {}
};

// Lines of outputs [first, last), counted over all samples and planes.
struct Block {
  int64_t first, last, width;  // width: outputs in all of them
};

// Calls f for one block after the other. Columns of a block fill about 4 MiB.
template <class T, class F>
void each_block(const Convolution& s, F&& f) {
  const int64_t lines = s.n * s.od * s.oh, line = s.c * s.taps() * s.ow * static_cast<int64_t>(sizeof(T)),
                most = std::max<int64_t>((int64_t{4} << 20) / std::max<int64_t>(line, 1), 1);
  for (int64_t first = 0; first < lines; first += most) {
    const int64_t last = std::min(lines, first + most);
    f(Block{first, last, (last - first) * s.ow});
  }
}

// Calls f(place in the block, place in the input, count, step) for what one tap of channel c sees of each line, and
// blank(place, count) for what lies in the padding.
template <class F, class Blank>
void each_line(const Convolution& s, const Block& block, int64_t c, int64_t tap, F&& f, Blank&& blank) {
  const int64_t in = tap / (s.kh * s.kw) * s.dilation.d - s.padding.d,
                down = tap / s.kw % s.kh * s.dilation.h - s.padding.h, right = tap % s.kw * s.dilation.w - s.padding.w,
                stride = s.stride.w;
  const int64_t begin = std::min(right < 0 ? (-right + stride - 1) / stride : 0, s.ow),
                end = std::max(begin, right >= s.w ? 0 : std::min(s.ow, (s.w - right + stride - 1) / stride));
  for (int64_t line = block.first; line < block.last; ++line) {
    const int64_t at = (line - block.first) * s.ow, n = line / (s.od * s.oh),
                  plane = line / s.oh % s.od * s.stride.d + in, row = line % s.oh * s.stride.h + down;
    if (plane < 0 || plane >= s.d || row < 0 || row >= s.h || begin == end) {
      blank(at, s.ow);
      continue;
    }
    blank(at, begin);
    f(at + begin, ((n * s.c + c) * s.inputs()) + (plane * s.h + row) * s.w + begin * stride + right, end - begin,
      stride);
    blank(at + end, s.ow - end);
  }
}

// (groups, seen, width)
template <class T>
Tensor columns(const Convolution& s, const Block& block, const Tensor& images) {
  const Matrices m(s);
  const Tensor made = Tensor::empty(images->dtype, {m.groups, m.seen, block.width});
  const T* input = data<T>(images);
  T* to = data<T>(made);
  parallel_for(s.c * s.taps(), row_grain(block.width), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      T* row = to + task * block.width;
      each_line(
          s, block, task / s.taps(), task % s.taps(),
          [&](int64_t at, int64_t i, int64_t count, int64_t step) {
            for (int64_t j = 0; j < count; ++j) row[at + j] = input[i + j * step];
          },
          [&](int64_t at, int64_t count) { std::fill_n(row + at, count, T(0)); });
    }
  });
  return made;
}

// Calls f(place in a (groups, out, width) matrix, place in an output) for each line of ow numbers.
template <class F>
void each_output_line(const Convolution& s, const Block& block, F&& f) {
  parallel_for(s.k, row_grain(block.width), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      for (int64_t line = block.first; line < block.last; ++line) {
        const int64_t n = line / (s.od * s.oh), inside = line % (s.od * s.oh);
        f(k, k * block.width + (line - block.first) * s.ow, (n * s.k + k) * s.outputs() + inside * s.ow);
      }
  });
}

template <class T>
Tensor gathered(const Convolution& s, const Block& block, const Tensor& grads) {
  const Matrices m(s);
  const Tensor made = Tensor::empty(grads->dtype, {m.groups, m.out, block.width});
  const T* grad = data<T>(grads);
  T* to = data<T>(made);
  each_output_line(s, block, [&](int64_t, int64_t at, int64_t o) { std::copy_n(grad + o, s.ow, to + at); });
  return made;
}

Tensor view(const Tensor& t, int64_t a, int64_t b, int64_t c, bool transposed) {
  const int64_t shape[3] = {a, b, c}, strides[3] = {b * c, transposed ? 1 : c, transposed ? b : 1};
  atled_tensor* made = nullptr;
  check(api.as_view(t, t->dtype, 3, shape, strides, 0, &made));
  return Tensor::steal(made);
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  static const Op op{"core::matmul"};
  return op(a, b);
}

}  // namespace

bool as_products(const Convolution& s) {
  const Matrices m(s);
  return m.out >= 8 && m.seen >= 16;
}

template <class T>
void product_convolution(const Convolution& s, const Tensor& input, const Tensor& weight, const T* bias, T* output) {
  const Matrices m(s);
  const Tensor w = view(weight, m.groups, m.out, m.seen, false);
  each_block<T>(s, [&](const Block& block) {
    const Tensor made = matmul(w, columns<T>(s, block, input));
    const T* from = data<T>(made);
    each_output_line(s, block, [&](int64_t k, int64_t at, int64_t o) {
      const T more = bias ? bias[k] : T(0);
      for (int64_t j = 0; j < s.ow; ++j) output[o + j] = from[at + j] + more;
    });
  });
}

template <class T>
void product_convolution_input(const Convolution& s, const Tensor& grad, const Tensor& weight, T* grad_input) {
  const Matrices m(s);
  const Tensor w = view(weight, m.groups, m.seen, m.out, true);
  std::fill_n(grad_input, s.n * s.c * s.inputs(), T(0));
  each_block<T>(s, [&](const Block& block) {
    const Tensor made = matmul(w, gathered<T>(s, block, grad));
    const T* from = data<T>(made);
    // What several taps see is one task's, so that no two add to one place.
    parallel_for(s.c, row_grain(s.taps() * block.width), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin * s.taps(); task < end * s.taps(); ++task) {
        const T* row = from + task * block.width;
        each_line(
            s, block, task / s.taps(), task % s.taps(),
            [&](int64_t at, int64_t i, int64_t count, int64_t step) {
              for (int64_t j = 0; j < count; ++j) grad_input[i + j * step] += row[at + j];
            },
            [](int64_t, int64_t) {});
      }
    });
  });
}

template <class T>
void product_convolution_weight(const Convolution& s, const Tensor& grad, const Tensor& input, T* grad_weight) {
  const Matrices m(s);
  const int64_t count = s.k * m.seen;
  std::fill_n(grad_weight, count, T(0));
  each_block<T>(s, [&](const Block& block) {
    const Tensor seen = columns<T>(s, block, input);
    const Tensor made = matmul(gathered<T>(s, block, grad), view(seen, m.groups, block.width, m.seen, true));
    const T* from = data<T>(made);
    parallel_for(count, 16384, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) grad_weight[i] += from[i];
    });
  });
}

template void product_convolution(const Convolution&, const Tensor&, const Tensor&, const float*, float*);
template void product_convolution(const Convolution&, const Tensor&, const Tensor&, const double*, double*);
template void product_convolution_input(const Convolution&, const Tensor&, const Tensor&, float*);
template void product_convolution_input(const Convolution&, const Tensor&, const Tensor&, double*);
template void product_convolution_weight(const Convolution&, const Tensor&, const Tensor&, float*);
template void product_convolution_weight(const Convolution&, const Tensor&, const Tensor&, double*);

}  // namespace atled::nn
