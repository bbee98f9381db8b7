"""Plain NumPy references in float64, written from the definitions: loops over windows, no library of ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def pair(value: Any) -> tuple[int, int]:
    """Two sizes; one stands for both."""
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool = False) -> list[list[int]]:
    """The positions that each output looks at, those outside of the input included."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + padding:
        count -= 1
    return [[i * stride - padding + k * dilation for k in range(kernel)] for i in range(count)]


def _sizes(value: Any, n: int) -> list[int]:
    given = [value] if isinstance(value, int) else list(value)
    return given * n if len(given) == 1 else given


def convolution(
    x: Array, w: Array, bias: Array | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Array:
    """Cross-correlation by its definition, in as many dimensions as follow the channels."""
    n, (k, c) = x.ndim - 2, w.shape[:2]
    around = _sizes(padding, n)
    looks = [
        np.array(windows(size, kernel, step, side, spread)) + side
        for size, kernel, step, side, spread in zip(
            x.shape[2:], w.shape[2:], _sizes(stride, n), around, _sizes(dilation, n), strict=True
        )
    ]
    padded = np.pad(x, [(0, 0), (0, 0), *((side, side) for side in around)])
    out = np.zeros((x.shape[0], k, *map(len, looks)), x.dtype)
    axes = list(range(1, n + 2))
    for place in np.ndindex(*out.shape[2:]):
        taps = np.ix_(*(look[i] for look, i in zip(looks, place, strict=True)))
        patch = padded[(slice(None), slice(None), *taps)]
        for group in range(groups):
            part = slice(group * k // groups, (group + 1) * k // groups)
            out[(slice(None), part, *place)] = np.tensordot(
                patch[:, group * c : (group + 1) * c], w[part], (axes, axes)
            )
    return out if bias is None else out + bias.reshape(-1, *[1] * n)


def convolution_backward_input(g: Array, w: Array, shape: Any, *args: Any) -> Array:
    """The adjoint of a convolution, an input element at a time."""
    return adjoint(lambda x: convolution(x, w.astype(float), None, *args), shape, g)


def convolution_backward_weight(g: Array, x: Array, shape: Any, *args: Any) -> Array:
    """The adjoint of a convolution in its weight, an element at a time."""
    return adjoint(lambda w: convolution(x.astype(float), w, None, *args), shape, g)


def _pools(
    x: Array, rows: list[list[int]], columns: list[list[int]]
) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    h, w = x.shape[-2:]
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        yield i, j, [(a, b) for a in row for b in column if 0 <= a < h and 0 <= b < w]


def max_pool2d(
    x: Array, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Array, Array]:
    """The largest element and its place; the first of several, the last NaN."""
    (kh, kw), (ph, pw), (dh, dw) = pair(kernel), pair(padding), pair(dilation)
    sh, sw = pair(kernel if stride is None else stride)
    rows, columns = windows(x.shape[-2], kh, sh, ph, dh, ceil_mode), windows(x.shape[-1], kw, sw, pw, dw, ceil_mode)
    values = np.zeros((*x.shape[:-2], len(rows), len(columns)), x.dtype)
    places = np.zeros(values.shape, np.int64)
    for plane in np.ndindex(*x.shape[:-2]):
        for i, j, inside in _pools(x, rows, columns):
            best, place = -np.inf, inside[0]
            for at in inside:
                if x[plane][at] > best or np.isnan(x[plane][at]):
                    best, place = x[plane][at], at
            values[(*plane, i, j)] = x[plane][place]
            places[(*plane, i, j)] = place[0] * x.shape[-1] + place[1]
    return values, places


def avg_pool2d(
    x: Array,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of each window."""
    (kh, kw), (ph, pw) = pair(kernel), pair(padding)
    sh, sw = pair(kernel if stride is None else stride)
    rows, columns = windows(x.shape[-2], kh, sh, ph, 1, ceil_mode), windows(x.shape[-1], kw, sw, pw, 1, ceil_mode)
    out = np.zeros((*x.shape[:-2], len(rows), len(columns)), x.dtype)
    for i, j, inside in _pools(x, rows, columns):
        padded = sum(r < x.shape[-2] + ph for r in rows[i]) * sum(c < x.shape[-1] + pw for c in columns[j])
        divisor = divisor_override or (padded if count_include_pad else len(inside))
        out[..., i, j] = sum(x[..., a, b] for a, b in inside) / divisor
    return out


def adaptive_avg_pool2d(x: Array, size: Any) -> Array:
    """Means over rows floor(i H / oh) to ceil((i + 1) H / oh)."""
    (oh, ow), (h, w) = pair(size), x.shape[-2:]
    out = np.zeros((*x.shape[:-2], oh, ow), x.dtype)
    for i, j in np.ndindex(oh, ow):
        out[..., i, j] = x[..., i * h // oh : -(-(i + 1) * h // oh), j * w // ow : -(-(j + 1) * w // ow)].mean((-1, -2))
    return out


def adjoint(function: Any, shape: Any, g: Array) -> Array:
    """The gradient of sum(g * function(x)) of a linear function, an element at a time."""
    out, basis = np.zeros(shape), np.zeros(shape)
    for index in np.ndindex(*shape):
        basis[index] = 1
        out[index] = np.sum(g * function(basis))
        basis[index] = 0
    return out
