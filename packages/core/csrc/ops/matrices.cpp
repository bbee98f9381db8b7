// Diagonals, comparisons as a whole, and other small things over whole tensors.
#include <algorithm>

#include "dispatch/register.h"
#include "functors/triangle.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void diag_embed_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  const int ndim = input->dl.ndim + 1;
  if (input->dl.ndim == 0 || ndim > ATLED_MAX_NDIM)
    fail(ATLED_E_SHAPE, "expected input of at least one dimension, got shape %s", shape_text(input).c_str());
  const int a = wrap_dim(arg_int(f, 2), ndim, "dim1"), b = wrap_dim(arg_int(f, 3), ndim, "dim2");
  if (a == b) fail(ATLED_E_VALUE, "expected dim1 and dim2 to differ, got %d twice", a);
  const int64_t offset = arg_int(f, 1), limit = int64_t{1} << 46;
  if (offset < -limit || offset > limit)
    fail(ATLED_E_VALUE, "expected offset in [-2^46, 2^46], got %lld", (long long)offset);
  const int64_t side = input->dl.shape[input->dl.ndim - 1] + (offset < 0 ? -offset : offset);
  set_spec(outs[0], input->dtype, 0, nullptr);
  outs[0].ndim = ndim;
  for (int d = 0, next = 0; d < ndim; ++d) outs[0].shape[d] = d == a || d == b ? side : input->dl.shape[next++];
}

void indices_rule(const atled_frame* f, atled_spec* outs, bool lower) {
  const int64_t rows = arg_int(f, 0), columns = arg_int(f, 1), offset = arg_int(f, 2);
  if (rows < 0 || columns < 0)
    fail(ATLED_E_SHAPE, "expected sizes >= 0, got %lld and %lld", (long long)rows, (long long)columns);
  if (std::max(static_cast<double>(rows), 1.0) * std::max(static_cast<double>(columns), 1.0) > 4e18)
    fail(ATLED_E_SHAPE, "expected a matrix of fewer elements, got %lld x %lld", (long long)rows, (long long)columns);
  const int64_t below = ramp(rows, columns, std::clamp(offset, -rows - 1, columns) + (lower ? 1 : 0));
  const int64_t count = lower ? below : rows * columns - below;
  set_spec(outs[0], f->args[3].tag == ATLED_DTYPE ? static_cast<int>(f->args[3].u.i) : static_cast<int>(ATLED_INT64),
           {2, count});
}
void tril_indices_rule(const atled_frame* f, atled_spec* outs) { indices_rule(f, outs, true); }
void triu_indices_rule(const atled_frame* f, atled_spec* outs) { indices_rule(f, outs, false); }

