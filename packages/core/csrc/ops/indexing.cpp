// Reading and writing by index tensors, masks and coordinates.
#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

// Sizes of index that are too large for the lanes it picks from.
void expect_lanes(const atled_tensor* index, const atled_tensor* t, int dim, const char* name) {
  bool fits = index->dl.ndim == t->dl.ndim || numel(index) == 0;
  for (int d = 0; d < t->dl.ndim && fits && numel(index) > 0; ++d)
    fits = d == dim || index->dl.shape[d] <= t->dl.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected index.shape[d] <= %s.shape[d] for each d other than %d, got %s and %s", name, dim,
         shape_text(index).c_str(), shape_text(t).c_str());
}

void expect_index(const atled_tensor* index) {
  if (!is_integer(index->dtype))
    fail(ATLED_E_DTYPE, "expected index to be of an integer dtype, got %s", dtype_name(index->dtype));
}

void gather_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 2);
  expect_index(index);
  expect_lanes(index, input, wrap_dim(arg_int(f, 1), input->dl.ndim), "input");
  set_spec(outs[0], input->dtype, index->dl.ndim, index->dl.shape);
}

void expect_source(const atled_frame* f, const atled_tensor* source) {
  const atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 2);
  if (source->dtype != input->dtype)
    fail(ATLED_E_DTYPE, "expected src of input's dtype %s, got %s; cast it with src.to(input.dtype)",
         dtype_name(input->dtype), dtype_name(source->dtype));
  expect_lanes(index, source, -1, "src");
}

// index aligned with input but for dim, src at least as large as index.
void scatter_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 2);
  expect_index(index);
  expect_lanes(index, input, wrap_dim(arg_int(f, 1), input->dl.ndim), "input");
  if (f->args[3].tag == ATLED_TENSOR) expect_source(f, f->args[3].u.tensor);
  same_spec(outs[0], input);
}

void index_select_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 2);
  expect_index(index);
  if (index->dl.ndim > 1)
    fail(ATLED_E_SHAPE, "expected index of at most one dimension, got shape %s", shape_text(index).c_str());
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  same_spec(outs[0], input);
  if (input->dl.ndim > 0) outs[0].shape[dim] = numel(index);
}

// source: input's shape with index's length in dim.
void index_copy_rule(const atled_frame* f, atled_spec* outs) {
  index_select_rule(f, outs);
  const atled_tensor *input = arg_tensor(f, 0), *source = arg_tensor(f, 3);
  bool fits = source->dl.ndim == outs[0].ndim;
  for (int d = 0; d < outs[0].ndim && fits; ++d) fits = source->dl.shape[d] == outs[0].shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected source of shape %s, got %s", shape_text(outs[0].ndim, outs[0].shape).c_str(),
         shape_text(source).c_str());
  if (source->dtype != input->dtype)
    fail(ATLED_E_DTYPE, "expected source of input's dtype %s, got %s", dtype_name(input->dtype),
         dtype_name(source->dtype));
  same_spec(outs[0], input);
}

void index_fill_rule(const atled_frame* f, atled_spec* outs) {
  index_select_rule(f, outs);
  if (f->args[3].tag == ATLED_TENSOR && numel(f->args[3].u.tensor) != 1)
    fail(ATLED_E_SHAPE, "expected value of one element, got shape %s", shape_text(f->args[3].u.tensor).c_str());
  same_spec(outs[0], arg_tensor(f, 0));
}

void embedding_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *weight = arg_tensor(f, 0), *indices = arg_tensor(f, 1);
  if (weight->dl.ndim != 2)
    fail(ATLED_E_SHAPE, "expected weight of two dimensions, got shape %s", shape_text(weight).c_str());
  expect_index(indices);
  if (arg_bool(f, 4)) fail(ATLED_E_NOT_IMPLEMENTED, "expected sparse=False: there are no sparse gradients");
  Layout shape(indices);
  shape.push(weight->dl.shape[1], 0);
  set_spec(outs[0], weight->dtype, shape.ndim, shape.shape);
}

void input_rule(const atled_frame* f, atled_spec* outs) { same_spec(outs[0], arg_tensor(f, 0)); }

void index_put_rule(const atled_frame* f, atled_spec* outs) {
  const int dtype = arg_tensor(f, 0)->dtype;
  if (is_float8(dtype) && arg_bool(f, 3))
    fail(ATLED_E_DTYPE, "expected a dtype to add in with accumulate=True, got %s; convert input and values",
         dtype_name(dtype));
  input_rule(f, outs);
}

