"""What PyTorch gives one name and several signatures: each picks an op by the arguments it was called with."""

from __future__ import annotations

from atled.core import _core
from atled.core._ops import ops

from ._explained import explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, overload


_amax, _amin, _choose, _norm = ops.core.amax, ops.core.amin, ops.core.where, ops.core.norm
_einsum, _split, _split_with_sizes = ops.core.einsum, ops.core.split, ops.core.split_with_sizes
_END = 2**62  # past the last index of every dimension


def max(
    input: _core.Tensor,
    dim: int | Sequence[int] | _core.Tensor | None = None,
    keepdim: bool = False,
    *,
    other: _core.Tensor | None = None,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    out: _core.Tensor | tuple[_core.Tensor, _core.Tensor] | None = None,
) -> Any:
    """The largest element; along an int ``dim``, the named tuple ``(values, indices)``; with a tensor, ``maximum``.

    ``axis`` and ``keepdims`` are other names of ``dim`` and ``keepdim``. Several dims give the values alone, as
    ``amax`` does. ``out`` is a tensor for each result.

    >>> import atled.core as at
    >>> at.max(at.tensor([[1, 5], [3, 2]]), 1).indices.tolist()
    [1, 0]
    """
    if dim is None and other is None and axis is None and not keepdims and out is None:
        return _amax(input, None, keepdim)
    return _extreme("max", input, dim, keepdim, other, axis, keepdims, out)


def min(
    input: _core.Tensor,
    dim: int | Sequence[int] | _core.Tensor | None = None,
    keepdim: bool = False,
    *,
    other: _core.Tensor | None = None,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    out: _core.Tensor | tuple[_core.Tensor, _core.Tensor] | None = None,
) -> Any:
    """The smallest element; along an int ``dim``, the named tuple ``(values, indices)``; with a tensor, ``minimum``.

    ``axis`` and ``keepdims`` are other names of ``dim`` and ``keepdim``. Several dims give the values alone, as
    ``amin`` does. ``out`` is a tensor for each result.

    >>> import atled.core as at
    >>> at.min(at.tensor([3.0, 1.0, 2.0])).item()
    1.0
    """
    if dim is None and other is None and axis is None and not keepdims and out is None:
        return _amin(input, None, keepdim)
    return _extreme("min", input, dim, keepdim, other, axis, keepdims, out)


def _extreme(
    name: str,
    input: _core.Tensor,
    dim: Any,
    keepdim: bool,
    other: _core.Tensor | None,
    axis: Any,
    keepdims: bool,
    out: Any,
) -> Any:
    core = ops.core
    dim, keepdim = axis if dim is None else dim, keepdim or keepdims
    if isinstance(dim, _core.Tensor):
        other = dim
    if other is not None:
        return getattr(core, name + "imum")(input, other, out=out)
    if dim is None or isinstance(dim, (tuple, list)):
        return getattr(core, "a" + name)(input, dim, keepdim, out=out)
    return getattr(core, name + "_dim")(input, dim, keepdim, out=out)


def median(input: _core.Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None) -> Any:
    """The median, the lower of the middle two; along ``dim``, the named tuple ``(values, indices)``.

    NaN if there is one, and of no elements.

    >>> import atled.core as at
    >>> at.median(at.tensor([3.0, 1.0, 2.0, 9.0])).item()
    2.0
    """
    return _middle(ops.core.median_dim, input, axis if dim is None else dim, keepdim)


def nanmedian(input: _core.Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None) -> Any:
    """The median of what is not NaN; along ``dim``, the named tuple ``(values, indices)``.

    >>> import atled.core as at
    >>> at.nanmedian(at.tensor([3.0, at.nan, 2.0, 9.0])).item()
    3.0
    """
    return _middle(ops.core.nanmedian_dim, input, axis if dim is None else dim, keepdim)


def _middle(op: _core.Op, input: _core.Tensor, dim: int | None, keepdim: bool) -> Any:
    if dim is not None:
        return op(input, dim, keepdim)
    if input.numel() == 0 and input.is_floating_point():
        return input.sum() * float("nan")
    return op(input.flatten(), 0).values


