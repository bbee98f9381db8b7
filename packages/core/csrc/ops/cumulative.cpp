// Running extremes and sums of exponentials; the array API's running sums and products, and the areas under lines.
#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"
#include "ops/standard.h"

namespace atled::core {
namespace {

const Op narrow_op{"core::narrow"};
const Op sub_op{"core::sub"};
const Op add_op{"core::add"};
const Op mul_op{"core::mul"};
const Op sum_op{"core::sum"};
const Op cumsum_op{"core::cumsum"};
const Op cat_op{"core::cat"};
const Op reshape_op{"core::reshape"};
const Op ne_op{"core::ne"};
const Op new_full_op{"core::new_full"};

void extreme_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_real(input, "input");
  wrap_dim(arg_int(f, 1), input->dl.ndim);
  for (int i = 0; i < 2; ++i) same_spec(outs[i], input);
  outs[1].dtype = ATLED_INT64;
}

void logcumsumexp_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_real(input, "input");
  wrap_dim(arg_int(f, 1), input->dl.ndim);
  set_spec(outs[0], float_dtype(input->dtype), input->dl.ndim, input->dl.shape);
}

Tensor joined(const Tensor& a, const Tensor& b, int dim) {
  atled_tensor* parts[2] = {a, b};
  return cat_op(tensors_value(parts, 2), dim);
}

// cumsum or cumprod with the sum or product of nothing in front where it is asked for.
template <bool kSum>
void cumulative(atled_frame* f) {
  static const Op run{kSum ? "core::cumsum" : "core::cumprod"};
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected input of at least one dimension, got shape ()");
  if (arg_is_none(f, 1) && input->dl.ndim > 1)
    fail(ATLED_E_ARGUMENT, "expected dim for input of shape %s; only one dimension goes without it",
         shape_text(input).c_str());
  const int dim = arg_is_none(f, 1) ? 0 : wrap_dim(arg_int(f, 1), input->dl.ndim);
  const Tensor sums = run(input, dim, standard_sum_dtype(input->dtype, f->args[2]));
  if (!arg_bool(f, 3)) return set_out(f, 0, sums);
  Layout first(sums);
  first.shape[dim] = 1;
  set_out(f, 0,
          joined(new_full_op(sums, ints_value(first.shape, static_cast<size_t>(first.ndim)), kSum ? 0 : 1), sums, dim));
}

Tensor difference(const Tensor& t, int dim) {
  const int64_t n = t->dl.shape[dim], length = n > 0 ? n - 1 : 0;
  const Tensor later = narrow_op(t, dim, n - length, length), earlier = narrow_op(t, dim, 0, length);
  return t->dtype == ATLED_BOOL ? ne_op(later, earlier) : sub_op(later, earlier);
}

void diff(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected input of at least one dimension, got shape ()");
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t times = arg_int(f, 1);
  if (times < 0) fail(ATLED_E_VALUE, "expected n >= 0, got %lld", (long long)times);
  Tensor t = Tensor::borrow(input);
  if (times > 0 && !arg_is_none(f, 3)) t = joined(Tensor::borrow(arg_tensor(f, 3)), t, dim);
  if (times > 0 && !arg_is_none(f, 4)) t = joined(t, Tensor::borrow(arg_tensor(f, 4)), dim);
  for (int64_t i = 0; i < times && t->dl.shape[dim] > 0; ++i) t = difference(t, dim);
  set_out(f, 0, t);
}

