#include "functors/loss.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// Log-probabilities (n, classes, inner) and what each sample's classes weigh.
template <class T>
struct Nll {
  using A = Wide<T>;
  int64_t n, classes, inner, ignore;
  const int64_t* target;
  const T* weight;
  A smoothing, share;  // share: of each class in the smoothed part

  Nll(Shape input, const Tensor& targets, const Tensor& weights, int64_t ignore_index, double label_smoothing)
      : n(input.ndim == 1 ? 1 : input.dims[0]),
        classes(input.dims[input.ndim == 1 ? 0 : 1]),
        inner(1),
        ignore(ignore_index),
        target(data<int64_t>(targets)),
        weight(data_or_null<T>(weights)),
        smoothing(static_cast<A>(label_smoothing)),
        share(static_cast<A>(label_smoothing / static_cast<double>(classes ? classes : 1))) {
    for (int i = 2; i < input.ndim; ++i) inner *= input.dims[i];
    bool good = true;  // of all together, in vectors
    for (int64_t i = 0; i < n * inner; ++i) good &= (target[i] == ignore) | ((target[i] >= 0) & (target[i] < classes));
    for (int64_t i = 0; !good && i < n * inner; ++i)
      if (target[i] != ignore && (target[i] < 0 || target[i] >= classes))
        fail(ATLED_E_BOUNDS, "expected target in [0, %lld) or ignore_index %lld, got %lld at position %lld",
             static_cast<long long>(classes), static_cast<long long>(ignore), static_cast<long long>(target[i]),
             static_cast<long long>(i));
  }
  A class_weight(int64_t c) const { return weight ? static_cast<A>(weight[c]) : A(1); }
  A sample_weight(int64_t i) const { return target[i] == ignore ? A(0) : class_weight(target[i]); }
  // Calls f(i, where class 0 of sample i lies) for i in [begin, end); further classes are `inner` apart.
  template <class F>
  void each_sample(int64_t begin, int64_t end, F&& f) const {
    if (inner == 1)  // without divisions
      for (; begin < end; ++begin) f(begin, begin * classes);
    while (begin < end) {
      const int64_t plane = begin / inner, last = std::min(end, (plane + 1) * inner);
      int64_t at = plane * classes * inner + begin % inner;
      for (; begin < last; ++begin, ++at) f(begin, at);
    }
  }
  double total_weight() const {
    if (!weight) {
      int64_t count = 0;
      for (int64_t i = 0; i < n * inner; ++i) count += target[i] != ignore;
      return static_cast<double>(count);
    }
    double total = 0;
    for (int64_t i = 0; i < n * inner; ++i) total += sample_weight(i);
    return total;
  }
};

template <class T>
void forward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor input = contiguous(arg_tensor(f, 0)), target = converted(arg_tensor(f, 1), ATLED_INT64),
               weight = contiguous(arg_tensor(f, 2));
  const Reduction reduction = arg_reduction(f, 3);
  const Nll<T> nll(shape_of(input), target, weight, arg_int(f, 4), arg_double(f, 5));
  const T* x = data<T>(input);
  T* out = data<T>(out_tensor(f, 0));
  const auto sum_of_row = ATLED_PICK(sum<T, A>);
  const int64_t samples = nll.n * nll.inner;
  const std::unique_ptr<A[]> losses(new A[static_cast<size_t>(samples)]);
  parallel_for(samples, nll.smoothing > 0 ? row_grain(nll.classes) : 16384, [&](int64_t begin, int64_t end) {
    nll.each_sample(begin, end, [&](int64_t i, int64_t at) {
      A loss = 0;
      if (nll.target[i] != nll.ignore) {
        const T* row = x + at;
        loss = -(A(1) - nll.smoothing) * nll.sample_weight(i) * static_cast<A>(row[nll.target[i] * nll.inner]);
        if (nll.smoothing > 0 && nll.inner == 1 && !nll.weight)
          loss -= nll.share * sum_of_row(row, nll.classes);
        else if (nll.smoothing > 0)
          for (int64_t c = 0; c < nll.classes; ++c)
            loss -= nll.share * nll.class_weight(c) * static_cast<A>(row[c * nll.inner]);
      }
      losses[static_cast<size_t>(i)] = loss;
    });
  });
  const double total = nll.total_weight();
  *data<A>(out_tensor(f, 1)) = static_cast<A>(total);
  if (reduction == Reduction::kNone) {
    for (int64_t i = 0; i < samples; ++i) out[i] = static_cast<T>(losses[static_cast<size_t>(i)]);
    return;
  }
  const double sum = ATLED_PICK(sum<A, double>)(losses.get(), samples);
  *out = static_cast<T>(static_cast<A>(reduction == Reduction::kMean ? sum / total : sum));
}

