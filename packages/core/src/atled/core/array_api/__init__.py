"""The namespace of the Python array API standard: what ``Tensor.__array_namespace__`` answers.

It is ``atled.core`` but for the functions to which PyTorch and the standard give one name and two meanings, or two
signatures: ``atled.core`` follows PyTorch, this module the standard. What does not conform is listed in the
documentation.

>>> import atled.core as at
>>> xp = at.ones(3).__array_namespace__()
>>> xp.sort(at.tensor([3, 1, 2])).tolist()
[1, 2, 3]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import atled.core as at

from .._core import ShapeError, Tensor, device, dtype
from .._dtypes import isdtype, result_type
from . import linalg as linalg

_Axis = int | tuple[int, ...] | None
_Shape = int | tuple[int, ...]


def __getattr__(name: str) -> Any:
    return getattr(at, name)


def __dir__() -> list[str]:
    return dir(at)


def equal(x1: Tensor | complex, x2: Tensor | complex, /) -> Tensor:
    """Where the elements are equal, as bool (PyTorch's ``equal`` answers one bool for all)."""
    return at.eq(x1, x2)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The indices of the elements that are not zero, a tensor for each dimension."""
    if x.ndim == 0:
        raise ShapeError("nonzero: expected at least one dimension, got a 0-d tensor")
    indices: tuple[Tensor, ...] = at.nonzero(x, as_tuple=True)
    return indices


def max(x: Tensor, /, *, axis: _Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element, along axes where these are given (PyTorch's ``max`` answers their indices as well)."""
    return at.amax(x, axis, keepdims)


def min(x: Tensor, /, *, axis: _Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element, along axes where these are given (PyTorch's ``min`` answers their indices as well)."""
    return at.amin(x, axis, keepdims)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in order along an axis (PyTorch's ``sort`` answers their indices as well)."""
    return at.sort(x, axis, descending, stable=stable).values


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that put the elements in order along an axis."""
    return at.argsort(x, axis, descending, stable=stable)


def std(x: Tensor, /, *, axis: _Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation, of the population unless ``correction`` is given (PyTorch's default is 1)."""
    return _spread(at.std, x, axis, correction, keepdims)


def var(x: Tensor, /, *, axis: _Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance, of the population unless ``correction`` is given (PyTorch's default is 1)."""
    return _spread(at.var, x, axis, correction, keepdims)


def _spread(op: Callable[..., Tensor], x: Tensor, axis: _Axis, correction: float, keepdims: bool) -> Tensor:
    """Of no more elements than ``correction`` NaN, where PyTorch divides by zero."""
    result = op(x, axis, correction=correction, keepdim=keepdims)
    few = correction > 0 and x.numel() <= correction * result.numel()
    return at.full_like(result, at.nan) if few else result


def _accumulated(x: Tensor, asked: dtype | None) -> dtype | None:
    """Sums of unsigned integers are unsigned; PyTorch's are of int64."""
    return at.uint64 if asked is None and isdtype(x.dtype, "unsigned integer") else asked


def sum(x: Tensor, /, *, axis: _Axis = None, dtype: dtype | None = None, keepdims: bool = False) -> Tensor:
    """The sum of the elements, in 64 bits for integers."""
    return at.sum(x, axis, keepdims, dtype=_accumulated(x, dtype))


def prod(x: Tensor, /, *, axis: _Axis = None, dtype: dtype | None = None, keepdims: bool = False) -> Tensor:
    """The product of the elements, in 64 bits for integers."""
    return at.prod(x, axis, keepdims, dtype=_accumulated(x, dtype))


def clip(x: Tensor, /, min: Tensor | float | None = None, max: Tensor | float | None = None) -> Tensor:
    """The elements brought into [min, max], in x's dtype whatever the bounds' (PyTorch's are promoted)."""
    return at.clone(x) if min is None and max is None else at.clamp(x, min, max).to(x.dtype)


def squeeze(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """Without the given dimensions, which must be of size 1 (PyTorch's ``squeeze`` leaves others as they are)."""
    for i in (axis,) if isinstance(axis, int) else axis:
        if x.shape[i] != 1:
            raise ShapeError(f"squeeze: expected dimensions of size 1, got axis {i} of shape {x.shape}")
    return at.squeeze(x, axis)


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinate matrices, with the first two dimensions exchanged unless ``indexing`` is "ij"."""
    return at.meshgrid(*arrays, indexing=indexing)


def can_cast(from_: dtype | Tensor, to: dtype, /) -> bool:
    """Whether promotion takes one dtype to another: no loss of kind, sign or range."""
    try:
        return result_type(from_, to) == to
    except at.DTypeError:
        return False


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: dtype | None = None,
    device: device | str | None = None,
) -> Tensor:
    """The numbers from start, or from 0 to it, in equal steps, without the stop."""
    return at.arange(start, stop, step, dtype=dtype, device=device)


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: dtype | None = None,
    device: device | str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """So many numbers at equal distances from start to stop."""
    return at.linspace(start, stop, num, dtype=dtype, device=device, endpoint=endpoint)


def empty(shape: _Shape, *, dtype: dtype | None = None, device: device | str | None = None) -> Tensor:
    """Elements that nothing was written to."""
    return at.empty(shape, dtype=dtype, device=device)


def ones(shape: _Shape, *, dtype: dtype | None = None, device: device | str | None = None) -> Tensor:
    """Ones, float32 unless asked otherwise."""
    return at.ones(shape, dtype=dtype, device=device)


def zeros(shape: _Shape, *, dtype: dtype | None = None, device: device | str | None = None) -> Tensor:
    """Zeros, float32 unless asked otherwise."""
    return at.zeros(shape, dtype=dtype, device=device)


def full(
    shape: _Shape, fill_value: complex, *, dtype: dtype | None = None, device: device | str | None = None
) -> Tensor:
    """One value everywhere, in the dtype of its kind unless asked otherwise."""
    if dtype is not None and _wide(fill_value):
        return at.empty(shape, dtype=dtype, device=device).fill_(at.asarray(fill_value, dtype=dtype, device=device))
    return at.full(shape, fill_value, dtype=dtype, device=device)


def full_like(
    x: Tensor, /, fill_value: complex, *, dtype: dtype | None = None, device: device | str | None = None
) -> Tensor:
    """One value everywhere, in x's shape, dtype and device unless asked otherwise."""
    if _wide(fill_value):
        return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)
    return at.full_like(x, fill_value, dtype=dtype, device=device)


def _wide(value: complex) -> bool:
    """Whether a number is an integer that ops, which take int64, do not."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """Dimensions of size 1 repeated without a copy, and new ones in front."""
    return at.broadcast_to(x, shape)


def expand_dims(x: Tensor, /, axis: int | tuple[int, ...]) -> Tensor:
    """New dimensions of size 1 at one or more places of the result."""
    return at.expand_dims(x, axis)


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """The dimensions in another order."""
    return at.permute_dims(x, axes)


def roll(x: Tensor, /, shift: int | tuple[int, ...], *, axis: _Axis = None) -> Tensor:
    """The elements moved on along axes, by one shift or one for each; what falls off one end enters at the other."""
    if isinstance(shift, int) and isinstance(axis, tuple):
        shift = (shift,) * len(axis)
    return at.roll(x, shift, axis)


def transpose(x: Tensor, axes: tuple[int, ...] | None = None) -> Tensor:
    """The dimensions in another order, reversed unless given: NumPy's function, which opt_einsum calls."""
    return at.permute(x, tuple(range(x.ndim))[::-1] if axes is None else tuple(axes))