// The areas of the trapezia between neighbours along dim.
struct Trapezia {
  explicit Trapezia(atled_frame* f) {
    const atled_value &x = f->args[1], &step = f->args[2];
    const Tensor y = Tensor::borrow(arg_tensor(f, 0));
    if (y->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected y of at least one dimension, got shape ()");
    if (!is_none(x) && !is_none(step)) fail(ATLED_E_ARGUMENT, "expected x or dx, got both");
    dim = wrap_dim(arg_int(f, 3), y->dl.ndim);
    const int64_t n = y->dl.shape[dim], length = n > 0 ? n - 1 : 0;
    const Tensor twice = add_op(narrow_op(y, dim, n - length, length), narrow_op(y, dim, 0, length));
    if (is_none(x)) {
      areas = mul_op(mul_op(twice, 0.5), is_none(step) ? value(1) : step);
    } else {
      areas = mul_op(mul_op(twice, 0.5), widths(x.u.tensor, y, n));
      dim += areas->dl.ndim - y->dl.ndim;
    }
  }

  // x is one row of places, or has places for each line of y.
  Tensor widths(atled_tensor* x, const Tensor& y, int64_t n) const {
    const int own = x->dl.ndim == 1 ? 0 : dim + x->dl.ndim - y->dl.ndim;
    if (x->dl.ndim == 0 || own < 0 || x->dl.shape[own] != n)
      fail(ATLED_E_SHAPE, "expected x to have %lld places along dim %d of y, got shapes %s and %s", (long long)n, dim,
           shape_text(x).c_str(), shape_text(y).c_str());
    const Tensor steps = difference(Tensor::borrow(x), own);
    if (x->dl.ndim > 1) return steps;
    int64_t shape[ATLED_MAX_NDIM];
    const int ndim = y->dl.ndim - dim;
    for (int d = 0; d < ndim; ++d) shape[d] = d == 0 ? numel(steps) : 1;
    return reshape_op(steps, ints_value(shape, static_cast<size_t>(ndim)));
  }

  int dim;
  Tensor areas;
};

// Evenly spaced, the integral is the sum less half of the two ends.
Tensor even_trapezoid(atled_tensor* y, int64_t dim, const atled_value& step) {
  static const Op select{"core::select"};
  const Tensor total = sum_op(y, ints_value(&dim, 1));
  if (y->dl.shape[dim] == 0) return mul_op(total, 1.0);
  const Tensor ends = add_op(select(y, dim, 0), select(y, dim, -1));
  const Tensor areas = sub_op(total, mul_op(ends, 0.5));
  return is_none(step) ? areas : mul_op(areas, step);
}

void trapezoid(atled_frame* f) {
  atled_tensor* y = arg_tensor(f, 0);
  if (arg_is_none(f, 1) && y->dl.ndim > 0)
    return set_out(f, 0, even_trapezoid(y, wrap_dim(arg_int(f, 3), y->dl.ndim), f->args[2]));
  const Trapezia t(f);
  const int64_t dim = t.dim;
  set_out(f, 0, sum_op(t.areas, ints_value(&dim, 1)));
}
void cumulative_trapezoid(atled_frame* f) {
  const Trapezia t(f);
  set_out(f, 0, cumsum_op(t.areas, t.dim));
}

void define_cumulative() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE, function = ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION;
  define(
      {"cummax(Tensor input, int dim) -> (Tensor values, Tensor indices)",
       "The largest element along dim up to each, and where it is, the last of several; NaN from the first one on.\n\n"
       ">>> at.tensor([1, 3, 2]).cummax(0).values\n"
       "tensor([1, 3, 3])",
       shape<extreme_rule>});
  define(
      {"cummin(Tensor input, int dim) -> (Tensor values, Tensor indices)",
       "The smallest element along dim up to each, and where it is, the last of several; NaN from the first one on.\n\n"
       ">>> at.tensor([3, 1, 2]).cummin(0).indices\n"
       "tensor([0, 1, 1])",
       shape<extreme_rule>});
  define({"logcumsumexp(Tensor input, int dim) -> Tensor",
          "log(cumsum(exp(input))) along dim, without overflow.\n\n"
          ">>> at.tensor([0.0, 0.0, 0.0]).logcumsumexp(0)\n"
          "tensor([0.0000, 0.6931, 1.0986])",
          shape<logcumsumexp_rule>});
  define(
      {"cumulative_sum(Tensor input, *, int? dim=None, dtype? dtype=None, bool include_initial=False) -> Tensor",
       "The sums along dim up to each element, as the array API has it; include_initial puts 0 in front.\n\n"
       "dim may be left out for one dimension, else ArgumentError; ShapeError for a 0-d input. dtype: the result's.\n\n"
       ">>> at.cumulative_sum(at.tensor([1, 2, 3]), include_initial=True)\n"
       "tensor([0, 1, 3, 6])",
       nullptr, function});
  define({"cumulative_prod(Tensor input, *, int? dim=None, dtype? dtype=None, bool include_initial=False) -> Tensor",
          "The products along dim up to each element, as the array API has it; include_initial puts 1 in front.\n\n"
          "dim and dtype: as in cumulative_sum.\n\n"
          ">>> at.cumulative_prod(at.tensor([2, 3, 4]))\n"
          "tensor([ 2,  6, 24])",
          nullptr, function});
  define({"diff(Tensor input, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor",
          "Each element less the one before it along dim, n times over; of bool, whether the two differ.\n\n"
          "prepend and append: joined to input first. ShapeError for a 0-d input, InvalidValueError for n below 0.\n\n"
          ">>> at.tensor([1, 4, 9]).diff()\n"
          "tensor([3, 5])\n"
          ">>> at.tensor([1, 4, 9]).diff(prepend=at.tensor([0]))\n"
          "tensor([1, 3, 5])",
          nullptr, composite});
  define({"trapezoid(Tensor y, Tensor? x=None, *, Scalar? dx=None, int dim=-1) -> Tensor",
          "The integral along dim by the trapezoidal rule: the sum of (y[i] + y[i + 1]) / 2 * (x[i + 1] - x[i]).\n\n"
          "x: where y was sampled, one row or y's shape; dx: the distance between samples otherwise, 1 by default. "
          "ArgumentError with both, ShapeError where x has another length.\n\n"
          ">>> at.trapezoid(at.tensor([1.0, 2.0, 3.0]), at.tensor([0.0, 1.0, 3.0]))\n"
          "tensor(6.5000)",
          nullptr, function});
  alias("core::trapezoid", "core::trapz");
  define({"cumulative_trapezoid(Tensor y, Tensor? x=None, *, Scalar? dx=None, int dim=-1) -> Tensor",
          "The integral along dim from the first sample to each later one, by the trapezoidal rule.\n\n"
          "x and dx: as in trapezoid. Returns one element less than y has along dim.\n\n"
          ">>> at.cumulative_trapezoid(at.tensor([1.0, 2.0, 3.0]))\n"
          "tensor([1.5000, 4.0000])",
          nullptr, function});
}
ATLED_OPS(define_cumulative);

void add_cumulative() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::cumulative_sum", kernel<cumulative<true>>);
  any("core::cumulative_prod", kernel<cumulative<false>>);
  any("core::diff", kernel<diff>);
  any("core::trapezoid", kernel<trapezoid>);
  any("core::cumulative_trapezoid", kernel<cumulative_trapezoid>);
}
ATLED_KERNELS(add_cumulative);

}  // namespace
}  // namespace atled::core
