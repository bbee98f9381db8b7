"""Images and volumes at other sizes."""

from __future__ import annotations

from collections.abc import Sequence

from atled.core import Tensor

from .. import functional as F
from .._module import Module

_Factor = float | Sequence[float] | None
_Target = int | Sequence[int] | None


class Upsample(Module):
    """The last one, two or three dimensions of ``(N, C, ...)`` at another size, given itself or as a factor.

    Settings, dtypes and errors are those of `functional.interpolate`.

    >>> import atled.core as at
    >>> Upsample(scale_factor=2, mode="linear")(at.tensor([[[0.0, 1.0]]])).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """

    def __init__(
        self,
        size: _Target = None,
        scale_factor: _Factor = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, ...)``."""
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """The size or the factor, and the mode."""
        text = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{text}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images ``(N, C, H, W)`` at another size, of the nearest elements.

    >>> import atled.core as at
    >>> UpsamplingNearest2d(scale_factor=2)(at.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """

    def __init__(self, size: _Target = None, scale_factor: _Factor = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Images ``(N, C, H, W)`` at another size, bilinear, with ``align_corners``.

    >>> import atled.core as at
    >>> UpsamplingBilinear2d((1, 3))(at.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.5, 2.0]]]]
    """

    def __init__(self, size: _Target = None, scale_factor: _Factor = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)
