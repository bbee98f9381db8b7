// Medians, modes and quantiles: what stands at given ranks of the sorted elements, found without sorting.
#include <string>

#include "dispatch/register.h"
#include "ops/rules.h"
#include "ops/settled.h"

namespace atled::core {
namespace {

const Op ranked_op{"core::ranked"};
const Op isnan_op{"core::isnan"};
const Op logical_not_op{"core::logical_not"};
const Op sum_op{"core::sum"};
const Op sub_op{"core::sub"};
const Op add_op{"core::add"};
const Op mul_op{"core::mul"};
const Op eq_op{"core::eq"};
const Op clamp_op{"core::clamp"};
const Op floor_op{"core::floor"};
const Op ceil_op{"core::ceil"};
const Op round_op{"core::round"};
const Op where_op{"core::where"};
const Op stack_op{"core::stack"};
const Op select_op{"core::select"};
const Op reshape_op{"core::reshape"};
const Op squeeze_op{"core::squeeze"};
const Op unsqueeze_op{"core::unsqueeze"};
const Op movedim_op{"core::movedim"};
const Op full_op{"core::full"};
const Op floor_divide_op{"core::floor_divide"};
const Op to_op{"core::to"};
const Op contiguous_op{"core::contiguous"};

void expect_order(const atled_tensor* t) {
  if (is_complex(t->dtype)) fail(ATLED_E_DTYPE, "expected real numbers, got complex ones, which have no order");
}

int64_t length_of(const atled_tensor* t, int dim) { return t->dl.ndim ? t->dl.shape[dim] : 1; }

void expect_elements(const atled_tensor* t, int64_t n) {
  if (n == 0) fail(ATLED_E_SHAPE, "expected at least one element to choose from, got shape %s", shape_text(t).c_str());
}

// ranks: a row of them for all lines, or one for each line of input.
void ranked_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *ranks = arg_tensor(f, 1);
  expect_order(input);
  bool fits = input->dl.ndim > 0 && ranks->dtype == ATLED_INT64 && ranks->dl.ndim > 0 &&
              (ranks->dl.ndim == 1 || ranks->dl.ndim == input->dl.ndim);
  for (int d = 0; fits && ranks->dl.ndim > 1 && d + 1 < input->dl.ndim; ++d)
    fits = ranks->dl.shape[d] == input->dl.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected ranks of int64 for the lines of input, got shapes %s and %s",
         shape_text(ranks).c_str(), shape_text(input).c_str());
  if (input->dl.shape[input->dl.ndim - 1] == 0 && numel(ranks) > 0)
    fail(ATLED_E_BOUNDS, "expected no ranks in lines without elements, got shape %s", shape_text(ranks).c_str());
  for (int i = 0; i < 2; ++i) {
    same_spec(outs[i], input);
    outs[i].shape[input->dl.ndim - 1] = ranks->dl.shape[ranks->dl.ndim - 1];
  }
  outs[1].dtype = ATLED_INT64;
}

void mode_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_order(input);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  expect_elements(input, length_of(input, dim));
  const DimSet over = input->dl.ndim ? DimSet{1} << dim : 0;
  reduced(input, over, arg_bool(f, 2), input->dtype, outs[0]);
  reduced(input, over, arg_bool(f, 2), ATLED_INT64, outs[1]);
}

// input with a dimension, or all of them, as the last.
Tensor lines(atled_tensor* input, const atled_value& dim) {
  const int64_t all = -1;
  if (is_none(dim) || input->dl.ndim == 0) return reshape_op(input, ints_value(&all, 1));
  const int64_t from = wrap_dim(as_int(dim), input->dl.ndim);
  return from == input->dl.ndim - 1 ? Tensor::borrow(input)
                                    : movedim_op(input, ints_value(&from, 1), ints_value(&all, 1));
}