template <class T>
void backward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor grad = contiguous(arg_tensor(f, 0)), target = converted(arg_tensor(f, 1), ATLED_INT64),
               weight = contiguous(arg_tensor(f, 2)), total = contiguous(arg_tensor(f, 3));
  const Reduction reduction = arg_reduction(f, 5);
  const Nll<T> nll(arg_shape(f, 4), target, weight, arg_int(f, 6), arg_double(f, 7));
  const T* g = data<T>(grad);
  const A scale = reduction == Reduction::kMean ? A(1) / *data<A>(total) : A(1);
  T* out = data<T>(out_tensor(f));
  // Blocks of whole samples: (classes, inner) each.
  parallel_for(nll.n, row_grain(nll.classes * nll.inner), [&](int64_t begin, int64_t end) {
    if (nll.smoothing == 0) std::fill(out + begin * nll.classes * nll.inner, out + end * nll.classes * nll.inner, T(0));
    nll.each_sample(begin * nll.inner, end * nll.inner, [&](int64_t i, int64_t at) {
      T* row = out + at;
      const bool ignored = nll.target[i] == nll.ignore;
      const A gi = ignored ? A(0) : -static_cast<A>(g[reduction == Reduction::kNone ? i : 0]) * scale;
      if (nll.smoothing > 0)
        for (int64_t c = 0; c < nll.classes; ++c)
          row[c * nll.inner] = static_cast<T>(gi * nll.share * nll.class_weight(c));
      if (ignored) return;
      T& hit = row[nll.target[i] * nll.inner];
      hit = static_cast<T>((nll.smoothing > 0 ? static_cast<A>(hit) : A(0)) +
                           gi * (A(1) - nll.smoothing) * nll.sample_weight(i));
    });
  });
}

// ---- losses of pairs, whose reduction is the op's argument `at` ----

// Fixed blocks, added in order: the same for any number of threads.
template <class T, class F>
double total(const F& f, const T* x, const T* y, int64_t n) {
  constexpr int64_t kBlock = 8192;
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  const auto sum = ATLED_PICK(pair_sum<T, F>);
  if (blocks <= 1) return sum(f, x, y, n);
  std::vector<T> partial(static_cast<size_t>(blocks));
  parallel_for(blocks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      partial[static_cast<size_t>(b)] = sum(f, x + b * kBlock, y + b * kBlock, std::min(kBlock, n - b * kBlock));
  });
  double all = 0;
  for (T p : partial) all += p;
  return all;
}

template <class T, class F>
void pairs(atled_frame* frame, F f, int at) {
  constexpr int kDtype = dtype_of<T>;
  const Reduction reduction = arg_reduction(frame, at);
  if (reduction == Reduction::kNone)
    return check(kernel_group->elementwise(frame, kDtype, kDtype, ATLED_PICK(pair_values<T, F>), &f));
  const Tensor input = converted(arg_tensor(frame, 0), kDtype), target = converted(arg_tensor(frame, 1), kDtype);
  const int64_t n = numel(input);
  const double sum = total(f, data<T>(input), data<T>(target), n);
  const auto result = static_cast<T>(reduction == Reduction::kMean ? sum / static_cast<double>(n) : sum);
  visit_float(out_tensor(frame)->dtype, [&](auto tag) {
    using Out = typename decltype(tag)::type;
    *data<Out>(out_tensor(frame)) = static_cast<Out>(result);
  });
}

template <class T, class F>
void pairs_backward(atled_frame* frame, F f, int at) {
  constexpr int kDtype = dtype_of<T>;
  const bool mean = arg_reduction(frame, at) == Reduction::kMean;
  const auto n = static_cast<double>(numel(arg_tensor(frame, 1)));
  Scaled<T, F> scaled{f, static_cast<T>(mean ? 1 / n : 1)};
  check(kernel_group->elementwise(frame, kDtype, kDtype, ATLED_PICK(pair_slopes<T, F>), &scaled));
}

template <class T>
void mse_as(atled_frame* f) {
  pairs<T>(f, SquaredError<T>{}, 2);
}
template <class T>
void mse_backward_as(atled_frame* f) {
  pairs_backward<T>(f, SquaredError<T>{}, 3);
}
template <class T>
void paired_as(atled_frame* f) {
  visit_loss<T>(f, 2, [&](auto functor) { pairs<T>(f, functor, 3); });
}
template <class T>
void paired_backward_as(atled_frame* f) {
  visit_loss<T>(f, 3, [&](auto functor) { pairs_backward<T>(f, functor, 4); });
}

// Of the dtype of argument i; halves are computed in float.
template <void (*run_float)(atled_frame*), void (*run_double)(atled_frame*), int i>
void by_dtype(atled_frame* f) {
  return arg_tensor(f, i)->dtype == ATLED_FLOAT64 ? run_double(f) : run_float(f);
}

void nll(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { forward_as<typename decltype(tag)::type>(f); });
}
void nll_backward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { backward_as<typename decltype(tag)::type>(f); });
}

}  // namespace

void add_loss() {
  add_kernel("nn::nll_loss", ATLED_DEVICE_CPU, kernel<nll>);
  add_kernel("nn::nll_loss_backward", ATLED_DEVICE_CPU, kernel<nll_backward>);
  add_kernel("nn::mse_loss", ATLED_DEVICE_CPU, kernel<by_dtype<mse_as<float>, mse_as<double>, 0>>);
  add_kernel("nn::mse_loss_backward", ATLED_DEVICE_CPU,
             kernel<by_dtype<mse_backward_as<float>, mse_backward_as<double>, 1>>);
  add_kernel("nn::paired_loss", ATLED_DEVICE_CPU, kernel<by_dtype<paired_as<float>, paired_as<double>, 0>>);
  add_kernel("nn::paired_loss_backward", ATLED_DEVICE_CPU,
             kernel<by_dtype<paired_backward_as<float>, paired_backward_as<double>, 1>>);
}

}  // namespace atled::nn
