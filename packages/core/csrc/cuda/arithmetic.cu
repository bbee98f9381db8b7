#include "cuda/complex_math.cuh"
#include "functors/arithmetic.h"
#include "functors/logical.h"

namespace atled::core::cuda {

namespace {

// Calls run with the scale as the type that dtype (a compute dtype) is scaled in: integers in the unsigned type of
// their size, where they wrap.
template <bool kIntegers, class Run>
void with_scale(const atled_value& scale, int dtype, Run&& run) {
  visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      T number;
      store_scalar(scale, dtype, &number);
      if constexpr (kIntegers) run(static_cast<std::make_unsigned_t<T>>(number));
    } else if constexpr (std::is_floating_point_v<T> || is_complex_type<T>) {
      T number;
      store_scalar(scale, dtype, &number);
      run(number);
    }
  });
}

bool is_one(const atled_value& v) { return v.tag != ATLED_COMPLEX_VALUE && as_double(v) == 1; }

const LaunchTable add_launches = [] {
  LaunchTable t;
  t.set<LogicalOr, bool, bool, bool>(ATLED_BOOL);
  return t.binary<Add>(Unsigned{}).binary<Add>(Floats{}).binary<Add>(Complexes{}).share_signed();
}();
const LaunchTable sub_launches =
    LaunchTable().binary<Sub>(Unsigned{}).binary<Sub>(Floats{}).binary<Sub>(Complexes{}).share_signed();
const LaunchTable mul_launches = [] {
  LaunchTable t;
  t.set<LogicalAnd, bool, bool, bool>(ATLED_BOOL);
  return t.binary<Mul>(Unsigned{}).binary<Mul>(Floats{}).binary<Mul>(Complexes{}).share_signed();
}();

void add_scaled(atled_frame* frame, const LaunchTable& plain, bool minus) {
  const int promoted_dtype = promoted(frame, 3), dtype = compute_dtype(promoted_dtype);
  const atled_value& alpha = frame->args[2];
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  if (is_one(alpha)) return find_launch(plain, promoted_dtype)(e, nullptr);
  if (dtype == ATLED_BOOL) {  // or with alpha and other: alpha 0 leaves the input
    atled_value no = value(false);
    Elementwise kept;
    kept.output(out_tensor(frame), dtype).operand(frame->args[0], dtype);
    if (as_double(alpha) == 0) kept.operand(no, dtype);
    return plain[ATLED_BOOL](as_double(alpha) == 0 ? kept : e, nullptr);
  }
  with_scale<true>(alpha, dtype, [&](auto scale) {
    using T = decltype(scale);
    e.run<T, T, T>(AddScaled<T>{minus ? static_cast<T>(T(0) - scale) : scale});
  });
}

void add(atled_frame* frame) { add_scaled(frame, add_launches, false); }
void sub(atled_frame* frame) { add_scaled(frame, sub_launches, true); }

const LaunchTable div_launches = LaunchTable().binary<Div>(Floats{}).binary<OfComplex<ComplexDivide>>(Complexes{});
const LaunchTable trunc_div_launches = LaunchTable().binary<TruncDivide>(Integers{}).binary<FloatTruncDivide>(Floats{});
const LaunchTable floor_div_launches = LaunchTable().binary<FloorDivide>(Integers{}).binary<FloatFloorDivide>(Floats{});
const LaunchTable remainder_launches = LaunchTable().binary<Remainder>(Integers{}).binary<FloatRemainder>(Floats{});
const LaunchTable fmod_launches = LaunchTable().binary<Fmod>(Integers{}).binary<FloatFmod>(Floats{});

void divide(atled_frame* frame, const LaunchTable& table) {
  const int promoted_dtype = promoted(frame, 3), dtype = compute_dtype(promoted_dtype);
  const Launch launch = find_launch(table, promoted_dtype);
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  if (!is_integer(dtype)) return launch(e, nullptr);
  const Flag zero(out_tensor(frame)->dl.device);
  const IntegerDivision ctx{zero.get()};
  launch(e, &ctx);
  if (zero.is_set()) fail(ATLED_E_VALUE, "expected an integer divisor other than 0, got 0 among the elements");
}

void div(atled_frame* frame) {
  const atled_value& mode = frame->args[2];
  if (!is_none(mode)) return divide(frame, mode.u.str[0] == 't' ? trunc_div_launches : floor_div_launches);
  const int float_promoted = float_dtype(promoted(frame, 3)), dtype = compute_dtype(float_promoted);
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  find_launch(div_launches, float_promoted)(e, nullptr);
}
void floor_divide(atled_frame* frame) { divide(frame, floor_div_launches); }
void remainder(atled_frame* frame) { divide(frame, remainder_launches); }
void fmod(atled_frame* frame) { divide(frame, fmod_launches); }

const LaunchTable square_launches = [] {
  LaunchTable t;
  t.set<Truth, bool, bool>(ATLED_BOOL);
  return t.unary<Square>(Unsigned{}).unary<Square>(Floats{}).unary<Square>(Complexes{}).share_signed();
}();
const LaunchTable cube_launches = LaunchTable().unary<Cube>(Floats{});
ATLED_OF_COMPLEX(ComplexReciprocal, return ComplexDivide{}(1, z));
const LaunchTable reciprocal_launches = LaunchTable().unary<Reciprocal>(Floats{});
// By the logarithm, as the CPU's library does.
struct ComplexPow {
  ATLED_OUT_OF_LINE Complex operator()(Complex a, Complex b) const {
    if (b.real() == 0 && b.imag() == 0) return 1;
    return ComplexExp{}(Mul{}(b, ComplexLog{}(a)));
  }
};
const LaunchTable pow_launches =
    LaunchTable().binary<IntegerPow>(Integers{}).binary<FloatPow>(Floats{}).binary<ComplexPow>(Types<Complex>{});

