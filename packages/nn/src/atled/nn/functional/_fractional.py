"""Maxima of windows that lie at random (Graham 2014)."""

from __future__ import annotations

from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._sizes import Size, sizes
from ._pooling import max_pool2d_with_indices, max_pool3d_with_indices

Ratio = float | Sequence[float]


@explained
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each of ``output_size`` windows, which lie evenly but for a random shift (Graham 2014).

    input: floats ``(N, C, H, W)`` or ``(C, H, W)``. The size of the output is given, or a share of the input's in
    (0, 1), ``output_ratio``. Each channel has a shift of its own: ``_random_samples`` ``(N, C, 2)`` in [0, 1), columns
    first. With the positions ``h W + w``, if asked. InvalidValueError and ShapeError say what does not fit.

    >>> x, shifts = at.arange(9.0).reshape(1, 3, 3), at.zeros(1, 1, 2)
    >>> fractional_max_pool2d(x, 2, output_size=2, _random_samples=shifts).tolist()
    [[[4.0, 5.0], [7.0, 8.0]]]
    """
    both = fractional_max_pool2d_with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
    return both if return_indices else both[0]


@explained
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """As `fractional_max_pool2d`, of ``(N, C, D, H, W)`` or ``(C, D, H, W)``; samples ``(N, C, 3)``, depth first.

    >>> fractional_max_pool3d(at.ones(1, 4, 6, 6), 2, output_ratio=0.5).shape
    (1, 2, 3, 3)
    """
    both = fractional_max_pool3d_with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
    return both if return_indices else both[0]


@explained
def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fractional_max_pool2d` and the positions, whatever ``return_indices`` is.

    >>> x, shifts = at.arange(9.0).reshape(1, 3, 3), at.zeros(1, 1, 2)
    >>> [t.tolist() for t in fractional_max_pool2d_with_indices(x, 2, output_size=2, _random_samples=shifts)]
    [[[[4.0, 5.0], [7.0, 8.0]]], [[[4, 5], [7, 8]]]]
    """
    return _pooled("fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, _random_samples)


@explained
def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fractional_max_pool3d` and the positions, whatever ``return_indices`` is.

    >>> [t.item() for t in fractional_max_pool3d_with_indices(at.arange(8.0).reshape(1, 2, 2, 2), 2, output_size=1)]
    [7.0, 7]
    """
    return _pooled("fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, _random_samples)


def check_target(op: str, n: int, output_size: Size | None, output_ratio: Ratio | None) -> None:
    """InvalidValueError unless there is one of the two, and ratios are in (0, 1)."""
    if (output_size is None) == (output_ratio is None):
        raise at.InvalidValueError(f"{op}: expected output_size or output_ratio, got {output_size} and {output_ratio}")
    if output_ratio is not None and not all(0 < ratio < 1 for ratio in _ratios(op, n, output_ratio)):
        raise at.InvalidValueError(f"{op}: expected output_ratio in (0, 1), got {output_ratio}")


def _ratios(op: str, n: int, ratio: Ratio) -> list[float]:
    ratios = [ratio] * n if isinstance(ratio, int | float) else list(ratio)
    if len(ratios) != n:
        raise at.InvalidValueError(f"{op}: expected output_ratio of one number or {n}, got {ratio}")
    return ratios


def _pooled(
    op: str,
    n: int,
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None,
    output_ratio: Ratio | None,
    samples: Tensor | None,
) -> tuple[Tensor, Tensor]:
    if input.ndim not in (n + 1, n + 2):
        raise at.ShapeError(f"{op}: expected input of {n + 1} or {n + 2} dimensions, got {tuple(input.shape)}")
    check_target(op, n, output_size, output_ratio)
    window, shape = sizes(kernel_size, n, f"{op}: kernel_size"), input.shape[-n:]
    if output_ratio is not None:
        out = [int(size * ratio) for size, ratio in zip(shape, _ratios(op, n, output_ratio), strict=True)]
    else:
        assert output_size is not None
        out = list(sizes(output_size, n, f"{op}: output_size"))
    if min(*window, *out) < 1 or any(k + o - 1 > s for k, o, s in zip(window, out, shape, strict=True)):
        raise at.ShapeError(
            f"{op}: expected windows {window} and an output of {tuple(out)} elements of at least 1 that fit, one each "
            f"step, into {tuple(shape)}"
        )
    if input.ndim == n + 1:
        output, places = _pooled(op, n, input.unsqueeze(0), window, out, None, samples)
        return output.squeeze(0), places.squeeze(0)
    lead = tuple(input.shape[:2])
    wide = at.float64 if input.dtype == at.float64 else at.float32
    if samples is None:
        samples = at.rand((*lead, n), dtype=wide, device=input.device)
    elif tuple(samples.shape) != (*lead, n):
        raise at.ShapeError(f"{op}: expected _random_samples of shape {(*lead, n)}, got {tuple(samples.shape)}")
    samples = samples.to(wide)
    flat: Tensor | None = None  # the position of each element of each window, the windows one after another
    for i, (size, count, k) in enumerate(zip(shape, out, window, strict=True)):
        here = _starts(samples[..., n - 1 - i if n == 2 else i], size, count, k)
        steps = (here.unsqueeze(-1) + at.arange(k, device=input.device)).flatten(-2)
        flat = steps if flat is None else (flat.unsqueeze(-1) * size + steps.unsqueeze(-2)).flatten(2)
    assert flat is not None
    laid = at.gather(input.flatten(2), 2, flat).reshape(*lead, *(o * k for o, k in zip(out, window, strict=True)))
    output, places = (max_pool2d_with_indices if n == 2 else max_pool3d_with_indices)(laid, window)
    return output, at.gather(flat, 2, places.flatten(2)).reshape(*lead, *out)


def _starts(sample: Tensor, size: int, count: int, window: int) -> Tensor:
    """Where the windows of each plane begin: steps of a fraction of an element, from a random one on, rounded down."""
    last = at.full((*sample.shape, 1), size - window, dtype=at.int64, device=sample.device)
    if count == 1:
        return last
    step, sample = (size - window) / (count - 1), sample.unsqueeze(-1)
    steps = at.arange(count - 1, dtype=sample.dtype, device=sample.device)
    return at.cat([((steps + sample) * step).to(at.int64) - (sample * step).to(at.int64), last], -1)
