#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// The state at position i is (*, H) and sets the dtype; the `gates` of H elements at position k lie in (*, gates * H).
void expect_gates(const atled_frame* f, int k, int i, int gates) {
  const atled_tensor *t = arg_tensor(f, k), *state = arg_tensor(f, i);
  const char *name = f->op->args[k].name, *state_name = f->op->args[i].name;
  expect_float(state, state_name);
  const int ndim = state->dl.ndim;
  if (ndim == 0) fail(ATLED_E_SHAPE, "expected %s of shape (*, hidden_size), got ()", state_name);
  atled_spec spec;
  same_spec(spec, state);
  spec.shape[ndim - 1] *= gates;
  expect_shape(t, name, ndim, spec.shape);
  expect_dtype_of(t, name, state, state_name);
}

void expect_like(const atled_frame* f, int k, int i) { expect_gates(f, k, i, 1); }

void lstm_cell_rule(const atled_frame* f, atled_spec* outs) {
  expect_gates(f, 0, 1, 4);
  same_spec(outs[0], arg_tensor(f, 1));
  same_spec(outs[1], arg_tensor(f, 1));
}

void lstm_cell_backward_rule(const atled_frame* f, atled_spec* outs) {
  expect_gates(f, 2, 3, 4);
  expect_like(f, 0, 3);
  expect_like(f, 1, 3);
  same_spec(outs[0], arg_tensor(f, 2));
  same_spec(outs[1], arg_tensor(f, 3));
}

void gru_cell_rule(const atled_frame* f, atled_spec* outs) {
  expect_gates(f, 0, 2, 3);
  expect_gates(f, 1, 2, 3);
  same_spec(outs[0], arg_tensor(f, 2));
}

void gru_cell_backward_rule(const atled_frame* f, atled_spec* outs) {
  expect_gates(f, 1, 3, 3);
  expect_gates(f, 2, 3, 3);
  expect_like(f, 0, 3);
  for (int i = 0; i < 3; ++i) same_spec(outs[i], arg_tensor(f, i + 1));
}

}  // namespace

void define_recurrent() {
  define({"nn::lstm_cell(Tensor gates, Tensor cx) -> (Tensor hy, Tensor cy)",
          "cy = sigmoid(f) cx + sigmoid(i) tanh(g) and hy = sigmoid(o) tanh(cy), for the sums i, f, g and o "
          "of gates (*, 4 H), one after the other, and cx (*, H) (Hochreiter & Schmidhuber 1997, Gers et al. "
          "2000).\n\n"
          ">>> at.ops.nn.lstm_cell(at.zeros(1, 4), at.tensor([[2.0]])).cy.tolist()\n"
          "[[1.0]]",
          shape<lstm_cell_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::lstm_cell_backward(Tensor grad_hy, Tensor grad_cy, Tensor gates, Tensor cx) -> (Tensor to_gates, Tensor "
       "to_cx)",
       "The gradients of lstm_cell with respect to its gates and cx.", shape<lstm_cell_backward_rule>,
       ATLED_OP_FUNCTION});
  define({"nn::gru_cell(Tensor gates_x, Tensor gates_h, Tensor hx) -> Tensor",
          "n + sigmoid(z) (hx - n) with n = tanh(n_x + sigmoid(r) n_h), for the sums r, z and n of the "
          "input's gates (*, 3 H) and those of the hidden state's, of which r and z are added, and hx (*, H) "
          "(Cho et al. 2014).\n\n"
          ">>> at.ops.nn.gru_cell(at.zeros(1, 3), at.zeros(1, 3), at.tensor([[2.0]])).tolist()\n"
          "[[1.0]]",
          shape<gru_cell_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::gru_cell_backward(Tensor grad, Tensor gates_x, Tensor gates_h, Tensor hx) -> (Tensor to_gates_x, Tensor "
       "to_gates_h, Tensor to_hx)",
       "The gradients of gru_cell with respect to its gates and hx.", shape<gru_cell_backward_rule>,
       ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
