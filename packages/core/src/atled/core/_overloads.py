"""What PyTorch gives one name and several signatures: each picks an op by the arguments it was called with."""

from __future__ import annotations

from atled.core import _core
from atled.core._ops import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


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


def median(input: _core.Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median, the lower of the middle two; along ``dim``, the named tuple ``(values, indices)``.

    NaN if there is one, and of no elements.

    >>> import atled.core as at
    >>> at.median(at.tensor([3.0, 1.0, 2.0, 9.0])).item()
    2.0
    """
    return _middle(ops.core.median_dim, input, dim, keepdim)


def nanmedian(input: _core.Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of what is not NaN; along ``dim``, the named tuple ``(values, indices)``.

    >>> import atled.core as at
    >>> at.nanmedian(at.tensor([3.0, at.nan, 2.0, 9.0])).item()
    3.0
    """
    return _middle(ops.core.nanmedian_dim, input, dim, keepdim)


def _middle(op: _core.Op, input: _core.Tensor, dim: int | None, keepdim: bool) -> Any:
    if dim is not None:
        return op(input, dim, keepdim)
    if input.numel() == 0 and input.is_floating_point():
        return input.sum() * float("nan")
    return op(input.flatten(), 0).values


def install() -> None:
    """Puts these on Tensor."""
    for function in (max, min, median, nanmedian):
        setattr(_core.Tensor, function.__name__, function)
