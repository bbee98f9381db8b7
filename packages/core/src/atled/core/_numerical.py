"""Functions whose results or arguments are too manifold for one schema: slopes, and histograms of many dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from atled.core import _core
from atled.core._explained import explained
from atled.core._ops import ops

Tensor = _core.Tensor


@explained
def gradient(
    input: Tensor,
    *,
    spacing: float | Tensor | Sequence[float | Tensor] | None = 1,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:
    """The slopes of samples along each dimension, or those in ``dim``: central differences, one-sided at the edges.

    spacing: the distance between samples, or for each dimension a distance or a vector of where they were taken; None
    is 1.
    edge_order: 1 or 2, how exact the one-sided differences are. The formulas, of second order for uneven places too,
    are those of ``numpy.gradient``. Integers become the default float.

    >>> import atled.core as at
    >>> at.gradient(at.tensor([1.0, 4.0, 9.0, 16.0]))[0].tolist()
    [3.0, 4.0, 6.0, 7.0]
    """
    if edge_order not in (1, 2):
        raise _core.InvalidValueError(f"gradient: expected edge_order 1 or 2, got {edge_order}")
    dims = list(range(input.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    for d in dims:
        if not -input.ndim <= d < input.ndim:
            raise _core.BoundsError(f"gradient: expected dim in [{-input.ndim}, {input.ndim - 1}], got {d}")
    if spacing is None:
        spacing = 1
    if len({d % input.ndim for d in dims}) < len(dims):
        raise _core.InvalidValueError(f"gradient: expected each dim once, got {dim}")
    steps = [spacing] * len(dims) if isinstance(spacing, (int, float, Tensor)) else list(spacing)
    if len(steps) != len(dims):
        raise _core.ArgumentError(
            f"gradient: expected spacing for each of {len(dims)} dimensions, got {len(steps)} of them"
        )
    if not (input.is_floating_point() or input.is_complex()):
        input = input.to(_core.get_default_dtype())
    return tuple(_slopes(input, d, step, edge_order) for d, step in zip(dims, steps, strict=True))


def _slopes(x: Tensor, dim: int, step: float | Tensor, edge_order: int) -> Tensor:
    n = x.shape[dim]
    if n <= edge_order:
        raise _core.ShapeError(
            f"gradient: expected at least {edge_order + 1} samples along dim {dim}, got shape {tuple(x.shape)}"
        )

    def part(start: int, length: int) -> Tensor:
        return x.narrow(dim, start % n, length)

    if isinstance(step, Tensor) and step.ndim:
        if tuple(step.shape) != (n,):
            raise _core.ShapeError(
                f"gradient: expected {n} places for dim {dim} of shape {tuple(x.shape)}, got {tuple(step.shape)}"
            )
        gaps = step.to(x.dtype).diff().reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
    else:
        gaps = x.new_ones([n - 1 if d == dim % x.ndim else 1 for d in range(x.ndim)]) * step

    def gap(start: int, length: int = 1) -> Tensor:
        return gaps.narrow(dim, start % (n - 1), length)

    first, last = (part(1, 1) - part(0, 1)) / gap(0), (part(-1, 1) - part(-2, 1)) / gap(-1)
    if n == 2:
        return _joined([first, last], dim)
    if isinstance(step, Tensor) and step.ndim:
        a, b = gap(0, n - 2), gap(1, n - 2)
        before, after = (part(1, n - 2) - part(0, n - 2)) / a, (part(2, n - 2) - part(1, n - 2)) / b
        middle = before * (b / (a + b)) + after * (a / (a + b))
    else:
        middle = (part(2, n - 2) - part(0, n - 2)) / (2 * step)
    if edge_order == 2:
        # The parabola through the three outermost samples.
        second = (part(2, 1) - part(1, 1)) / gap(1)
        first = first + (first - second) * (gap(0) / (gap(0) + gap(1)))
        second = (part(-2, 1) - part(-3, 1)) / gap(-2)
        last = last + (last - second) * (gap(-1) / (gap(-1) + gap(-2)))
    return _joined([first, middle, last], dim)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    whole: Tensor = ops.core.cat(parts, dim)
    return whole


class histogramdd_result(NamedTuple):
    """What `histogramdd` answers."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]


@explained
def histogramdd(
    input: Tensor,
    bins: int | Sequence[int] | Sequence[Tensor],
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> histogramdd_result:
    """How many points, or how much weight, falls into each cell of a grid, and the edges of the grid's bins.

    input: floating, ``(..., D)``, the coordinates of points; bins: how many for all dimensions or for each, or vectors
    of rising edges; range: low and high for each dimension, one after another, else from the smallest coordinate to the
    largest; density: scaled so that the integral is 1. Returns ``(hist, bin_edges)`` with a vector of edges for each
    dimension.

    >>> import atled.core as at
    >>> at.histogramdd(at.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.9]]), 2).hist.tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    if input.ndim < 2 or not input.is_floating_point():
        raise _core.ShapeError(
            f"histogramdd: expected floating input of shape (..., D), got {input.dtype} of shape {tuple(input.shape)}"
        )
    width = input.shape[-1]
    points = input.reshape(-1, width)
    each = [bins] * width if isinstance(bins, int) else list(bins)
    if len(each) != width or (range is not None and len(range) != 2 * width):
        raise _core.ArgumentError(
            f"histogramdd: expected bins and range for {width} dimensions, got {len(each)} and "
            f"{None if range is None else len(range)}"
        )
    limits = [None if range is None else tuple(range[2 * d : 2 * d + 2]) for d, _ in enumerate(each)]
    # Each dimension's edges are those of its own histogram.
    edges = [
        ops.core.histogram(points[:, d], b).bin_edges
        if limits[d] is None
        else ops.core.histogram(points[:, d], b, range=limits[d]).bin_edges
        for d, b in enumerate(each)
    ]
    even = all(isinstance(b, int) for b in each)
    hist = ops.core.bin_counts(points, None if weight is None else weight.reshape(-1), edges, even)
    if density:
        hist = hist / hist.sum()
        for d, edge in enumerate(edges):
            hist = hist / edge.to(hist.dtype).diff().reshape([-1 if k == d else 1 for k, _ in enumerate(edges)])
    return histogramdd_result(hist.to(input.dtype), tuple(edges))
