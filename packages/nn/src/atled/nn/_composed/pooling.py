"""Pooling: largest elements and means of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import atled.core as at
from atled.core import Tensor
from atled.nn._composed.convolution import Pair, Settings, padded, pair, reach, windows
from atled.nn._composed.shared import Kernel, bounds, from_zero, wide, widened


def _count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    room = size + 2 * padding - dilation * (kernel - 1) - 1 + (stride - 1 if ceil_mode else 0)
    count = room // stride + 1
    return count - 1 if ceil_mode and (count - 1) * stride >= size + padding else count


def max_pool2d_with_indices(
    input: Tensor, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Tensor, Tensor]:
    kernel = pair(kernel_size)
    s = Settings.of(stride or kernel, padding, dilation)
    h, w = input.shape[-2:]
    oh, ow = (
        _count(n, k, st, p, d, ceil_mode)
        for n, k, st, p, d in zip((h, w), kernel, s.stride, s.padding, s.dilation, strict=True)
    )
    after = [max(r - p - n, 0) for r, p, n in zip(reach((oh, ow), kernel, s), s.padding, (h, w), strict=True)]
    planes = input.reshape(math.prod(input.shape[:-2]), h, w)
    view = windows(padded(planes, s.padding, (after[0], after[1]), -math.inf), kernel, (oh, ow), s)
    start, first = _starts((h, w), (oh, ow), s, input.device)
    largest, place = view[:, 0, 0], first.expand(planes.shape[0], oh, ow)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            x = view[:, i, j]
            # NaN wins over everything, and the last one over the others.
            better = (x > largest).logical_or(x != x)
            largest = at.where(better, x, largest)
            place = at.where(better, i * s.dilation[0] * w + j * s.dilation[1], place)
    shape = (*input.shape[:-2], oh, ow)
    return largest.reshape(shape), (start + place).reshape(shape)


@lru_cache(maxsize=256)
def _starts(size: tuple[int, int], out: tuple[int, int], s: Settings, device: at.device) -> tuple[Tensor, Tensor]:
    """Where each window starts in the plane, padding being before 0, and how far from there its first element is."""
    starts, firsts = [], []
    for count, stride, padding, dilation in zip(out, *s, strict=True):
        begins = [i * stride - padding for i in range(count)]
        starts.append(begins)
        firsts.append([-(-max(-b, 0) // dilation) * dilation for b in begins])
    table = [
        at.tensor([[row * size[1] + column for column in columns] for row in rows], dtype=at.int64).reshape(out)
        for rows, columns in (starts, firsts)
    ]
    return table[0].to(device), table[1].to(device)


def max_pool2d_backward(grad: Tensor, indices: Tensor, input_shape: Sequence[int]) -> Tensor:
    *lead, h, w = input_shape
    planes = math.prod(lead)
    made = at.zeros((planes, h * w), dtype=wide(grad.dtype), device=grad.device)
    each = (planes, math.prod(grad.shape[-2:]))
    with bounds("max_pool2d_backward", "indices", indices, h * w):
        made.scatter_add_(1, from_zero(indices, h * w).reshape(each), widened(grad).reshape(each))
    return made.reshape(tuple(input_shape)).to(grad.dtype)


class Windows(NamedTuple):
    """Where the windows of a dimension begin and end, in order, and of how many elements the dimension is."""

    begins: tuple[int, ...]
    ends: tuple[int, ...]
    size: int

    def turned(self) -> Windows:
        """For each element, which windows hold it."""
        held = [[i for i in range(len(self.begins)) if self.begins[i] <= e < self.ends[i]] for e in range(self.size)]
        begins = tuple(found[0] if found else 0 for found in held)
        ends = tuple(found[-1] + 1 if found else 0 for found in held)
        return Windows(begins, ends, len(self.begins))

    def tiles(self) -> bool:
        """Whether they are equally long and lie side by side over the whole dimension."""
        lengths = {e - b for b, e in zip(self.begins, self.ends, strict=True)}
        length = len(lengths) == 1 and lengths.pop()
        return bool(length) and self.begins == tuple(range(0, self.size, length))


@lru_cache(maxsize=256)
def _sliding(size: int, count: int, kernel: int, stride: int, padding: int) -> tuple[Windows, tuple[int, ...]]:
    """Windows, and their lengths with padding."""
    starts = [i * stride - padding for i in range(count)]
    stops = [min(start + kernel, size + padding) for start in starts]
    begins, ends = tuple(max(b, 0) for b in starts), tuple(min(e, size) for e in stops)
    return Windows(begins, ends, size), tuple(e - b for b, e in zip(starts, stops, strict=True))


@lru_cache(maxsize=256)
def _adaptive(size: int, count: int) -> Windows:
    begins = tuple(i * size // count for i in range(count))
    return Windows(begins, tuple(-(-(i + 1) * size // count) for i in range(count)), size)


@lru_cache(maxsize=256)
def _places(windows: Windows, device: at.device) -> tuple[Tensor, Tensor]:
    """The elements of each window (windows * longest,), and which of them count (windows, longest)."""
    longest = max((e - b for b, e in zip(windows.begins, windows.ends, strict=True)), default=0)
    each = [[b + i for i in range(longest)] for b in windows.begins]
    places = [min(max(e, 0), windows.size - 1) for row in each for e in row]
    counted = [[e < end for e in row] for row, end in zip(each, windows.ends, strict=True)]
    shape = (len(windows.begins), longest)
    return (
        at.tensor(places, dtype=at.int64).to(device),
        at.tensor(counted, dtype=at.bool).reshape(shape).to(device),
    )


@lru_cache(maxsize=256)
def _turned(windows: Windows) -> Windows:
    return windows.turned()


def _sums(x: Tensor, dim: int, windows: Windows) -> Tensor:
    """The sums of the windows of dimension -2 or -1."""
    count = len(windows.begins)
    if windows.tiles():
        return x.unflatten(dim, (count, -1)).sum(dim)
    places, counted = _places(windows, x.device)
    found = x.index_select(dim, places).unflatten(dim, (count, -1))
    mask = counted if dim == -1 else counted.unsqueeze(-1)
    return at.where(mask, found, 0).sum(dim)


@lru_cache(maxsize=256)
def _divisors(rows: tuple[int, ...], columns: tuple[int, ...], dtype: at.dtype, device: at.device) -> float | Tensor:
    if len({*rows}) <= 1 and len({*columns}) <= 1:
        return float(rows[0] * columns[0]) if rows and columns else 1.0
    values = [[max(r * c, 1) for c in columns] for r in rows]
    return at.tensor(values, dtype=dtype).to(device)


def _lengths(windows: Windows) -> tuple[int, ...]:
    return tuple(e - b for b, e in zip(windows.begins, windows.ends, strict=True))


class _Average(NamedTuple):
    rows: Windows
    columns: Windows
    divisor: float | Tensor

    def means(self, input: Tensor) -> Tensor:
        x = widened(input)
        return (_sums(_sums(x, -2, self.rows), -1, self.columns) / self.divisor).to(input.dtype)

    def spread(self, grad: Tensor) -> Tensor:
        g = widened(grad) / self.divisor
        return _sums(_sums(g, -1, _turned(self.columns)), -2, _turned(self.rows)).to(grad.dtype)


def _average(
    like: Tensor,
    size: Sequence[int],
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> _Average:
    kernel = pair(kernel_size)
    s = Settings.of(stride or kernel, padding, (1, 1))
    found = []
    for n, k, st, p in zip(size, kernel, s.stride, s.padding, strict=True):
        found.append(_sliding(n, _count(n, k, st, p, 1, ceil_mode), k, st, p))
    (rows, tall), (columns, broad) = found
    if divisor_override is not None:
        return _Average(rows, columns, float(divisor_override))
    if not count_include_pad:
        tall, broad = _lengths(rows), _lengths(columns)
    return _Average(rows, columns, _divisors(tall, broad, wide(like.dtype), like.device))


def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    settings = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _average(input, input.shape[-2:], *settings).means(input)


def avg_pool2d_backward(
    grad: Tensor,
    input_shape: Sequence[int],
    kernel_size: Pair,
    stride: Pair | None,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    settings = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _average(grad, input_shape[-2:], *settings).spread(grad)


def _adapted(like: Tensor, size: Sequence[int], output: Sequence[int]) -> _Average:
    rows, columns = (_adaptive(n, o) for n, o in zip(size, output, strict=True))
    return _Average(rows, columns, _divisors(_lengths(rows), _lengths(columns), wide(like.dtype), like.device))


def adaptive_avg_pool2d(input: Tensor, output_size: Pair) -> Tensor:
    return _adapted(input, input.shape[-2:], pair(output_size)).means(input)


def adaptive_avg_pool2d_backward(grad: Tensor, input_shape: Sequence[int]) -> Tensor:
    return _adapted(grad, input_shape[-2:], grad.shape[-2:]).spread(grad)


KERNELS: dict[str, Kernel] = {
    "max_pool2d_with_indices": max_pool2d_with_indices,
    "max_pool2d_backward": max_pool2d_backward,
    "avg_pool2d": avg_pool2d,
    "avg_pool2d_backward": avg_pool2d_backward,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "adaptive_avg_pool2d_backward": adaptive_avg_pool2d_backward,
}
