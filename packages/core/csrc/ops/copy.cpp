#include <algorithm>
#include <cstring>

#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

void clone_rule(const atled_frame* frame, atled_spec* outs) {
  like_rule(frame, outs);
  const atled_value& format = frame->args[1];
  if (is_none(format) || std::strcmp(format.u.str, "preserve") == 0) return;
  const int last = std::strcmp(format.u.str, "channels_last") == 0      ? 4
                   : std::strcmp(format.u.str, "channels_last_3d") == 0 ? 5
                                                                        : 0;
  if (!last && std::strcmp(format.u.str, "contiguous") != 0)
    fail(ATLED_E_VALUE,
         "expected memory_format to be \"preserve\", \"contiguous\", \"channels_last\" or \"channels_last_3d\", "
         "got \"%s\"",
         format.u.str);
  atled_spec& out = outs[0];
  out.has_strides = last != 0;
  if (!last) return;
  if (out.ndim != last) fail(ATLED_E_SHAPE, "expected %d dimensions for %s, got %d", last, format.u.str, out.ndim);
  int64_t step = 1;
  auto lay = [&](int d) {
    out.strides[d] = step;
    step *= std::max<int64_t>(out.shape[d], 1);
  };
  lay(1);
  for (int d = last - 1; d > 1; --d) lay(d);
  lay(0);
}

void to_copy_rule(const atled_frame* frame, atled_spec* outs) {
  like_rule(frame, outs);
  if (!arg_is_none(frame, 1)) outs[0].dtype = static_cast<int>(frame->args[1].u.i);
}

void define_copy() {
  define({"core::copy_(Tensor(a!) input, Tensor other, bool non_blocking=False) -> Tensor",
          "Writes other into input, and returns input.\n\n"
          "other broadcasts to input's shape, else ShapeError. It may be of any dtype, which is converted (floats to "
          "integers towards zero, complex to real by the real part), and on another device; non_blocking: the call may "
          "return before the copy is done.\n\n"
          ">>> at.zeros(2, 2).copy_(at.tensor([1, 2]))\n"
          "tensor([[1., 2.],\n"
          "        [1., 2.]])",
          nullptr, ATLED_OP_ANY_DEVICE | ATLED_OP_FLOAT8});
  define({"core::fill_(Tensor(a!) input, Tensor|Scalar value) -> Tensor",
          "Writes one value into every element of input, and returns input.\n\n"
          "value: a number or a 0-d tensor, converted to input's dtype. ShapeError for a tensor of another rank, "
          "InvalidValueError for an integer that the dtype does not have.\n\n"
          ">>> at.zeros(2).fill_(3)\n"
          "tensor([3., 3.])",
          nullptr, ATLED_OP_ANY_DEVICE | ATLED_OP_FLOAT8});
  define({"core::fill(Tensor input, Tensor|Scalar value) -> Tensor",
          "A tensor of input's shape and dtype, full of one value; see fill_.\n\n"
          ">>> at.fill(at.tensor([1, 2]), 7)\n"
          "tensor([7, 7])",
          nullptr, ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION});
  define({"core::zero_(Tensor(a!) input) -> Tensor",
          "Writes 0 into every element of input, and returns input.\n\n"
          ">>> at.tensor([1, 2]).zero_()\n"
          "tensor([0, 0])",
          nullptr, ATLED_OP_FLOAT8});
  define({"core::clone(Tensor input, *, str? memory_format=None) -> Tensor",
          "A copy of input.\n\n"
          "memory_format: None or \"preserve\" keeps the order of input's dimensions in memory, \"contiguous\" makes "
          "it row-major, \"channels_last\" and \"channels_last_3d\" put dimension 1 of a 4-d or 5-d tensor last, else "
          "ShapeError.\n\n"
          ">>> x = at.tensor([1, 2])\n"
          ">>> x.clone().add_(1), x\n"
          "(tensor([2, 3]), tensor([1, 2]))",
          shape<clone_rule>, ATLED_OP_ELEMENTWISE | ATLED_OP_FLOAT8});
  define({"core::to_copy(Tensor input, *, dtype? dtype=None, device? device=None) -> Tensor",
          "A copy of input in another dtype or on another device.", shape<to_copy_rule>,
          ATLED_OP_ELEMENTWISE | ATLED_OP_PRIVATE | ATLED_OP_ANY_DEVICE | ATLED_OP_FLOAT8});
  define({"core::contiguous(Tensor input) -> Tensor",
          "input itself where its elements lie in row-major order without gaps, else a copy that does.\n\n"
          ">>> x = at.ones(2, 3).t()\n"
          ">>> x.stride(), x.contiguous().stride()\n"
          "((1, 3), (2, 1))",
          nullptr, ATLED_OP_COMPOSITE});
  define({"core::to(Tensor input, dtype? dtype=None, device? device=None, *, bool copy=False) -> Tensor",
          "input in another dtype or on another device: itself where nothing changes, unless copy is set.", nullptr,
          ATLED_OP_COMPOSITE | ATLED_OP_ANY_DEVICE | ATLED_OP_PRIVATE});
  define({"core::astype(Tensor input, dtype dtype, *, bool copy=True, device? device=None) -> Tensor",
          "A copy of input converted to dtype; with copy=False, input itself where nothing changes.\n\n"
          "Floats become integers towards zero; bool is true for all but 0. DTypeError for complex numbers and a real "
          "dtype.\n\n"
          ">>> at.tensor([1.7, -1.7]).astype(at.int64)\n"
          "tensor([ 1, -1])",
          nullptr, ATLED_OP_COMPOSITE | ATLED_OP_ANY_DEVICE});
}
ATLED_OPS(define_copy);

void fill(atled_frame* f) {
  static const Op empty_like{"core::empty_like"}, fill_in{"core::fill_"}, to{"core::to"}, expand{"core::expand"},
      clone{"core::clone"};
  atled_tensor *input = arg_tensor(f, 0), *number = arg_tensor(f, 1);
  if (!number || number->dl.ndim != 0) return set_out(f, 0, fill_in(empty_like(input), f->args[1]));
  const Tensor converted = to(number, dtype_value(input->dtype), device_value(input->dl.device));
  const Tensor spread = expand(converted, ints_value(input->dl.shape, static_cast<size_t>(input->dl.ndim)));
  set_out(f, 0, clone(spread));
}
void add_copy_composites() { add_kernel("core::fill", ATLED_DEVICE_ANY, kernel<fill>); }
ATLED_KERNELS(add_copy_composites);

}  // namespace

}  // namespace atled::core
