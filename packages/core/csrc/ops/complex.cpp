// Complex numbers, their parts and their views. Conjugates and negatives are always computed, so no tensor has such a
// thing pending: is_conj, is_neg and resolve_... are there for code that asks.
#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

const Op select_op{"core::select"};
const Op view_as_real_op{"core::view_as_real"};

// A complex number made of two real ones.
void pair_rule(const atled_frame* frame, atled_spec* outs) {
  same_rule(frame, outs);
  if (outs[0].dtype != ATLED_FLOAT32 && outs[0].dtype != ATLED_FLOAT64)
    fail(ATLED_E_DTYPE, "expected float32 or float64 tensors, got %s", dtype_name(outs[0].dtype));
  outs[0].dtype = outs[0].dtype == ATLED_FLOAT64 ? ATLED_COMPLEX128 : ATLED_COMPLEX64;
}

void angle_rule(const atled_frame* frame, atled_spec* outs) {
  float_rule(frame, outs);
  outs[0].dtype = real_dtype(outs[0].dtype);
}

void expect_complex(const atled_tensor* t) {
  if (!is_complex(t->dtype)) fail(ATLED_E_DTYPE, "expected complex numbers, got %s", dtype_name(t->dtype));
}

void define_complex() {
  constexpr uint32_t elementwise = ATLED_OP_ELEMENTWISE;
  define({"core::conj(Tensor input) -> Tensor",
          "The complex conjugate; of real numbers a copy.\n\n"
          ">>> at.tensor([1 + 2j]).conj()\n"
          "tensor([1.-2.j])",
          shape<same_rule>, elementwise | ATLED_OP_INPLACE});
  define({"core::angle(Tensor input) -> Tensor",
          "The angle of a complex number in (-pi, pi], 0 at 0; of real numbers 0, pi below 0, and NaN of NaN.\n\n"
          ">>> at.angle(at.tensor([1j, -1 + 0j]))\n"
          "tensor([1.5708, 3.1416])",
          shape<angle_rule>, elementwise});
  define({"core::complex(Tensor real, Tensor imag) -> Tensor",
          "real + imag * 1j.\n\n"
          ">>> at.complex(at.tensor([1.0, 2.0]), at.tensor([3.0, 4.0]))\n"
          "tensor([1.+3.j, 2.+4.j])",
          shape<pair_rule>, elementwise | ATLED_OP_FUNCTION});
  define({"core::polar(Tensor abs, Tensor angle) -> Tensor",
          "abs * exp(angle * 1j): the complex number of that modulus and angle, in radians.\n\n"
          ">>> at.polar(at.tensor([2.0]), at.tensor([0.0]))\n"
          "tensor([2.+0.j])",
          shape<pair_rule>, elementwise | ATLED_OP_FUNCTION});
  define({"core::view_as_real(Tensor input) -> Tensor",
          "A complex tensor as a real one with a last dimension of 2: real and imaginary part.\n\n"
          "Returns a view of shape (*, 2). DTypeError for real numbers.\n\n"
          ">>> at.view_as_real(at.tensor([1 + 2j]))\n"
          "tensor([[1., 2.]])",
          nullptr, ATLED_OP_VIEW | ATLED_OP_FUNCTION});
  define({"core::view_as_complex(Tensor input) -> Tensor",
          "A real tensor whose last dimension holds real and imaginary part as a complex one.\n\n"
          "input (*, 2): float32 or float64. Returns a view of shape (*). ShapeError for another size, or where the "
          "two parts do not lie side by side in memory.\n\n"
          ">>> at.view_as_complex(at.tensor([[1.0, 2.0]]))\n"
          "tensor([1.+2.j])",
          nullptr, ATLED_OP_VIEW | ATLED_OP_FUNCTION});
  define({"core::real(Tensor input) -> Tensor",
          "The real part: a view; of real numbers input itself.\n\n"
          ">>> at.real(at.tensor([1 + 2j]))\n"
          "tensor([1.])",
          nullptr, ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION});
  define({"core::imag(Tensor input) -> Tensor",
          "The imaginary part of complex numbers: a view. DTypeError for real ones.\n\n"
          ">>> at.imag(at.tensor([1 + 2j]))\n"
          "tensor([2.])",
          nullptr, ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION});
  define({"core::is_conj(Tensor input) -> bool",
          "Whether a conjugation is pending: never, conj computes at once.\n\n"
          ">>> at.tensor([1j]).conj().is_conj()\n"
          "False",
          nullptr, ATLED_OP_COMPOSITE});
  define({"core::is_neg(Tensor input) -> bool",
          "Whether a negation is pending: never, neg computes at once.\n\n"
          ">>> at.tensor([1j]).conj().imag.is_neg()\n"
          "False",
          nullptr, ATLED_OP_COMPOSITE});
  define({"core::resolve_conj(Tensor input) -> Tensor",
          "input itself, for no conjugation is ever pending.\n\n"
          ">>> at.tensor([1j]).conj().resolve_conj()\n"
          "tensor([0.-1.j])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"core::resolve_neg(Tensor input) -> Tensor",
          "input itself, for no negation is ever pending.\n\n"
          ">>> at.tensor([1j]).conj().imag.resolve_neg()\n"
          "tensor([-1.])",
          nullptr, ATLED_OP_COMPOSITE});
  alias("core::conj", "core::conj_physical");
}
ATLED_OPS(define_complex);