// x ** 2 and the like are products.
const LaunchTable* small_power(const atled_value& exponent, int dtype) {
  if (exponent.tag != ATLED_INT_VALUE && exponent.tag != ATLED_FLOAT_VALUE) return nullptr;
  const double e = as_double(exponent);
  if (e == 2) return &square_launches;
  if (e == 3 && is_floating(dtype)) return &cube_launches;
  if (e == -1 && is_floating(dtype)) return &reciprocal_launches;
  return nullptr;
}

void pow(atled_frame* frame) {
  int promoted_dtype = promoted(frame, 3), dtype = compute_dtype(promoted_dtype);
  Elementwise e;
  if (is_complex(dtype) && !small_power(frame->args[1], promoted_dtype)) promoted_dtype = dtype = ATLED_COMPLEX128;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype);
  if (const LaunchTable* power = small_power(frame->args[1], promoted_dtype)) return (*power)[dtype](e, nullptr);
  e.operand(frame->args[1], dtype);
  find_launch(pow_launches, promoted_dtype)(e, nullptr);
}

void float_power(atled_frame* frame) {
  const int dtype = is_complex(promoted(frame, 3)) ? ATLED_COMPLEX128 : ATLED_FLOAT64;
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  find_launch(pow_launches, dtype)(e, nullptr);
}

const LaunchTable neg_launches =
    LaunchTable().unary<Neg>(Unsigned{}).unary<Neg>(Floats{}).unary<Neg>(Complexes{}).share_signed();
const LaunchTable positive_launches =
    LaunchTable().unary<Positive>(Unsigned{}).unary<Positive>(Floats{}).unary<Positive>(Complexes{}).share_signed();
const LaunchTable sign_launches = [] {
  LaunchTable t;
  t.set<Truth, bool, bool>(ATLED_BOOL);
  return t.unary<Sign>(Integers{}).unary<Sign>(Floats{}).unary<Sign>(Complexes{});
}();
const LaunchTable abs_launches = [] {
  LaunchTable t;
  t.set<Truth, bool, bool>(ATLED_BOOL);
  t.unary<Abs>(Integers{}).unary<Abs>(Floats{});
  t.set<Abs, float, std::complex<float>>(ATLED_COMPLEX64);
  t.set<Abs, double, std::complex<double>>(ATLED_COMPLEX128);
  return t;
}();

void abs(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const int dtype = compute_dtype(input->dtype);
  Elementwise e;
  e.output(out_tensor(frame), real_dtype(dtype)).input(input, dtype);
  find_launch(abs_launches, dtype)(e, nullptr);
}

const LaunchTable maximum_launches = [] {
  LaunchTable t;
  t.set<LogicalOr, bool, bool, bool>(ATLED_BOOL);
  return t.binary<Maximum>(Integers{}).binary<Maximum>(Floats{});
}();
const LaunchTable minimum_launches = [] {
  LaunchTable t;
  t.set<LogicalAnd, bool, bool, bool>(ATLED_BOOL);
  return t.binary<Minimum>(Integers{}).binary<Minimum>(Floats{});
}();
const LaunchTable lerp_launches = LaunchTable().ternary<Lerp>(Floats{}).ternary<Lerp>(Complexes{});

// input + value * a / b of complex numbers too.
template <class T>
struct AddQuotient {
  T value;
  ATLED_FN T operator()(T input, T a, T b) const {
    if constexpr (is_complex_type<T>)
      return Add{}(input, Mul{}(value, OfComplex<ComplexDivide>{}(a, b)));
    else
      return Addcdiv<T>{value}(input, a, b);
  }
};

template <template <class> class F, bool kIntegers>
void fused(atled_frame* frame) {
  const int dtype = compute_dtype(promoted(frame, 7));
  Elementwise e;
  e.output(out_tensor(frame), dtype);
  for (int i = 0; i < 3; ++i) e.operand(frame->args[i], dtype);
  with_scale<kIntegers>(frame->args[3], dtype, [&](auto scale) {
    using T = decltype(scale);
    e.run<T, T, T, T>(F<T>{scale});
  });
}

void add_arithmetic() {
  cuda_kernel("core::add", kernel<add>);
  cuda_kernel("core::sub", kernel<sub>);
  cuda_kernel("core::mul", run_same, &mul_launches);
  cuda_kernel("core::div", kernel<div>);
  cuda_kernel("core::floor_divide", kernel<floor_divide>);
  cuda_kernel("core::remainder", kernel<remainder>);
  cuda_kernel("core::fmod", kernel<fmod>);
  cuda_kernel("core::pow", kernel<pow>);
  cuda_kernel("core::float_power", kernel<float_power>);
  cuda_kernel("core::neg", run_same, &neg_launches);
  cuda_kernel("core::positive", run_same, &positive_launches);
  cuda_kernel("core::abs", kernel<abs>);
  cuda_kernel("core::sign", run_same, &sign_launches);
  cuda_kernel("core::square", run_same, &square_launches);
  cuda_kernel("core::reciprocal", run_float_or_complex<ComplexReciprocal>, &reciprocal_launches);
  cuda_kernel("core::maximum", run_same, &maximum_launches);
  cuda_kernel("core::minimum", run_same, &minimum_launches);
  cuda_kernel("core::lerp", run_same, &lerp_launches);
  cuda_kernel("core::addcmul", kernel<fused<Addcmul, true>>);
  cuda_kernel("core::addcdiv", kernel<fused<AddQuotient, false>>);
}
ATLED_CUDA_KERNELS(add_arithmetic);

}  // namespace

}  // namespace atled::core::cuda
