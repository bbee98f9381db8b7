"""What PyTorch gives one name and several signatures: each picks an op by the arguments it was called with."""

from __future__ import annotations

from atled.core import _core
from atled.core._ops import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_amax, _amin = ops.core.amax, ops.core.amin


def max(
    input: _core.Tensor,
    dim: int | Sequence[int] | _core.Tensor | None = None,
    keepdim: bool = False,
    *,
    other: _core.Tensor | None = None,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
) -> Any:
    """The largest element; along an int ``dim``, the named tuple ``(values, indices)``; with a tensor, ``maximum``.

    ``axis`` and ``keepdims``, the array API's names, and several dims give the values alone (``amax``).

    >>> import atled.core as at
    >>> at.max(at.tensor([[1, 5], [3, 2]]), 1).indices.tolist()
    [1, 0]
    """
    if dim is None and other is None and axis is None and not keepdims:
        return _amax(input, None, keepdim)
    return _extreme("max", input, dim, keepdim, other, axis, keepdims)


def min(
    input: _core.Tensor,
    dim: int | Sequence[int] | _core.Tensor | None = None,
    keepdim: bool = False,
    *,
    other: _core.Tensor | None = None,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
) -> Any:
    """The smallest element; along an int ``dim``, the named tuple ``(values, indices)``; with a tensor, ``minimum``.

    ``axis`` and ``keepdims``, the array API's names, and several dims give the values alone (``amin``).

    >>> import atled.core as at
    >>> at.min(at.tensor([3.0, 1.0, 2.0])).item()
    1.0
    """
    if dim is None and other is None and axis is None and not keepdims:
        return _amin(input, None, keepdim)
    return _extreme("min", input, dim, keepdim, other, axis, keepdims)


def _extreme(
    name: str, input: _core.Tensor, dim: Any, keepdim: bool, other: _core.Tensor | None, axis: Any, keepdims: bool
) -> Any:
    core = ops.core
    if axis is not None or keepdims:
        return getattr(core, "a" + name)(input, axis, keepdims)
    if isinstance(dim, _core.Tensor):
        other = dim
    if other is not None:
        return getattr(core, name + "imum")(input, other)
    if dim is None or isinstance(dim, (tuple, list)):
        return getattr(core, "a" + name)(input, dim, keepdim)
    return getattr(core, name + "_dim")(input, dim, keepdim)


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


def repeat(x: _core.Tensor, repeats: int | _core.Tensor, /, *, axis: int | None = None) -> Any:
    """Each element ``repeats`` times, along an axis or of the flattened tensor: the array API's ``repeat``.

    It is PyTorch's ``repeat_interleave``; the method ``Tensor.repeat`` is PyTorch's, which repeats the whole.

    >>> import atled.core as at
    >>> at.repeat(at.tensor([1, 2]), 2).tolist()
    [1, 1, 2, 2]
    """
    return ops.core.repeat_interleave(x, repeats, axis)


def tensordot(
    a: _core.Tensor,
    b: _core.Tensor,
    dims: int | Sequence[Sequence[int]] | _core.Tensor = 2,
    *,
    axes: int | Sequence[Sequence[int]] | None = None,
) -> Any:
    """Products summed over the last ``dims`` dimensions of a and the first of b, or over two lists of dimensions.

    ``axes`` is the array API's name of ``dims``.

    >>> import atled.core as at
    >>> at.tensordot(at.ones(2, 3), at.ones(3, 2), ([1], [0])).shape
    (2, 2)
    """
    chosen = dims if axes is None else axes
    if isinstance(chosen, _core.Tensor):
        chosen = chosen.tolist()
    if isinstance(chosen, int):
        return ops.core.tensordot(a, b, chosen)
    if len(chosen) != 2:
        raise _core.ArgumentError(f"tensordot: expected dims to be an int or two lists of ints, got {chosen!r}")
    first, second = ([d] if isinstance(d, int) else list(d) for d in chosen)
    return ops.core.tensordot(a, b, dims_a=first, dims_b=second)


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
    for function in (max, min, median, nanmedian, nonzero, unique, unique_consecutive):
        setattr(_core.Tensor, function.__name__, function)
