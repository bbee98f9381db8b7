// Windows of signal processing, made in float64 and rounded once.
#include <cmath>

#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

const Op mul_op{"core::mul"}, add_op{"core::add"}, sub_op{"core::sub"}, abs_op{"core::abs"};

// (window_length, periodic, ..., *, dtype, device), where dtype is argument `at`.
struct Window {
  Window(const atled_frame* f, int at) : f(f), at(at), length(arg_int(f, 0)) {
    if (length < 0) fail(ATLED_E_VALUE, "expected window_length >= 0, got %lld", (long long)length);
    dtype = f->args[at].tag == ATLED_DTYPE ? static_cast<int>(f->args[at].u.i) : default_dtype();
    if (!is_floating(dtype)) fail(ATLED_E_DTYPE, "expected a floating-point dtype, got %s", dtype_name(dtype));
  }

  // From 0 on, in steps that reach `end` with the last point, or with periodic with the one behind the last.
  Tensor steps(double end) const {
    static const Op arange{"core::arange"}, div{"core::div"};
    Tensor points = arange(0, length, 1, dtype_value(ATLED_FLOAT64), f->args[at + 1]);
    return div(mul_op(points, end), static_cast<double>(arg_bool(f, 1) ? length : length - 1));
  }

  // One point alone is 1.
  void answer(atled_frame* frame, const Tensor& values) const {
    static const Op to{"core::to"}, ones{"core::ones"};
    set_out(frame, 0,
            length == 1 ? ones(ints_value(&length, 1), dtype_value(dtype), f->args[at + 1])
                        : to(values, dtype_value(dtype)));
  }

  const atled_frame* f;
  int at;
  int64_t length;
  int dtype;
};

// factor * cos(angle * times)
Tensor wave(double factor, const Tensor& angle, double times = 1) {
  static const Op cos{"core::cos"};
  return mul_op(cos(mul_op(angle, times)), factor);
}

constexpr double kTurn = 6.283185307179586;

void bartlett_window(atled_frame* f) {
  const Window w(f, 2);
  w.answer(f, add_op(mul_op(abs_op(add_op(w.steps(2), -1.0)), -1.0), 1.0));
}

void hann_window(atled_frame* f) {
  const Window w(f, 2);
  w.answer(f, add_op(wave(-0.5, w.steps(kTurn)), 0.5));
}

void hamming_window(atled_frame* f) {
  const Window w(f, 4);
  w.answer(f, add_op(wave(-arg_double(f, 3), w.steps(kTurn)), arg_double(f, 2)));
}

void blackman_window(atled_frame* f) {
  const Window w(f, 2);
  const Tensor angle = w.steps(kTurn);
  w.answer(f, add_op(add_op(wave(-0.5, angle), wave(0.08, angle, 2)), 0.42));
}

// I0(beta r) / exp(beta), by the midpoint rule over the circle of DLMF 10.32.1, which is exact to 1e-17 with these many
// points; scaled so that nothing overflows.
Tensor scaled_i0(const Tensor& r, double beta) {
  static const Op arange{"core::arange"}, cos{"core::cos"}, exp{"core::exp"}, mean{"core::mean"},
      unsqueeze{"core::unsqueeze"};
  const auto points = static_cast<int64_t>(4.5 * std::sqrt(beta)) + 12;
  const Tensor angle =
      mul_op(arange(0.5, static_cast<double>(points), 1, dtype_value(ATLED_FLOAT64), device_value(r->dl.device)),
             kTurn / (2 * static_cast<double>(points)));
  const int64_t last = -1;
  return mean(exp(mul_op(add_op(mul_op(unsqueeze(r, -1), cos(angle)), -1.0), beta)), ints_value(&last, 1));
}

// I0(beta sqrt(1 - x^2)) / I0(beta) for x from -1 to 1.
void kaiser_window(atled_frame* f) {
  static const Op sqrt{"core::sqrt"}, div{"core::div"}, full{"core::full"};
  const Window w(f, 3);
  const double beta = std::fabs(arg_double(f, 2));
  if (!(beta <= 1e6)) fail(ATLED_E_VALUE, "expected beta in [-1e6, 1e6], got %g", arg_double(f, 2));
  const Tensor x = add_op(w.steps(2), -1.0),
               one = full(ints_value(nullptr, 0), 1.0, dtype_value(ATLED_FLOAT64), f->args[4]);
  // 1 - x^2 as a product, which rounds less near the ends.
  const Tensor r = sqrt(mul_op(add_op(x, 1.0), sub_op(one, x)));
  w.answer(f, div(scaled_i0(r, beta), scaled_i0(one, beta)));
}

void define_windows() {
  const uint32_t factory = ATLED_OP_FACTORY | ATLED_OP_FUNCTION | ATLED_OP_COMPOSITE;
  define({"bartlett_window(int window_length, bool periodic=True, *, dtype? dtype=None, device? device=None) -> Tensor",
          "A triangle from 0 to 1 and back: 1 - |2 n / N - 1| for n from 0 to window_length - 1.\n\n"
          "N is window_length where periodic, for frames that follow one another, else window_length - 1, which is "
          "symmetric; of one point, 1. dtype: floating (the default float). InvalidValueError for a negative "
          "window_length.\n\n"
          ">>> at.bartlett_window(4), at.bartlett_window(5, periodic=False)\n"
          "(tensor([0.0000, 0.5000, 1.0000, 0.5000]), tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000]))",
          nullptr, factory});
  define({"hann_window(int window_length, bool periodic=True, *, dtype? dtype=None, device? device=None) -> Tensor",
          "(1 - cos(2 pi n / N)) / 2, the von Hann window; n, N and the errors as in bartlett_window.\n\n"
          ">>> at.hann_window(4)\ntensor([0.0000, 0.5000, 1.0000, 0.5000])",
          nullptr, factory});
  define(
      {"hamming_window(int window_length, bool periodic=True, float alpha=0.54, float beta=0.46, *, "
       "dtype? dtype=None, device? device=None) -> Tensor",
       "alpha - beta cos(2 pi n / N), the Hamming window; n, N and the errors as in bartlett_window.\n\n"
       ">>> at.hamming_window(4)\ntensor([0.0800, 0.5400, 1.0000, 0.5400])",
       nullptr, factory});
  define({"blackman_window(int window_length, bool periodic=True, *, dtype? dtype=None, device? device=None) -> Tensor",
          "0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N), the Blackman window; n, N and the errors as in "
          "bartlett_window.\n\n"
          ">>> at.blackman_window(4)\ntensor([0.0000, 0.3400, 1.0000, 0.3400])",
          nullptr, factory});
  define(
      {"kaiser_window(int window_length, bool periodic=True, float beta=12.0, *, dtype? dtype=None, "
       "device? device=None) -> Tensor",
       "i0(beta sqrt(1 - x^2)) / i0(beta) for x = 2 n / N - 1, the Kaiser window; n, N and the errors as in "
       "bartlett_window.\n\n"
       "beta: the larger, the narrower; in [-1e6, 1e6].\n\n"
       ">>> at.kaiser_window(4, beta=2.0)\ntensor([0.4387, 0.8348, 1.0000, 0.8348])",
       nullptr, factory});
}

ATLED_OPS(define_windows);

void add_windows() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::bartlett_window", kernel<bartlett_window>);
  any("core::hann_window", kernel<hann_window>);
  any("core::hamming_window", kernel<hamming_window>);
  any("core::blackman_window", kernel<blackman_window>);
  any("core::kaiser_window", kernel<kaiser_window>);
}

ATLED_KERNELS(add_windows);

}  // namespace
}  // namespace atled::core
