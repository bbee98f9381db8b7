#include <algorithm>
#include <limits>

#include "cuda/generate.cuh"
#include "functors/random.h"
#include "functors/stream.h"

namespace atled::core::cuda {
namespace {

template <int kPer, class T, class F>
__global__ void __launch_bounds__(kThreads) draw_kernel(T* out, int64_t n, uint64_t seed, uint64_t offset, const F f) {
  const int64_t counters = (n + kPer - 1) / kPer;
  for (int64_t i = thread_index(); i < counters; i += thread_count()) {
    T drawn[4];
    f(philox(seed, offset + static_cast<uint64_t>(i)), drawn);
    for (int j = 0; j < kPer; ++j)
      if (i * kPer + j < n) out[i * kPer + j] = drawn[j];
  }
}

// out[i] = f's number for every i < n: the CPU's, for the same counters go to the same elements.
template <int kPer, class T, class F>
void draw(const atled_tensor* t, T* out, int64_t n, const atled_value& generator, const F& f) {
  const int64_t counters = (n + kPer - 1) / kPer;
  const Stream stream(generator, counters);
  if (n == 0) return;
  const int index = t->dl.device.device_id;
  DeviceGuard device(index);
  launch(draw_kernel<kPer, T, F>, blocks_for(counters, kThreads), kThreads, current_stream(index), out, n, stream.seed,
         stream.offset, f);
}

// Calls f with the data, real type and length of a contiguous floating or complex tensor.
template <class F>
void visit_floats(const atled_tensor* t, F&& f) {
  const int64_t n = numel(t);
  switch (t->dtype) {
    case ATLED_FLOAT16:
      return f(data<Half>(t), n);
    case ATLED_BFLOAT16:
      return f(data<BFloat16>(t), n);
    case ATLED_FLOAT32:
      return f(data<float>(t), n);
    case ATLED_FLOAT64:
      return f(data<double>(t), n);
    case ATLED_COMPLEX64:
      return f(data<float>(t), 2 * n);
    case ATLED_COMPLEX128:
      return f(data<double>(t), 2 * n);
    default:
      fail(ATLED_E_DTYPE, "expected input to be floating, got %s", dtype_name(t->dtype));
  }
}

template <template <class> class Distribution, class... Parameters>
void draw_floats(const atled_tensor* t, const atled_value& generator, Parameters... parameters) {
  visit_floats(t, [&](auto* out, int64_t n) {
    using T = std::remove_pointer_t<decltype(out)>;
    using Number = typename Distribution<T>::Number;
    draw<per_counter<T>>(t, out, n, generator, Distribution<T>{static_cast<Number>(parameters)...});
  });
}

void draw_integers(const atled_tensor* t, const atled_value& generator, int64_t low, uint64_t range) {
  visit_dtype(t->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (range != 0 && range <= uint64_t{1} << 32) {
      draw<4>(t, data<T>(t), numel(t), generator, SmallInteger{low, range});
    } else {
      draw<2>(t, data<T>(t), numel(t), generator, LargeInteger{low, range});
    }
  });
}

void rand(atled_frame* f) { draw_floats<Uniform>(out_tensor(f), f->args[1], 0.0, 1.0); }
void randn(atled_frame* f) {
  draw_floats<Normal>(out_tensor(f), f->args[1], 0.0, is_complex(out_tensor(f)->dtype) ? 0.70710678118654752 : 1.0);
}

void expect_range(int64_t low, int64_t high) {
  if (low >= high) fail(ATLED_E_VALUE, "expected low < high, got %lld and %lld", (long long)low, (long long)high);
}

void randint(atled_frame* f) {
  const atled_value& high = f->args[1];
  const bool from_zero = is_none(f->args[2]) || is_none(high);
  const int64_t low = from_zero ? 0 : arg_int(f, 0), end = from_zero ? arg_int(f, 0) : high.u.ints[0];
  expect_range(low, end);
  draw_integers(out_tensor(f), f->args[3], low, static_cast<uint64_t>(end) - static_cast<uint64_t>(low));
}

void randint_like(atled_frame* f) {
  const bool from_zero = arg_is_none(f, 2);
  const int64_t low = from_zero ? 0 : arg_int(f, 1), end = from_zero ? arg_int(f, 1) : arg_int(f, 2);
  expect_range(low, end);
  draw_integers(out_tensor(f), f->args[3], low, static_cast<uint64_t>(end) - static_cast<uint64_t>(low));
}

void uniform_(atled_frame* f) {
  const double from = arg_double(f, 1), to = arg_double(f, 2);
  if (!(from <= to)) fail(ATLED_E_VALUE, "expected from <= to, got %g and %g", from, to);
  expect_real(arg_tensor(f, 0), "input");
  into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) { draw_floats<Uniform>(t, f->args[3], from, to - from); });
}

