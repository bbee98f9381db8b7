#include "functors/arithmetic.h"

#include "cpu/halves.h"
#include "functors/half_order.h"
#include "functors/logical.h"

namespace atled::core {

namespace {

// The loops of one functor for float16 and bfloat16, where both operands are tensors, and where one is a number.
template <class F>
struct HalfLoops {
  atled_loop loops[2][3] = {
      {ATLED_PICK_OF(halves, binary<Half, Half, Half, F>), ATLED_PICK_OF(halves, binary<Half, float, Half, F>),
       ATLED_PICK_OF(halves, binary<Half, Half, float, F>)},
      {ATLED_PICK_OF(halves, binary<BFloat16, BFloat16, BFloat16, F>),
       ATLED_PICK_OF(halves, binary<BFloat16, float, BFloat16, F>),
       ATLED_PICK_OF(halves, binary<BFloat16, BFloat16, float, F>)}};
};

// Of float16 or bfloat16 alone, without a detour through blocks of floats; false where there is anything else. Numbers
// from Python are float, as on that detour.
template <class F>
bool run_halves(atled_frame* frame) {
  const atled_value *a = &frame->args[0], *b = &frame->args[1];
  const int dtype = out_tensor(frame)->dtype;
  if (dtype != ATLED_FLOAT16 && dtype != ATLED_BFLOAT16) return false;
  auto fits = [dtype](const atled_value* v) {
    return v->tag == ATLED_TENSOR ? v->u.tensor->dtype == dtype
                                  : v->tag == ATLED_INT_VALUE || v->tag == ATLED_FLOAT_VALUE;
  };
  const bool first = a->tag == ATLED_TENSOR, second = b->tag == ATLED_TENSOR;
  if (!fits(a) || !fits(b) || (!first && !second)) return false;
  static const HalfLoops<F> all;
  Elementwise e;
  e.output(out_tensor(frame), dtype);
  e.operand(*a, first ? dtype : static_cast<int>(ATLED_FLOAT32));
  e.operand(*b, second ? dtype : static_cast<int>(ATLED_FLOAT32));
  e.run(all.loops[dtype == ATLED_BFLOAT16][first ? (second ? 0 : 2) : 1]);
  return true;
}

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

const LoopTable add_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(binary<bool, uint8_t, uint8_t, LogicalOr>);
  return t.binary<Add>(Unsigned{}).binary<Add>(Floats{}).binary<Add>(Complexes{}).share_signed();
}();
const LoopTable sub_loops =
    LoopTable().binary<Sub>(Unsigned{}).binary<Sub>(Floats{}).binary<Sub>(Complexes{}).share_signed();
const LoopTable mul_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(binary<bool, uint8_t, uint8_t, LogicalAnd>);
  return t.binary<Mul>(Unsigned{}).binary<Mul>(Floats{}).binary<Mul>(Complexes{}).share_signed();
}();

void add_scaled(atled_frame* frame, const LoopTable& plain, bool minus) {
  const int promoted_dtype = promoted(frame, 3), dtype = compute_dtype(promoted_dtype);
  const atled_value& alpha = frame->args[2];
  if (is_one(alpha) && (minus ? run_halves<Sub>(frame) : run_halves<Add>(frame))) return;
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  if (is_one(alpha)) return e.run(find_loop(plain, promoted_dtype));
  if (dtype == ATLED_BOOL) {  // or with alpha and other: alpha 0 leaves the input
    atled_value no = value(false);
    Elementwise kept;
    kept.output(out_tensor(frame), dtype).operand(frame->args[0], dtype);
    if (as_double(alpha) == 0) return kept.operand(no, dtype).run(plain[ATLED_BOOL]);
    return e.run(plain[ATLED_BOOL]);
  }
  with_scale<true>(alpha, dtype, [&](auto scale) {
    using T = decltype(scale);
    AddScaled<T> f{minus ? static_cast<T>(T(0) - scale) : scale};
    e.run(ATLED_PICK(binary<T, T, T, AddScaled<T>>), &f);
  });
}

void mul(atled_frame* frame) {
  if (run_halves<Mul>(frame)) return;
  const int promoted_dtype = promoted(frame, 3), dtype = compute_dtype(promoted_dtype);
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  e.run(find_loop(mul_loops, promoted_dtype));
}
void add(atled_frame* frame) { add_scaled(frame, add_loops, false); }
void sub(atled_frame* frame) { add_scaled(frame, sub_loops, true); }

const LoopTable div_loops = [] {
  LoopTable t;
  t[ATLED_COMPLEX64] = ATLED_PICK(binary_checked<std::complex<float>, QuickComplexDivision>);
  t[ATLED_COMPLEX128] = ATLED_PICK(binary_checked<std::complex<double>, QuickComplexDivision>);
  return t.binary<Div>(Floats{});
}();

namespace division {

#define ATLED_LEVEL_BODY "cpu/division.inl"
#include "cpu/each_level.inl"

}  // namespace division

