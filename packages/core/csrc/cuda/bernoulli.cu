// Draws of truth: a 32-bit word for each element, against the probability of that element.
#include "cuda/draw.cuh"
#include "cuda/reduce.cuh"
#include "functors/sampling.h"

namespace atled::core::cuda {

namespace {

template <class U, class P>
__global__ void __launch_bounds__(kThreads)
    truth_kernel(U* out, const P* p, int64_t n, uint64_t seed, uint64_t offset, const U yes, const U no, bool aligned) {
  for (int64_t i = thread_index(); (i - threadIdx.x % 32) * 4 < n; i += thread_count()) {
    const Words4 words = philox(seed, offset + static_cast<uint64_t>(i));
    U drawn[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) drawn[j] = 4 * i + j < n && happens(words.w[j], p[4 * i + j]) ? yes : no;
    write_drawn<4>(out, i, n, drawn, aligned);
  }
}

// Calls f with out's elements as numbers of their size, and the bits of its 1 and 0.
template <class F>
void visit_truth(const atled_tensor* out, F&& f) {
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T ends[2] = {Cast<T, float>{}(1), Cast<T, float>{}(0)};
    visit_size(sizeof(T), [&](auto sized) {
      using U = typename decltype(sized)::type;
      U bits[2]{};
      std::memcpy(bits, ends, sizeof bits < sizeof ends ? sizeof bits : sizeof ends);
      f(data<U>(out), bits[0], bits[1]);
    });
  });
}

struct IsProbability {
  template <class P>
  ATLED_FN bool operator()(P p) const {
    return is_probability(p);
  }
};

// p: a contiguous tensor of out's shape.
template <class P>
void draw_each(const atled_tensor* out, const atled_tensor* p, const atled_value& generator) {
  const int64_t n = numel(out), counters = (n + 3) / 4;
  const DLDevice where = out->dl.device;
  expect_each(where, data<const P>(p), n, 1, IsProbability{}, fail_probability);
  const Stream stream(generator, counters);
  if (n == 0) return;
  DeviceGuard device(where.device_id);
  visit_truth(out, [&](auto* to, auto yes, auto no) {
    launch(truth_kernel<decltype(yes), P>, blocks_for(counters, kThreads), kThreads, current_stream(where.device_id),
           to, data<const P>(p), n, stream.seed, stream.offset, yes, no, can_write_together<4>(to));
  });
}

void draw_all(const atled_tensor* out, double p, const atled_value& generator) {
  if (!is_probability(p)) fail_probability(p);
  visit_truth(out, [&](auto* to, auto yes, auto no) {
    draw<4>(out, to, numel(out), generator, Truth<decltype(yes)>{p, yes, no});
  });
}

void bernoulli(atled_frame* f) {
  const atled_tensor *out = out_tensor(f), *input = arg_tensor(f, 0);
  if (!arg_is_none(f, 1)) return draw_all(out, arg_double(f, 1), f->args[2]);
  if (input->dtype == ATLED_FLOAT32) return draw_each<float>(out, contiguous(input, ATLED_FLOAT32), f->args[2]);
  draw_each<double>(out, contiguous(input, ATLED_FLOAT64), f->args[2]);
}

void bernoulli_(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& p = f->args[1];
  expect_real_probability(p);
  into_contiguous(input, [&](atled_tensor* target) {
    if (p.tag != ATLED_TENSOR) return draw_all(target, as_double(p), f->args[2]);
    const Tensor each = Tensor::empty(ATLED_FLOAT64, target->dl.ndim, target->dl.shape, target->dl.device);
    assign(each, p);
    draw_each<double>(target, each, f->args[2]);
  });
}

void add_bernoulli() {
  cuda_kernel("core::bernoulli", kernel<bernoulli>);
  cuda_kernel("core::bernoulli_", kernel<bernoulli_>);
}
ATLED_CUDA_KERNELS(add_bernoulli);

}  // namespace

}  // namespace atled::core::cuda