void normal_(atled_frame* f) {
  const double mean = arg_double(f, 1), deviation = arg_double(f, 2);
  if (!(deviation >= 0)) fail(ATLED_E_VALUE, "expected std >= 0, got %g", deviation);
  const bool complex = is_complex(arg_tensor(f, 0)->dtype);
  if (complex && mean != 0) fail(ATLED_E_VALUE, "expected mean 0 for complex numbers, got %g", mean);
  into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) {
    draw_floats<Normal>(t, f->args[3], mean, complex ? deviation * 0.70710678118654752 : deviation);
  });
}

void exponential_(atled_frame* f) {
  const double rate = arg_double(f, 1);
  if (!(rate > 0)) fail(ATLED_E_VALUE, "expected lambd > 0, got %g", rate);
  expect_real(arg_tensor(f, 0), "input");
  into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) { draw_floats<Exponential>(t, f->args[2], rate); });
}

void cauchy_(atled_frame* f) {
  const double median = arg_double(f, 1), scale = arg_double(f, 2);
  if (!(scale > 0)) fail(ATLED_E_VALUE, "expected sigma > 0, got %g", scale);
  expect_real(arg_tensor(f, 0), "input");
  into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) { draw_floats<Cauchy>(t, f->args[3], median, scale); });
}

void log_normal_(atled_frame* f) {
  const double mean = arg_double(f, 1), deviation = arg_double(f, 2);
  if (!(deviation > 0)) fail(ATLED_E_VALUE, "expected std > 0, got %g", deviation);
  expect_real(arg_tensor(f, 0), "input");
  into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) { draw_floats<LogNormal>(t, f->args[3], mean, deviation); });
}

// The largest integer up to which a dtype holds every one.
int64_t last_integer(int dtype) {
  switch (dtype) {
    case ATLED_BOOL:
      return 1;
    case ATLED_FLOAT16:
      return int64_t{1} << 11;
    case ATLED_BFLOAT16:
      return int64_t{1} << 8;
    case ATLED_FLOAT32:
    case ATLED_COMPLEX64:
      return int64_t{1} << 24;
    case ATLED_FLOAT64:
    case ATLED_COMPLEX128:
      return int64_t{1} << 53;
    default: {
      const int bits = 8 * itemsize(dtype) - is_signed(dtype);
      return bits >= 63 ? std::numeric_limits<int64_t>::max() : (int64_t{1} << bits) - 1;
    }
  }
}

void random_(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  int64_t low = arg_int(f, 1);
  uint64_t range = 0;
  if (!arg_is_none(f, 2) || low != 0) {
    const int64_t end = arg_is_none(f, 2) ? low : arg_int(f, 2);
    if (arg_is_none(f, 2)) low = 0;
    expect_range(low, end);
    range = static_cast<uint64_t>(end) - static_cast<uint64_t>(low);
  } else {
    range = static_cast<uint64_t>(last_integer(input->dtype)) + 1;
  }
  into_contiguous(input, [&](atled_tensor* t) { draw_integers(t, f->args[3], low, range); });
}

void geometric_(atled_frame* f) {
  const double p = arg_double(f, 1);
  if (!(p > 0 && p < 1)) fail(ATLED_E_VALUE, "expected p in (0, 1), got %g", p);
  expect_real(arg_tensor(f, 0), "input");
  into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) {
    const double most =
        is_floating(t->dtype) ? std::numeric_limits<double>::infinity() : static_cast<double>(last_integer(t->dtype));
    visit_dtype(t->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      draw<2>(t, data<T>(t), numel(t), f->args[2], Geometric{1 / std::log1p(-p), most});
    });
  });
}

void add_random() {
  cuda_kernel("core::rand", kernel<rand>);
  cuda_kernel("core::rand_like", kernel<rand>);
  cuda_kernel("core::randn", kernel<randn>);
  cuda_kernel("core::randn_like", kernel<randn>);
  cuda_kernel("core::randint", kernel<randint>);
  cuda_kernel("core::randint_like", kernel<randint_like>);
  cuda_kernel("core::uniform_", kernel<uniform_>);
  cuda_kernel("core::normal_", kernel<normal_>);
  cuda_kernel("core::exponential_", kernel<exponential_>);
  cuda_kernel("core::random_", kernel<random_>);
  cuda_kernel("core::cauchy_", kernel<cauchy_>);
  cuda_kernel("core::log_normal_", kernel<log_normal_>);
  cuda_kernel("core::geometric_", kernel<geometric_>);
}

ATLED_CUDA_KERNELS(add_random);

}  // namespace
}  // namespace atled::core::cuda