void define_indexing() {
  define({"index(Tensor input, Tensor?[] indices) -> Tensor",
          "The elements named by index tensors and masks: x[i, :, mask] with None for each whole dimension.\n\n"
          "input: any dtype; indices: integers that broadcast, or masks. Placed as in NumPy. BoundsError when one is "
          "outside.",
          nullptr, ATLED_OP_PRIVATE | ATLED_OP_FLOAT8});
  define({"setitem_(Tensor(a!) input, int[] spec, Tensor?[] indices, Tensor|Scalar value) -> Tensor",
          "input[spec][indices] = value; spec as in slice. The value broadcasts and is cast.", nullptr,
          ATLED_OP_PRIVATE | ATLED_OP_FLOAT8});
  define({"setitem(Tensor input, int[] spec, Tensor?[] indices, Tensor|Scalar value) -> Tensor",
          "A copy of input in which input[spec][indices] is value.", shape<input_rule>,
          ATLED_OP_PRIVATE | ATLED_OP_FLOAT8});
  define({"index_put(Tensor input, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
          "input with values at the places named by index tensors and masks, or added there.\n\n"
          "indices: as in input[indices], None for a whole dimension. values: input's dtype, else DTypeError, "
          "broadcast to input[indices]. With accumulate, a place named twice gets both values, else the last. "
          "BoundsError when an index is outside.\n\n"
          ">>> at.zeros(3).index_put((at.tensor([0, 0]),), at.ones(2), accumulate=True)\n"
          "tensor([2., 0., 0.])",
          shape<index_put_rule>, ATLED_OP_INPLACE | ATLED_OP_FLOAT8});
  define({"index_select(Tensor input, int dim, Tensor index) -> Tensor",
          "The slices of a dimension that index names, in its order.\n\n"
          "index: integers, at most 1-d, negative ones from the end. BoundsError when one is outside.\n\n"
          ">>> at.arange(4).index_select(0, at.tensor([3, 1]))\n"
          "tensor([3, 1])",
          shape<index_select_rule>, ATLED_OP_FLOAT8});
  define({"index_add(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
          "input with alpha * source added at the slices of a dimension that index names; a slice named twice gets "
          "both.\n\n"
          "index: integers, at most 1-d, negative ones from the end. source: input's dtype and shape, but index's "
          "length in dim. BoundsError, DTypeError and ShapeError otherwise.\n\n"
          ">>> at.zeros(3).index_add(0, at.tensor([0, 2, 0]), at.tensor([1.0, 2.0, 3.0]))\n"
          "tensor([4., 0., 2.])",
          shape<index_copy_rule>, ATLED_OP_INPLACE});
  define({"index_copy(Tensor input, int dim, Tensor index, Tensor source) -> Tensor",
          "input with the slices of a dimension that index names replaced by source's; of one named twice, the last "
          "stays.\n\n"
          "index and source: as in index_add.\n\n"
          ">>> at.zeros(3).index_copy(0, at.tensor([2, 0]), at.tensor([1.0, 2.0]))\n"
          "tensor([2., 0., 1.])",
          shape<index_copy_rule>, ATLED_OP_INPLACE | ATLED_OP_FLOAT8});
  define({"index_fill(Tensor input, int dim, Tensor index, Tensor|Scalar value) -> Tensor",
          "input with one value in the slices of a dimension that index names.\n\n"
          "index: as in index_add. value: a number or a tensor of one element, converted to input's dtype.\n\n"
          ">>> at.zeros(2, 2).index_fill(1, at.tensor([0]), 7)\n"
          "tensor([[7., 0.],\n"
          "        [7., 0.]])",
          shape<index_fill_rule>, ATLED_OP_INPLACE | ATLED_OP_FLOAT8});
  define({"gather(Tensor input, int dim, Tensor index) -> Tensor",
          "out[i][j] = input[index[i][j]][j] for dim 0, and so on for every rank and dim.\n\n"
          "index: integers, no larger than input but in dim, else ShapeError; negative ones count from the end. "
          "Returns index's shape. BoundsError when one is outside.\n\n"
          ">>> at.tensor([[1, 2], [3, 4]]).gather(1, at.tensor([[1], [0]]))\n"
          "tensor([[2],\n"
          "        [3]])",
          shape<gather_rule>, ATLED_OP_FLOAT8});
  define(
      {"scatter(Tensor input, int dim, Tensor index, Tensor|Scalar? src=None, *, Scalar? value=None, str? reduce=None) "
       "-> Tensor",
       "input with src written at the places that index names: out[index[i][j]][j] = src[i][j] for dim 0.\n\n"
       "src: input's dtype, at least index's shape, or a number, which may also be called value; reduce: None, \"add\" "
       "or \"multiply\", else InvalidValueError. index: as in gather. Where a place is named twice, the last value "
       "stays.\n\n"
       ">>> at.zeros(2, 3).scatter(1, at.tensor([[0, 2], [1, 1]]), at.tensor([[1.0, 2.0], [3.0, 4.0]]))\n"
       "tensor([[1., 0., 2.],\n"
       "        [0., 4., 0.]])",
       shape<scatter_rule>, ATLED_OP_INPLACE});
  define({"scatter_add(Tensor input, int dim, Tensor index, Tensor src) -> Tensor",
          "input with src added at the places that index names (see scatter); a place named twice gets both.\n\n"
          "src: input's dtype, at least index's shape.\n\n"
          ">>> at.zeros(3).scatter_add(0, at.tensor([0, 0, 2]), at.tensor([1.0, 2.0, 3.0]))\n"
          "tensor([3., 0., 3.])",
          shape<scatter_rule>, ATLED_OP_INPLACE});
  define(
      {"scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> "
       "Tensor",
       "input with src reduced into the places that index names (see scatter).\n\n"
       "reduce: \"sum\", \"prod\", \"mean\", \"amax\" or \"amin\", else InvalidValueError; without include_self, what "
       "input held there does not count. Places that are not named keep input's.\n\n"
       ">>> at.ones(3).scatter_reduce(0, at.tensor([0, 0, 2]), at.tensor([4.0, 2.0, 3.0]), \"amax\")\n"
       "tensor([4., 1., 3.])\n"
       ">>> at.ones(3).scatter_reduce(0, at.tensor([0, 0, 2]), at.tensor([4.0, 2.0, 3.0]), \"mean\", "
       "include_self=False)\n"
       "tensor([3., 1., 3.])",
       shape<scatter_rule>, ATLED_OP_INPLACE});
  define(
      {"embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool "
       "sparse=False) -> Tensor",
       "The rows of a matrix that indices name, in a new last dimension.\n\n"
       "weight (n, d), indices: integers of shape (*), negative ones from the end; returns (*, d). BoundsError when "
       "one is outside. padding_idx: a row that gets no gradient; scale_grad_by_freq: a row's gradient is divided by "
       "how often it was named.\n\n"
       ">>> at.embedding(at.tensor([[1, 2], [3, 4], [5, 6]]), at.tensor([2, 0]))\n"
       "tensor([[5, 6],\n"
       "        [1, 2]])",
       shape<embedding_rule>, ATLED_OP_FUNCTION | ATLED_OP_FLOAT8});
  define({"take(Tensor input, Tensor index, *, int? axis=None) -> Tensor",
          "The elements at positions of the flattened input; with axis, the slices of that dimension.\n\n"
          "index: integers of any shape, with axis of one dimension, negative ones from the end. Returns index's "
          "shape, or as index_select. BoundsError when one is outside.\n\n"
          ">>> at.take(at.tensor([[1, 2], [3, 4]]), at.tensor([3, 0]))\n"
          "tensor([4, 1])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"take_along_dim(Tensor input, Tensor indices, int? dim=None) -> Tensor",
          "gather after broadcasting input and indices to each other in all dimensions but dim; with None, of the "
          "flattened two.\n\n"
          "indices: integers, as argsort, argmax and their like give them.\n\n"
          ">>> x = at.tensor([[3, 1, 2]])\n"
          ">>> x.take_along_dim(x.argsort(1), 1)\n"
          "tensor([[1, 2, 3]])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"masked_select(Tensor input, Tensor mask) -> Tensor",
          "The elements of input where mask is true, in row-major order, in one dimension.\n\n"
          "input and mask broadcast to each other. DTypeError unless mask is bool.\n\n"
          ">>> x = at.tensor([[1, 2], [3, 4]])\n"
          ">>> x.masked_select(x > 2)\n"
          "tensor([3, 4])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"nonzero(Tensor input) -> Tensor",
          "The coordinates of the elements that are not zero, a row for each, in row-major order.\n\n"
          "input: any dtype. Returns int64 of shape (n, input.ndim). NaN is not zero.\n\n"
          ">>> at.tensor([[0, 5], [6, 0]]).nonzero()\n"
          "tensor([[0, 1],\n"
          "        [1, 0]])"});
  alias("core::nonzero", "core::argwhere");
}

ATLED_OPS(define_indexing);

}  // namespace
}  // namespace atled::core
