// The gradients of a matrix product, for all the ranks that matmul takes: composites, so that they can be
// differentiated.
#include "atled/plugin.hpp"

namespace atled::autograd {

namespace {

const Op matmul{"core::matmul"}, mul{"core::mul"}, unsqueeze{"core::unsqueeze"}, squeeze{"core::squeeze"},
    transpose{"core::transpose"}, reshape{"core::reshape"}, conj{"core::conj"};

Tensor conjugate(Tensor t) { return is_complex(t->dtype) ? conj(t) : t; }
Tensor turned(atled_tensor* t) { return conjugate(transpose(t, -2, -1)); }

// matrix @ vector over batches of both
Tensor apply(const Tensor& matrices, atled_tensor* vectors) {
  const int64_t last = -1;
  return squeeze(matmul(matrices, unsqueeze(vectors, -1)), ints_value(&last, 1));
}

Tensor rows(atled_tensor* t) {
  const int last = t->dl.ndim - 1;
  int64_t shape[] = {1, t->dl.shape[last]};  // the first one counted, since -1 is of no one size where there are none
  for (int d = 0; d < last; ++d) shape[0] *= t->dl.shape[d];
  return reshape(t, ints_value(shape, 2));
}

// matmul_input(g, other, shape): the gradient of input, of that shape but for batch dimensions that broadcast
void run_input(atled_frame* frame) {
  atled_tensor *g = arg_tensor(frame, 0), *other = arg_tensor(frame, 1);
  const bool row = frame->args[2].n == 1, column = other->dl.ndim == 1;
  if (row && column) return set_out(frame, 0, mul(g, conjugate(Tensor::borrow(other))));
  if (column) return set_out(frame, 0, mul(unsqueeze(g, -1), conjugate(Tensor::borrow(other))));
  if (row) return set_out(frame, 0, apply(conjugate(Tensor::borrow(other)), g));
  set_out(frame, 0, matmul(g, turned(other)));
}

// matmul_other(g, input, shape)
void run_other(atled_frame* frame) {
  atled_tensor *g = arg_tensor(frame, 0), *input = arg_tensor(frame, 1);
  const bool row = input->dl.ndim == 1, column = frame->args[2].n == 1;
  if (row && column) return set_out(frame, 0, mul(g, conjugate(Tensor::borrow(input))));
  if (column) return set_out(frame, 0, apply(turned(input), g));
  if (row) return set_out(frame, 0, mul(unsqueeze(conjugate(Tensor::borrow(input)), -1), unsqueeze(g, -2)));
  // One matrix for all batches: one product rather than one for each and a sum.
  if (frame->args[2].n == 2 && input->dl.ndim > 2) return set_out(frame, 0, matmul(turned(rows(input)), rows(g)));
  set_out(frame, 0, matmul(turned(input), g));
}

}  // namespace

void define_products() {
  const uint32_t traits = ATLED_OP_PRIVATE | ATLED_OP_FUNCTION | ATLED_OP_COMPOSITE;
  add_kernel(define({"autograd::matmul_input(Tensor g, Tensor other, int[] shape) -> Tensor",
                     "The gradient of matmul's input.", nullptr, traits}),
             ATLED_DEVICE_ANY, kernel<run_input>);
  add_kernel(define({"autograd::matmul_other(Tensor g, Tensor input, int[] shape) -> Tensor",
                     "The gradient of matmul's other.", nullptr, traits}),
             ATLED_DEVICE_ANY, kernel<run_other>);
}

}  // namespace atled::autograd
