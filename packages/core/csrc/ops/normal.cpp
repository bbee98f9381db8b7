// The error function's relatives and the normal distribution.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

struct Function {
  const char* schema;
  const char* doc;
};

constexpr Function kOps[] = {
    {"core::erfinv(Tensor input) -> Tensor",
     "The inverse of erf: infinities at -1 and 1, NaN outside.\n\n"
     ">>> at.erfinv(at.tensor([0.5, 1.0]))\ntensor([0.4769,    inf])"},
    {"special::erfcx(Tensor input) -> Tensor",
     "exp(input^2) erfc(input), the scaled complementary error function, which does not underflow.\n\n"
     "About 1 / (input sqrt(pi)) for large input, infinity for -10 in float32.\n\n"
     ">>> at.special.erfcx(at.tensor([0.0, 10.0]))\ntensor([1.0000, 0.0561])"},
    {"special::ndtr(Tensor input) -> Tensor",
     "The standard normal distribution function: (1 + erf(input / sqrt(2))) / 2.\n\n"
     ">>> at.special.ndtr(at.tensor([0.0, 1.96]))\ntensor([0.5000, 0.9750])"},
    {"special::log_ndtr(Tensor input) -> Tensor",
     "log(ndtr(input)), exact far below 0, where ndtr is 0 in floating point.\n\n"
     ">>> at.special.log_ndtr(at.tensor([0.0, -20.0]))\ntensor([  -0.6931, -203.9172])"},
    {"special::ndtri(Tensor input) -> Tensor",
     "The inverse of ndtr, the standard normal quantile: infinities at 0 and 1, NaN outside.\n\n"
     ">>> at.special.ndtri(at.tensor([0.5, 0.975]))\ntensor([0.0000, 1.9600])"},
    {"special::entr(Tensor input) -> Tensor",
     "-input log(input), a term of the entropy; 0 at 0, -infinity below.\n\n"
     ">>> at.special.entr(at.tensor([0.5, 0.25, 0.25])).sum()\ntensor(1.0397)"},
    {"special::xlog1py(Tensor|Scalar input, Tensor|Scalar other) -> Tensor",
     "input * log1p(other), but 0 where input is 0 and other is no NaN.\n\n"
     ">>> at.special.xlog1py(at.tensor([0.0, 1.0]), -1.0)\ntensor([  0., -inf])"},
};

void define_normal() {
  for (const Function& op : kOps)
    define({op.schema, op.doc, shape<real_float_rule>, ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE});
  alias("core::erfinv", "special::erfinv");
}
ATLED_OPS(define_normal);

}  // namespace

}  // namespace atled::core
