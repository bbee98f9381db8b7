// Tensors made from sizes and numbers.
#include <cmath>

#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

constexpr uint32_t kFactory = ATLED_OP_FACTORY | ATLED_OP_FUNCTION;
constexpr uint32_t kFilled = kFactory | ATLED_OP_FLOAT8;

int dtype_or(const atled_frame* f, int i, int fallback) {
  return f->args[i].tag == ATLED_DTYPE ? static_cast<int>(f->args[i].u.i) : fallback;
}

void set_size(atled_spec& spec, int dtype, const atled_value& size) {
  if (size.n > ATLED_MAX_NDIM) fail(ATLED_E_SHAPE, "expected at most %d dimensions, got %u", ATLED_MAX_NDIM, size.n);
  for (uint32_t i = 0; i < size.n; ++i)
    if (size.u.ints[i] < 0)
      fail(ATLED_E_SHAPE, "expected sizes >= 0, got %s", shape_text(static_cast<int>(size.n), size.u.ints).c_str());
  set_spec(spec, dtype, static_cast<int>(size.n), size.u.ints);
}

// (size, *, dtype, device)
void size_rule(const atled_frame* f, atled_spec* outs) {
  set_size(outs[0], dtype_or(f, 1, default_dtype()), f->args[0]);
}
// (size, fill_value, *, dtype, device)
void full_rule(const atled_frame* f, atled_spec* outs) {
  set_size(outs[0], dtype_or(f, 2, scalar_dtype(f->args[1])), f->args[0]);
}
// (input, *, dtype, device)
void like_input_rule(const atled_frame* f, atled_spec* outs) {
  like(arg_tensor(f, 0), outs[0]);
  outs[0].dtype = dtype_or(f, 1, arg_tensor(f, 0)->dtype);
}
// (input, fill_value, *, dtype, device)
void full_like_rule(const atled_frame* f, atled_spec* outs) {
  like(arg_tensor(f, 0), outs[0]);
  outs[0].dtype = dtype_or(f, 2, arg_tensor(f, 0)->dtype);
}
// (input, size, *, dtype, device)
void new_rule(const atled_frame* f, atled_spec* outs) {
  set_size(outs[0], dtype_or(f, 2, arg_tensor(f, 0)->dtype), f->args[1]);
}
// (input, size, fill_value, *, dtype, device)
void new_full_rule(const atled_frame* f, atled_spec* outs) {
  set_size(outs[0], dtype_or(f, 3, arg_tensor(f, 0)->dtype), f->args[1]);
}

void scalar_rule(const atled_frame* f, atled_spec* outs) {
  const bool complex = f->args[0].tag == ATLED_COMPLEX_VALUE;
  set_spec(outs[0], dtype_or(f, 1, complex ? default_complex() : default_dtype()), {});
  if (complex && !is_complex(outs[0].dtype))
    fail(ATLED_E_DTYPE, "expected a real number for %s, got a complex one", dtype_name(outs[0].dtype));
}

void empty_strided_rule(const atled_frame* f, atled_spec* outs) {
  const atled_value &size = f->args[0], &stride = f->args[1];
  if (size.n != stride.n)
    fail(ATLED_E_SHAPE, "expected size and stride of one length, got %u and %u", size.n, stride.n);
  set_size(outs[0], dtype_or(f, 2, default_dtype()), size);
  outs[0].has_strides = 1;
  for (uint32_t i = 0; i < stride.n; ++i) {
    if (stride.u.ints[i] < 0) fail(ATLED_E_VALUE, "expected strides >= 0, got %lld", (long long)stride.u.ints[i]);
    outs[0].strides[i] = stride.u.ints[i];
  }
}

bool all_integers(const atled_frame* f, int n) {
  for (int i = 0; i < n; ++i)
    if (f->args[i].tag == ATLED_FLOAT_VALUE || f->args[i].tag == ATLED_COMPLEX_VALUE) return false;
  return true;
}

void expect_real_numbers(const atled_frame* f, int n) {
  for (int i = 0; i < n; ++i) {
    if (f->args[i].tag == ATLED_COMPLEX_VALUE)
      fail(ATLED_E_DTYPE, "expected %s to be a real number, got a complex one", f->op->args[i].name);
    if (f->args[i].tag == ATLED_FLOAT_VALUE && !std::isfinite(f->args[i].u.f))
      fail(ATLED_E_VALUE, "expected %s to be finite, got %g", f->op->args[i].name, f->args[i].u.f);
  }
}