// F on integers, whose quotients or remainders are rounded down or not.
template <class F, bool kFloor, bool kRemainder, class... T>
LoopTable integer_division(Types<T...>) {
  LoopTable t;
  ((t[dtype_of<T>] = ATLED_PICK_OF(division, divide<T, F, kFloor, kRemainder>)), ...);
  return t;
}
const LoopTable trunc_div_loops =
    integer_division<TruncDivide, false, false>(Integers{}).binary<FloatTruncDivide>(Floats{});
template <class Integer, class Float, bool kFloor, bool kRemainder>
LoopTable whole_division() {
  LoopTable t = integer_division<Integer, kFloor, kRemainder>(Integers{});
  t[ATLED_FLOAT32] = ATLED_PICK(binary_checked<float, QuickDivision<Float>>);
  t[ATLED_FLOAT64] = ATLED_PICK(binary_checked<double, QuickDivision<Float>>);
  return t;
}
const LoopTable floor_div_loops = whole_division<FloorDivide, FloatFloorDivide, true, false>();
const LoopTable remainder_loops = whole_division<Remainder, FloatRemainder, true, true>();
const LoopTable fmod_loops = whole_division<Fmod, FloatFmod, false, true>();

void divide(atled_frame* frame, const LoopTable& table) {
  const int promoted_dtype = promoted(frame, 3), dtype = compute_dtype(promoted_dtype);
  const atled_loop loop = find_loop(table, promoted_dtype);
  bool zero = false;
  IntegerDivision ctx{&zero};
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  e.run(loop, static_cast<void*>(&ctx), 8192);
  if (zero) fail(ATLED_E_VALUE, "expected an integer divisor other than 0, got 0 among the elements");
}

void div(atled_frame* frame) {
  const atled_value& mode = frame->args[2];
  if (!is_none(mode)) return divide(frame, mode.u.str[0] == 't' ? trunc_div_loops : floor_div_loops);
  if (run_halves<Div>(frame)) return;
  const int float_promoted = float_dtype(promoted(frame, 3)), dtype = compute_dtype(float_promoted);
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  e.run(find_loop(div_loops, float_promoted));
}
void floor_divide(atled_frame* frame) { divide(frame, floor_div_loops); }
void remainder(atled_frame* frame) { divide(frame, remainder_loops); }
void fmod(atled_frame* frame) { divide(frame, fmod_loops); }

const LoopTable square_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(unary<bool, uint8_t, Truth>);
  t.unary<Square>(Unsigned{}).unary<Square>(Floats{}).unary<Square>(Complexes{}).share_signed();
  return with_halves<Square>(t);
}();
const LoopTable cube_loops = LoopTable().unary<Cube>(Floats{});
const LoopTable reciprocal_loops = [] {
  LoopTable t;
  t[ATLED_COMPLEX64] = ATLED_PICK(unary_checked<std::complex<float>, QuickComplexReciprocal>);
  t[ATLED_COMPLEX128] = ATLED_PICK(unary_checked<std::complex<double>, QuickComplexReciprocal>);
  return with_halves<Reciprocal>(t.unary<Reciprocal>(Floats{}));
}();
const LoopTable root_loops = LoopTable().unary<SquareRootPower>(Floats{});
const LoopTable pow_loops = [] {
  LoopTable t;
  t[ATLED_FLOAT32] = ATLED_PICK(binary_checked<float, FastPow>);
  return t.binary_plain<IntegerPow>(Integers{})
      .binary_plain<FloatPow>(Types<double>{})
      .binary_plain<FloatPow>(Complexes{});
}();

// x ** 2 and the like are products, x ** 0.5 is a root.
const LoopTable* small_power(const atled_value& exponent, int dtype) {
  if (exponent.tag != ATLED_INT_VALUE && exponent.tag != ATLED_FLOAT_VALUE) return nullptr;
  const double e = as_double(exponent);
  if (e == 2) return &square_loops;
  if (e == 3 && is_floating(dtype)) return &cube_loops;
  if (e == -1 && is_floating(dtype)) return &reciprocal_loops;
  if (e == 0.5 && is_floating(dtype)) return &root_loops;
  return nullptr;
}

void pow(atled_frame* frame) {
  const int promoted_dtype = promoted(frame, 3), dtype = compute_dtype(promoted_dtype);
  if (const LoopTable* power = small_power(frame->args[1], promoted_dtype)) {
    const int own = (*power)[promoted_dtype] ? promoted_dtype : dtype;
    return Elementwise().output(out_tensor(frame), own).operand(frame->args[0], own).run((*power)[own]);
  }
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype);
  e.operand(frame->args[1], dtype).run(find_loop(pow_loops, promoted_dtype), nullptr, 4096);
}

void float_power(atled_frame* frame) {
  const int dtype = is_complex(promoted(frame, 3)) ? ATLED_COMPLEX128 : ATLED_FLOAT64;
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype);
  if (const LoopTable* power = small_power(frame->args[1], dtype)) return e.run((*power)[dtype]);
  e.operand(frame->args[1], dtype).run(find_loop(pow_loops, dtype), nullptr, 4096);
}

