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
          "Whether two tensors have one shape and equal elements (dtypes promote; NaN equals nothing).\n\n"
          ">>> at.equal(at.ones(2), at.ones(2))\nTrue"});
  define({"allclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool",
          "Whether |input - other| <= atol + rtol * |other| everywhere; the two broadcast."});
  define({"diag_embed(Tensor input, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
          "Matrices with input's last dimension on a diagonal and zeros elsewhere.\n\ninput: any dtype, at least 1-d.",
          shape<diag_embed_rule>});
  define({"diag(Tensor input, int diagonal=0) -> Tensor",
          "The diagonal of a matrix (a copy), or a matrix with a vector on its diagonal.\n\ninput: 1-d or 2-d.",
          nullptr, composite});
  define({"diagflat(Tensor input, int offset=0) -> Tensor", "A matrix with the flattened input on its diagonal.",
          nullptr, composite});
  define({"trace(Tensor input) -> Tensor",
          "The sum of a matrix's diagonal.\n\ninput: 2-d.\n\n>>> at.eye(3).trace()\ntensor(3.)", nullptr, composite});
  define({"kron(Tensor input, Tensor other) -> Tensor",
          "The Kronecker product: every element of input times all of other, as blocks.", nullptr, composite});
  define({"tril_indices(int row, int col, int offset=0, *, dtype? dtype=None, device? device=None) -> Tensor",
          "The row and column of each element of a lower triangle: int64 of shape (2, n).", shape<tril_indices_rule>,
          ATLED_OP_FACTORY | ATLED_OP_FUNCTION});
  define({"triu_indices(int row, int col, int offset=0, *, dtype? dtype=None, device? device=None) -> Tensor",
          "The row and column of each element of an upper triangle: int64 of shape (2, n).", shape<triu_indices_rule>,
          ATLED_OP_FACTORY | ATLED_OP_FUNCTION});
  define({"hstack(Tensor[] tensors) -> Tensor", "The tensors side by side: along dimension 1, or 0 for vectors.",
          nullptr, function});
  define({"vstack(Tensor[] tensors) -> Tensor", "The tensors on top of each other: along dimension 0, vectors as rows.",
          nullptr, function});
  alias("core::vstack", "core::row_stack");
  define(
      {"dstack(Tensor[] tensors) -> Tensor", "The tensors behind each other: along dimension 2.", nullptr, function});
  define(
      {"column_stack(Tensor[] tensors) -> Tensor", "The tensors side by side, vectors as columns.", nullptr, function});
  define({"fliplr(Tensor input) -> Tensor", "flip of dimension 1.", nullptr, composite});
  define({"flipud(Tensor input) -> Tensor", "flip of dimension 0.", nullptr, composite});
  define({"rot90(Tensor input, int k=1, int[] dims=[0, 1]) -> Tensor",
          "input turned k times by 90 degrees, from the first of dims to the second.", nullptr, composite});
  define({"block_diag(Tensor[*] tensors) -> Tensor", "Matrices along the diagonal of one, zeros elsewhere.", nullptr,
          function});
  define({"cartesian_prod(Tensor[*] tensors) -> Tensor", "All combinations of the vectors' elements, a row for each.",
          nullptr, function});
  define({"tensor_split(Tensor input, int[] indices_or_sections, int dim=0) -> Tensor[]",
          "Pieces along a dimension, cut at the indices; or, with one number, that many of nearly equal size.", nullptr,
          composite});
  define({"hsplit(Tensor input, int[] indices_or_sections) -> Tensor[]",
          "tensor_split of dimension 1, or 0 for vectors.", nullptr, composite});
  define({"vsplit(Tensor input, int[] indices_or_sections) -> Tensor[]", "tensor_split of dimension 0.", nullptr,
          composite});
  define({"dsplit(Tensor input, int[] indices_or_sections) -> Tensor[]", "tensor_split of dimension 2.", nullptr,
          composite});
  define({"select_scatter(Tensor input, Tensor src, int dim, int index) -> Tensor",
          "A copy of input with src as the slice at one index of a dimension.", nullptr, composite});
  define({"diagonal_scatter(Tensor input, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor",
          "A copy of input with src on a diagonal.", nullptr, composite});
  define({"slice_scatter(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
          "A copy of input with src as a slice of a dimension.", nullptr, composite});
  define({"masked_scatter(Tensor input, Tensor mask, Tensor source) -> Tensor",
          "A copy of input with source's elements, in order, where mask is true.", nullptr,
          composite | ATLED_OP_INPLACE});
  define({"bincount(Tensor input, Tensor? weights=None, int minlength=0) -> Tensor",
          "How often each of 0, 1, ... occurs in a vector of integers, or the sum of the weights there.\n\n"
          ">>> at.bincount(at.tensor([0, 2, 2]))\ntensor([1, 0, 2])"});
  define({"einsum(str equation, Tensor[*] operands) -> Tensor",
          "Einstein's sum: `ij,jk->ik`, with ... for dimensions that broadcast.\n\n"
          ">>> at.einsum(\"ij->ji\", at.ones(2, 3)).shape\n(3, 2)",
          nullptr, function});
}

ATLED_OPS(define_matrices);

}  // namespace
}  // namespace atled::core
