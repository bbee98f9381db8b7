// The random ops as every device has them: what their arguments mean, and which distribution's numbers fill the result.
// A backend B says how numbers are drawn:
//   draw<kPer>(t, out, n, generator, f)   out[i] = f's number for i < n; f makes kPer of one Philox counter; out is t's
//   into_contiguous(target, f)            f(target), or f of a contiguous stand-in that is copied into it
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "functors/random.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {

template <class B>
class RandomKernels {
 public:
  // add(op, kernel)
  template <class Add>
  static void register_all(Add&& add) {
    add("core::rand", ::atled::kernel<rand>);
    add("core::rand_like", ::atled::kernel<rand>);
    add("core::randn", ::atled::kernel<randn>);
    add("core::randn_like", ::atled::kernel<randn>);
    add("core::randint", ::atled::kernel<randint>);
    add("core::randint_like", ::atled::kernel<randint_like>);
    add("core::uniform_", ::atled::kernel<uniform_>);
    add("core::normal_", ::atled::kernel<normal_>);
    add("core::exponential_", ::atled::kernel<exponential_>);
    add("core::random_", ::atled::kernel<random_>);
    add("core::cauchy_", ::atled::kernel<cauchy_>);
    add("core::log_normal_", ::atled::kernel<log_normal_>);
    add("core::geometric_", ::atled::kernel<geometric_>);
  }

 private:
  // Calls f with the data, real type and length of a contiguous floating or complex tensor.
  template <class F>
  static void visit_floats(const atled_tensor* t, F&& f) {
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
  static void draw_floats(const atled_tensor* t, const atled_value& generator, Parameters... parameters) {
    visit_floats(t, [&](auto* out, int64_t n) {
      using T = std::remove_pointer_t<decltype(out)>;
      using Number = typename Distribution<T>::Number;
      B::template draw<per_counter<T>>(t, out, n, generator, Distribution<T>{static_cast<Number>(parameters)...});
    });
  }

  static void draw_integers(const atled_tensor* t, const atled_value& generator, int64_t low, uint64_t range) {
    visit_dtype(t->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (range != 0 && range <= uint64_t{1} << 32) {
        B::template draw<4>(t, data<T>(t), numel(t), generator, SmallInteger{low, range});
      } else {
        B::template draw<2>(t, data<T>(t), numel(t), generator, LargeInteger{low, range});
      }
    });
  }

  static void rand(atled_frame* f) { draw_floats<Uniform>(out_tensor(f), f->args[1], 0.0, 1.0); }
  static void randn(atled_frame* f) {
    draw_floats<Normal>(out_tensor(f), f->args[1], 0.0, is_complex(out_tensor(f)->dtype) ? 0.70710678118654752 : 1.0);
  }

  // Integers from low to high - 1 that a dtype holds; floats are rounded to.
  static void expect_range(int dtype, int64_t low, int64_t high) {
    if (low >= high) fail(ATLED_E_VALUE, "expected low < high, got %lld and %lld", (long long)low, (long long)high);
    if (dtype >= ATLED_FLOAT16) return;
    const int64_t last = last_integer(dtype), first = is_signed(dtype) ? -last - 1 : 0;
    if (low < first || high - 1 > last)
      fail(ATLED_E_VALUE, "expected low and high - 1 in [%lld, %lld], which %s holds, got %lld and %lld",
           (long long)first, (long long)last, dtype_name(dtype), (long long)low, (long long)(high - 1));
  }

  static void randint(atled_frame* f) {
    const atled_value& high = f->args[1];
    const bool from_zero = is_none(f->args[2]) || is_none(high);
    const int64_t low = from_zero ? 0 : arg_int(f, 0), end = from_zero ? arg_int(f, 0) : high.u.ints[0];
    expect_range(out_tensor(f)->dtype, low, end);
    draw_integers(out_tensor(f), f->args[3], low, static_cast<uint64_t>(end) - static_cast<uint64_t>(low));
  }

