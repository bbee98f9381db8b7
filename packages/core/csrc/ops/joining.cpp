// Tensors put together, repeated and turned around.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void expect_some(const atled_value& tensors) {
  if (tensors.n == 0) fail(ATLED_E_VALUE, "expected at least one tensor, got none");
}

int joined_dtype(const atled_value& tensors) {
  int dtype = tensors.u.tensors[0]->dtype;
  for (uint32_t i = 1; i < tensors.n; ++i) dtype = promote(dtype, tensors.u.tensors[i]->dtype);
  return dtype;
}

// As PyTorch has it, a tensor of shape (0,) joins anything.
bool is_nothing(const atled_tensor* t) { return t->dl.ndim == 1 && t->dl.shape[0] == 0; }

void cat_rule(const atled_frame* f, atled_spec* outs) {
  const atled_value& tensors = f->args[0];
  expect_some(tensors);
  const atled_tensor* first = nullptr;
  for (uint32_t i = 0; i < tensors.n && !first; ++i)
    if (!is_nothing(tensors.u.tensors[i])) first = tensors.u.tensors[i];
  if (!first) first = tensors.u.tensors[0];
  if (first->dl.ndim == 0)
    fail(ATLED_E_SHAPE, "expected tensors of at least one dimension, got a 0-d tensor; use stack");
  const int dim = wrap_dim(arg_int(f, 1), first->dl.ndim);
  set_spec(outs[0], joined_dtype(tensors), first->dl.ndim, first->dl.shape);
  outs[0].shape[dim] = 0;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    const atled_tensor* t = tensors.u.tensors[i];
    if (is_nothing(t)) continue;
    bool fits = t->dl.ndim == first->dl.ndim;
    for (int d = 0; d < first->dl.ndim && fits; ++d) fits = d == dim || t->dl.shape[d] == first->dl.shape[d];
    if (!fits)
      fail(ATLED_E_SHAPE, "expected shapes that agree but for dim %d, got %s and, as tensor %u, %s", dim,
           shape_text(first).c_str(), i, shape_text(t).c_str());
    outs[0].shape[dim] += t->dl.shape[dim];
  }
}

void stack_rule(const atled_frame* f, atled_spec* outs) {
  const atled_value& tensors = f->args[0];
  expect_some(tensors);
  const atled_tensor* first = tensors.u.tensors[0];
  for (uint32_t i = 1; i < tensors.n; ++i) {
    const atled_tensor* t = tensors.u.tensors[i];
    bool fits = t->dl.ndim == first->dl.ndim;
    for (int d = 0; d < first->dl.ndim && fits; ++d) fits = t->dl.shape[d] == first->dl.shape[d];
    if (!fits)
      fail(ATLED_E_SHAPE, "expected equal shapes, got %s and, as tensor %u, %s", shape_text(first).c_str(), i,
           shape_text(t).c_str());
  }
  if (first->dl.ndim == ATLED_MAX_NDIM) fail(ATLED_E_SHAPE, "expected at most %d dimensions", ATLED_MAX_NDIM - 1);
  const int dim = wrap_dim(arg_int(f, 1), first->dl.ndim + 1);
  set_spec(outs[0], joined_dtype(tensors), first->dl.ndim + 1, first->dl.shape);
  for (int d = first->dl.ndim; d > dim; --d) outs[0].shape[d] = outs[0].shape[d - 1];
  outs[0].shape[dim] = tensors.n;
}

void input_rule(const atled_frame* f, atled_spec* outs) { same_spec(outs[0], arg_tensor(f, 0)); }

void flip_rule(const atled_frame* f, atled_spec* outs) {
  if (f->args[1].tag == ATLED_INTS && f->args[1].n > 0) reduced_dims(f->args[1], arg_tensor(f, 0)->dl.ndim);
  input_rule(f, outs);
}

void roll_rule(const atled_frame* f, atled_spec* outs) {
  const atled_value &shifts = f->args[1], &dims = f->args[2];
  if (is_none(dims) ? shifts.n != 1 : shifts.n != dims.n)
    fail(ATLED_E_SHAPE, "expected as many shifts as dims, got %u and %u", shifts.n, is_none(dims) ? 0 : dims.n);
  if (!is_none(dims))
    for (uint32_t i = 0; i < dims.n; ++i) wrap_dim(dims.u.ints[i], arg_tensor(f, 0)->dl.ndim, "dims");
  input_rule(f, outs);
}

// `tiled`: counts for the last dimensions only; the others are not repeated.
void repeated_spec(const atled_frame* f, atled_spec& spec, bool tiled) {
  const atled_tensor* input = arg_tensor(f, 0);
  const atled_value& counts = f->args[1];
  const int n = static_cast<int>(counts.n), ndim = n > input->dl.ndim || !tiled ? n : input->dl.ndim;
  if (n < input->dl.ndim && !tiled)
    fail(ATLED_E_SHAPE, "expected at least %d repeats, one for each dimension, got %d; or use tile", input->dl.ndim, n);
  if (ndim > ATLED_MAX_NDIM) fail(ATLED_E_SHAPE, "expected at most %d dimensions, got %d", ATLED_MAX_NDIM, ndim);
  set_spec(spec, input->dtype, 0, nullptr);
  spec.ndim = ndim;
  for (int d = 0; d < ndim; ++d) {
    const int own = d - (ndim - input->dl.ndim), at = d - (ndim - n);
    const int64_t count = at < 0 ? 1 : counts.u.ints[at];
    if (count < 0) fail(ATLED_E_VALUE, "expected repeats >= 0, got %s", shape_text(n, counts.u.ints).c_str());
    if (__builtin_mul_overflow(count, own < 0 ? 1 : input->dl.shape[own], &spec.shape[d]))
      fail(ATLED_E_SHAPE, "expected a result whose sizes a number can hold, got repeats %s of shape %s",
           shape_text(n, counts.u.ints).c_str(), shape_text(input).c_str());
  }
}

