"""Changes of shape."""

from __future__ import annotations

from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .._module import Module
from .._sizes import integer


class Flatten(Module):
    """Joins the dimensions from ``start_dim`` to ``end_dim`` into one, in the order of the elements.

    By default all but the batch's. Every dtype; BoundsError for a dimension that there is not.

    >>> import atled.core as at
    >>> Flatten()(at.tensor([[[1, 2], [3, 4]]])).tolist()
    [[1, 2, 3, 4]]
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The same elements."""
        return at.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension ``dim`` into ``unflattened_size``, one of which may be -1: what is left for it.

    ShapeError unless the product of the sizes is that of the dimension.

    >>> import atled.core as at
    >>> Unflatten(1, (2, -1))(at.tensor([[1, 2, 3, 4]])).tolist()
    [[[1, 2], [3, 4]]]
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """The same elements."""
        return at.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The dimension and the sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class _Pad(Module):
    _dims: int
    _mode: str

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        one = integer(padding)
        self.padding = tuple(padding) if one is None else (one,) * (2 * self._dims)  # type: ignore[arg-type]
        if len(self.padding) != 2 * self._dims:
            raise at.InvalidValueError(
                f"{type(self).__name__}: expected padding of one int or {2 * self._dims}, got {padding}"
            )

    def forward(self, input: Tensor) -> Tensor:
        """The surrounded input."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The surrounded input."""
        return F.pad(input, self.padding, value=self.value)

    def extra_repr(self) -> str:
        """The sizes and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Surrounds the last dimension with a value; sizes: one, or ``(left, right)``.

    Any dtype, as of all paddings here; negative sizes crop. InvalidValueError for another number of sizes.

    >>> import atled.core as at
    >>> ConstantPad1d(1, 0.5)(at.tensor([[1.0, 2.0]])).tolist()
    [[0.5, 1.0, 2.0, 0.5]]
    """

    _dims = 1


class ConstantPad2d(_ConstantPad):
    """Surrounds the last two dimensions with a value; sizes: one, or ``(left, right, top, bottom)``.

    >>> import atled.core as at
    >>> ConstantPad2d((1, 0, 0, 1), 0.5)(at.ones(1, 1, 2)).tolist()
    [[[0.5, 1.0, 1.0], [0.5, 0.5, 0.5]]]
    """

    _dims = 2


class ConstantPad3d(_ConstantPad):
    """Surrounds the last three dimensions with a value.

    Sizes: one, or ``(left, right, top, bottom, front, back)``.

    >>> import atled.core as at
    >>> ConstantPad3d((1, 0, 0, 0, 0, 1), 0.5)(at.ones(1, 1, 1, 1)).tolist()
    [[[[0.5, 1.0]], [[0.5, 0.5]]]]
    """

    _dims = 3


class ZeroPad1d(_Pad):
    """Surrounds the last dimension with zeros; sizes: one, or ``(left, right)``.

    >>> import atled.core as at
    >>> ZeroPad1d(1)(at.tensor([[1.0, 2.0]])).tolist()
    [[0.0, 1.0, 2.0, 0.0]]
    """

    _dims, _mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Surrounds the last two dimensions with zeros; sizes: one, or ``(left, right, top, bottom)``.

    >>> import atled.core as at
    >>> ZeroPad2d((1, 0, 0, 1))(at.ones(1, 1, 2)).tolist()
    [[[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]]
    """

    _dims, _mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Surrounds the last three dimensions with zeros.

    Sizes: one, or ``(left, right, top, bottom, front, back)``.

    >>> import atled.core as at
    >>> ZeroPad3d((1, 0, 0, 0, 0, 1))(at.ones(1, 1, 1, 1)).tolist()
    [[[[0.0, 1.0]], [[0.0, 0.0]]]]
    """

    _dims, _mode = 3, "constant"


class ReflectionPad1d(_Pad):
    """Surrounds the last dimension with its mirror image; sizes: one, or ``(left, right)``.

    >>> import atled.core as at
    >>> ReflectionPad1d(1)(at.tensor([[1.0, 2.0]])).tolist()
    [[2.0, 1.0, 2.0, 1.0]]
    """

    _dims, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Surrounds the last two dimensions with their mirror image; sizes: one, or ``(left, right, top, bottom)``.

    ShapeError for a size that is not smaller than the dimension: the element at the border is not repeated.

    >>> import atled.core as at
    >>> ReflectionPad2d((1, 0, 0, 1))(at.tensor([[[1, 2], [3, 4]]])).tolist()
    [[[2, 1, 2], [4, 3, 4], [2, 1, 2]]]
    """

    _dims, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Surrounds the last three dimensions with their mirror image; see `ReflectionPad2d`.

    Sizes: one, or ``(left, right, top, bottom, front, back)``.

    >>> import atled.core as at
    >>> ReflectionPad3d((1, 0, 0, 0, 0, 1))(at.arange(4).reshape(1, 2, 1, 2)).tolist()
    [[[[1, 0, 1]], [[3, 2, 3]], [[1, 0, 1]]]]
    """

    _dims, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Surrounds the last dimension with its border; sizes: one, or ``(left, right)``.

    >>> import atled.core as at
    >>> ReplicationPad1d(1)(at.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """

    _dims, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Surrounds the last two dimensions with their border; sizes: one, or ``(left, right, top, bottom)``.

    >>> import atled.core as at
    >>> ReplicationPad2d((1, 0, 0, 1))(at.tensor([[[1, 2], [3, 4]]])).tolist()
    [[[1, 1, 2], [3, 3, 4], [3, 3, 4]]]
    """

    _dims, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Surrounds the last three dimensions with their border.

    Sizes: one, or ``(left, right, top, bottom, front, back)``.

    >>> import atled.core as at
    >>> ReplicationPad3d((1, 0, 0, 0, 0, 1))(at.arange(4).reshape(1, 2, 1, 2)).tolist()
    [[[[0, 0, 1]], [[2, 2, 3]], [[2, 2, 3]]]]
    """

    _dims, _mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Surrounds the last dimension with its other end; sizes: one, or ``(left, right)``.

    >>> import atled.core as at
    >>> CircularPad1d(1)(at.tensor([[1.0, 2.0]])).tolist()
    [[2.0, 1.0, 2.0, 1.0]]
    """

    _dims, _mode = 1, "circular"


class CircularPad2d(_Pad):
    """Surrounds the last two dimensions with their other end; sizes: one, or ``(left, right, top, bottom)``.

    ShapeError for a size larger than the dimension.

    >>> import atled.core as at
    >>> CircularPad2d((1, 0, 0, 1))(at.tensor([[[1, 2], [3, 4]]])).tolist()
    [[[2, 1, 2], [4, 3, 4], [2, 1, 2]]]
    """

    _dims, _mode = 2, "circular"


class CircularPad3d(_Pad):
    """Surrounds the last three dimensions with their other end; see `CircularPad2d`.

    Sizes: one, or ``(left, right, top, bottom, front, back)``.

    >>> import atled.core as at
    >>> CircularPad3d((1, 0, 0, 0, 0, 1))(at.arange(4).reshape(1, 2, 1, 2)).tolist()
    [[[[1, 0, 1]], [[3, 2, 3]], [[1, 0, 1]]]]
    """

    _dims, _mode = 3, "circular"
