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

Size = int | Sequence[int]

_PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def sizes(value: Size, n: int) -> tuple[int, ...]:
    """n sizes; one stands for all of them."""
    if isinstance(value, int):
        return (value,) * n
    return tuple(value) * n if len(value) == 1 else tuple(value)


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
        self.kernel_size, self.stride, self.dilation = sizes(kernel_size, n), sizes(stride, n), sizes(dilation, n)
        self.padding = padding if isinstance(padding, str) else sizes(padding, n)
        self.padding_mode = padding_mode
        self.weight = Parameter(
            at.empty(out_channels, in_channels // groups, *self.kernel_size, device=device, dtype=dtype)
        )
        self.register_parameter("bias", Parameter(at.empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew, uniform in ``±1 / sqrt(fan in)``."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.in_channels // self.groups * math.prod(self.kernel_size)
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
    """Cross-correlation of input ``(N, C, L)`` or ``(C, L)`` with weight ``(out_channels, in_channels / groups, k)``.

    >>> import atled.core as at
    >>> Conv1d(2, 4, 3, padding=1)(at.ones(1, 2, 10)).shape
    (1, 4, 10)
    """

    _dims = 1

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, out_channels, L_out)``."""
        input, padding = self._padded(input)
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Convolution):
    """Cross-correlation of input ``(N, C, H, W)`` or ``(C, H, W)`` with a weight.

    The weight has the shape ``(out_channels, in_channels / groups, kh, kw)``.

    >>> import atled.core as at
    >>> Conv2d(3, 8, 3, stride=2)(at.ones(1, 3, 9, 9)).shape
    (1, 8, 4, 4)
    """

    _dims = 2

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, out_channels, H_out, W_out)``."""
        input, padding = self._padded(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
