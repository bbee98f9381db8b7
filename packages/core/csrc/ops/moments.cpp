// Sums and means without NaN, moments in pairs, and covariances.
#include "dispatch/register.h"
#include "ops/rules.h"
#include "ops/settled.h"

namespace atled::core {
namespace {

const Op sub_op{"core::sub"};
const Op mul_op{"core::mul"};
const Op div_op{"core::div"};
const Op sum_op{"core::sum"};
const Op mean_op{"core::mean"};
const Op clamp_op{"core::clamp"};
const Op matmul_op{"core::matmul"};
const Op conj_op{"core::conj"};
const Op reshape_op{"core::reshape"};
const Op transpose_op{"core::transpose"};
const Op unsqueeze_op{"core::unsqueeze"};
const Op squeeze_op{"core::squeeze"};
const Op diagonal_op{"core::diagonal"};
const Op sqrt_op{"core::sqrt"};
const Op to_op{"core::to"};
const Op isnan_op{"core::isnan"};
const Op logical_not_op{"core::logical_not"};
const Op nansum_op{"core::nansum"};

void nansum_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  const int dtype = sum_dtype(input->dtype, f->args[3]);
  if (input->dtype >= ATLED_FLOAT16 && dtype < ATLED_FLOAT16)
    fail(ATLED_E_DTYPE, "expected a floating dtype for input of %s, got %s", dtype_name(input->dtype),
         dtype_name(dtype));
  reduced(input, reduced_dims(f->args[1], input->dl.ndim), arg_bool(f, 2), dtype, outs[0]);
}

void nanmean(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  if (arg_is_none(f, 3)) expect_floating(input, "input");
  const Tensor count = sum_op(logical_not_op(isnan_op(input)), f->args[1], f->args[2]);
  set_out(f, 0, div_op(nansum_op(input, f->args[1], f->args[2], f->args[3]), count));
}

template <bool kRoot>
void moments(atled_frame* f) {
  static const Op spread{kRoot ? "core::std" : "core::var"};
  set_out(f, 0, spread(f->args[0], f->args[1], f->args[2], f->args[3], f->args[4]));
  set_out(f, 1, mean_op(f->args[0], f->args[1], f->args[3]));
}

void aminmax(atled_frame* f) {
  static const Op amin{"core::amin"}, amax{"core::amax"};
  const int64_t dim = arg_is_none(f, 1) ? 0 : arg_int(f, 1);
  const atled_value over = arg_is_none(f, 1) ? none() : ints_value(&dim, 1);
  set_out(f, 0, amin(f->args[0], over, f->args[2]));
  set_out(f, 1, amax(f->args[0], over, f->args[2]));
}

// The columns' weights, or nothing where each counts once.
Tensor weights_of(const atled_value& v, const char* name, int64_t columns, bool whole) {
  if (is_none(v)) return Tensor();
  const atled_tensor* t = v.u.tensor;
  if (t->dl.ndim != 1 || numel(t) != columns)
    fail(ATLED_E_SHAPE, "expected %s of shape (%lld,), one for each observation, got %s", name, (long long)columns,
         shape_text(t).c_str());
  if (whole ? t->dtype >= ATLED_FLOAT16 : !is_floating(t->dtype))
    fail(ATLED_E_DTYPE, "expected %s to be %s, got %s", name, whole ? "integers" : "floating", dtype_name(t->dtype));
  if (t->dl.device.device_type == kDLCPU && !(t->keys & ATLED_KEY_OPAQUE) && columns > 0) {
    // Elsewhere looking would mean waiting, and inside vmap there are many.
    static const Op amin{"core::amin"};
    const Tensor least = to_op(amin(v), dtype_value(ATLED_FLOAT64));
    if (*settled_data<double>(least) < 0)
      fail(ATLED_E_VALUE, "expected %s of at least 0, got %g", name, *settled_data<double>(least));
  }
  return Tensor::borrow(v.u.tensor);
}

Tensor row_sums(const Tensor& t) {
  const int64_t last = -1;
  return sum_op(t, ints_value(&last, 1), true);
}

// Rows are variables, columns observations.
Tensor covariance(atled_tensor* input, double correction, const atled_value& frequencies,
                  const atled_value& importance) {
  if (input->dl.ndim > 2)
    fail(ATLED_E_SHAPE, "expected input of at most two dimensions, got shape %s", shape_text(input).c_str());
  const int64_t row[2] = {1, -1}, columns = 1;
  Tensor x = input->dl.ndim == 2 ? Tensor::borrow(input) : reshape_op(input, ints_value(row, 2));
  if (x->dtype < ATLED_FLOAT16) x = to_op(x, dtype_value(default_dtype()));
  const int64_t n = x->dl.shape[1];
  const Tensor often = weights_of(frequencies, "fweights", n, true),
               much = weights_of(importance, "aweights", n, false);
  Tensor weights = often && much ? mul_op(often, much) : often ? often : much;
  const atled_value real = dtype_value(real_dtype(x->dtype));
  if (weights) weights = to_op(weights, real);
  Tensor products, total;
  if (weights) {
    total = row_sums(weights);
    x = sub_op(x, div_op(row_sums(mul_op(x, weights)), total));
    products = matmul_op(mul_op(x, weights), transpose_op(is_complex(x->dtype) ? conj_op(x) : x, 0, 1));
    // NumPy's: total - correction * sum(weights * aweights) / total.
    const Tensor part = much ? div_op(row_sums(mul_op(weights, to_op(much, real))), total) : Tensor();
    total = part ? sub_op(total, mul_op(part, correction)) : sub_op(total, correction);
    products = div_op(products, clamp_op(total, 0));
  } else {
    x = sub_op(x, mean_op(x, ints_value(&columns, 1), true));
    products = matmul_op(x, transpose_op(is_complex(x->dtype) ? conj_op(x) : x, 0, 1));
    const double left = static_cast<double>(n) - correction;
    products = div_op(products, left > 0 ? left : 0.0);
  }
  return squeeze_op(products);
}

void cov(atled_frame* f) { set_out(f, 0, covariance(arg_tensor(f, 0), arg_double(f, 1), f->args[2], f->args[3])); }

void corrcoef(atled_frame* f) {
  const Tensor c = covariance(arg_tensor(f, 0), 1, none(), none());
  if (c->dl.ndim == 0) return set_out(f, 0, div_op(c, c));
  const Tensor deviation = sqrt_op(diagonal_op(c));
  const Tensor r = div_op(div_op(c, unsqueeze_op(deviation, 1)), unsqueeze_op(deviation, 0));
  // Rounding may lead just beyond 1.
  set_out(f, 0, is_complex(r->dtype) ? r : clamp_op(r, -1, 1));
}

void define_moments() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE;
  define({"nansum(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
          "The sum over dim, or over all dimensions, of what is not NaN; 0 where that is nothing.\n\n"
          "input: any dtype; bool and integers are summed in int64, as sum does it.\n\n"
          ">>> at.tensor([1.0, float(\"nan\"), 2.0]).nansum()\ntensor(3.)",
          shape<nansum_rule>});
  define({"nanmean(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
          "The mean over dim, or over all dimensions, of what is not NaN; of NaNs alone, NaN.\n\n"
          "input: floating or complex, else DTypeError unless dtype is given.\n\n"
          ">>> at.tensor([1.0, float(\"nan\"), 2.0]).nanmean()\ntensor(1.5000)",
          nullptr, composite});
  define(
      {"var_mean(Tensor input, int[]? dim=None, bool? unbiased=None, bool keepdim=False, *, float? correction=None) "
       "-> (Tensor, Tensor)",
       "The variance and the mean over dim, or over all dimensions; the arguments are those of var.\n\n"
       ">>> at.var_mean(at.tensor([1.0, 2.0, 3.0, 4.0]), correction=0)\n"
       "(tensor(1.2500), tensor(2.5000))",
       nullptr, composite | ATLED_OP_FUNCTION});
  define(
      {"std_mean(Tensor input, int[]? dim=None, bool? unbiased=None, bool keepdim=False, *, float? correction=None) "
       "-> (Tensor, Tensor)",
       "The standard deviation and the mean over dim, or over all dimensions; the arguments are those of std.\n\n"
       ">>> at.std_mean(at.tensor([1.0, 2.0, 3.0]))\n(tensor(1.), tensor(2.))",
       nullptr, composite | ATLED_OP_FUNCTION});
  define({"aminmax(Tensor input, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)",
          "The smallest and the largest element along dim, or of all; NaN for both if there is one.\n\n"
          "input: real. ShapeError where there are no elements to choose from.\n\n"
          ">>> at.tensor([3, 1, 2]).aminmax()\natled.core.aminmax_result(min=tensor(1), max=tensor(3))",
          nullptr, composite});
  define({"cov(Tensor input, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor",
          "The covariances of variables (rows) over observations (columns).\n\n"
          "input: at most 2-d; integers are computed in the default float. The sums are divided by n - correction. "
          "fweights: how often each observation was made, integers; aweights: how much each counts, floating; both "
          "(columns,), and at least 0. Returns (rows, rows), of one variable a 0-d tensor.\n\n"
          ">>> at.tensor([[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]]).cov()\ntensor([[ 1., -2.],\n"
          "        [-2.,  4.]])",
          nullptr, composite});
  define({"corrcoef(Tensor input) -> Tensor",
          "Pearson's correlations of variables (rows) over observations (columns): cov over the deviations of both.\n\n"
          "input: at most 2-d; integers are computed in the default float. Returns (rows, rows) in [-1, 1], of one "
          "variable a 0-d tensor; NaN for a variable that does not vary.\n\n"
          ">>> at.tensor([[1, 2, 3], [3, 2, 1]]).corrcoef()\ntensor([[ 1., -1.],\n        [-1.,  1.]])",
          nullptr, composite});
}
ATLED_OPS(define_moments);

void add_moments() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::nanmean", kernel<nanmean>);
  any("core::var_mean", kernel<moments<false>>);
  any("core::std_mean", kernel<moments<true>>);
  any("core::aminmax", kernel<aminmax>);
  any("core::cov", kernel<cov>);
  any("core::corrcoef", kernel<corrcoef>);
}
ATLED_KERNELS(add_moments);

}  // namespace
}  // namespace atled::core
