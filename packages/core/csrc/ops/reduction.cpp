#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void rule(const atled_frame* frame, atled_spec* outs, int dtype, int dim = 1, int keepdim = 2) {
  const atled_tensor* input = arg_tensor(frame, 0);
  reduced(input, reduced_dims(frame->args[dim], input->dl.ndim), arg_bool(frame, keepdim), dtype, outs[0]);
}

void sum_rule(const atled_frame* frame, atled_spec* outs) {
  rule(frame, outs, sum_dtype(arg_tensor(frame, 0)->dtype, frame->args[3]));
}

// dtype= or the input's, which must be floating: a mean of integers is asked for with dtype=.
int floating_result(const atled_frame* frame, const atled_value& asked) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const int dtype = asked.tag == ATLED_DTYPE ? static_cast<int>(asked.u.i) : input->dtype;
  if (dtype < ATLED_FLOAT16)
    fail(ATLED_E_DTYPE,
         "expected input to be floating, got %s; cast it or pass dtype=float32 where there is such an argument",
         dtype_name(dtype));
  return dtype;
}

void mean_rule(const atled_frame* frame, atled_spec* outs) {
  rule(frame, outs, floating_result(frame, frame->args[3]));
}

void norm_rule(const atled_frame* frame, atled_spec* outs) {
  rule(frame, outs, real_dtype(floating_result(frame, frame->args[4])), 2, 3);
  if (frame->args[1].tag == ATLED_COMPLEX_VALUE) fail(ATLED_E_VALUE, "expected p to be real, got a complex number");
}

void var_rule(const atled_frame* frame, atled_spec* outs) {
  const int dtype = floating_result(frame, none());
  if (!arg_is_none(frame, 2) && !arg_is_none(frame, 4))
    fail(ATLED_E_ARGUMENT, "expected unbiased or correction, got both");
  rule(frame, outs, real_dtype(dtype), 1, 3);
}

void extreme_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(frame, 0);
  expect_real(input, "input");
  const DimSet dims = reduced_dims(frame->args[1], input->dl.ndim);
  for (int d = 0; d < input->dl.ndim; ++d)
    if ((dims >> d & 1) && input->dl.shape[d] == 0)
      fail(ATLED_E_SHAPE, "expected at least one element to choose from, got shape %s", shape_text(input).c_str());
  rule(frame, outs, input->dtype);
}

void truth_rule(const atled_frame* frame, atled_spec* outs) { rule(frame, outs, ATLED_BOOL); }
void count_rule(const atled_frame* frame, atled_spec* outs) { rule(frame, outs, ATLED_INT64); }

void logsumexp_rule(const atled_frame* frame, atled_spec* outs) {
  rule(frame, outs, float_dtype(arg_tensor(frame, 0)->dtype));
}