// What was found for each line, in a last dimension of one element, where a reduction over dim has it.
Tensor settled(const Tensor& found, const atled_tensor* input, const atled_value& dim, bool keepdim) {
  if (is_none(dim) || input->dl.ndim == 0) {
    int64_t ones[ATLED_MAX_NDIM];
    const int ndim = keepdim ? input->dl.ndim : 0;
    for (int d = 0; d < ndim; ++d) ones[d] = 1;
    return reshape_op(found, ints_value(ones, static_cast<size_t>(ndim)));
  }
  const int64_t to = wrap_dim(as_int(dim), input->dl.ndim), last = -1;
  if (!keepdim) return squeeze_op(found, ints_value(&last, 1));
  return to == input->dl.ndim - 1 ? found : movedim_op(found, ints_value(&last, 1), ints_value(&to, 1));
}

struct Found {
  Tensor values, indices;
};
Found ranked(const Tensor& rows, const Tensor& ranks, bool propagate_nan) {
  atled_value outs[2] = {none(), none()};
  ranked_op.run(0, outs, {value(rows), value(ranks), value(propagate_nan)});
  return {Tensor::steal(outs[0].u.tensor), Tensor::steal(outs[1].u.tensor)};
}

Tensor one_rank(int64_t rank, const atled_tensor* like) {
  const int64_t one = 1;
  return full_op(ints_value(&one, 1), rank, dtype_value(ATLED_INT64), device_value(like->dl.device));
}

// How many elements of each line are not NaN, in a last dimension of one element.
Tensor numbers_in(const Tensor& rows) {
  const int64_t last = -1;
  return sum_op(logical_not_op(isnan_op(rows)), ints_value(&last, 1), true);
}

void give(atled_frame* f, const Found& found, bool keepdim) {
  const atled_tensor* input = arg_tensor(f, 0);
  // dim stands before keepdim in all of these.
  const atled_value& dim = f->args[f->op->nargs - 2];
  set_out(f, 0, settled(found.values, input, dim, keepdim));
  set_out(f, 1, settled(found.indices, input, dim, keepdim));
}

template <bool kIgnoreNan>
void median(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  expect_order(input);
  wrap_dim(arg_int(f, 1), input->dl.ndim);
  const Tensor rows = lines(input, f->args[1]);
  const int64_t n = rows->dl.shape[rows->dl.ndim - 1];
  expect_elements(input, n);
  if (!kIgnoreNan || !is_floating(input->dtype))
    return give(f, ranked(rows, one_rank((n - 1) / 2, rows), true), arg_bool(f, 2));
  // Of NaNs alone, the first.
  const Tensor ranks = clamp_op(floor_divide_op(sub_op(numbers_in(rows), 1), 2), 0);
  give(f, ranked(rows, ranks, false), arg_bool(f, 2));
}

enum Between { kLinear, kLower, kHigher, kMidpoint, kNearest };

Between between(const atled_value& v) {
  const std::string text(v.u.str, v.n);
  const char* names[] = {"linear", "lower", "higher", "midpoint", "nearest"};
  for (int i = 0; i < 5; ++i)
    if (text == names[i]) return static_cast<Between>(i);
  fail(ATLED_E_VALUE,
       "expected interpolation \"linear\", \"lower\", \"higher\", \"midpoint\" or \"nearest\", got \"%s\"",
       text.c_str());
}

void expect_probability(double q) {
  if (!(q >= 0 && q <= 1)) fail(ATLED_E_VALUE, "expected q in [0, 1], got %g", q);
}

