"""Elements in other places: channels into pixels and back, windows into columns and back."""

from __future__ import annotations

from atled.core import Tensor

from .. import functional as F
from .._module import Module
from .._sizes import Size


class PixelShuffle(Module):
    """Groups of r^2 channels of ``(*, C r^2, H, W)`` as r by r pixels each: ``(*, C, H r, W r)`` (Shi et al. 2016).

    Any dtype. ShapeError unless the channels are a multiple of r^2.

    >>> import atled.core as at
    >>> PixelShuffle(2)(at.arange(4).reshape(4, 1, 1)).tolist()
    [[[0, 1], [2, 3]]]
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(*, C, H r, W r)``."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """What `PixelShuffle` does, undone: ``(*, C, H r, W r)`` becomes ``(*, C r^2, H, W)``.

    Any dtype. ShapeError unless height and width are multiples of r.

    >>> import atled.core as at
    >>> PixelUnshuffle(2)(at.arange(4).reshape(1, 2, 2)).tolist()
    [[[0]], [[1]], [[2]], [[3]]]
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(*, C r^2, H, W)``."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """The channels of ``(N, C, *)`` with one of each group in turn (Zhang et al. 2018); the same shape.

    Any dtype. ShapeError unless ``groups`` divide the channels.

    >>> import atled.core as at
    >>> ChannelShuffle(2)(at.arange(4).reshape(1, 4, 1)).flatten().tolist()
    [0, 2, 1, 3]
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        """The number of groups."""
        return f"groups={self.groups}"


class Unfold(Module):
    """The windows of images ``(N, C, H, W)`` or ``(C, H, W)`` as columns: ``(N, C kh kw, L)`` for L windows.

    Any dtype; settings and errors are those of `functional.unfold`.

    >>> import atled.core as at
    >>> Unfold(2)(at.arange(6).reshape(1, 2, 3)).tolist()
    [[0, 1], [1, 2], [3, 4], [4, 5]]
    """

    def __init__(self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C kh kw, L)``."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Adds columns ``(N, C kh kw, L)`` up to images ``(N, C, *output_size)``: the adjoint of `Unfold`.

    Floats. ShapeError unless the columns are those that `Unfold` makes of such images.

    >>> import atled.core as at
    >>> Fold((2, 3), 2)(at.ones(1, 4, 2)).tolist()
    [[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]]
    """

    def __init__(
        self, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, *output_size)``."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The size and the windows."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
