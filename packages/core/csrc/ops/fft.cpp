// Discrete Fourier transforms: shapes and dtypes here, the transforms themselves from NumPy or SciPy (_fft.py).
#include <string>

#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

// Complex numbers of the input's precision; half precision is transformed in float32, integers in the default float.
int spectrum_dtype(int dtype) {
  if (is_complex(dtype)) return dtype;
  return compute_dtype(float_dtype(dtype)) == ATLED_FLOAT64 ? ATLED_COMPLEX128 : ATLED_COMPLEX64;
}

void check_norm(const atled_value& norm) {
  if (is_none(norm)) return;
  const std::string text(norm.u.str, norm.n);
  if (text != "backward" && text != "ortho" && text != "forward")
    fail(ATLED_E_VALUE, "expected norm to be backward, ortho or forward, got '%s'", text.c_str());
}

// n or the input's own length along dim.
void transform_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(frame, 0);
  if (input->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected input of at least one dimension, got a 0-d tensor");
  const int dim = wrap_dim(arg_int(frame, 2), input->dl.ndim);
  set_spec(outs[0], spectrum_dtype(input->dtype), input->dl.ndim, input->dl.shape);
  if (!arg_is_none(frame, 1)) outs[0].shape[dim] = arg_int(frame, 1);
  check_norm(frame->args[3]);
  if (outs[0].shape[dim] < 1)
    fail(ATLED_E_VALUE, "expected at least one point to transform, got %lld", (long long)outs[0].shape[dim]);
}

void define_fft() {
  define({"fft::fft(Tensor input, int? n=None, int dim=-1, str? norm=None) -> Tensor",
          "The discrete Fourier transform along dim of n points: input is cut or padded with zeros to n.\n\n"
          "norm is \"backward\" (unscaled, the default), \"ortho\" (divided by sqrt(n)) or \"forward\" (by n).\n\n"
          ">>> at.fft.fft(at.tensor([1.0, 0.0, 0.0, 0.0])).abs()\ntensor([1., 1., 1., 1.])",
          shape<transform_rule>});
  define({"fft::ifft(Tensor input, int? n=None, int dim=-1, str? norm=None) -> Tensor",
          "The inverse of fft; norm is its counterpart: \"backward\" divides by n, \"forward\" by nothing.\n\n"
          ">>> at.fft.ifft(at.tensor([4.0, 0.0, 0.0, 0.0])).abs()\ntensor([1., 1., 1., 1.])",
          shape<transform_rule>});
}
ATLED_OPS(define_fft);

}  // namespace

}  // namespace atled::core
