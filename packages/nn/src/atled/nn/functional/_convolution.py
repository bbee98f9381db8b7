"""Convolutions of one, two and three dimensions, and transposed ones."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._precision import as_given, cast
from .._sizes import Size, sizes

_LAYOUTS = {1: "L", 2: "H, W", 3: "D, H, W"}
_KERNELS = {1: "k", 2: "kh, kw", 3: "kd, kh, kw"}


@explained
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: str | Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlates input ``(N, C, L)`` or ``(C, L)`` with weight ``(K, C / groups, k)``: ``(N, K, L_out)``.

    Settings, dtypes and errors are those of `conv2d`;
    ``L_out = floor((L + 2 padding - dilation (k - 1) - 1) / stride) + 1``.

    >>> conv1d(at.tensor([[[1.0, 2, 3]]]), at.tensor([[[1.0, 10]]])).tolist()
    [[[21.0, 32.0]]]
    """

    def row(name: str, size: Size, other: int) -> tuple[int, int]:
        return other, sizes(size, 1, f"conv1d: {name}")[0]

    _expect_layout("conv1d", 1, input, weight, "K, C / groups")
    given = padding if isinstance(padding, str) else row("padding", padding, 0)
    steps, spread = row("stride", stride, 1), row("dilation", dilation, 1)
    return conv2d(input.unsqueeze(-2), weight.unsqueeze(2), bias, steps, given, spread, groups).squeeze(-2)


@explained
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: str | Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlates input ``(N, C, H, W)`` or ``(C, H, W)`` with weight ``(K, C / groups, kh, kw)``.

    Answers ``(N, K, H_out, W_out)``, of the sizes that `max_pool2d` has:
    ``y[k, h, w] = bias[k] + sum over c, i, j of w[k, c, i, j] x[c, h stride + i dilation, w stride + j dilation]``, x
    padded with zeros; the C channels and K results are in ``groups`` that do not mix. ``padding`` is a size,
    ``"valid"`` (none) or ``"same"`` (stride 1 only: the output is as large as the input). All floating and complex
    dtypes; the tensors have one. ShapeError and DTypeError where they do not fit, InvalidValueError for settings out
    of range.

    >>> conv2d(at.arange(9.0).reshape(1, 3, 3), at.ones(1, 1, 2, 2)).tolist()
    [[[8.0, 12.0], [20.0, 24.0]]]
    >>> conv2d(at.ones(1, 3, 8, 8), at.ones(4, 3, 3, 3), padding="same").shape
    (1, 4, 8, 8)
    """
    if isinstance(padding, str):
        input, padding = _same_padding("conv2d", 2, input, weight, stride, padding, dilation)
    if input.is_complex():
        return _by_parts("conv2d", 2, conv2d, input, weight, bias, stride, padding, dilation, groups)
    if input.ndim == 3:
        return _one.conv2d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(0)
    return _one.conv2d(input, weight, bias, stride, padding, dilation, groups)


@explained
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: str | Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlates input ``(N, C, D, H, W)`` or ``(C, D, H, W)`` with weight ``(K, C / groups, kd, kh, kw)``.

    Answers ``(N, K, D_out, H_out, W_out)``; settings, dtypes and errors are those of `conv2d`.

    >>> conv3d(at.arange(8.0).reshape(1, 2, 2, 2), at.ones(1, 1, 2, 2, 2)).tolist()
    [[[[28.0]]]]
    """
    if isinstance(padding, str):
        input, padding = _same_padding("conv3d", 3, input, weight, stride, padding, dilation)
    if input.is_complex():
        return _by_parts("conv3d", 3, conv3d, input, weight, bias, stride, padding, dilation, groups)
    if input.ndim == 4:
        return _one.conv3d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(0)
    return _one.conv3d(input, weight, bias, stride, padding, dilation, groups)


