"""Convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .. import init
from .._module import Module
from .._parameter import Parameter
from .._sizes import Size, sizes
from ..functional._convolution import transposed_sizes

_PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class _Convolution(Module):
    _dims: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        name, n = type(self).__name__, self._dims
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise at.InvalidValueError(
                f"{name}: expected groups to divide in_channels and out_channels, "
                f"got {groups}, {in_channels} and {out_channels}"
            )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise at.InvalidValueError(f"{name}: expected padding 'same', 'valid' or sizes, got {padding!r}")
        if padding == "same" and any(step != 1 for step in sizes(stride, n)):
            raise at.InvalidValueError(f"{name}: expected stride 1 for padding='same', got {stride}")
        if padding_mode not in _PAD_MODES:
            raise at.InvalidValueError(
                f"{name}: expected padding_mode one of {', '.join(_PAD_MODES)}, got {padding_mode!r}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = (
            sizes(kernel_size, n, f"{name}: kernel_size"),
            sizes(stride, n, f"{name}: stride"),
        )
        self.padding = padding if isinstance(padding, str) else sizes(padding, n, f"{name}: padding")
        self.dilation = sizes(dilation, n, f"{name}: dilation")
        self.padding_mode = padding_mode
        channels = self._weight_channels()
        self.weight = Parameter(at.empty(*channels, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(at.empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def _weight_channels(self) -> tuple[int, int]:
        return self.out_channels, self.in_channels // self.groups

    def reset_parameters(self) -> None:
        """Draws weight and bias anew, uniform in ``±1 / sqrt(fan in)``."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound)

    def _padded(self, input: Tensor) -> tuple[Tensor, str | Size]:
        """The input and the padding that is still to be done."""
        if self.padding_mode == "zeros":
            return input, self.padding
        around: list[int] = []
        for d in reversed(range(self._dims)):
            if isinstance(self.padding, str):
                total = self.dilation[d] * (self.kernel_size[d] - 1) if self.padding == "same" else 0
                around += [total // 2, total - total // 2]
            else:
                around += [self.padding[d], self.padding[d]]
        return F.pad(input, around, _PAD_MODES[self.padding_mode]), 0

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self._dims:
            text += f", padding={self.padding!r}" if isinstance(self.padding, str) else f", padding={self.padding}"
        if self.dilation != (1,) * self._dims:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class Conv1d(_Convolution):
    """Cross-correlation of input ``(N, C, L)`` or ``(C, L)`` with a learnt weight: ``(N, out_channels, L_out)``.

    Weight ``(out_channels, in_channels / groups, kernel_size)``; otherwise as `Conv2d`.

    >>> import atled.core as at
    >>> layer = Conv1d(2, 4, 3, padding=1)
    >>> layer(at.ones(1, 2, 10)).shape, layer.weight.shape
    ((1, 4, 10), (4, 2, 3))
    """

    _dims = 1

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, out_channels, L_out)``."""
        input, padding = self._padded(input)
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Convolution):
    """Cross-correlation of input ``(N, C, H, W)`` or ``(C, H, W)`` with a learnt weight.

    Answers ``(N, out_channels, H_out, W_out)``. Weight ``(out_channels, in_channels / groups, kh, kw)`` and bias
    ``(out_channels,)`` start uniform in ``±1 / sqrt(fan in)``, that of ``in_channels / groups * kh * kw`` numbers.
    Sizes and ``padding`` are those of `functional.conv2d`; with another ``padding_mode`` (``"reflect"``,
    ``"replicate"``, ``"circular"``) padding is not of zeros. InvalidValueError where ``groups`` does not divide both
    channels, and for other modes.

    >>> import atled.core as at
    >>> layer = Conv2d(4, 8, 3, stride=2, groups=2)
    >>> layer(at.ones(1, 4, 9, 9)).shape, layer.weight.shape
    ((1, 8, 4, 4), (8, 2, 3, 3))
    """

    _dims = 2

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, out_channels, H_out, W_out)``."""
        input, padding = self._padded(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(_Convolution):
    """Cross-correlation of input ``(N, C, D, H, W)`` or ``(C, D, H, W)`` with a learnt weight.

    Weight ``(out_channels, in_channels / groups, kd, kh, kw)``; otherwise as `Conv2d`.

    >>> import atled.core as at
    >>> Conv3d(3, 8, 3, padding=1)(at.ones(1, 3, 4, 6, 6)).shape
    (1, 8, 4, 6, 6)
    """

    _dims = 3

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, out_channels, D_out, H_out, W_out)``."""
        input, padding = self._padded(input)
        return F.conv3d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _ConvolutionTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise at.InvalidValueError(f"{name}: expected padding_mode 'zeros', got {padding_mode!r}")
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            sizes(padding, self._dims, f"{name}: padding"),
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self.output_padding = sizes(output_padding, self._dims, f"{name}: output_padding")

    def _weight_channels(self) -> tuple[int, int]:
        return self.in_channels, self.out_channels // self.groups

    def _output_padding(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """What makes the output as large as asked."""
        if output_size is None:
            return self.output_padding
        n, name = self._dims, type(self).__name__
        wanted = tuple(output_size)[-n:]
        if len(output_size) not in (n, input.ndim):
            raise at.InvalidValueError(f"{name}: expected output_size of {n} sizes, got {tuple(output_size)}")
        assert not isinstance(self.padding, str)
        least = transposed_sizes(input.shape[-n:], self.kernel_size, self.stride, self.padding, self.dilation)
        more = tuple(size - low for size, low in zip(wanted, least, strict=True))
        if any(not 0 <= extra < step for extra, step in zip(more, self.stride, strict=True)):
            most = tuple(low + step - 1 for low, step in zip(least, self.stride, strict=True))
            raise at.InvalidValueError(f"{name}: expected output_size from {tuple(least)} to {most}, got {wanted}")
        return more

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        text = super().extra_repr()
        return text if not any(self.output_padding) else f"{text}, output_padding={self.output_padding}"

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Of ``out_channels`` channels; of ``output_size``, where several sizes are possible and one is asked for."""
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self._dims - 1]
        assert not isinstance(self.padding, str)
        more = self._output_padding(input, output_size)
        return function(input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation)


