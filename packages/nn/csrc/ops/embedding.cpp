#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

void append_dim(atled_spec& spec, int dtype, const atled_tensor* indices, int64_t dim) {
  if (indices->dl.ndim >= ATLED_MAX_NDIM)
    fail(ATLED_E_SHAPE, "expected input of at most %d dimensions", ATLED_MAX_NDIM - 1);
  set_spec(spec, dtype, indices->dl.ndim, indices->dl.shape);
  spec.shape[spec.ndim++] = dim;
}

void embedding_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *indices = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  expect_index(indices, "input");
  expect_float(weight, "weight");
  expect_ndim(weight, "weight", 2, "(num_embeddings, embedding_dim)");
  append_dim(outs[0], weight->dtype, indices, weight->dl.shape[1]);
}

void embedding_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *indices = arg_tensor(f, 1);
  expect_float(grad, "grad");
  expect_index(indices, "input");
  atled_spec expected;
  append_dim(expected, grad->dtype, indices, grad->dl.ndim ? grad->dl.shape[grad->dl.ndim - 1] : 0);
  expect_shape(grad, "grad", expected.ndim, expected.shape);
  const int64_t rows = arg_int(f, 2);
  if (rows < 0) fail(ATLED_E_VALUE, "expected num_embeddings of at least 0, got %lld", static_cast<long long>(rows));
  set_spec(outs[0], grad->dtype, {rows, grad->dl.shape[grad->dl.ndim - 1]});
}

void embedding_bag_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *indices = arg_tensor(f, 0), *weight = arg_tensor(f, 1), *offsets = arg_tensor(f, 2),
                     *shares = arg_tensor(f, 3);
  expect_index(indices, "input");
  expect_float(weight, "weight");
  expect_ndim(weight, "weight", 2, "(num_embeddings, embedding_dim)");
  expect_dtype_of(shares, "per_sample_weights", weight, "weight");
  expect_shape(shares, "per_sample_weights", indices->dl.ndim, indices->dl.shape);
  if (indices->dl.ndim == 2 && !offsets)
    return set_spec(outs[0], weight->dtype, {indices->dl.shape[0], weight->dl.shape[1]});
  if (indices->dl.ndim != 1 || !offsets || offsets->dl.ndim != 1)
    fail(ATLED_E_SHAPE, "expected input (bags, n) without offsets, or (L,) with offsets (bags,), got %s and %s",
         shape_text(indices->dl.ndim, indices->dl.shape).c_str(),
         offsets ? shape_text(offsets->dl.ndim, offsets->dl.shape).c_str() : "None");
  expect_index(offsets, "offsets");
  const int64_t bags = offsets->dl.shape[0] - (arg_bool(f, 6) ? 1 : 0);
  if (bags < 0 || (bags == 0 && indices->dl.shape[0] > 0))
    fail(ATLED_E_SHAPE, "expected offsets of a bag or more, got (%lld,)", static_cast<long long>(offsets->dl.shape[0]));
  set_spec(outs[0], weight->dtype, {bags, weight->dl.shape[1]});
}

}  // namespace

void define_embedding() {
  define({"nn::embedding(Tensor input, Tensor weight, int? padding_idx=None, bool scale_grad_by_freq=False) -> Tensor",
          "The rows of weight (rows, dim) that input names: (*input.shape, dim). padding_idx and "
          "scale_grad_by_freq only change the gradient.\n\n"
          "input: int32 or int64 in [0, rows); BoundsError for others.\n\n"
          ">>> at.ops.nn.embedding(at.tensor([2, 0]), at.tensor([[1.0], [3.0], [5.0]])).tolist()\n"
          "[[5.0], [1.0]]",
          shape<embedding_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::embedding_bag(Tensor input, Tensor weight, Tensor? offsets=None, Tensor? per_sample_weights=None, bool "
       "mean=False, int? padding_idx=None, bool include_last_offset=False, bool scale_grad_by_freq=False) -> Tensor",
       "The sums, or means, of the rows of weight (rows, dim) in each bag: (bags, dim).\n\n"
       "input: int32 or int64 in [0, rows), (bags, n), or (L,) with offsets (bags,), ascending from 0; with "
       "include_last_offset the last of them is L. Rows padding_idx do not count; an empty bag is zeros. "
       "per_sample_weights: of input's shape and weight's dtype, what each row is multiplied by. "
       "scale_grad_by_freq only changes the gradient.\n\n"
       ">>> at.ops.nn.embedding_bag(at.tensor([2, 0, 1]), at.tensor([[1.0], [3.0], [5.0]]), at.tensor([0, "
       "2])).tolist()\n"
       "[[6.0], [3.0]]",
       shape<embedding_bag_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::embedding_backward(Tensor grad, Tensor input, int num_embeddings, int? padding_idx=None, bool "
       "scale_grad_by_freq=False) -> Tensor",
       "Adds each row of grad to the row that input names, but for padding_idx; divided by how often it is named, if "
       "asked.",
       shape<embedding_backward_rule>, ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