const LoopTable neg_loops = [] {
  LoopTable t;
  t[ATLED_FLOAT16] = t[ATLED_BFLOAT16] = ATLED_PICK(unary<uint16_t, uint16_t, HalfNeg>);
  return t.unary<Neg>(Unsigned{}).unary<Neg>(Floats{}).unary<Neg>(Complexes{}).share_signed();
}();
const LoopTable positive_loops =
    LoopTable().unary<Positive>(Unsigned{}).unary<Positive>(Floats{}).unary<Positive>(Complexes{}).share_signed();
const LoopTable sign_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(unary<bool, uint8_t, Truth>);
  return t.unary<Sign>(Integers{}).unary<Sign>(Floats{}).unary_plain<Sign>(Complexes{});
}();
const LoopTable abs_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(unary<bool, uint8_t, Truth>);
  t[ATLED_FLOAT16] = t[ATLED_BFLOAT16] = ATLED_PICK(unary<uint16_t, uint16_t, HalfAbs>);
  t.unary<Abs>(Integers{}).unary<Abs>(Floats{});
  t[ATLED_COMPLEX64] = ATLED_PICK(unary<float, std::complex<float>, Abs>);
  t[ATLED_COMPLEX128] = ATLED_PICK(unary<double, std::complex<double>, Abs>);
  return t;
}();

void abs(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const int dtype = input->dtype;
  Elementwise().output(out_tensor(frame), real_dtype(dtype)).input(input, dtype).run(abs_loops[dtype]);
}

const LoopTable maximum_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(binary<bool, uint8_t, uint8_t, LogicalOr>);
  return t.binary<Maximum>(Integers{}).binary<Maximum>(Floats{}).half_bits<HalfMaximum>();
}();
const LoopTable minimum_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(binary<bool, uint8_t, uint8_t, LogicalAnd>);
  return t.binary<Minimum>(Integers{}).binary<Minimum>(Floats{}).half_bits<HalfMinimum>();
}();
const LoopTable lerp_loops = LoopTable().ternary<Lerp>(Floats{}).ternary<Lerp>(Complexes{});

// Three operands of one half precision; F is of floats.
template <class F>
bool run_three_halves(atled_frame* frame, F f) {
  const int dtype = out_tensor(frame)->dtype;
  if (dtype != ATLED_FLOAT16 && dtype != ATLED_BFLOAT16) return false;
  Elementwise e;
  e.output(out_tensor(frame), dtype);
  for (int i = 0; i < 3; ++i) {
    if (!arg_tensor(frame, i) || arg_tensor(frame, i)->dtype != dtype) return false;
    e.operand(frame->args[i], dtype);
  }
  e.run(dtype == ATLED_FLOAT16 ? ATLED_PICK_OF(halves, ternary<Half, F>) : ATLED_PICK_OF(halves, ternary<BFloat16, F>),
        &f);
  return true;
}

template <template <class> class F, bool kIntegers>
void fused(atled_frame* frame) {
  const int dtype = compute_dtype(promoted(frame, 7));
  if (dtype == ATLED_FLOAT32) {
    F<float> f{};
    store_scalar(frame->args[3], dtype, &f.value);
    if (run_three_halves(frame, f)) return;
  }
  Elementwise e;
  e.output(out_tensor(frame), dtype);
  for (int i = 0; i < 3; ++i) e.operand(frame->args[i], dtype);
  with_scale<kIntegers>(frame->args[3], dtype, [&](auto scale) {
    using T = decltype(scale);
    F<T> f{scale};
    e.run(ATLED_PICK(ternary<T, T, T, T, F<T>>), &f);
  });
}

void add_arithmetic() {
  fused_kernel("core::add", kernel<add>);
  fused_kernel("core::sub", kernel<sub>);
  fused_kernel("core::mul", kernel<mul>);
  fused_kernel("core::div", kernel<div>);
  fused_kernel("core::floor_divide", kernel<floor_divide>);
  fused_kernel("core::remainder", kernel<remainder>);
  fused_kernel("core::fmod", kernel<fmod>);
  fused_kernel("core::pow", kernel<pow>);
  fused_kernel("core::float_power", kernel<float_power>);
  cpu_kernel("core::neg", run_same, neg_loops);
  cpu_kernel("core::positive", run_same, positive_loops);
  fused_kernel("core::abs", kernel<abs>);
  cpu_kernel("core::sign", run_same, sign_loops);
  cpu_kernel("core::square", run_same, square_loops);
  cpu_kernel("core::reciprocal", run_float, reciprocal_loops);
  cpu_kernel("core::maximum", run_same, maximum_loops);
  cpu_kernel("core::minimum", run_same, minimum_loops);
  cpu_kernel("core::lerp", run_same, lerp_loops);
  fused_kernel("core::addcmul", kernel<fused<Addcmul, true>>);
  fused_kernel("core::addcdiv", kernel<fused<Addcdiv, false>>);
}
ATLED_KERNELS(add_arithmetic);

}  // namespace

}  // namespace atled::core