void define_matrices() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE, function = ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION;
  define({"equal(Tensor input, Tensor other) -> bool",
          "Whether two tensors have one shape and equal elements, as a Python bool.\n\n"
          "Dtypes promote; NaN equals nothing, itself neither. Shapes do not broadcast.\n\n"
          ">>> at.equal(at.tensor([1, 2]), at.tensor([1.0, 2.0])), at.equal(at.ones(2), at.ones(1))\n"
          "(True, False)"});
  define(
      {"allclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool",
       "Whether |input - other| <= atol + rtol * |other| everywhere; the two broadcast.\n\n"
       "Equal infinities are close, a NaN is close to nothing but, with equal_nan, to NaN. Returns a Python bool.\n\n"
       ">>> at.allclose(at.tensor([1.0, 2.0]), at.tensor([1.0, 2.001]))\nFalse\n"
       ">>> at.allclose(at.tensor([1.0, 2.0]), at.tensor([1.0, 2.001]), rtol=1e-3)\nTrue"});
  define({"diag_embed(Tensor input, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
          "Matrices with input's last dimension on a diagonal and zeros elsewhere.\n\n"
          "input (*, n): any dtype. Returns a new tensor with two dimensions of n + |offset|, at dim1 and dim2 of the "
          "result; offset > 0 is above, < 0 below the main diagonal. ShapeError for a 0-d input.\n\n"
          ">>> at.diag_embed(at.tensor([1, 2]), offset=1)\ntensor([[0, 1, 0],\n        [0, 0, 2],\n"
          "        [0, 0, 0]])",
          shape<diag_embed_rule>});
  define({"diag(Tensor input, int diagonal=0) -> Tensor",
          "The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal.\n\n"
          "input: 1-d or 2-d, any dtype, else ShapeError; diagonal > 0 is above, < 0 below the main one.\n\n"
          ">>> at.diag(at.tensor([[1, 2], [3, 4]]))\ntensor([1, 4])\n>>> at.diag(at.tensor([1, 2]))\n"
          "tensor([[1, 0],\n        [0, 2]])",
          nullptr, composite});
  define({"diagflat(Tensor input, int offset=0) -> Tensor",
          "A matrix with the flattened input on its diagonal and zeros elsewhere.\n\n"
          "input: n elements in any shape, any dtype; offset > 0 is above, < 0 below the main diagonal. Returns a "
          "square of n + |offset|.\n\n"
          ">>> at.diagflat(at.tensor([[1], [2]]), -1)\ntensor([[0, 0, 0],\n        [1, 0, 0],\n"
          "        [0, 2, 0]])",
          nullptr, composite});
  define({"trace(Tensor input) -> Tensor",
          "The sum of a matrix's diagonal.\n\n"
          "input: 2-d, not only square; bool and integers are summed in int64. ShapeError otherwise (linalg.trace "
          "takes batches).\n\n"
          ">>> at.arange(6).reshape(2, 3).trace()\ntensor(4)",
          nullptr, composite});
  define({"kron(Tensor input, Tensor other) -> Tensor",
          "The Kronecker product: every element of input times all of other, as blocks.\n\n"
          "The dtypes promote; the shorter shape counts as having ones in front. Dimension i of the result has "
          "input.shape[i] * other.shape[i] entries.\n\n"
          ">>> at.kron(at.tensor([[1, 0], [0, 2]]), at.tensor([[1, 1]]))\ntensor([[1, 1, 0, 0],\n"
          "        [0, 0, 2, 2]])",
          nullptr, composite});
  define({"tril_indices(int row, int col, int offset=0, *, dtype? dtype=None, device? device=None) -> Tensor",
          "The row and column of each element on or below a diagonal of a (row, col) matrix, row by row.\n\n"
          "offset: which diagonal, > 0 above the main one. Returns (2, n), int64 unless given: row numbers, then "
          "column numbers.\n\n"
          ">>> at.tril_indices(2, 2)\ntensor([[0, 1, 1],\n        [0, 0, 1]])",
          shape<tril_indices_rule>, ATLED_OP_FACTORY | ATLED_OP_FUNCTION});
  define({"triu_indices(int row, int col, int offset=0, *, dtype? dtype=None, device? device=None) -> Tensor",
          "The row and column of each element on or above a diagonal of a (row, col) matrix, row by row.\n\n"
          "offset: which diagonal, > 0 above the main one. Returns (2, n), int64 unless given: row numbers, then "
          "column numbers.\n\n"
          ">>> at.triu_indices(2, 3, 1)\ntensor([[0, 0, 1],\n        [1, 2, 2]])",
          shape<triu_indices_rule>, ATLED_OP_FACTORY | ATLED_OP_FUNCTION});
  define({"hstack(Tensor[] tensors) -> Tensor",
          "The tensors side by side: joined along dimension 1, or 0 where they are vectors.\n\n"
          "tensors: dtypes promote; 0-d ones count as vectors of one element. The rules for shapes are cat's.\n\n"
          ">>> at.hstack([at.tensor([[1], [2]]), at.tensor([[3], [4]])])\ntensor([[1, 3],\n"
          "        [2, 4]])",
          nullptr, function});
  define({"vstack(Tensor[] tensors) -> Tensor",
          "The tensors on top of each other: joined along dimension 0, vectors as rows.\n\n"
          "tensors: dtypes promote. The rules for shapes are cat's.\n\n"
          ">>> at.vstack([at.tensor([1, 2]), at.tensor([[3, 4]])])\ntensor([[1, 2],\n        [3, 4]])",
          nullptr, function});
  alias("core::vstack", "core::row_stack");
  define({"dstack(Tensor[] tensors) -> Tensor",
          "The tensors behind each other: joined along dimension 2, after atleast_3d of each.\n\n"
          "tensors: dtypes promote. The rules for shapes are cat's.\n\n"
          ">>> at.dstack([at.tensor([1, 2]), at.tensor([3, 4])])\ntensor([[[1, 3],\n         [2, 4]]])",
          nullptr, function});
  define({"column_stack(Tensor[] tensors) -> Tensor",
          "The tensors side by side: joined along dimension 1, vectors as columns.\n\n"
          "tensors: dtypes promote. The rules for shapes are cat's.\n\n"
          ">>> at.column_stack([at.tensor([1, 2]), at.tensor([[3, 4], [5, 6]])])\ntensor([[1, 3, 4],\n"
          "        [2, 5, 6]])",
          nullptr, function});
  define({"fliplr(Tensor input) -> Tensor",
          "Columns in reverse order: a copy flipped along dimension 1.\n\n"
          "input: at least 2-d, else ShapeError.\n\n"
          ">>> at.fliplr(at.tensor([[1, 2], [3, 4]]))\ntensor([[2, 1],\n        [4, 3]])",
          nullptr, composite});
  define({"flipud(Tensor input) -> Tensor",
          "Rows in reverse order: a copy flipped along dimension 0.\n\n"
          "input: at least 1-d, else ShapeError.\n\n"
          ">>> at.flipud(at.tensor([[1, 2], [3, 4]]))\ntensor([[3, 4],\n        [1, 2]])",
          nullptr, composite});
  define({"rot90(Tensor input, int k=1, int[] dims=[0, 1]) -> Tensor",
          "input turned k times by 90 degrees, from the first of dims to the second: a copy, of columns side by side "
          "where k is odd.\n\n"
          "k < 0 turns the other way round: by default, k=1 turns a matrix counter-clockwise. dims: two different "
          "dimensions.\n\n"
          ">>> at.rot90(at.tensor([[1, 2], [3, 4]]))\ntensor([[2, 4],\n        [1, 3]])",
          nullptr, composite});
  define({"block_diag(Tensor[*] tensors) -> Tensor",
          "Matrices along the diagonal of one, zeros elsewhere.\n\n"
          "tensors: at most 2-d, a vector is a row, a number a (1, 1) matrix; dtypes promote. Returns (sum of rows, "
          "sum of columns).\n\n"
          ">>> at.block_diag(at.tensor([[1, 2], [3, 4]]), at.tensor([5, 6]))\ntensor([[1, 2, 0, 0],\n"
          "        [3, 4, 0, 0],\n        [0, 0, 5, 6]])",
          nullptr, function});
  define({"cartesian_prod(Tensor[*] tensors) -> Tensor",
          "All combinations of the vectors' elements, a row for each; the last vector's element changes fastest.\n\n"
          "tensors: 1-d, dtypes promote. Returns (product of the sizes, number of vectors); of a single vector, the "
          "vector.\n\n"
          ">>> at.cartesian_prod(at.tensor([1, 2]), at.tensor([3, 4]))\ntensor([[1, 3],\n"
          "        [1, 4],\n        [2, 3],\n        [2, 4]])",
          nullptr, function});
  define({"tensor_split(Tensor input, int[] indices_or_sections, int dim=0) -> Tensor[]",
          "Pieces along a dimension, cut at the indices; or, with one number, that many of nearly equal size.\n\n"
          "With a number, the first pieces are one longer where it does not divide the size. Returns views, some of "
          "which may be empty. InvalidValueError for a number below 1.\n\n"
          ">>> at.arange(5).tensor_split(3)\n(tensor([0, 1]), tensor([2, 3]), tensor([4]))\n"
          ">>> at.arange(5).tensor_split([1, 3])\n(tensor([0]), tensor([1, 2]), tensor([3, 4]))",
          nullptr, composite});
  define({"hsplit(Tensor input, int[] indices_or_sections) -> Tensor[]",
          "tensor_split of dimension 1, or 0 for vectors: pieces side by side.\n\n"
          "Returns views. A number need not divide the size (PyTorch's has to). ShapeError for a 0-d input.\n\n"
          ">>> at.tensor([[1, 2, 3, 4]]).hsplit(2)\n(tensor([[1, 2]]), tensor([[3, 4]]))",
          nullptr, composite});
  define(
      {"vsplit(Tensor input, int[] indices_or_sections) -> Tensor[]",
       "tensor_split of dimension 0: rows from top to bottom.\n\n"
       "input: at least 2-d, else ShapeError. Returns views. A number need not divide the size (PyTorch's has to).\n\n"
       ">>> at.tensor([[1, 2], [3, 4], [5, 6]]).vsplit([1])\n(tensor([[1, 2]]), tensor([[3, 4],\n"
       "        [5, 6]]))",
       nullptr, composite});
  define(
      {"dsplit(Tensor input, int[] indices_or_sections) -> Tensor[]",
       "tensor_split of dimension 2: one piece behind the other.\n\n"
       "input: at least 3-d, else ShapeError. Returns views. A number need not divide the size (PyTorch's has to).\n\n"
       ">>> at.tensor([[[1, 2, 3, 4]]]).dsplit(2)\n(tensor([[[1, 2]]]), tensor([[[3, 4]]]))",
       nullptr, composite});
  define({"select_scatter(Tensor input, Tensor src, int dim, int index) -> Tensor",
          "A copy of input with src as the slice at one index of a dimension: select, written to.\n\n"
          "src: the slice's shape, to which it does not broadcast, else ShapeError.\n\n"
          ">>> at.zeros(2, 2).select_scatter(at.tensor([1.0, 2.0]), 0, 1)\ntensor([[0., 0.],\n"
          "        [1., 2.]])",
          nullptr, composite});
  define({"diagonal_scatter(Tensor input, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
          "A copy of input with src on a diagonal: diagonal, written to.\n\n"
          "src: the shape of input.diagonal(offset, dim1, dim2), to which it does not broadcast, else ShapeError.\n\n"
          ">>> at.zeros(2, 2).diagonal_scatter(at.tensor([1.0, 2.0]))\ntensor([[1., 0.],\n"
          "        [0., 2.]])",
          nullptr, composite});
  define({"slice_scatter(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
          "A copy of input with src as input[start:end:step] of a dimension.\n\n"
          "src: the slice's shape, to which it does not broadcast, else ShapeError. start and end may be negative or "
          "beyond the size, as in Python.\n\n"
          ">>> at.zeros(5).slice_scatter(at.tensor([1.0, 2.0]), 0, start=1, end=5, step=2)\n"
          "tensor([0., 1., 0., 2., 0.])",
          nullptr, composite});
  define({"masked_scatter(Tensor input, Tensor mask, Tensor source) -> Tensor",
          "A copy of input with source's elements, in order, where mask is true.\n\n"
          "mask: bool; it broadcasts to input. source: input's dtype, at least as many elements as mask is true, else "
          "ShapeError; the rest is not used.\n\n"
          ">>> at.zeros(3).masked_scatter(at.tensor([True, False, True]), at.tensor([5.0, 6.0, 7.0]))\n"
          "tensor([5., 0., 6.])",
          nullptr, composite | ATLED_OP_INPLACE});
  define({"bincount(Tensor input, Tensor? weights=None, int minlength=0) -> Tensor",
          "How often each of 0, 1, ... occurs in a vector of integers, or the sum of the weights there.\n\n"
          "input: 1-d, not negative (InvalidValueError); weights: input's shape. Returns max(input) + 1 entries, at "
          "least minlength: int64, or with weights floating.\n\n"
          ">>> at.bincount(at.tensor([0, 2, 2]))\ntensor([1, 0, 2])\n"
          ">>> at.bincount(at.tensor([0, 2, 2]), at.tensor([0.5, 1.0, 2.0]), minlength=4)\n"
          "tensor([0.5000, 0.0000, 3.0000, 0.0000])"});
  define(
      {"einsum(str equation, Tensor[*] operands) -> Tensor",
       "Einstein's sum: letters name the operands' dimensions; those that the result does not name are summed over.\n\n"
       "equation: `ij,jk->ik`; `...` stands for dimensions that broadcast, a letter twice in one operand for its "
       "diagonal. Without an arrow, the result names the letters that occur once, in alphabetical order. operands: "
       "dtypes promote, one for each term.\n\n"
       ">>> a = at.tensor([[1, 2], [3, 4]])\n>>> at.einsum(\"ij,kj->ik\", a, at.tensor([[1, 1]]))\n"
       "tensor([[3],\n        [7]])\n>>> at.einsum(\"ii\", a)\ntensor(5)",
       nullptr, function});
}

ATLED_OPS(define_matrices);

}  // namespace
}  // namespace atled::core
