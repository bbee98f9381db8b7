#include <algorithm>
#include <vector>

#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// The normalised dimensions are n contiguous elements; there are `rows` groups of them.
struct Rows {
  int64_t rows, n;
};
Rows rows_of(const atled_tensor* input, const atled_value& normalized) {
  int64_t n = 1, total = 1;
  for (uint32_t i = 0; i < normalized.n; ++i) n *= normalized.u.ints[i];
  for (int i = 0; i < input->dl.ndim - static_cast<int>(normalized.n); ++i) total *= input->dl.shape[i];
  return {total, n};
}

template <class T>
void forward_as(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0)), weight = contiguous(arg_tensor(f, 2)),
               bias = contiguous(arg_tensor(f, 3));
  const Rows r = rows_of(input, f->args[1]);
  const double eps = arg_double(f, 4);
  const bool center = arg_bool(f, 5);
  const T *x = data<T>(input), *w = data_or_null<T>(weight), *b = data_or_null<T>(bias);
  T* y = data<T>(out_tensor(f, 0));
  T *means = data<T>(out_tensor(f, 1)), *rstds = data<T>(out_tensor(f, 2));
  const auto sum = ATLED_PICK(sum<T, T>);
  const auto squares = ATLED_PICK(squares<T>);
  const auto write = ATLED_PICK(scale_shift_by<T>);
  parallel_for(r.rows, row_grain(r.n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* row = x + i * r.n;
      const T mean = center ? sum(row, r.n) / static_cast<T>(r.n) : T(0);
      const T rstd = static_cast<T>(
          1.0 / std::sqrt(static_cast<double>(squares(row, r.n, mean)) / static_cast<double>(r.n) + eps));
      write(row, w, b, y + i * r.n, r.n, mean, rstd);
      means[i] = mean;
      rstds[i] = rstd;
    }
  });
}

// To the input: rstd (g w - mean(g w) - xhat mean(g w xhat)), rows being independent; without the first mean where x
// was not centered. To weight and bias: sums over the rows, in a fixed number of blocks, so that they do not depend on
// the number of threads.
template <class T>
void backward_as(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), input = contiguous(arg_tensor(f, 1)),
               mean = contiguous(arg_tensor(f, 3)), rstd = contiguous(arg_tensor(f, 4)),
               weight = contiguous(arg_tensor(f, 5));
  const Rows r = rows_of(input, f->args[2]);
  const bool center = arg_bool(f, 6);
  const T *g = data<T>(grad), *x = data<T>(input), *w = data_or_null<T>(weight);
  const T *means = data<T>(mean), *rstds = data<T>(rstd);
  T *y = data<T>(out_tensor(f, 0)), *grad_weight = data<T>(out_tensor(f, 1)), *grad_bias = data<T>(out_tensor(f, 2));
  const auto sums = ATLED_PICK(weighted_grad_sums<T>);
  const auto write = ATLED_PICK(combine<T>);
  const auto add_product = ATLED_PICK(accumulate_product<T>);
  const auto add = ATLED_PICK(accumulate<T, T>);
  const int64_t blocks = std::clamp<int64_t>(r.rows * r.n / 16384, 1, 32), per_block = (r.rows + blocks - 1) / blocks;
  std::vector<T> partial(static_cast<size_t>(2 * blocks * r.n), T(0));
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      T *to_weight = partial.data() + 2 * block * r.n, *to_bias = to_weight + r.n;
      for (int64_t i = block * per_block; i < std::min(r.rows, (block + 1) * per_block); ++i) {
        const int64_t at = i * r.n;
        T sum_g = 0, sum_gx = 0;
        sums(g + at, w, x + at, r.n, means[i], &sum_g, &sum_gx);
        const T n = static_cast<T>(r.n), s = rstds[i];
        write(g + at, w, x + at, y + at, r.n, means[i], s, -s * s * s * sum_gx / n, center ? -s * sum_g / n : T(0));
        add_product(g + at, x + at, to_weight, r.n, means[i], s);
        add(g + at, to_bias, r.n);
      }
    }
  });
  for (int64_t block = 1; block < blocks; ++block)
    ATLED_PICK(accumulate<T, T>)(partial.data() + 2 * block * r.n, partial.data(), 2 * r.n);
  for (int64_t j = 0; j < r.n; ++j) {
    grad_weight[j] = static_cast<T>(partial[static_cast<size_t>(j)]);
    grad_bias[j] = static_cast<T>(partial[static_cast<size_t>(r.n + j)]);
  }
}

}  // namespace

void add_layer_norm() {
  add_kernel("nn::layer_norm", ATLED_DEVICE_CPU, kernel<wide_kernel<forward_as<float>, forward_as<double>, 0>>);
  add_kernel("nn::layer_norm_backward", ATLED_DEVICE_CPU,
             kernel<wide_kernel<backward_as<float>, backward_as<double>, 1>>);
}

}  // namespace atled::nn
