// Undoing the change of shape that reductions and paddings make: composites, so that they can be differentiated.
#include "atled/plugin.hpp"

namespace atled::autograd {

namespace {

const Op reshape{"core::reshape"}, expand{"core::expand"}, mul{"core::mul"}, put_narrow{"autograd::put_narrow"};

// restore(g, shape, dim, keepdim, mean): g, made from a tensor of that shape by a reduction over dim, in that shape
// again; with mean, divided by the number of elements that were reduced to one.
void run_restore(atled_frame* frame) {
  Tensor g = Tensor::borrow(arg_tensor(frame, 0));
  const atled_value &shape = frame->args[1], &dim = frame->args[2];
  const int ndim = static_cast<int>(shape.n);
  int64_t kept[ATLED_MAX_NDIM], count = 1;
  bool reduced[ATLED_MAX_NDIM] = {};
  for (uint32_t i = 0; dim.tag == ATLED_INTS && i < dim.n; ++i) reduced[wrap_dim(dim.u.ints[i], ndim)] = true;
  // No dimensions at all stand for all of them, as in the reductions themselves.
  const bool all = dim.tag == ATLED_NONE || dim.n == 0;
  for (int d = 0; d < ndim; ++d) {
    const bool gone = all || reduced[d];
    kept[d] = gone ? 1 : shape.u.ints[d];
    if (gone) count *= shape.u.ints[d];
  }
  if (arg_bool(frame, 4)) g = mul(g, 1.0 / static_cast<double>(count));
  // Leading dimensions come back by broadcasting.
  if (g->dl.ndim > 0 && !arg_bool(frame, 3)) g = reshape(g, ints_value(kept, shape.n));
  set_out(frame, 0, expand(g, ints_value(shape.u.ints, shape.n)));
}

// pad_to(input, shape): input in a corner of zeros of that shape
void run_pad_to(atled_frame* frame) {
  Tensor t = Tensor::borrow(arg_tensor(frame, 0));
  const atled_value& shape = frame->args[1];
  for (int d = 0; d < t->dl.ndim; ++d) {
    const int64_t length = t->dl.shape[d];
    if (length == shape.u.ints[d]) continue;
    int64_t wider[ATLED_MAX_NDIM];
    for (int k = 0; k < t->dl.ndim; ++k) wider[k] = k == d ? shape.u.ints[d] : t->dl.shape[k];
    t = put_narrow(t, ints_value(wider, shape.n), d, 0, length);
  }
  set_out(frame, 0, t);
}

}  // namespace

void define_reductions() {
  const uint32_t traits = ATLED_OP_PRIVATE | ATLED_OP_FUNCTION | ATLED_OP_COMPOSITE;
  add_kernel(define({"autograd::restore(Tensor g, int[] shape, int[]? dim, bool keepdim, bool mean=False) -> Tensor",
                     "The gradient of a sum or mean.", nullptr, traits}),
             ATLED_DEVICE_ANY, kernel<run_restore>);
  add_kernel(define({"autograd::pad_to(Tensor input, int[] shape) -> Tensor", "Zeros behind input in each dimension.",
                     nullptr, traits}),
             ATLED_DEVICE_ANY, kernel<run_pad_to>);
}

}  // namespace atled::autograd
