// Draws of truth: a 32-bit word for each element, against the probability of that element.
#include "cpu/assign.h"
#include "cpu/parallel.h"
#include "cpu/random_levels.h"
#include "dispatch/register.h"
#include "functors/sampling.h"
#include "ops/layout.h"

namespace atled::core {
namespace {

void expect_probability(double p) {
  if (!is_probability(p)) fail_probability(p);
}

template <class P>
void expect_probabilities(const P* p, int64_t n) {
  parallel(n, 4 * kGrain, [&](int64_t begin, int64_t end) {
    int wrong = 0;
    for (int64_t i = begin; i < end; ++i) wrong |= !(p[i] >= 0 && p[i] <= 1);
    for (int64_t i = begin; wrong && i < end; ++i) expect_probability(static_cast<double>(p[i]));
  });
}

// Calls f with out's elements as numbers of their size, and the bits of its 1 and 0.
template <class F>
void visit_truth(const atled_tensor* out, F&& f) {
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T ends[2] = {Cast<T, float>{}(1), Cast<T, float>{}(0)};
    visit_size(sizeof(T), [&](auto sized) {
      using U = typename decltype(sized)::type;
      U bits[2];
      std::memcpy(bits, ends, std::min(sizeof bits, sizeof ends));
      f(data<U>(out), bits[0], bits[1]);
    });
  });
}

// p: a contiguous tensor of out's shape.
template <class P>
void draw_each(const atled_tensor* out, const atled_tensor* p, const atled_value& generator) {
  const int64_t n = numel(out), counters = (n + 3) / 4;
  const P* each = data<P>(p);
  expect_probabilities(each, n);
  const Stream stream(generator, counters);
  visit_truth(out, [&](auto* to, auto yes, auto no) {
    auto run = ATLED_RANDOM(draw_truth<decltype(yes), P>);
    parallel(counters, kGrain, [&](int64_t begin, int64_t end) {
      run(to, each, 4 * begin, std::min(n, 4 * end), stream.seed, stream.offset, yes, no);
    });
  });
}

void draw_all(const atled_tensor* out, double p, const atled_value& generator) {
  const int64_t n = numel(out), counters = (n + 3) / 4;
  expect_probability(p);
  const Stream stream(generator, counters);
  visit_truth(out, [&](auto* to, auto yes, auto no) {
    using U = decltype(yes);
    const Truth<U> truth{p, yes, no};
    auto run = ATLED_RANDOM(draw<4, U, Truth<U>>);
    parallel(counters, kGrain, [&](int64_t begin, int64_t end) {
      run(to, 4 * begin, std::min(n, 4 * end), stream.seed, stream.offset, truth);
    });
  });
}

void bernoulli(atled_frame* f) {
  atled_tensor *out = out_tensor(f), *input = arg_tensor(f, 0);
  if (!arg_is_none(f, 1)) return draw_all(out, arg_double(f, 1), f->args[2]);
  if (input->dtype == ATLED_FLOAT32) return draw_each<float>(out, contiguous(input), f->args[2]);
  draw_each<double>(out, contiguous(input, ATLED_FLOAT64), f->args[2]);
}

void bernoulli_(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& p = f->args[1];
  expect_real_probability(p);
  // What is not contiguous gets a stand-in that is copied back.
  Tensor target =
      is_contiguous(input) ? Tensor::borrow(input) : Tensor::empty(input->dtype, input->dl.ndim, input->dl.shape);
  if (p.tag == ATLED_TENSOR) {
    const Tensor each = Tensor::empty(ATLED_FLOAT64, input->dl.ndim, input->dl.shape);
    assign(each, p);
    draw_each<double>(target, each, f->args[2]);
  } else {
    draw_all(target, as_double(p), f->args[2]);
  }
  if (target.get() != input) assign(input, target);
}

void add_bernoulli() {
  add_kernel("core::bernoulli", ATLED_DEVICE_CPU, kernel<bernoulli>);
  add_kernel("core::bernoulli_", ATLED_DEVICE_CPU, kernel<bernoulli_>);
}

ATLED_KERNELS(add_bernoulli);

}  // namespace
}  // namespace atled::core
