#include <algorithm>
#include <vector>

#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// (n, channels, inner): plane p of channel c starts at (p * channels + c) * inner.
struct Planes {
  int64_t n, channels, inner;
  int64_t at(int64_t p, int64_t c) const { return (p * channels + c) * inner; }
  double count() const { return static_cast<double>(n * inner); }
};
Planes planes_of(const atled_tensor* t) {
  Planes s{t->dl.shape[0], t->dl.shape[1], 1};
  for (int i = 2; i < t->dl.ndim; ++i) s.inner *= t->dl.shape[i];
  return s;
}

// Calls f(c, room for two rows) for each channel, spread over the threads; each channel is summed in one order.
template <class T, class F>
void each_channel(const Planes& s, F&& f) {
  parallel_for(s.channels, row_grain(s.n * s.inner), [&](int64_t begin, int64_t end) {
    Row<T> one(s.inner), other(s.inner);
    for (int64_t c = begin; c < end; ++c) f(c, one, other);
  });
}

// A plane's mean and squares about it, joined over the planes (Chan et al. 1983): one pass over memory, no
// cancellation.
template <class T>
void statistics(const T* x, const Planes& s, int64_t c, Row<T>& row, double* mean, double* var) {
  using A = Wide<T>;
  const auto sum = ATLED_PICK(sum<A, A>);
  const auto squares = ATLED_PICK(squares<A>);
  double m = 0, m2 = 0, count = 0;
  for (int64_t p = 0; p < s.n; ++p) {
    const A* plane = row.read(x + s.at(p, c), s.inner);
    const double n = static_cast<double>(s.inner);
    const A center = sum(plane, s.inner) / static_cast<A>(s.inner);
    const double plane_squares = squares(plane, s.inner, center), delta = static_cast<double>(center) - m,
                 total = count + n;
    m += delta * n / total;
    m2 += plane_squares + delta * delta * count * n / total;
    count = total;
  }
  *mean = m;
  *var = m2 / count;
}

// ---- inner == 1: a row holds one element of each channel, so lanes are channels ----

// Calls f(first channel, channels) for blocks of channels, spread over the threads.
constexpr int64_t kColumns = 256;
template <class F>
void each_block(const Planes& s, F&& f) {
  const int64_t blocks = (s.channels + kColumns - 1) / kColumns;
  parallel_for(blocks, row_grain(s.n * kColumns), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) f(b * kColumns, std::min(kColumns, s.channels - b * kColumns));
  });
}

// Some rows are summed in their own dtype while they are in the cache, and the sums of those in double.
constexpr int64_t kSome = 16;

// A block's columns of some rows in what they are computed in: where they lie, or converted in room of their own.
template <class T>
class Columns {
 public:
  using A = Wide<T>;
  Columns(const T* x, const Planes& s, int64_t first, int64_t n) : x_(x + first), step_(s.channels), n_(n) {}
  const A* at(int64_t row, int64_t rows) {
    if constexpr (std::is_same_v<T, A>) {
      return x_ + row * step_;
    } else {
      ATLED_PICK(take_rows<T, A>)(x_ + row * step_, step_, rows, n_, room_, n_);
      return room_;
    }
  }
  int64_t step() const { return std::is_same_v<T, A> ? step_ : n_; }

 private:
  const T* x_;
  int64_t step_, n_;
  A room_[std::is_same_v<T, A> ? 1 : kSome * kColumns];
};

template <class T>
void forward_columns(const Planes& s, double eps, const T* x, const Wide<T>* w, const Wide<T>* b, T* y, Wide<T>* means,
                     Wide<T>* vars) {
  using A = Wide<T>;
  each_block(s, [&](int64_t first, int64_t n) {
    double mean[kColumns] = {}, var[kColumns] = {};
    A room[2 * kColumns], scale[kColumns], shift[kColumns];
    Columns<T> columns(x, s, first, n);
    for (int64_t p = 0; p < s.n; p += kSome) {
      const int64_t rows = std::min(kSome, s.n - p);
      ATLED_PICK(column_statistics<A>)(columns.at(p, rows), columns.step(), rows, p, mean, var, room, n);
    }
    for (int64_t i = 0; i < n; ++i) {
      var[i] /= static_cast<double>(s.n);
      means[first + i] = static_cast<A>(mean[i]);
      vars[first + i] = static_cast<A>(var[i]);
      scale[i] = static_cast<A>((w ? static_cast<double>(w[first + i]) : 1.0) / std::sqrt(var[i] + eps));
      shift[i] = b ? b[first + i] : A(0);
    }
    const auto write = ATLED_PICK(shift_as<T, A, true>);
    for (int64_t p = 0; p < s.n; ++p) {
      const int64_t at = p * s.channels + first;
      write(x + at, y + at, n, means + first, scale, shift);
    }
  });
}

