#include <vector>

#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// (n, channels, inner): a group is `channels / groups` channels, which lie one after another.
struct Groups {
  int64_t n, channels, groups, inner;
  int64_t per_group() const { return channels / groups; }
  int64_t size() const { return per_group() * inner; }
};
Groups groups_of(const atled_tensor* input, int64_t groups) {
  Groups s{input->dl.shape[0], input->dl.shape[1], groups, 1};
  for (int i = 2; i < input->dl.ndim; ++i) s.inner *= input->dl.shape[i];
  return s;
}

// Calls f(group of all images, its first channel, where that begins, room for two rows), spread over the threads.
template <class T, class F>
void each_group(const Groups& s, F&& f) {
  parallel_for(s.n * s.groups, row_grain(s.size()), [&](int64_t begin, int64_t end) {
    Row<T> one(s.size()), other(s.size());
    for (int64_t i = begin; i < end; ++i) f(i, i % s.groups * s.per_group(), i * s.size(), one, other);
  });
}

template <class T>
void forward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor input = contiguous(arg_tensor(f, 0)), weight = converted(arg_tensor(f, 2), dtype_of<A>),
               bias = converted(arg_tensor(f, 3), dtype_of<A>);
  const Groups s = groups_of(input, arg_int(f, 1));
  const double eps = arg_double(f, 4);
  const T* x = data<T>(input);
  const A *w = data_or_null<A>(weight), *b = data_or_null<A>(bias);
  T* y = data<T>(out_tensor(f, 0));
  A *means = data<A>(out_tensor(f, 1)), *rstds = data<A>(out_tensor(f, 2));
  const auto sum = ATLED_PICK(sum<A, A>);
  const auto squares = ATLED_PICK(squares<A>);
  const auto write = ATLED_PICK(scale_shift<A>);
  each_group<T>(s, [&](int64_t i, int64_t first, int64_t at, Row<T>& row, Row<T>&) {
    const A* from = row.read(x + at, s.size());
    A* to = row.target(y + at);
    const A mean = sum(from, s.size()) / static_cast<A>(s.size());
    const double var = static_cast<double>(squares(from, s.size(), mean)) / static_cast<double>(s.size()),
                 rstd = 1 / std::sqrt(var + eps);
    means[i] = mean;
    rstds[i] = static_cast<A>(rstd);
    for (int64_t c = first; c < first + s.per_group(); ++c, from += s.inner, to += s.inner)
      write(from, to, s.inner, mean, static_cast<A>(w ? static_cast<double>(w[c]) * rstd : rstd), b ? b[c] : A(0));
    row.write(y + at, s.size());
  });
}

// As batch_norm's, with sums over the groups; those over the images are added up in their order.
template <class T>
void backward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor grad = contiguous(arg_tensor(f, 0)), input = contiguous(arg_tensor(f, 1)),
               mean = contiguous(arg_tensor(f, 3)), rstd = contiguous(arg_tensor(f, 4)),
               weight = converted(arg_tensor(f, 5), dtype_of<A>);
  const Groups s = groups_of(input, arg_int(f, 2));
  const T *g = data<T>(grad), *x = data<T>(input);
  const A *w = data_or_null<A>(weight), *means = data<A>(mean), *rstds = data<A>(rstd);
  T* y = data<T>(out_tensor(f, 0));
  const WideResult to_weight(out_tensor(f, 1), dtype_of<A>), to_bias(out_tensor(f, 2), dtype_of<A>);
  const auto sums = ATLED_PICK(grad_sums<A>);
  const auto write = ATLED_PICK(combine<A>);
  std::vector<double> weights(static_cast<size_t>(s.n * s.channels)), biases(weights.size());
  each_group<T>(s, [&](int64_t i, int64_t first, int64_t at, Row<T>& row, Row<T>& grads) {
    const A *gs = grads.read(g + at, s.size()), *xs = row.read(x + at, s.size());
    A* to = row.target(y + at);
    const double r = static_cast<double>(rstds[i]), count = static_cast<double>(s.size());
    double sum_g = 0, sum_gx = 0;
    for (int64_t k = 0; k < s.per_group(); ++k) {
      A of_g = 0, of_gx = 0;
      sums(gs + k * s.inner, xs + k * s.inner, s.inner, means[i], &of_g, &of_gx);
      const double share = w ? static_cast<double>(w[first + k]) : 1.0;
      sum_g += static_cast<double>(of_g) * share;
      sum_gx += static_cast<double>(of_gx) * share;
      const size_t channel = static_cast<size_t>(i * s.per_group() + k);
      biases[channel] = static_cast<double>(of_g);
      weights[channel] = static_cast<double>(of_gx) * r;
    }
    const A slope = static_cast<A>(-r * r * r * sum_gx / count), shift = static_cast<A>(-r * sum_g / count);
    for (int64_t c = first; c < first + s.per_group(); ++c, gs += s.inner, xs += s.inner, to += s.inner)
      write(gs, nullptr, xs, to, s.inner, means[i], static_cast<A>(w ? static_cast<double>(w[c]) * r : r), slope,
            shift);
    row.write(y + at, s.size());
  });
  for (int64_t c = 0; c < s.channels; ++c) {
    double of_weight = 0, of_bias = 0;
    for (int64_t i = 0; i < s.n; ++i) {
      of_weight += weights[static_cast<size_t>(i * s.channels + c)];
      of_bias += biases[static_cast<size_t>(i * s.channels + c)];
    }
    to_weight.data<A>()[c] = static_cast<A>(of_weight);
    to_bias.data<A>()[c] = static_cast<A>(of_bias);
  }
  to_weight.finish();
  to_bias.finish();
}

}  // namespace

void add_group_norm() {
  add_kernel("nn::group_norm", ATLED_DEVICE_CPU,
             kernel<row_kernel<forward_as<float>, forward_as<double>, forward_as<BFloat16>, forward_as<Half>, 0>>);
  add_kernel("nn::group_norm_backward", ATLED_DEVICE_CPU,
             kernel<row_kernel<backward_as<float>, backward_as<double>, backward_as<BFloat16>, backward_as<Half>, 1>>);
}

}  // namespace atled::nn
