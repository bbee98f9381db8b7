"""Convolutions as matrix products: the windows of the input are columns (Chellapilla et al. 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import atled.core as at
from atled.core import Tensor
from atled.nn._composed.shared import Kernel, wide

Pair = Sequence[int]


def pair(value: int | Pair) -> tuple[int, int]:
    """One number for both dimensions, or one for each."""
    if isinstance(value, int):
        return value, value
    return value[0], value[-1]


class Settings(NamedTuple):
    """Stride, padding and dilation of rows and columns."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @classmethod
    def of(cls, stride: int | Pair, padding: int | Pair, dilation: int | Pair) -> Settings:
        return cls(pair(stride), pair(padding), pair(dilation))


def padded(input: Tensor, before: tuple[int, int], after: tuple[int, int], value: float = 0) -> Tensor:
    """The last two dimensions surrounded by `value`; the input itself where nothing is added."""
    if not any((*before, *after)):
        return input.contiguous()
    h, w = input.shape[-2:]
    shape = (*input.shape[:-2], before[0] + h + after[0], before[1] + w + after[1])
    made = at.full(shape, value, dtype=input.dtype, device=input.device)
    made[..., before[0] : before[0] + h, before[1] : before[1] + w].copy_(input)
    return made


def windows(x: Tensor, kernel: tuple[int, int], out: tuple[int, int], s: Settings) -> Tensor:
    """The windows of a padded contiguous tensor, as a view (*, kh, kw, oh, ow)."""
    row, column = x.stride(-2), x.stride(-1)
    steps = (s.dilation[0] * row, s.dilation[1] * column, s.stride[0] * row, s.stride[1] * column)
    return x.as_strided((*x.shape[:-2], *kernel, *out), (*x.stride()[:-2], *steps))


def reach(out: tuple[int, int], kernel: tuple[int, int], s: Settings) -> tuple[int, int]:
    """The size of a padded tensor that holds all windows."""
    h, w = ((o - 1) * st + (k - 1) * d + 1 for o, st, k, d in zip(out, s.stride, kernel, s.dilation, strict=True))
    return h, w


def fold(columns: Tensor, shape: Sequence[int], s: Settings) -> Tensor:
    """Adds windows (*, kh, kw, oh, ow) to where they come from: a tensor of `shape`, in the columns' wide dtype."""
    kh, kw, oh, ow = columns.shape[-4:]
    *lead, h, w = shape
    full = (h + 2 * s.padding[0], w + 2 * s.padding[1])
    # Windows that are not whole (ceil_mode) reach beyond.
    ends = reach((oh, ow), (kh, kw), s)
    spread = tuple(max(f, end) for f, end in zip(full, ends, strict=True))
    made = at.zeros((*lead, *spread), dtype=wide(columns.dtype), device=columns.device)
    for i in range(kh):
        for j in range(kw):
            top, left = i * s.dilation[0], j * s.dilation[1]
            rows = slice(top, top + (oh - 1) * s.stride[0] + 1, s.stride[0])
            places = slice(left, left + (ow - 1) * s.stride[1] + 1, s.stride[1])
            made[..., rows, places].add_(columns[..., i, j, :, :])
    return made[..., s.padding[0] : s.padding[0] + h, s.padding[1] : s.padding[1] + w]


def _columns(input: Tensor, kernel: tuple[int, int], out: tuple[int, int], s: Settings, groups: int) -> Tensor:
    """(n, groups, channels of a group, kh, kw, oh, ow), a view."""
    view = windows(padded(input, s.padding, s.padding), kernel, out, s)
    n, c = input.shape[:2]
    return view.unflatten(1, (groups, c // groups)) if c else view.reshape(n, groups, 0, *kernel, *out)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    s = Settings.of(stride, padding, dilation)
    (n, _, h, w), (k, _, kh, kw) = input.shape, weight.shape
    out = _sizes((h, w), (kh, kw), s)
    taps = weight.shape[1] * kh * kw
    columns = _columns(input, (kh, kw), out, s, groups).reshape(n, groups, taps, out[0] * out[1])
    made = weight.reshape(groups, k // groups, taps) @ columns
    made = made.reshape(n, k, *out)
    return made if bias is None else made + bias.reshape(k, 1, 1)


def _sizes(size: tuple[int, int], kernel: tuple[int, int], s: Settings) -> tuple[int, int]:
    h, w = ((n + 2 * p - d * (k - 1) - 1) // st + 1 for n, k, st, p, d in zip(size, kernel, *s, strict=True))
    return h, w


def conv2d_backward_input(
    grad: Tensor, weight: Tensor, input_shape: Sequence[int], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    s = Settings.of(stride, padding, dilation)
    n, k, oh, ow = grad.shape
    c, (kh, kw) = input_shape[1], weight.shape[-2:]
    taps = weight.shape[1] * kh * kw
    columns = weight.reshape(groups, k // groups, taps).mT @ grad.reshape(n, groups, k // groups, oh * ow)
    return fold(columns.reshape(n, c, kh, kw, oh, ow), input_shape, s).to(grad.dtype)


def conv2d_backward_weight(
    grad: Tensor, input: Tensor, weight_shape: Sequence[int], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Tensor:
    s = Settings.of(stride, padding, dilation)
    n, k, oh, ow = grad.shape
    _, depth, kh, kw = weight_shape
    count, taps = n * oh * ow, depth * kh * kw
    # One product over all images: (groups, k / groups, n oh ow) with (groups, c kh kw / groups, n oh ow).
    columns = _columns(input, (kh, kw), (oh, ow), s, groups).permute(1, 2, 3, 4, 0, 5, 6)
    grads = grad.reshape(n, groups, k // groups, oh * ow).permute(1, 2, 0, 3).reshape(groups, k // groups, count)
    return (grads @ columns.reshape(groups, taps, count).mT).reshape(tuple(weight_shape))


KERNELS: dict[str, Kernel] = {
    "conv2d": conv2d,
    "conv2d_backward_input": conv2d_backward_input,
    "conv2d_backward_weight": conv2d_backward_weight,
}