// The probabilities in a row, in a dtype that ranks can be computed in.
Tensor probabilities(const atled_value& q, const atled_tensor* input) {
  const int64_t row = -1;
  if (q.tag != ATLED_TENSOR) {
    if (q.tag == ATLED_COMPLEX_VALUE) fail(ATLED_E_VALUE, "expected q to be real, got a complex number");
    expect_probability(as_double(q));
    return full_op(ints_value(nullptr, 0), as_double(q), dtype_value(ATLED_FLOAT64), device_value(input->dl.device));
  }
  atled_tensor* t = q.u.tensor;
  expect_order(t);
  if (t->dl.ndim > 1)
    fail(ATLED_E_SHAPE, "expected q to be a number or a tensor of at most one dimension, got shape %s",
         shape_text(t).c_str());
  if (t->dl.device.device_type == kDLCPU && !(t->keys & ATLED_KEY_OPAQUE)) {
    // Elsewhere looking would mean waiting, and inside vmap there are many; there q is clamped.
    const Tensor numbers = contiguous_op(to_op(t, dtype_value(ATLED_FLOAT64)));
    const double* q_of = settled_data<double>(numbers);
    for (int64_t i = 0; i < numel(numbers); ++i) expect_probability(q_of[i]);
  }
  const bool exact = t->dtype == ATLED_FLOAT32 || t->dtype == ATLED_FLOAT64;
  const Tensor row_of = t->dl.ndim == 1 ? Tensor::borrow(t) : reshape_op(t, ints_value(&row, 1));
  return exact ? row_of : to_op(row_of, dtype_value(is_floating(t->dtype) ? ATLED_FLOAT32 : ATLED_FLOAT64));
}

// (..., m) at the m probabilities; weights and ranks are per line where NaNs are left out.
Tensor quantiles(const Tensor& rows, const Tensor& q, Between how, bool ignore_nan) {
  const int64_t m = numel(q), n = rows->dl.shape[rows->dl.ndim - 1];
  Tensor places =
      ignore_nan ? mul_op(q, clamp_op(sub_op(numbers_in(rows), 1), 0)) : mul_op(q, static_cast<double>(n - 1));
  if (how == kNearest) places = round_op(places);
  if (how == kHigher) places = ceil_op(places);
  const Tensor below = floor_op(places);
  const Tensor low = clamp_op(to_op(below, dtype_value(ATLED_INT64)), 0, n - 1);
  if (how == kNearest || how == kHigher || how == kLower) return ranked(rows, low, !ignore_nan).values;
  const Tensor high = clamp_op(to_op(ceil_op(places), dtype_value(ATLED_INT64)), 0, n - 1);
  // Side by side, since neighbours are found together.
  atled_tensor* pair[2] = {low, high};
  Tensor ranks = stack_op(tensors_value(pair, 2), -1);
  int64_t shape[ATLED_MAX_NDIM + 1];
  const int lead = ranks->dl.ndim - 2;
  for (int d = 0; d < lead; ++d) shape[d] = ranks->dl.shape[d];
  shape[lead] = 2 * m;
  ranks = reshape_op(ranks, ints_value(shape, static_cast<size_t>(lead + 1)));
  Tensor values = ranked(rows, ranks, !ignore_nan).values;
  for (int d = 0; d + 1 < rows->dl.ndim; ++d) shape[d] = rows->dl.shape[d];
  shape[rows->dl.ndim - 1] = m;
  shape[rows->dl.ndim] = 2;
  values = reshape_op(values, ints_value(shape, static_cast<size_t>(rows->dl.ndim + 1)));
  const Tensor left = select_op(values, -1, 0), right = select_op(values, -1, 1);
  // Between equal infinities there is no distance.
  const Tensor distance = where_op(eq_op(left, right), 0, sub_op(right, left));
  if (how == kMidpoint) return add_op(left, mul_op(distance, 0.5));
  return add_op(left, mul_op(distance, to_op(sub_op(places, below), dtype_value(rows->dtype))));
}