void arange_rule(const atled_frame* f, atled_spec* outs) {
  expect_real_numbers(f, 3);
  const bool one = arg_is_none(f, 1);
  const atled_value zero = value(0), &start = one ? zero : f->args[0], &end = one ? f->args[0] : f->args[1];
  const atled_value& step = f->args[2];
  int64_t n = 0;
  if (as_double(step) == 0) fail(ATLED_E_VALUE, "expected a step other than 0");
  if (all_integers(f, 3)) {
    const int64_t a = start.u.i, b = end.u.i, s = step.u.i;
    // Unsigned, so that distances beyond 2^63 stay right.
    const uint64_t distance = s > 0 ? (b > a ? static_cast<uint64_t>(b) - static_cast<uint64_t>(a) : 0)
                                    : (a > b ? static_cast<uint64_t>(a) - static_cast<uint64_t>(b) : 0);
    const uint64_t width = s > 0 ? static_cast<uint64_t>(s) : 0 - static_cast<uint64_t>(s);
    n = static_cast<int64_t>(distance / width + (distance % width != 0));
    if (n < 0) fail(ATLED_E_VALUE, "expected fewer than 2^63 elements");
  } else {
    const double count = std::ceil((as_double(end) - as_double(start)) / as_double(step));
    if (count >= 9e18) fail(ATLED_E_VALUE, "expected fewer than 2^63 elements, got %g", count);
    n = count > 0 ? static_cast<int64_t>(count) : 0;
  }
  set_spec(outs[0], dtype_or(f, 3, all_integers(f, 3) ? static_cast<int>(ATLED_INT64) : default_dtype()), {n});
}

void linspace_rule(const atled_frame* f, atled_spec* outs) {
  const bool complex = f->args[0].tag == ATLED_COMPLEX_VALUE || f->args[1].tag == ATLED_COMPLEX_VALUE;
  const int64_t steps = arg_int(f, 2);
  if (steps < 0) fail(ATLED_E_VALUE, "expected steps >= 0, got %lld", (long long)steps);
  const int dtype_arg = 3;
  set_spec(outs[0], dtype_or(f, dtype_arg, complex ? default_complex() : default_dtype()), {steps});
  if (complex && !is_complex(outs[0].dtype))
    fail(ATLED_E_DTYPE, "expected a complex dtype for complex bounds, got %s", dtype_name(outs[0].dtype));
}

void logspace_rule(const atled_frame* f, atled_spec* outs) {
  const int64_t steps = arg_int(f, 2);
  if (steps < 0) fail(ATLED_E_VALUE, "expected steps >= 0, got %lld", (long long)steps);
  expect_real_numbers(f, 2);
  set_spec(outs[0], dtype_or(f, 4, default_dtype()), {steps});
}

void eye_rule(const atled_frame* f, atled_spec* outs) {
  const int64_t n = arg_int(f, 0), m = arg_is_none(f, 1) ? n : arg_int(f, 1);
  if (n < 0 || m < 0) fail(ATLED_E_SHAPE, "expected sizes >= 0, got %lld and %lld", (long long)n, (long long)m);
  set_spec(outs[0], dtype_or(f, 3, default_dtype()), {n, m});
}

void matrix_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim < 2)
    fail(ATLED_E_SHAPE, "expected at least 2 dimensions, got shape %s", shape_text(input).c_str());
  same_spec(outs[0], input);
}

