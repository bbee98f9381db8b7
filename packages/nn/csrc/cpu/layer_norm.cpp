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

// Short rows of half precision are better converted all at once.
template <class T>
bool widened(atled_frame* f, Rows r, void (*run)(atled_frame*)) {
  if (sizeof(T) != 2 || r.n >= 32) return false;
  in_wide_floats(f, run);
  return true;
}

template <class T>
void forward_as(atled_frame* f) {
  using A = Wide<T>;
  const Rows r = rows_of(arg_tensor(f, 0), f->args[1]);
  if (widened<T>(f, r, forward_as<A>)) return;
  const Tensor input = contiguous(arg_tensor(f, 0)), weight = converted(arg_tensor(f, 2), dtype_of<A>),
               bias = converted(arg_tensor(f, 3), dtype_of<A>);
  const double eps = arg_double(f, 4);
  const bool center = arg_bool(f, 5);
  const T* x = data<T>(input);
  const A *w = data_or_null<A>(weight), *b = data_or_null<A>(bias);
  T* y = data<T>(out_tensor(f, 0));
  A *means = data<A>(out_tensor(f, 1)), *rstds = data<A>(out_tensor(f, 2));
  const auto sum = ATLED_PICK(sum<A, A>);
  const auto squares = ATLED_PICK(squares<A>);
  const auto write = ATLED_PICK(scale_shift_by<A>);
  parallel_for(r.rows, row_grain(r.n), [&](int64_t begin, int64_t end) {
    Row<T> own(r.n);
    for (int64_t i = begin; i < end; ++i) {
      const A* row = own.read(x + i * r.n, r.n);
      const A mean = center ? sum(row, r.n) / static_cast<A>(r.n) : A(0);
      const A rstd = static_cast<A>(
          1.0 / std::sqrt(static_cast<double>(squares(row, r.n, mean)) / static_cast<double>(r.n) + eps));
      write(row, w, b, own.target(y + i * r.n), r.n, mean, rstd);
      own.write(y + i * r.n, r.n);
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
  using A = Wide<T>;
  const Rows r = rows_of(arg_tensor(f, 1), f->args[2]);
  if (widened<T>(f, r, backward_as<A>)) return;
  const Tensor grad = contiguous(arg_tensor(f, 0)), input = contiguous(arg_tensor(f, 1)),
               mean = contiguous(arg_tensor(f, 3)), rstd = contiguous(arg_tensor(f, 4)),
               weight = converted(arg_tensor(f, 5), dtype_of<A>);
  const bool center = arg_bool(f, 6);
  const T *g = data<T>(grad), *x = data<T>(input);
  const A *w = data_or_null<A>(weight), *means = data<A>(mean), *rstds = data<A>(rstd);
  T* y = data<T>(out_tensor(f, 0));
  const WideResult grad_weight(out_tensor(f, 1), dtype_of<A>), grad_bias(out_tensor(f, 2), dtype_of<A>);
  const auto sums = ATLED_PICK(weighted_grad_sums<A>);
  const auto write = ATLED_PICK(combine<A>);
  const auto add_product = ATLED_PICK(accumulate_product<A>);
  const auto add = ATLED_PICK(accumulate<A, A>);
  const int64_t blocks = std::clamp<int64_t>(std::min(r.rows, r.rows * r.n / 16384), 1, 32),
                per_block = (r.rows + blocks - 1) / blocks;
  std::vector<A> partial(static_cast<size_t>(2 * blocks * r.n), A(0));
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    Row<T> of_x(r.n), of_g(r.n), of_y(r.n);
    for (int64_t block = begin; block < end; ++block) {
      A *to_weight = partial.data() + 2 * block * r.n, *to_bias = to_weight + r.n;
      for (int64_t i = block * per_block; i < std::min(r.rows, (block + 1) * per_block); ++i) {
        const int64_t at = i * r.n;
        const A *gs = of_g.read(g + at, r.n), *xs = of_x.read(x + at, r.n);
        A sum_g = 0, sum_gx = 0;
        sums(gs, w, xs, r.n, means[i], &sum_g, &sum_gx);
        const A n = static_cast<A>(r.n), s = rstds[i];
        write(gs, w, xs, of_y.target(y + at), r.n, means[i], s, -s * s * s * sum_gx / n,
              center ? -s * sum_g / n : A(0));
        of_y.write(y + at, r.n);
        add_product(gs, xs, to_weight, r.n, means[i], s);
        add(gs, to_bias, r.n);
      }
    }
  });
  for (int64_t block = 1; block < blocks; ++block)
    ATLED_PICK(accumulate<A, A>)(partial.data() + 2 * block * r.n, partial.data(), 2 * r.n);
  std::copy_n(partial.data(), r.n, grad_weight.data<A>());
  std::copy_n(partial.data() + r.n, r.n, grad_bias.data<A>());
  grad_weight.finish();
  grad_bias.finish();
}

}  // namespace

void add_layer_norm() {
  add_kernel("nn::layer_norm", ATLED_DEVICE_CPU,
             kernel<row_kernel<forward_as<float>, forward_as<double>, forward_as<BFloat16>, forward_as<Half>, 0>>);
  add_kernel("nn::layer_norm_backward", ATLED_DEVICE_CPU,
             kernel<row_kernel<backward_as<float>, backward_as<double>, backward_as<BFloat16>, backward_as<Half>, 1>>);
}

}  // namespace atled::nn