  static void randint_like(atled_frame* f) {
    const bool from_zero = arg_is_none(f, 2);
    const int64_t low = from_zero ? 0 : arg_int(f, 1), end = from_zero ? arg_int(f, 1) : arg_int(f, 2);
    expect_range(out_tensor(f)->dtype, low, end);
    draw_integers(out_tensor(f), f->args[3], low, static_cast<uint64_t>(end) - static_cast<uint64_t>(low));
  }

  static void uniform_(atled_frame* f) {
    const double from = arg_double(f, 1), to = arg_double(f, 2);
    if (!(from <= to)) fail(ATLED_E_VALUE, "expected from <= to, got %g and %g", from, to);
    if (!std::isfinite(to - from)) fail(ATLED_E_VALUE, "expected a finite range, got %g to %g", from, to);
    expect_real(arg_tensor(f, 0), "input");
    B::into_contiguous(arg_tensor(f, 0),
                       [&](atled_tensor* t) { draw_floats<Uniform>(t, f->args[3], from, to - from); });
  }

  static void normal_(atled_frame* f) {
    const double mean = arg_double(f, 1), deviation = arg_double(f, 2);
    if (!(deviation >= 0)) fail(ATLED_E_VALUE, "expected std >= 0, got %g", deviation);
    const bool complex = is_complex(arg_tensor(f, 0)->dtype);
    if (complex && mean != 0) fail(ATLED_E_VALUE, "expected mean 0 for complex numbers, got %g", mean);
    B::into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) {
      draw_floats<Normal>(t, f->args[3], mean, complex ? deviation * 0.70710678118654752 : deviation);
    });
  }

  static void exponential_(atled_frame* f) {
    const double rate = arg_double(f, 1);
    if (!(rate > 0)) fail(ATLED_E_VALUE, "expected lambd > 0, got %g", rate);
    expect_real(arg_tensor(f, 0), "input");
    B::into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) { draw_floats<Exponential>(t, f->args[2], rate); });
  }

  static void cauchy_(atled_frame* f) {
    const double median = arg_double(f, 1), scale = arg_double(f, 2);
    if (!(scale > 0)) fail(ATLED_E_VALUE, "expected sigma > 0, got %g", scale);
    expect_real(arg_tensor(f, 0), "input");
    B::into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) { draw_floats<Cauchy>(t, f->args[3], median, scale); });
  }

  static void log_normal_(atled_frame* f) {
    const double mean = arg_double(f, 1), deviation = arg_double(f, 2);
    if (!(deviation > 0)) fail(ATLED_E_VALUE, "expected std > 0, got %g", deviation);
    expect_real(arg_tensor(f, 0), "input");
    B::into_contiguous(arg_tensor(f, 0),
                       [&](atled_tensor* t) { draw_floats<LogNormal>(t, f->args[3], mean, deviation); });
  }

  // The largest integer up to which a dtype holds every one.
  static int64_t last_integer(int dtype) {
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

  static void random_(atled_frame* f) {
    atled_tensor* input = arg_tensor(f, 0);
    int64_t low = arg_int(f, 1);
    uint64_t range = 0;
    if (!arg_is_none(f, 2) || low != 0) {
      const int64_t end = arg_is_none(f, 2) ? low : arg_int(f, 2);
      if (arg_is_none(f, 2)) low = 0;
      expect_range(input->dtype, low, end);
      range = static_cast<uint64_t>(end) - static_cast<uint64_t>(low);
    } else {
      range = static_cast<uint64_t>(last_integer(input->dtype)) + 1;
    }
    B::into_contiguous(input, [&](atled_tensor* t) { draw_integers(t, f->args[3], low, range); });
  }

  static void geometric_(atled_frame* f) {
    const double p = arg_double(f, 1);
    if (!(p > 0 && p < 1)) fail(ATLED_E_VALUE, "expected p in (0, 1), got %g", p);
    expect_real(arg_tensor(f, 0), "input");
    B::into_contiguous(arg_tensor(f, 0), [&](atled_tensor* t) {
      const double most =
          is_floating(t->dtype) ? std::numeric_limits<double>::infinity() : static_cast<double>(last_integer(t->dtype));
      visit_dtype(t->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        B::template draw<2>(t, data<T>(t), numel(t), f->args[2], Geometric{1 / std::log1p(-p), most});
      });
    });
  }
};

}  // namespace atled::core