void define_filled() {
  define(
      {"empty(int[*] size, *, dtype? dtype=None, device? device=None) -> Tensor",
       "A tensor of the given size whose elements are whatever was in memory.\n\n"
       "size: loose integers, a tuple or a list; ShapeError for one below 0. dtype: the default float unless given.\n\n"
       ">>> at.empty(2, 3).shape\n"
       "(2, 3)",
       shape<size_rule>, kFilled});
  define({"zeros(int[*] size, *, dtype? dtype=None, device? device=None) -> Tensor",
          "Zeros of the given size.\n\n"
          "size and dtype: as in empty.\n\n"
          ">>> at.zeros(2)\n"
          "tensor([0., 0.])",
          shape<size_rule>, kFilled});
  define({"ones(int[*] size, *, dtype? dtype=None, device? device=None) -> Tensor",
          "Ones of the given size.\n\n"
          "size and dtype: as in empty.\n\n"
          ">>> at.ones(2, dtype=at.int64)\n"
          "tensor([1, 1])",
          shape<size_rule>, kFilled});
  define({"full(int[] size, Scalar fill_value, *, dtype? dtype=None, device? device=None) -> Tensor",
          "One number everywhere.\n\n"
          "size: a tuple or a list. dtype: the number's unless given (int64, the default float, bool or complex); the "
          "number is converted to it, floats to integers towards zero. InvalidValueError for an integer that it does "
          "not have.\n\n"
          ">>> at.full((2,), 7)\n"
          "tensor([7, 7])",
          shape<full_rule>, kFilled});
  define({"empty_like(Tensor input, *, dtype? dtype=None, device? device=None) -> Tensor",
          "A tensor of input's shape, dtype and device whose elements are whatever was in memory.\n\n"
          "The order of input's dimensions in memory is kept.\n\n"
          ">>> at.empty_like(at.tensor([1, 2])).shape\n"
          "(2,)",
          shape<like_input_rule>, kFilled});
  define({"zeros_like(Tensor input, *, dtype? dtype=None, device? device=None) -> Tensor",
          "Zeros of input's shape, dtype and device unless given.\n\n"
          ">>> at.zeros_like(at.tensor([1, 2]))\n"
          "tensor([0, 0])",
          shape<like_input_rule>, kFilled});
  define({"ones_like(Tensor input, *, dtype? dtype=None, device? device=None) -> Tensor",
          "Ones of input's shape, dtype and device unless given.\n\n"
          ">>> at.ones_like(at.tensor([5, 6]), dtype=at.float32)\n"
          "tensor([1., 1.])",
          shape<like_input_rule>, kFilled});
  define({"full_like(Tensor input, Scalar fill_value, *, dtype? dtype=None, device? device=None) -> Tensor",
          "One number everywhere, in input's shape, dtype and device unless given.\n\n"
          "The number is converted to the dtype, floats to integers towards zero.\n\n"
          ">>> at.full_like(at.tensor([1, 2]), 7)\n"
          "tensor([7, 7])",
          shape<full_like_rule>, kFilled});
  define({"new_empty(Tensor input, int[*] size, *, dtype? dtype=None, device? device=None) -> Tensor",
          "A tensor of the given size whose elements are whatever was in memory, of input's dtype and device unless "
          "given.\n\n"
          ">>> at.tensor([1, 2]).new_empty(2, 3).dtype\n"
          "atled.int64",
          shape<new_rule>, ATLED_OP_FACTORY | ATLED_OP_FLOAT8});
  define({"new_zeros(Tensor input, int[*] size, *, dtype? dtype=None, device? device=None) -> Tensor",
          "Zeros of the given size, of input's dtype and device unless given.\n\n"
          ">>> at.tensor([1, 2]).new_zeros(3)\n"
          "tensor([0, 0, 0])",
          shape<new_rule>, ATLED_OP_FACTORY | ATLED_OP_FLOAT8});
  define({"new_ones(Tensor input, int[*] size, *, dtype? dtype=None, device? device=None) -> Tensor",
          "Ones of the given size, of input's dtype and device unless given.\n\n"
          ">>> at.tensor([1, 2]).new_ones(3)\n"
          "tensor([1, 1, 1])",
          shape<new_rule>, ATLED_OP_FACTORY | ATLED_OP_FLOAT8});
  define({"new_full(Tensor input, int[] size, Scalar fill_value, *, dtype? dtype=None, device? device=None) -> Tensor",
          "One number everywhere in the given size, of input's dtype and device unless given.\n\n"
          ">>> at.tensor([1, 2]).new_full((3,), 9)\n"
          "tensor([9, 9, 9])",
          shape<new_full_rule>, ATLED_OP_FACTORY | ATLED_OP_FLOAT8});
  define({"scalar_tensor(Scalar s, *, dtype? dtype=None, device? device=None) -> Tensor",
          "A 0-d tensor of one number; dtype is the default float (complex for a complex number) unless given.\n\n>>> "
          "at.scalar_tensor(2.5)\ntensor(2.5000)",
          shape<scalar_rule>, kFilled});
  define({"empty_strided(int[] size, int[] stride, *, dtype? dtype=None, device? device=None) -> Tensor",
          "A tensor of the given size and strides (in elements) whose elements are whatever was in memory.\n\n"
          "A stride for each size, else ShapeError, and none below 0, else InvalidValueError; with a stride of 0 "
          "elements share memory.\n\n"
          ">>> at.empty_strided((2, 3), (1, 2)).stride()\n"
          "(1, 2)",
          shape<empty_strided_rule>, kFilled});
}