template <bool kIgnoreNan>
void quantile(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& dim = f->args[2];
  const Between how = between(f->args[4]);
  expect_order(input);
  expect_floating(input, "input");
  if (!is_none(dim)) wrap_dim(as_int(dim), input->dl.ndim);
  const Tensor rows = lines(input, dim);
  expect_elements(input, rows->dl.shape[rows->dl.ndim - 1]);
  const Tensor q = probabilities(f->args[1], input);
  const bool several = f->args[1].tag == ATLED_TENSOR && f->args[1].u.tensor->dl.ndim == 1;
  const Tensor row = q->dl.ndim == 1 ? q : unsqueeze_op(q, 0);
  const Tensor found = quantiles(rows, row, how, kIgnoreNan);
  if (!several) return set_out(f, 0, settled(found, input, dim, arg_bool(f, 3)));
  // The probabilities come first.
  const int64_t last = -1, first = 0;
  const Tensor moved = movedim_op(unsqueeze_op(found, -2), ints_value(&last, 1), ints_value(&first, 1));
  if (is_none(dim) || input->dl.ndim == 0) {
    int64_t shape[ATLED_MAX_NDIM + 1] = {numel(row)};
    const int ndim = arg_bool(f, 3) ? input->dl.ndim : 0;
    for (int d = 0; d < ndim; ++d) shape[d + 1] = 1;
    return set_out(f, 0, reshape_op(moved, ints_value(shape, static_cast<size_t>(ndim + 1))));
  }
  if (!arg_bool(f, 3)) return set_out(f, 0, squeeze_op(moved, ints_value(&last, 1)));
  const int64_t to = wrap_dim(as_int(dim), input->dl.ndim) + 1;
  set_out(f, 0, movedim_op(moved, ints_value(&last, 1), ints_value(&to, 1)));
}

void define_order_statistics() {
  constexpr uint32_t hidden = ATLED_OP_COMPOSITE | ATLED_OP_PRIVATE;
  define({"ranked(Tensor input, Tensor ranks, bool propagate_nan) -> (Tensor values, Tensor indices)",
          "What stands at ranks (from 0) of each line of the last dimension in stable order, and where it is in the "
          "line; with propagate_nan, the first NaN of lines that have one.",
          shape<ranked_rule>, ATLED_OP_PRIVATE});
  define({"median_dim(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
          "The median along dim (of an even number, the lower of the middle two) and where it is; NaN if there is one.",
          nullptr, hidden});
  define({"nanmedian_dim(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
          "The median along dim of what is not NaN, and where it is.", nullptr, hidden});
  define({"mode(Tensor input, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
          "The most frequent element along dim, the smallest of several, and where it occurs last.\n\n"
          "input: real. NaNs count as different.\n\n"
          ">>> at.tensor([3, 1, 3, 1, 2]).mode()\n"
          "atled.core.mode_result(values=tensor(1), indices=tensor(3))",
          shape<mode_rule>});
  define(
      {"quantile(Tensor input, Tensor|Scalar q, int? dim=None, bool keepdim=False, *, str "
       "interpolation=\"linear\") -> Tensor",
       "What the given part of the elements along dim, or of all, is not above; NaN if there is one.\n\n"
       "input: floating and real, not empty; q: in [0, 1] (a tensor on another device than the CPU is not looked at, "
       "but taken as the nearer end), a number or a vector, which then becomes the first dimension of the result; "
       "interpolation, where q falls between two elements: \"linear\", \"lower\", \"higher\", \"midpoint\" or "
       "\"nearest\".\n\n"
       ">>> at.tensor([1.0, 2.0, 4.0]).quantile(at.tensor([0.5, 0.75]))\ntensor([2., 3.])\n"
       ">>> at.tensor([1.0, 2.0, 4.0]).quantile(0.75, interpolation=\"higher\")\ntensor(4.)",
       nullptr, ATLED_OP_COMPOSITE});
  define(
      {"nanquantile(Tensor input, Tensor|Scalar q, int? dim=None, bool keepdim=False, *, str "
       "interpolation=\"linear\") -> Tensor",
       "quantile of what is not NaN; of NaNs alone, NaN.\n\n"
       ">>> at.tensor([1.0, float(\"nan\"), 2.0, 4.0]).nanquantile(0.75)\ntensor(3.)",
       nullptr, ATLED_OP_COMPOSITE});
}
ATLED_OPS(define_order_statistics);

void add_order_statistics() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::median_dim", kernel<median<false>>);
  any("core::nanmedian_dim", kernel<median<true>>);
  any("core::quantile", kernel<quantile<false>>);
  any("core::nanquantile", kernel<quantile<true>>);
}
ATLED_KERNELS(add_order_statistics);

}  // namespace
}  // namespace atled::core