template <class T>
void backward_columns(const Planes& s, double eps, const T* g, const T* x, const Wide<T>* w, const Wide<T>* means,
                      const Wide<T>* vars, T* y, Wide<T>* grad_weight, Wide<T>* grad_bias) {
  using A = Wide<T>;
  each_block(s, [&](int64_t first, int64_t n) {
    double sum_g[kColumns] = {}, sum_gx[kColumns] = {};
    A room[2 * kColumns], scale[kColumns], slope[kColumns], shift[kColumns];
    Columns<T> columns(x, s, first, n), grads(g, s, first, n);
    for (int64_t p = 0; p < s.n; p += kSome) {
      const int64_t rows = std::min(kSome, s.n - p);
      ATLED_PICK(column_grad_sums<A>)(grads.at(p, rows), grads.step(), columns.at(p, rows), columns.step(), rows,
                                      means + first, sum_g, sum_gx, room, n);
    }
    for (int64_t i = 0; i < n; ++i) {
      const double rstd = 1 / std::sqrt(static_cast<double>(vars[first + i]) + eps),
                   a = (w ? static_cast<double>(w[first + i]) : 1.0) * rstd;
      scale[i] = static_cast<A>(a);
      slope[i] = static_cast<A>(-a * rstd * rstd * sum_gx[i] / s.count());
      shift[i] = static_cast<A>(-a * sum_g[i] / s.count());
      grad_weight[first + i] = static_cast<A>(sum_gx[i] * rstd);
      grad_bias[first + i] = static_cast<A>(sum_g[i]);
    }
    const auto combine = ATLED_PICK(column_combine<A>);
    Row<T> out(n);
    for (int64_t p = 0; p < s.n; ++p) {
      T* to = y + p * s.channels + first;
      combine(grads.at(p, 1), columns.at(p, 1), out.target(to), means + first, scale, slope, shift, n);
      out.write(to, n);
    }
  });
}

// ---- the kernels ----

template <class T>
void forward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor input = contiguous(arg_tensor(f, 0)), weight = converted(arg_tensor(f, 1), dtype_of<A>),
               bias = converted(arg_tensor(f, 2), dtype_of<A>);
  const Planes s = planes_of(input);
  const double eps = arg_double(f, 3);
  const T* x = data<T>(input);
  const A *w = data_or_null<A>(weight), *b = data_or_null<A>(bias);
  T* y = data<T>(out_tensor(f, 0));
  A *means = data<A>(out_tensor(f, 1)), *vars = data<A>(out_tensor(f, 2));
  if (s.inner == 1) return forward_columns(s, eps, x, w, b, y, means, vars);
  const auto write = ATLED_PICK(shift_as<T, A, false>);
  each_channel<T>(s, [&](int64_t c, Row<T>& row, Row<T>&) {
    double mean = 0, var = 0;
    statistics<T>(x, s, c, row, &mean, &var);
    means[c] = static_cast<A>(mean);
    vars[c] = static_cast<A>(var);
    const A scale = static_cast<A>((w ? static_cast<double>(w[c]) : 1.0) / std::sqrt(var + eps)),
            shift = b ? b[c] : A(0);
    for (int64_t p = 0; p < s.n; ++p) write(x + s.at(p, c), y + s.at(p, c), s.inner, means + c, &scale, &shift);
  });
}

// Statistics may be kept in the input's dtype or wider.
template <class T>
void inference_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor input = contiguous(arg_tensor(f, 0)), weight = converted(arg_tensor(f, 3), dtype_of<A>),
               bias = converted(arg_tensor(f, 4), dtype_of<A>), mean = converted(arg_tensor(f, 1), dtype_of<A>),
               var = converted(arg_tensor(f, 2), dtype_of<A>);
  const Planes s = planes_of(input);
  const double eps = arg_double(f, 5);
  const T* x = data<T>(input);
  const A *w = data_or_null<A>(weight), *b = data_or_null<A>(bias), *means = data<A>(mean), *vars = data<A>(var);
  T* y = data<T>(out_tensor(f));
  const size_t channels = static_cast<size_t>(s.channels);
  std::vector<A> scale(channels), shift(channels);
  for (size_t c = 0; c < channels; ++c) {
    scale[c] = static_cast<A>((w ? static_cast<double>(w[c]) : 1.0) / std::sqrt(static_cast<double>(vars[c]) + eps));
    shift[c] = b ? b[c] : A(0);
  }
  if (s.inner == 1) {
    const auto write = ATLED_PICK(shift_as<T, A, true>);
    return parallel_for(s.n, row_grain(s.channels), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        write(x + s.at(p, 0), y + s.at(p, 0), s.channels, means, scale.data(), shift.data());
    });
  }
  const auto write = ATLED_PICK(shift_as<T, A, false>);
  parallel_for(s.n * s.channels, row_grain(s.inner), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const size_t c = static_cast<size_t>(i % s.channels);
      write(x + i * s.inner, y + i * s.inner, s.inner, means + c, &scale[c], &shift[c]);
    }
  });
}