void define_reduction() {
  define({"core::sum(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
          "The sum over dim, or over all dimensions; bool and integers are summed in int64 (uint64 in uint64).\n\n"
          "dim: one or several, each once; None and an empty list mean all. keepdim leaves them with size 1. dtype: "
          "what input is cast to first. The sum of nothing is 0.\n\n"
          ">>> at.tensor([[1, 2], [3, 4]]).sum()\ntensor(10)\n"
          ">>> at.tensor([[1, 2], [3, 4]]).sum(0, keepdim=True)\ntensor([[4, 6]])",
          shape<sum_rule>});
  define({"core::prod(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
          "The product over dim, or over all dimensions; bool and integers are multiplied in int64.\n\n"
          "dim, keepdim and dtype: as for sum. The product of nothing is 1.\n\n"
          ">>> at.tensor([[1, 2], [3, 4]]).prod(1)\ntensor([ 2, 12])",
          shape<sum_rule>});
  define({"core::mean(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
          "The mean over dim, or over all dimensions; of no elements NaN.\n\n"
          "input: floating or complex, else DTypeError unless dtype says what to compute in. dim and keepdim: as for "
          "sum.\n\n"
          ">>> at.tensor([[1.0, 2.0], [3.0, 5.0]]).mean(0)\ntensor([2.0000, 3.5000])",
          shape<mean_rule>});
  define({"core::amax(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          "The largest element over dim, or over all dimensions; NaN if there is one.\n\n"
          "input: real; dim and keepdim: as for sum. A gradient is divided among equal largest elements. ShapeError "
          "where there are no elements to choose from.\n\n"
          ">>> at.tensor([[1, 5], [7, 2]]).amax(1)\ntensor([5, 7])",
          shape<extreme_rule>});
  define({"core::amin(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          "The smallest element over dim, or over all dimensions; NaN if there is one.\n\n"
          "input: real; dim and keepdim: as for sum. A gradient is divided among equal smallest elements. ShapeError "
          "where there are no elements to choose from.\n\n"
          ">>> at.tensor([[1, 5], [7, 2]]).amin(1)\ntensor([1, 2])",
          shape<extreme_rule>});
  define({"core::any(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          "Whether some element over dim, or of all, is true (not 0; NaN is true), as bool; of none, False.\n\n"
          "dim and keepdim: as for sum.\n\n"
          ">>> at.tensor([[0, 1], [0, 0]]).any(1)\ntensor([ True, False])",
          shape<truth_rule>});
  define({"core::all(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          "Whether every element over dim, or of all, is true (not 0; NaN is true), as bool; of none, True.\n\n"
          "dim and keepdim: as for sum.\n\n"
          ">>> at.tensor([[2, 1], [0, 1]]).all(1)\ntensor([ True, False])",
          shape<truth_rule>});
  define({"core::count_nonzero(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          "How many elements over dim, or of all, are not 0, as int64; NaN counts.\n\n"
          "dim and keepdim: as for sum.\n\n"
          ">>> at.tensor([[0, 7], [3, 4]]).count_nonzero(0)\ntensor([1, 2])",
          shape<count_rule>});
  define(
      {"core::var(Tensor input, int[]? dim=None, bool? unbiased=None, bool keepdim=False, *, float? correction=None) "
       "-> "
       "Tensor",
       "The variance over dim, or over all dimensions: squared distances from the mean, summed and divided by n - "
       "correction.\n\n"
       "input: floating or complex, else DTypeError; of complex numbers it is real. dim and keepdim: as for sum. "
       "correction is 1 unless given; unbiased=False is another way to say correction=0. NaN where n is not above "
       "correction.\n\n"
       ">>> at.tensor([1.0, 2.0, 3.0, 4.0]).var(correction=0)\ntensor(1.2500)",
       shape<var_rule>});
  define(
      {"core::std(Tensor input, int[]? dim=None, bool? unbiased=None, bool keepdim=False, *, float? correction=None) "
       "-> "
       "Tensor",
       "The standard deviation over dim: the root of the variance, whose arguments it takes (see var).\n\n"
       ">>> at.tensor([1.0, 2.0, 3.0]).std()\ntensor(1.)",
       shape<var_rule>});
  define({"core::norm(Tensor input, Scalar p=2, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
          "The vector p-norm over dim, or over all elements: sum(|input|^p)^(1/p); p may be 0 (how many are not 0), "
          "inf or -inf.\n\n"
          "input: floating or complex, else DTypeError; the result is real. dim and keepdim: as for sum. Matrix norms "
          "are linalg.matrix_norm's.\n\n"
          ">>> at.tensor([3.0, 4.0]).norm()\ntensor(5.)\n"
          ">>> at.tensor([[3.0, -4.0], [0.0, 2.0]]).norm(1, 0)\ntensor([3., 6.])",
          shape<norm_rule>});
  define({"core::logsumexp(Tensor input, int[]? dim=None, bool keepdim=False) -> Tensor",
          "log(sum(exp(input))) over dim, or over all dimensions, without overflow: the largest element is taken out "
          "first.\n\n"
          "input: of any dtype, integers as floats; of complex numbers the largest real part is taken out, and the "
          "imaginary part lies in [-pi, pi]. dim and keepdim: as for sum. -inf where all elements are -inf or there "
          "are none.\n\n"
          ">>> at.tensor([1000.0, 1000.0]).logsumexp(0)\ntensor(1000.6932)",
          shape<logsumexp_rule>});
  alias("core::logsumexp", "special::logsumexp");
}
ATLED_OPS(define_reduction);

}  // namespace

}  // namespace atled::core