def nonzero(input: _core.Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero: int64, a row for each; with ``as_tuple`` a tensor per dimension.

    >>> import atled.core as at
    >>> at.nonzero(at.tensor([0, 3, 4])).tolist()
    [[1], [2]]
    """
    rows = ops.core.nonzero(input)
    if not as_tuple:
        return rows
    return rows.unbind(1) if input.ndim else (ops.core.nonzero(input.reshape(1)).reshape(-1),)


if TYPE_CHECKING:

    @overload
    def where(condition: _core.Tensor) -> tuple[_core.Tensor, ...]: ...
    @overload
    def where(
        condition: _core.Tensor,
        input: _core.Tensor | complex,
        other: _core.Tensor | complex,
        *,
        out: _core.Tensor | None = None,
    ) -> _core.Tensor: ...
    def where(*arguments: Any, **named: Any) -> Any: ...

else:

    def where(
        condition: _core.Tensor,
        input: _core.Tensor | complex | None = None,
        other: _core.Tensor | complex | None = None,
        *,
        out: _core.Tensor | None = None,
    ) -> Any:
        """Elements of input where the condition holds, of other elsewhere; all broadcast.

        Of a condition alone the indices of where it holds: a tensor for each dimension, as ``nonzero(as_tuple=True)``.

        >>> import atled.core as at
        >>> at.where(at.tensor([True, False]), at.tensor([1, 2]), 0).tolist()
        [1, 0]
        >>> at.where(at.tensor([0, 3, 4]) > 0)[0].tolist()
        [1, 2]
        """
        if input is None and other is None and out is None:
            return nonzero(condition, as_tuple=True)
        if input is None or other is None:
            raise _core.ArgumentError("where: expected both input and other, or neither")
        if out is None:
            return _choose(condition, input, other)
        return _choose(condition, input, other, out=out)


def _where(
    self: _core.Tensor,
    condition: _core.Tensor,
    other: _core.Tensor | complex,
) -> Any:
    """Elements of the tensor where the condition holds, of other elsewhere: ``at.where(condition, self, other)``.

    >>> x = at.tensor([-1.0, 2.0])
    >>> x.where(x > 0, 0)
    tensor([0., 2.])
    """
    return _choose(condition, self, other)


def norm(
    input: _core.Tensor,
    p: complex | str | None = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    out: _core.Tensor | None = None,
    dtype: _core.dtype | None = None,
) -> _core.Tensor:
    """The p-norm of all elements or along dimensions; ``"nuc"`` is a matrix's, the sum of its singular values.

    ``"fro"`` is the 2-norm. ``at.linalg.vector_norm`` and ``matrix_norm`` say which of the two is meant.

    >>> import atled.core as at
    >>> at.norm(at.tensor([3.0, 4.0])).item()
    5.0
    """
    named: dict[str, Any] = {} if out is None else {"out": out}
    if p == "nuc":
        plane = (-2, -1) if dim is None else dim
        return ops.linalg.matrix_norm(input, "nuc", plane, keepdim, dtype=dtype, **named)  # type: ignore[no-any-return]
    if isinstance(p, str) and p != "fro":
        raise _core.InvalidValueError(f"norm: expected p to be a number, 'fro' or 'nuc', got {p!r}")
    return _norm(input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype=dtype, **named)  # type: ignore[no-any-return]


def split(
    input: _core.Tensor,
    split_size_or_sections: int | Sequence[int] | None = None,
    dim: int = 0,
    *,
    split_size: int | Sequence[int] | None = None,
) -> tuple[_core.Tensor, ...]:
    """Views of a dimension's pieces: all of one size but for the last, or of the sizes in a list.

    ``split_size`` is the name that PyTorch's method has for it. ShapeError where a list adds up to another size.

    >>> import atled.core as at
    >>> [part.tolist() for part in at.arange(5).split(2)]
    [[0, 1], [2, 3], [4]]
    """
    size = split_size if split_size_or_sections is None else split_size_or_sections
    return (_split_with_sizes if isinstance(size, (list, tuple)) else _split)(input, size, dim)  # type: ignore[no-any-return]


def tensor_split(
    input: _core.Tensor, indices_or_sections: int | Sequence[int] | _core.Tensor, dim: int = 0
) -> tuple[_core.Tensor, ...]:
    """Pieces along a dimension: so many of nearly equal size, or cut at the indices of a list or a 1-d tensor.

    >>> import atled.core as at
    >>> [part.tolist() for part in at.arange(5).tensor_split(2)]
    [[0, 1, 2], [3, 4]]
    >>> [part.tolist() for part in at.arange(5).tensor_split([2])]
    [[0, 1], [2, 3, 4]]
    """
    return _cut(ops.core.tensor_split, input, indices_or_sections, dim)


def hsplit(input: _core.Tensor, indices_or_sections: int | Sequence[int] | _core.Tensor) -> tuple[_core.Tensor, ...]:
    return _cut(ops.core.hsplit, input, indices_or_sections)


def vsplit(input: _core.Tensor, indices_or_sections: int | Sequence[int] | _core.Tensor) -> tuple[_core.Tensor, ...]:
    return _cut(ops.core.vsplit, input, indices_or_sections)


def dsplit(input: _core.Tensor, indices_or_sections: int | Sequence[int] | _core.Tensor) -> tuple[_core.Tensor, ...]:
    return _cut(ops.core.dsplit, input, indices_or_sections)


def _cut(op: _core.Op, input: _core.Tensor, where: Any, *dim: int) -> tuple[_core.Tensor, ...]:
    if isinstance(where, _core.Tensor):
        where = where.tolist()
    if isinstance(where, (tuple, list)) and len(where) == 1:
        # The op takes a list of one for a number of pieces: the last piece is cut once more, at its end.
        return op(input, [*where, _END], *dim)[:2]  # type: ignore[no-any-return]
    return op(input, where, *dim)  # type: ignore[no-any-return]


def repeat(x: _core.Tensor, repeats: int | _core.Tensor, /, *, axis: int | None = None) -> Any:
    """Each element ``repeats`` times, along an axis or of the flattened tensor: the array API's ``repeat``.

    It is PyTorch's ``repeat_interleave``; the method ``Tensor.repeat`` is PyTorch's, which repeats the whole.

    >>> import atled.core as at
    >>> at.repeat(at.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """
    return ops.core.repeat_interleave(x, repeats, axis)


@explained
def tensordot(
    a: _core.Tensor,
    b: _core.Tensor,
    dims: int | Sequence[Sequence[int]] | _core.Tensor = 2,
    *,
    axes: int | Sequence[Sequence[int]] | None = None,
    out: _core.Tensor | None = None,
) -> Any:
    """Products summed over the last ``dims`` dimensions of a and the first of b, or over two lists of dimensions.

    Returns a's other dimensions, then b's; dtypes promote. ``axes`` is the array API's name of ``dims``. ShapeError
    where paired sizes differ.

    >>> a = at.tensor([[1, 2], [3, 4]])
    >>> at.tensordot(a, a, 1).tolist(), at.tensordot(a, a, ([0], [0])).tolist()
    ([[7, 10], [15, 22]], [[10, 14], [14, 20]])
    """
    chosen = dims if axes is None else axes
    if isinstance(chosen, _core.Tensor):
        chosen = chosen.tolist()
    if isinstance(chosen, int):
        return ops.core.tensordot(a, b, chosen, out=out)
    if len(chosen) != 2:
        raise _core.ArgumentError(f"tensordot: expected dims to be an int or two lists of ints, got {chosen!r}")
    first, second = ([d] if isinstance(d, int) else list(d) for d in chosen)
    return ops.core.tensordot(a, b, dims_a=first, dims_b=second, out=out)


def repeat_interleave(
    input: _core.Tensor,
    repeats: int | _core.Tensor | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> _core.Tensor:
    """Each element ``repeats`` times, along a dimension or of the flattened tensor.

    Of repeats alone, a vector of counts: the index i so often as the i-th says.

    >>> import atled.core as at
    >>> at.repeat_interleave(at.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    >>> at.repeat_interleave(at.tensor([1, 0, 2])).tolist()
    [0, 2, 2]
    """
    if repeats is None and isinstance(input, _core.Tensor):
        input, repeats = ops.core.arange(input.numel(), device=input.device), input
    return ops.core.repeat_interleave(input, repeats, dim, output_size=output_size)  # type: ignore[no-any-return]


def _lifted(n: int) -> Any:
    op = getattr(ops.core, f"atleast_{n}d")

    def lift(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 else tensors
        return tuple(map(op, given)) if isinstance(given, (tuple, list)) else op(given)

    lift.__name__ = lift.__qualname__ = f"atleast_{n}d"
    return lift


atleast_1d, atleast_2d, atleast_3d = map(_lifted, (1, 2, 3))


def einsum(equation: str | _core.Tensor, *operands: Any) -> _core.Tensor:
    """Sums of products of elements by Einstein's notation, such as ``"ij,jk->ik"``.

    equation: a letter for each dimension of each operand, ``...`` for any number of them; without ``->`` the result has
    the dimensions that occur once, in alphabetical order. Or operands and lists of ints below 52 that stand for letters
    in turn, and at the end, if wanted, the list for the result. Broadcasts what ``...`` stands for.

    >>> a = at.tensor([[1, 2], [3, 4]])
    >>> at.einsum("ij,j->i", a, at.tensor([10, 1])), at.einsum("ii", a)
    (tensor([12, 34]), tensor(5))
    >>> at.einsum(a, [0, 1], at.tensor([10, 1]), [1], [0])
    tensor([12, 34])
    """
    if isinstance(equation, str):
        return _einsum(equation, *operands)  # type: ignore[no-any-return]
    given = (equation, *operands)
    terms = [_letters(places) for places in given[1::2]]
    result = f"->{_letters(given[-1])}" if len(given) % 2 else ""
    return _einsum(",".join(terms) + result, *given[: 2 * len(terms) : 2])  # type: ignore[no-any-return]


def _letters(places: Any) -> str:
    if not isinstance(places, (list, tuple)) or not all(
        p is ... or (isinstance(p, int) and 0 <= p < 52) for p in places
    ):
        raise _core.ArgumentError(
            f"einsum: expected an equation before the operands, or a list of ints below 52 after each, got {places!r}"
        )
    return "".join("..." if p is ... else chr(p + (65 if p < 26 else 71)) for p in places)


def unique(
    input: _core.Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements in order, or along ``dim`` the different slices in lexicographic order.

    With ``return_inverse`` also which of them each element is, with ``return_counts`` also how often each occurs: a
    tuple in that order. NaNs are all different. They are sorted whether that is asked for or not.

    >>> import atled.core as at
    >>> at.unique(at.tensor([2, 1, 2]), return_counts=True)[1].tolist()
    [1, 2]
    """
    core = ops.core
    if dim is not None:
        values, inverse, counts = core.unique_dim(input, dim)
    elif return_inverse:
        values, _, inverse, counts = core.unique_all(input)
    elif return_counts:
        (values, counts), inverse = core.unique_counts(input), None
    else:
        return core.unique_values(input)
    return _chosen(values, inverse, counts, return_inverse, return_counts)


def unique_consecutive(
    input: _core.Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The flattened elements, or along ``dim`` the slices, without repetitions of the one before.

    With ``return_inverse`` also which of them each element is, with ``return_counts`` also how often each is repeated.

    >>> import atled.core as at
    >>> at.unique_consecutive(at.tensor([2, 2, 1, 2])).tolist()
    [2, 1, 2]
    """
    core = ops.core
    if dim is None:
        values, inverse, counts = core.unique_consecutive_all(input, return_inverse, return_counts)
    else:
        values, inverse, counts = core.unique_dim(input, dim, True)
    return _chosen(values, inverse, counts, return_inverse, return_counts)


def _chosen(values: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    wanted = (values, *([inverse] if return_inverse else ()), *([counts] if return_counts else ()))
    return wanted if len(wanted) > 1 else values


def install() -> None:
    """Puts these on Tensor."""
    functions = (max, min, median, nanmedian, nonzero, unique, unique_consecutive, norm, repeat_interleave)
    for function in (atleast_1d, atleast_2d, atleast_3d, hsplit, vsplit, dsplit):
        function.__doc__ = getattr(ops.core, function.__name__).doc
    for function in (*functions, split, tensor_split, hsplit, vsplit, dsplit):
        setattr(_core.Tensor, function.__name__, function)
    setattr(_core.Tensor, "where", _where)  # noqa: B010 - not the method that a type checker knows