struct GradSums {
  double g = 0, gx = 0;  // the sums of grad and of grad * (x - mean)
};
template <class T>
GradSums grad_sums_of(const T* g, const T* x, const Planes& s, int64_t c, Wide<T> mean, Row<T>& row, Row<T>& grads) {
  using A = Wide<T>;
  const auto sums = ATLED_PICK(grad_sums<A>);
  GradSums total;
  for (int64_t p = 0; p < s.n; ++p) {
    A a = 0, b = 0;
    sums(grads.read(g + s.at(p, c), s.inner), row.read(x + s.at(p, c), s.inner), s.inner, mean, &a, &b);
    total.g += a;
    total.gx += b;
  }
  return total;
}

// To the input: weight rstd (g - mean(g) - xhat mean(g xhat)), channels being independent.
template <class T>
void backward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor grad = contiguous(arg_tensor(f, 0)), input = contiguous(arg_tensor(f, 1)),
               weight = converted(arg_tensor(f, 4), dtype_of<A>), mean = converted(arg_tensor(f, 2), dtype_of<A>),
               var = converted(arg_tensor(f, 3), dtype_of<A>);
  const Planes s = planes_of(input);
  const double eps = arg_double(f, 5);
  const T *g = data<T>(grad), *x = data<T>(input);
  const A *w = data_or_null<A>(weight), *means = data<A>(mean), *vars = data<A>(var);
  T* y = data<T>(out_tensor(f, 0));
  const WideResult of_weight(out_tensor(f, 1), dtype_of<A>), of_bias(out_tensor(f, 2), dtype_of<A>);
  A *grad_weight = of_weight.data<A>(), *grad_bias = of_bias.data<A>();
  if (s.inner == 1) {
    backward_columns(s, eps, g, x, w, means, vars, y, grad_weight, grad_bias);
    of_weight.finish();
    return of_bias.finish();
  }
  const auto write = ATLED_PICK(combine<A>);
  each_channel<T>(s, [&](int64_t c, Row<T>& row, Row<T>& grads) {
    const GradSums sums = grad_sums_of<T>(g, x, s, c, means[c], row, grads);
    const double rstd = 1 / std::sqrt(static_cast<double>(vars[c]) + eps),
                 a = (w ? static_cast<double>(w[c]) : 1.0) * rstd;
    const A scale = static_cast<A>(a), slope = static_cast<A>(-a * rstd * rstd * sums.gx / s.count()),
            shift = static_cast<A>(-a * sums.g / s.count());
    grad_weight[c] = static_cast<A>(sums.gx * rstd);
    grad_bias[c] = static_cast<A>(sums.g);
    for (int64_t p = 0; p < s.n; ++p) {
      const int64_t at = s.at(p, c);
      write(grads.read(g + at, s.inner), nullptr, row.read(x + at, s.inner), row.target(y + at), s.inner, means[c],
            scale, slope, shift);
      row.write(y + at, s.inner);
    }
  });
  of_weight.finish();
  of_bias.finish();
}

struct Average {
  double keep, take;
};

template <class T>
void update_as(atled_frame* f) {
  Average average{1 - arg_double(f, 2), arg_double(f, 2) * arg_double(f, 3)};
  const auto loop = [](void* ctx, char* const* data, const int64_t* strides, int64_t n) {
    const Average a = *static_cast<const Average*>(ctx);
    for (int64_t i = 0; i < n; ++i) {
      const double old = *reinterpret_cast<const T*>(data[1] + i * strides[1]),
                   now = *reinterpret_cast<const T*>(data[2] + i * strides[2]);
      *reinterpret_cast<T*>(data[0] + i * strides[0]) = static_cast<T>(a.keep * old + a.take * now);
    }
  };
  check(kernel_group->elementwise(f, dtype_of<T>, dtype_of<T>, loop, &average));
}

void update_average(atled_frame* f) {
  const atled_tensor *average = arg_tensor(f, 0), *value = arg_tensor(f, 1);
  expect_float(average, "input");
  expect_float(value, "value");
  expect_shape(value, "value", average->dl.ndim, average->dl.shape);
  compute_dtype(average->dtype) == ATLED_FLOAT64 ? update_as<double>(f) : update_as<float>(f);
}

}  // namespace

void add_batch_norm() {
  add_kernel("nn::batch_norm", ATLED_DEVICE_CPU,
             kernel<row_kernel<forward_as<float>, forward_as<double>, forward_as<BFloat16>, forward_as<Half>, 0>>);
  add_kernel(
      "nn::batch_norm_inference", ATLED_DEVICE_CPU,
      kernel<row_kernel<inference_as<float>, inference_as<double>, inference_as<BFloat16>, inference_as<Half>, 0>>);
  add_kernel("nn::batch_norm_backward", ATLED_DEVICE_CPU,
             kernel<row_kernel<backward_as<float>, backward_as<double>, backward_as<BFloat16>, backward_as<Half>, 1>>);
  add_kernel("nn::update_average", ATLED_DEVICE_CPU, kernel<update_average>);
}

}  // namespace atled::nn