@as_given
def _by_parts(
    op: str, n: int, real: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any
) -> Tensor:
    """A convolution of complex numbers, by one of both parts of the input with each part of the weight."""
    _expect_one_dtype(op, input, weight, bias)
    _expect_layout(op, n, input, weight, "K, C / groups")
    if input.ndim == n + 1:
        return _by_parts(op, n, real, input.unsqueeze(0), weight, bias, *settings).squeeze(0)
    parts = at.cat([input.real, input.imag])
    rr, ir = real(parts, weight.real, None, *settings).chunk(2)
    ri, ii = real(parts, weight.imag, None, *settings).chunk(2)
    result = at.complex(rr - ii, ri + ir)
    if bias is None:
        return result
    if tuple(bias.shape) != (channels := result.shape[1],):
        raise at.ShapeError(f"{op}: expected bias of shape ({channels},), got {tuple(bias.shape)}")
    return result + bias.reshape(-1, *[1] * n)


def _expect_one_dtype(op: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if input.dtype != weight.dtype:
        raise at.DTypeError(f"{op}: expected weight of input's dtype {input.dtype.name}, got {weight.dtype.name}")
    if bias is not None and bias.dtype != input.dtype:
        raise at.DTypeError(f"{op}: expected bias of input's dtype {input.dtype.name}, got {bias.dtype.name}")


def _expect_layout(op: str, n: int, input: Tensor, weight: Tensor, channels: str) -> None:
    if weight.ndim != n + 2 or input.ndim not in (n + 1, n + 2):
        raise at.ShapeError(
            f"{op}: expected input (N, C, {_LAYOUTS[n]}) or (C, {_LAYOUTS[n]}) and weight ({channels}, {_KERNELS[n]}), "
            f"got {tuple(input.shape)} and {tuple(weight.shape)}"
        )


def _same_padding(
    op: str, n: int, input: Tensor, weight: Tensor, stride: Size, padding: str, dilation: Size
) -> tuple[Tensor, Size]:
    if padding == "valid":
        return input, 0
    if padding != "same":
        raise at.InvalidValueError(f"{op}: expected padding 'same', 'valid' or sizes, got {padding!r}")
    if any(step != 1 for step in sizes(stride, n, f"{op}: stride")):
        raise at.InvalidValueError(f"{op}: expected stride 1 for padding='same', got {stride}")
    spread = sizes(dilation, n, f"{op}: dilation")
    total = [d * (size - 1) for d, size in zip(spread, weight.shape[2:], strict=True)]
    if any(t % 2 for t in total):
        # The one that is left over goes to the end.
        input = _one.constant_pad(input, [side for t in reversed(total) for side in (0, t % 2)])
    return input, [t // 2 for t in total]


@explained
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """As `conv_transpose2d`, for input ``(N, C, L)`` or ``(C, L)`` and weight ``(C, K / groups, k)``.

    >>> conv_transpose1d(at.ones(1, 1, 2), at.tensor([[[1.0, 2, 3]]]), stride=2).tolist()
    [[[1.0, 2.0, 4.0, 2.0, 3.0]]]
    """
    return _transposed("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@explained
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The linear map of `conv2d` the other way round: what it makes of a gradient (Dumoulin & Visin 2016, chapter 4).

    Input ``(N, C, H, W)`` or ``(C, H, W)``, weight ``(C, K / groups, kh, kw)``, bias ``(K,)``, all of one floating or
    complex dtype. The output has K channels, ``(H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1``
    rows, and columns likewise; ``output_padding``, smaller than stride or dilation, adds to the end. ShapeError and
    InvalidValueError say what does not fit.

    >>> conv_transpose2d(at.tensor([[[1.0, 10.0]]]), at.ones(1, 1, 2, 2)).tolist()
    [[[1.0, 11.0, 10.0], [1.0, 11.0, 10.0]]]
    >>> conv_transpose2d(at.ones(1, 3, 4, 4), at.ones(3, 2, 3, 3), stride=2, padding=1, output_padding=1).shape
    (1, 2, 8, 8)
    """
    return _transposed("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@explained
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """As `conv_transpose2d`, for input ``(N, C, D, H, W)`` or ``(C, D, H, W)``, weight ``(C, K / groups, kd, kh, kw)``.

    >>> conv_transpose3d(at.tensor([[[[1.0, 10.0]]]]), at.ones(1, 1, 1, 1, 2)).tolist()
    [[[[1.0, 11.0, 10.0]]]]
    """
    return _transposed("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def transposed_sizes(
    input: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """What a transposed convolution makes of the sizes of its input, without output_padding."""
    settings = zip(input, kernel, stride, padding, dilation, strict=True)
    return [(size - 1) * step - 2 * around + spread * (k - 1) + 1 for size, k, step, around, spread in settings]


def _transposed(
    op: str,
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size,
    output_padding: Size,
    groups: int,
    dilation: Size,
) -> Tensor:
    input, weight, bias = cast("lower", input, weight, bias)
    _expect_layout(op, n, input, weight, "C, K / groups")
    _expect_one_dtype(op, input, weight, bias)
    steps, around = sizes(stride, n, f"{op}: stride"), sizes(padding, n, f"{op}: padding")
    more, spread = sizes(output_padding, n, f"{op}: output_padding"), sizes(dilation, n, f"{op}: dilation")
    if min(*steps, *spread, 1) < 1 or min(*around, *more, 0) < 0:
        raise at.InvalidValueError(
            f"{op}: expected stride and dilation of at least 1, padding and output_padding of at least 0, "
            f"got {steps}, {spread}, {around} and {more}"
        )
    if input.is_complex():
        real = functools.partial(_transposed, op, n)
        return _by_parts(op, n, real, input, weight, bias, steps, around, more, groups, spread)
    if any(extra >= max(step, gap) for extra, step, gap in zip(more, steps, spread, strict=True)):
        raise at.InvalidValueError(
            f"{op}: expected output_padding smaller than stride or dilation, got {more}, {steps} and {spread}"
        )
    if n == 1:
        result = _transposed(
            op,
            2,
            input.unsqueeze(-2),
            weight.unsqueeze(2),
            bias,
            (1, *steps),
            (0, *around),
            (0, *more),
            groups,
            (1, *spread),
        )
        return result.squeeze(-2)
    if input.ndim == n + 1:
        return _transposed(op, n, input.unsqueeze(0), weight, bias, steps, around, more, groups, spread).squeeze(0)
    channels = weight.shape[1] * groups
    if groups < 1 or input.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        raise at.ShapeError(
            f"{op}: expected input.shape[1] == weight.shape[0], a multiple of groups, "
            f"got {tuple(input.shape)} and {tuple(weight.shape)} with groups={groups}"
        )
    if bias is not None and tuple(bias.shape) != (channels,):
        raise at.ShapeError(f"{op}: expected bias of shape ({channels},), got {tuple(bias.shape)}")
    shape = transposed_sizes(input.shape[2:], weight.shape[2:], steps, around, spread)
    shape = [size + extra for size, extra in zip(shape, more, strict=True)]
    if min(shape) < 1 or math.prod(input.shape[2:]) == 0:
        raise at.ShapeError(f"{op}: expected an output of at least one element, got {tuple(input.shape)} to {shape}")
    if any(extra >= step for extra, step in zip(more, steps, strict=True)):
        # So much more that it takes further elements, of zero, to reach it.
        beyond = [extra // step for extra, step in zip(more, steps, strict=True)]
        input = _one.constant_pad(input, [side for size in reversed(beyond) for side in (0, size)])
    backward = _one.conv2d_backward_input if n == 2 else _one.conv3d_backward_input
    result = backward(input, weight, (input.shape[0], channels, *shape), steps, around, spread, groups)
    return result if bias is None else result + bias.reshape(-1, *[1] * n)