void define_ranges() {
  define(
      {"arange(Scalar start=0, Scalar? end=None, Scalar step=1, *, dtype? dtype=None, device? device=None) -> Tensor",
       "Numbers from start up to but not including end, step apart; arange(end) starts at 0.\n\n"
       "dtype: int64 for integers, else the default float, unless given. Shape (ceil((end - start) / step),), (0,) "
       "where step leads away from end. InvalidValueError for a step of 0.\n\n"
       ">>> at.arange(1, 4)\n"
       "tensor([1, 2, 3])\n"
       ">>> at.arange(1, 0, -0.5)\n"
       "tensor([1.0000, 0.5000])",
       shape<arange_rule>, kFactory});
  define({"range(Scalar start=0, Scalar? end=None, Scalar step=1, *, dtype? dtype=None, device? device=None) -> Tensor",
          "Numbers from start to end, which belongs to them, step apart; range(end) starts at 0.\n\n"
          "dtype: the default float unless given. InvalidValueError unless step leads from start to end.\n\n"
          ">>> at.range(1, 2, 0.5)\n"
          "tensor([1.0000, 1.5000, 2.0000])",
          nullptr, kFactory | ATLED_OP_COMPOSITE});
  define(
      {"linspace(Scalar start, Scalar end, int steps, *, dtype? dtype=None, device? device=None, bool endpoint=True) "
       "-> Tensor",
       "`steps` numbers spaced evenly from start to end; end itself only with endpoint.\n\n"
       "dtype: the default float unless given; integers round towards zero. Shape (steps,); InvalidValueError for "
       "steps below 0.\n\n"
       ">>> at.linspace(0, 1, 3)\n"
       "tensor([0.0000, 0.5000, 1.0000])",
       shape<linspace_rule>, kFactory});
  define(
      {"logspace(Scalar start, Scalar end, int steps, float base=10.0, *, dtype? dtype=None, device? device=None) -> "
       "Tensor",
       "base to the power of `steps` numbers spaced evenly from start to end, both included.\n\n"
       "dtype: the default float unless given. Shape (steps,); InvalidValueError for steps below 0.\n\n"
       ">>> at.logspace(0, 2, 3)\n"
       "tensor([  1.,  10., 100.])",
       shape<logspace_rule>, kFactory});
  define({"eye(int n, int? m=None, *, int k=0, dtype? dtype=None, device? device=None) -> Tensor",
          "Ones on the k-th diagonal of an n x m matrix, zeros elsewhere.\n\n"
          "m: n unless given. k: above the main diagonal, or below where negative. dtype: the default float unless "
          "given.\n\n"
          ">>> at.eye(2, 3, k=1)\n"
          "tensor([[0., 1., 0.],\n"
          "        [0., 0., 1.]])",
          shape<eye_rule>, kFactory});
  define({"tril(Tensor input, int diagonal=0) -> Tensor",
          "The lower triangle of each matrix, up to the given diagonal; zeros elsewhere.\n\n"
          "input (*, m, n), else ShapeError. diagonal: above the main one, or below where negative.\n\n"
          ">>> at.ones(2, 2).tril()\n"
          "tensor([[1., 0.],\n"
          "        [1., 1.]])",
          shape<matrix_rule>, ATLED_OP_INPLACE});
  define({"triu(Tensor input, int diagonal=0) -> Tensor",
          "The upper triangle of each matrix, from the given diagonal on; zeros elsewhere.\n\n"
          "input and diagonal: as in tril.\n\n"
          ">>> at.ones(2, 2).triu(1)\n"
          "tensor([[0., 1.],\n"
          "        [0., 0.]])",
          shape<matrix_rule>, ATLED_OP_INPLACE});
}

void define_creation() {
  define_filled();
  define_ranges();
}

ATLED_OPS(define_creation);

// arange with its end, by way of the numbers' places.
void range(atled_frame* f) {
  static const Op arange{"core::arange"}, mul{"core::mul"}, add{"core::add"}, to{"core::to"};
  const bool one = arg_is_none(f, 1);
  const atled_value start = one ? value(0) : f->args[0], end = one ? f->args[0] : f->args[1], step = f->args[2];
  const int dtype = f->args[3].tag == ATLED_DTYPE ? static_cast<int>(f->args[3].u.i) : default_dtype();
  const double from = as_double(start), last = as_double(end), by = as_double(step);
  const double count = std::floor((last - from) / by) + 1;
  if (by == 0 || !(count >= 1) || !(count < 0x1p53))
    fail(ATLED_E_VALUE, "expected a step that leads from start to end, got %g from %g to %g", by, from, last);
  const Tensor places = arange(0, static_cast<int64_t>(count), 1, dtype_value(ATLED_FLOAT64), f->args[4]);
  set_out(f, 0, to(add(mul(places, by), from), dtype_value(dtype)));
}

void add_creation() { add_kernel("core::range", ATLED_DEVICE_ANY, kernel<range>); }

ATLED_KERNELS(add_creation);

}  // namespace
}  // namespace atled::core