class ConvTranspose1d(_ConvolutionTranspose):
    """As `ConvTranspose2d`, for input ``(N, C, L)`` or ``(C, L)``.

    >>> import atled.core as at
    >>> ConvTranspose1d(2, 4, 3, stride=2)(at.ones(1, 2, 5)).shape
    (1, 4, 11)
    """

    _dims = 1


class ConvTranspose2d(_ConvolutionTranspose):
    """A convolution's linear map the other way round, for input ``(N, C, H, W)`` or ``(C, H, W)``.

    Weight ``(in_channels, out_channels / groups, kh, kw)`` and bias ``(out_channels,)`` start uniform in
    ``±1 / sqrt(out_channels / groups * kh * kw)``; sizes are those of `functional.conv_transpose2d`. The call takes an
    ``output_size``, too: it sets ``output_padding``, and InvalidValueError says which sizes there are.

    >>> import atled.core as at
    >>> up = ConvTranspose2d(8, 3, 3, stride=2, padding=1)
    >>> up(at.ones(1, 8, 4, 4)).shape, up(at.ones(1, 8, 4, 4), output_size=(8, 8)).shape
    ((1, 3, 7, 7), (1, 3, 8, 8))
    """

    _dims = 2


class ConvTranspose3d(_ConvolutionTranspose):
    """As `ConvTranspose2d`, for input ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> import atled.core as at
    >>> ConvTranspose3d(2, 4, 2, stride=2)(at.ones(1, 2, 3, 3, 3)).shape
    (1, 4, 6, 6, 6)
    """

    _dims = 3
