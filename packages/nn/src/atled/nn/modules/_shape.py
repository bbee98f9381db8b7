"""Changes of shape."""

from __future__ import annotations

from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .._module import Module


class Flatten(Module):
    """Joins the dimensions from ``start_dim`` to ``end_dim`` into one.

    >>> import atled.core as at
    >>> Flatten()(at.ones(2, 3, 4)).shape
    (2, 12)
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
    """Splits one dimension into several."""

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
        self.padding = (padding,) * (2 * self._dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        """The surrounded input."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.padding}"


class ConstantPad2d(_Pad):
    """Surrounds the last two dimensions with a value."""

    _dims = 2

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The surrounded input."""
        return F.pad(input, self.padding, value=self.value)


class ZeroPad2d(_Pad):
    """Surrounds the last two dimensions with zeros."""

    _dims, _mode = 2, "constant"


class ReflectionPad2d(_Pad):
    """Surrounds the last two dimensions with their mirror image."""

    _dims, _mode = 2, "reflect"


class ReplicationPad2d(_Pad):
    """Surrounds the last two dimensions with their border."""

    _dims, _mode = 2, "replicate"


class CircularPad2d(_Pad):
    """Surrounds the last two dimensions with their other end."""

    _dims, _mode = 2, "circular"
