"""Maxima of windows that lie at random (Graham 2014)."""

from __future__ import annotations

from typing import Any

from atled.core import Tensor

from .. import functional as F
from .._module import Module
from .._sizes import Size, sizes
from ..functional._fractional import Ratio, check_target


class _FractionalMaxPool(Module):
    _dims: int
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Size,
        output_size: Size | None = None,
        output_ratio: Ratio | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_target(type(self).__name__, self._dims, output_size, output_ratio)
        self.kernel_size = sizes(kernel_size, self._dims, f"{type(self).__name__}: kernel_size")
        self.output_size, self.output_ratio, self.return_indices = output_size, output_ratio, return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        """Of shape ``(N, C, *output_size)``."""
        function = F.fractional_max_pool2d if self._dims == 2 else F.fractional_max_pool3d
        return function(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )

    def extra_repr(self) -> str:
        """The window and the output's size."""
        target = f"output_size={self.output_size}" if self.output_ratio is None else f"output_ratio={self.output_ratio}"
        return f"kernel_size={self.kernel_size}, {target}"


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest element of each of ``output_size`` windows, which lie evenly but for a random shift (Graham 2014).

    Input ``(N, C, H, W)`` or ``(C, H, W)``; arguments are those of `functional.fractional_max_pool2d`. The shift is
    random in evaluation, too, unless ``_random_samples`` gives it.

    >>> import atled.core as at
    >>> pool = FractionalMaxPool2d(2, output_size=2, _random_samples=at.zeros(1, 1, 2))
    >>> pool(at.arange(9.0).reshape(1, 3, 3)).tolist()
    [[[4.0, 5.0], [7.0, 8.0]]]
    """

    _dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """As `FractionalMaxPool2d`, of volumes.

    >>> import atled.core as at
    >>> FractionalMaxPool3d(2, output_size=(2, 3, 3))(at.ones(1, 3, 4, 8, 8)).shape
    (1, 3, 2, 3, 3)
    """

    _dims = 3