void repeat_rule(const atled_frame* f, atled_spec* outs) { repeated_spec(f, outs[0], false); }
void tile_rule(const atled_frame* f, atled_spec* outs) { repeated_spec(f, outs[0], true); }

void define_joining() {
  define({"cat(Tensor[] tensors, int dim=0) -> Tensor",
          "The tensors one behind another along a dimension.\n\n"
          "tensors: shapes that agree but for dim, else ShapeError; dtypes promote. A tensor of shape (0,) joins any "
          "other.\n\n"
          ">>> at.cat([at.zeros(1), at.ones(2)])\n"
          "tensor([0., 1., 1.])",
          shape<cat_rule>, ATLED_OP_FUNCTION | ATLED_OP_FLOAT8});
  define({"stack(Tensor[] tensors, int dim=0) -> Tensor",
          "The tensors one behind another along a new dimension.\n\n"
          "tensors: equal shapes, else ShapeError; dtypes promote.\n\n"
          ">>> at.stack([at.tensor([1, 2]), at.tensor([3, 4])], dim=1)\n"
          "tensor([[1, 3],\n"
          "        [2, 4]])",
          shape<stack_rule>, ATLED_OP_FUNCTION | ATLED_OP_FLOAT8});
  define({"flip(Tensor input, int[*]? dims=None) -> Tensor",
          "The elements in reverse order along dims, or along all of them without dims.\n\n"
          "Returns a copy. InvalidValueError for a dim that is named twice.\n\n"
          ">>> at.tensor([[1, 2], [3, 4]]).flip(0)\n"
          "tensor([[3, 4],\n"
          "        [1, 2]])",
          shape<flip_rule>, ATLED_OP_FLOAT8});
  define({"roll(Tensor input, int[] shifts, int[]? dims=None) -> Tensor",
          "The elements moved on by shifts along dims; what falls off one end enters at the other.\n\n"
          "Without dims, the flattened input is moved. ShapeError unless there are as many shifts as dims.\n\n"
          ">>> at.tensor([1, 2, 3]).roll(1)\n"
          "tensor([3, 1, 2])",
          shape<roll_rule>, ATLED_OP_FLOAT8});
  define({"repeat(Tensor input, int[*] repeats) -> Tensor",
          "input laid out side by side, repeats[d] times along dimension d; more repeats than dimensions add some in "
          "front.\n\n"
          "ShapeError for fewer repeats than dimensions (see tile), InvalidValueError for one below 0.\n\n"
          ">>> at.tensor([1, 2]).repeat(2)\n"
          "tensor([1, 2, 1, 2])\n"
          ">>> at.tensor([1, 2]).repeat(2, 1)\n"
          "tensor([[1, 2],\n"
          "        [1, 2]])",
          shape<repeat_rule>, ATLED_OP_FLOAT8});
  define({"tile(Tensor input, int[*] dims) -> Tensor",
          "repeat, with counts for the last dimensions only if they are fewer.\n\n"
          ">>> at.tensor([[1, 2], [3, 4]]).tile(2)\n"
          "tensor([[1, 2, 1, 2],\n"
          "        [3, 4, 3, 4]])",
          shape<tile_rule>, ATLED_OP_FLOAT8});
  define({"repeat_indices(Tensor repeats) -> Tensor", "Each i repeats[i] times, in order: int64.", nullptr,
          ATLED_OP_PRIVATE});
  define({"repeat_interleave(Tensor input, Tensor|Scalar repeats, int? dim=None, *, int? output_size=None) -> Tensor",
          "Each entry of a dimension repeated in place; without dim, of the flattened input.\n\n"
          "repeats: one count, or an integer tensor of one per entry, else ShapeError. InvalidValueError for one below "
          "0, or where output_size is not the size that they come to.\n\n"
          ">>> at.tensor([5, 6]).repeat_interleave(at.tensor([1, 2]))\n"
          "tensor([5, 6, 6])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"meshgrid(Tensor[*] tensors, *, str indexing=\"ij\") -> Tensor[]",
          "Coordinate grids of 0-d or 1-d tensors: grid i varies along dimension i and is tensors[i] there.\n\n"
          "indexing: \"ij\", or \"xy\" with the first two dimensions swapped. Returns expanded views, one for each "
          "tensor.\n\n"
          ">>> rows, columns = at.meshgrid(at.tensor([1, 2]), at.tensor([3, 4, 5]))\n"
          ">>> rows\n"
          "tensor([[1, 1, 1],\n"
          "        [2, 2, 2]])",
          nullptr, ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION});
}

ATLED_OPS(define_joining);

}  // namespace
}  // namespace atled::core
