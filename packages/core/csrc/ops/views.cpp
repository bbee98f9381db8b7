// Views: the same storage seen with another shape, strides or offset.
#include "dispatch/register.h"

namespace atled::core {
namespace {

struct ViewOp {
  const char* schema;
  const char* doc;
  uint32_t traits = ATLED_OP_VIEW;
};

constexpr ViewOp kOps[] = {
    {"view(Tensor input, int[*] shape) -> Tensor",
     "The elements in another shape, without a copy; one size may be -1.\n\n"
     "input: any dtype. Returns a view of `shape`; ShapeError when the strides do not allow it (see reshape).\n\n"
     ">>> at.arange(6).view(2, -1)\ntensor([[0, 1, 2],\n        [3, 4, 5]])"},
    {"view_dtype(Tensor input, dtype dtype) -> Tensor",
     "The same bytes seen as another dtype; of another item size, the last dimension is longer or shorter.\n\n"
     "input: any dtype. Returns a view; ShapeError when the last dimension has gaps or does not hold whole elements. "
     "Tensor.view(dtype) calls it; to(dtype) converts the values.",
     ATLED_OP_VIEW | ATLED_OP_PRIVATE},
    {"permute(Tensor input, int[*] dims) -> Tensor",
     "The dimensions in another order.\n\n"
     "input: any dtype; dims: every dimension once. Returns a view whose dimension i is input's dims[i].\n\n"
     ">>> x = at.zeros(2, 3, 4).permute(2, 0, 1)\n>>> x.shape, x.stride()\n((4, 2, 3), (1, 12, 4))"},
    {"transpose(Tensor input, int dim0, int dim1) -> Tensor",
     "Two dimensions swapped.\n\n"
     "input: any dtype. Returns a view.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]]).transpose(0, 1)\ntensor([[1, 3],\n        [2, 4]])",
     ATLED_OP_VIEW | ATLED_OP_INPLACE},
    {"squeeze(Tensor input, int[]? dim=None) -> Tensor",
     "Without dimensions of size 1: all of them, or those in `dim` (which stay if they are larger).\n\n"
     "input: any dtype. Returns a view.\n\n"
     ">>> at.tensor([[[1], [2]]]).squeeze(), at.zeros(1, 2, 1).squeeze(0).shape\n"
     "(tensor([1, 2]), (2, 1))",
     ATLED_OP_VIEW | ATLED_OP_INPLACE},
    {"unsqueeze(Tensor input, int dim) -> Tensor",
     "With a new dimension of size 1 at `dim`.\n\n"
     "input: any dtype; dim in [-ndim - 1, ndim], else BoundsError. Returns a view.\n\n"
     ">>> at.tensor([1, 2]).unsqueeze(1)\ntensor([[1],\n        [2]])",
     ATLED_OP_VIEW | ATLED_OP_INPLACE},
    {"expand(Tensor input, int[*] size) -> Tensor",
     "Dimensions of size 1 repeated without a copy, and new ones in front; -1 keeps a size.\n\n"
     "input: any dtype. Returns a read-mostly view: its elements share memory, so it cannot be written.\n\n"
     ">>> at.tensor([[1], [2]]).expand(-1, 3)\ntensor([[1, 1, 1],\n        [2, 2, 2]])"},
    {"select(Tensor input, int dim, int index) -> Tensor",
     "The slice at one index of a dimension, which goes away.\n\n"
     "input: any dtype; index in [-n, n), else BoundsError. Returns a view.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]]).select(1, -1)\ntensor([2, 4])"},
    {"narrow(Tensor input, int dim, int start, int length) -> Tensor",
     "`length` entries of a dimension, from `start` on, which may count from the end.\n\n"
     "input: any dtype. Returns a view. BoundsError where it would reach beyond the end.\n\n"
     ">>> at.arange(5).narrow(0, 1, 2)\ntensor([1, 2])"},
    {"slice(Tensor input, int[] spec) -> Tensor",
     "Basic indexing; spec holds (kind, a, b, c) for each entry: 0 slice(start, stop, step), 1 index a, 2 new axis, "
     "3 whole dimension.",
     ATLED_OP_VIEW | ATLED_OP_PRIVATE},
    {"diagonal(Tensor input, int offset=0, int dim1=0, int dim2=1) -> Tensor",
     "The diagonal of two dimensions, as a new last dimension.\n\n"
     "input: any dtype, at least 2-d; offset > 0 above, < 0 below the main diagonal. Returns a view.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]]).diagonal(), at.tensor([[1, 2], [3, 4]]).diagonal(1)\n"
     "(tensor([1, 4]), tensor([2]))"},
    {"as_strided(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
     "A view of input's storage with the given sizes, strides and offset, all in elements.\n\n"
     "input: any dtype. BoundsError when it would reach outside the storage.\n\n"
     ">>> at.arange(4).as_strided((2, 2), (1, 1))\ntensor([[0, 1],\n        [1, 2]])",
     ATLED_OP_VIEW | ATLED_OP_INPLACE},
    {"unfold(Tensor input, int dimension, int size, int step) -> Tensor",
     "Windows of `size` entries, every `step` along a dimension; a window's entries become the last dimension.\n\n"
     "input: any dtype. Returns a view. InvalidValueError for a size above the dimension's.\n\n"
     ">>> at.arange(4).unfold(0, 2, 1)\ntensor([[0, 1],\n        [1, 2],\n        [2, 3]])"},
    {"unbind(Tensor input, int dim=0) -> Tensor[]",
     "The slices along a dimension, which goes away.\n\n"
     "input: any dtype. Returns views.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]]).unbind()\n(tensor([1, 2]), tensor([3, 4]))"},
    {"split(Tensor input, int[] split_size_or_sections, int dim=0) -> Tensor[]",
     "Pieces along a dimension: all of one size (the last may be smaller), or of the sizes listed.\n\n"
     "input: any dtype. Returns views. ShapeError where listed sizes do not add up to the dimension's.\n\n"
     ">>> at.arange(5).split(2)\n(tensor([0, 1]), tensor([2, 3]), tensor([4]))"},
    {"split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]",
     "Pieces of the listed sizes along a dimension.\n\n"
     "input: any dtype. Returns views. ShapeError where the sizes do not add up to the dimension's.\n\n"
     ">>> at.arange(5).split_with_sizes([2, 3])\n(tensor([0, 1]), tensor([2, 3, 4]))"},
    {"chunk(Tensor input, int chunks, int dim=0) -> Tensor[]",
     "At most `chunks` pieces of equal size along a dimension (the last may be smaller).\n\n"
     "input: any dtype. Returns views, fewer where rounding up the size leaves none; tensor_split returns exactly as "
     "many as asked.\n\n"
     ">>> at.arange(5).chunk(4)\n(tensor([0, 1]), tensor([2, 3]), tensor([4]))"},
    {"t(Tensor input) -> Tensor",
     "A matrix transposed; 0-d and 1-d as they are.\n\n"
     "input: at most 2-d (ShapeError). Returns a view.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]]).t()\ntensor([[1, 3],\n        [2, 4]])",
     ATLED_OP_VIEW | ATLED_OP_INPLACE},
    {"matrix_transpose(Tensor input) -> Tensor",
     "The last two dimensions swapped.\n\n"
     "input: at least 2-d (ShapeError). Returns a view. Tensor.mT is the same.\n\n"
     ">>> at.matrix_transpose(at.tensor([[[1, 2], [3, 4]]]))\ntensor([[[1, 3],\n         [2, 4]]])"},
    {"movedim(Tensor input, int[] source, int[] destination) -> Tensor",
     "Dimensions moved to new places; the others keep their order.\n\n"
     "input: any dtype; source, destination: one or as many as the other, each once. Returns a view.\n\n"
     ">>> at.zeros(2, 3, 4).movedim(0, -1).shape\n(3, 4, 2)"},
    // What may have to copy, or is another view in disguise.
    {"reshape(Tensor input, int[*] shape, *, bool? copy=None) -> Tensor",
     "The elements in another shape; one size may be -1.\n\n"
     "input: any dtype. Returns a view where the strides allow it, else a copy; with copy=True always a copy, with "
     "copy=False a view or InvalidValueError. ShapeError where the sizes hold another number of elements.\n\n"
     ">>> at.arange(6).reshape(2, -1)\ntensor([[0, 1, 2],\n        [3, 4, 5]])",
     ATLED_OP_COMPOSITE},
    {"flatten(Tensor input, int start_dim=0, int end_dim=-1) -> Tensor",
     "The dimensions from start_dim to end_dim joined into one.\n\n"
     "input: any dtype; a 0-d one becomes (1,). Returns a view where the strides allow it, else a copy.\n\n"
     ">>> at.tensor([[[1, 2], [3, 4]]]).flatten(1)\ntensor([[1, 2, 3, 4]])",
     ATLED_OP_COMPOSITE},
    {"ravel(Tensor input) -> Tensor",
     "All elements in one dimension; a view where the strides allow it, else a copy.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]]).ravel()\ntensor([1, 2, 3, 4])",
     ATLED_OP_COMPOSITE},
    {"unflatten(Tensor input, int dim, int[] sizes) -> Tensor",
     "One dimension divided into several; one size may be -1.\n\n"
     "input: any dtype. Returns a view. ShapeError where the sizes' product is not the dimension's.\n\n"
     ">>> at.arange(6).unflatten(0, (2, 3))\ntensor([[0, 1, 2],\n        [3, 4, 5]])",
     ATLED_OP_COMPOSITE},
    {"view_as(Tensor input, Tensor other) -> Tensor",
     "input.view(other.shape): a view.\n\n"
     ">>> at.arange(4).view_as(at.zeros(2, 2))\ntensor([[0, 1],\n        [2, 3]])",
     ATLED_OP_COMPOSITE},
    {"reshape_as(Tensor input, Tensor other) -> Tensor",
     "input.reshape(other.shape): a view where the strides allow it, else a copy.\n\n"
     ">>> at.arange(4).reshape_as(at.zeros(2, 2))\ntensor([[0, 1],\n        [2, 3]])",
     ATLED_OP_COMPOSITE},
    {"expand_as(Tensor input, Tensor other) -> Tensor",
     "input.expand(other.shape): a view that cannot be written.\n\n"
     ">>> at.tensor([1, 2]).expand_as(at.zeros(2, 2))\ntensor([[1, 2],\n        [1, 2]])",
     ATLED_OP_COMPOSITE},
    {"adjoint(Tensor input) -> Tensor",
     "The last two dimensions swapped, and the elements conjugated: a view of real input, else a copy.\n\n"
     "input: at least 2-d (ShapeError).\n\n"
     ">>> at.adjoint(at.tensor([[1 + 2j, 3 - 1j]]))\ntensor([[1.-2.j],\n        [3.+1.j]])",
     ATLED_OP_COMPOSITE},
    {"atleast_1d(Tensor input) -> Tensor",
     "input with at least one dimension; of several tensors, a tuple.\n\n"
     ">>> at.atleast_1d(at.tensor(5))\ntensor([5])",
     ATLED_OP_COMPOSITE},
    {"atleast_2d(Tensor input) -> Tensor",
     "input with at least two dimensions, new ones in front; of several tensors, a tuple.\n\n"
     ">>> at.atleast_2d(at.tensor([1, 2]))\ntensor([[1, 2]])",
     ATLED_OP_COMPOSITE},
    {"atleast_3d(Tensor input) -> Tensor",
     "input with at least three dimensions: (n,) becomes (1, n, 1), (m, n) (m, n, 1); of several tensors, a tuple.\n\n"
     ">>> at.atleast_3d(at.tensor([[1, 2], [3, 4]])).shape\n(2, 2, 1)",
     ATLED_OP_COMPOSITE},
    {"broadcast_tensors(Tensor[*] tensors) -> Tensor[]",
     "The tensors expanded to their common shape.\n\n"
     "tensors: any dtypes. Returns views, of which those that repeat elements cannot be written. ShapeError where "
     "there is none.\n\n"
     ">>> at.broadcast_tensors(at.tensor([1, 2]), at.tensor([[3], [4]]))\n(tensor([[1, 2],\n"
     "        [1, 2]]), tensor([[3, 3],\n        [4, 4]]))",
     ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION},
};

void define_views() {
  for (const ViewOp& op : kOps) define({op.schema, op.doc, nullptr, op.traits});
  alias("core::expand", "core::broadcast_to");
  alias("core::permute", "core::permute_dims");
  alias("core::movedim", "core::moveaxis");
  alias("core::matrix_transpose", "linalg::matrix_transpose");
  alias("core::transpose", "core::swapaxes");
  alias("core::transpose", "core::swapdims");
  alias("core::unbind", "core::unstack");
  alias("core::broadcast_tensors", "core::broadcast_arrays");
}

ATLED_OPS(define_views);

}  // namespace
}  // namespace atled::core