void view_as_real(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  expect_complex(input);
  Layout out(input);
  for (int d = 0; d < out.ndim; ++d) out.strides[d] *= 2;
  out.push(2, 1);
  set_out(f, 0, out.view(input, real_dtype(input->dtype)));
}

void view_as_complex(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dtype = input->dtype, last = input->dl.ndim - 1;
  if (dtype != ATLED_FLOAT32 && dtype != ATLED_FLOAT64)
    fail(ATLED_E_DTYPE, "expected input to be float32 or float64, got %s", dtype_name(dtype));
  if (last < 0 || input->dl.shape[last] != 2)
    fail(ATLED_E_SHAPE, "expected a last dimension of size 2, got shape %s", shape_text(input).c_str());
  Layout out(input);
  bool paired = out.strides[last] == 1 && reinterpret_cast<uintptr_t>(input->dl.data) % (2 * itemsize(dtype)) == 0;
  out.erase(last);
  for (int d = 0; d < out.ndim; ++d) {
    paired &= out.strides[d] % 2 == 0 || out.shape[d] <= 1;
    out.strides[d] /= 2;
  }
  if (!paired && numel(input) > 0)
    fail(ATLED_E_SHAPE,
         "expected pairs that lie side by side in memory, at even places; make them so: input.contiguous() or clone()");
  set_out(f, 0, out.view(input, dtype == ATLED_FLOAT64 ? ATLED_COMPLEX128 : ATLED_COMPLEX64));
}

Tensor part(atled_tensor* input, int64_t which) { return select_op(view_as_real_op(input), -1, which); }

void real(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  set_out(f, 0, is_complex(input->dtype) ? part(input, 0) : Tensor::borrow(input));
}
void imag(atled_frame* f) {
  expect_complex(arg_tensor(f, 0));
  set_out(f, 0, part(arg_tensor(f, 0), 1));
}
void never(atled_frame* f) { f->outs[0] = value(false); }
void itself(atled_frame* f) { set_out(f, 0, Tensor::borrow(arg_tensor(f, 0))); }

void add_complex_views() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::view_as_real", kernel<view_as_real>);
  any("core::view_as_complex", kernel<view_as_complex>);
  any("core::real", kernel<real>);
  any("core::imag", kernel<imag>);
  any("core::is_conj", kernel<never>);
  any("core::is_neg", kernel<never>);
  any("core::resolve_conj", kernel<itself>);
  any("core::resolve_neg", kernel<itself>);
}
ATLED_KERNELS(add_complex_views);

}  // namespace

}  // namespace atled::core
