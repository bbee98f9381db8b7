"""Gradient rules of grid_sample: its three ops are each linear in one operand, whose rule is another of them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import atled.core as at
from atled.core import Tensor

from ._ops import one as _one
from ._precision import wide_dtype


def register(rule: Any) -> None:
    """The rules."""
    rule(
        "grid_sample",
        input=lambda g, grid, input_shape, mode, padding_mode, align_corners: _one.grid_sample_backward_input(
            g, grid, input_shape, mode, padding_mode, align_corners
        ),
        grid=lambda g, input, grid, mode, padding_mode, align_corners: _one.grid_sample_backward_grid(
            g, input, grid, mode, padding_mode, align_corners
        ),
    )
    rule(
        "grid_sample_backward_input",
        grad=lambda g, grid, mode, padding_mode, align_corners: _one.grid_sample(
            g, grid, mode, padding_mode, align_corners
        ),
        grid=lambda g, grad, grid, mode, padding_mode, align_corners: _one.grid_sample_backward_grid(
            grad, g, grid, mode, padding_mode, align_corners
        ),
    )
    rule.joint("grid_sample_backward_grid", ("input", "grid"), _second)
    rule("grid_sample_backward_grid", grad=_along)


def _along(g: Tensor, input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool) -> Tensor:
    """How the values change with a step ``g`` of the grid: each channel is an image of its own to the gradient's op."""
    channels = input.shape[1]
    ones = at.ones(input.shape[0] * channels, 1, *grid.shape[1:-1], dtype=input.dtype, device=input.device)
    slopes = _one.grid_sample_backward_grid(
        ones, input.flatten(0, 1).unsqueeze(1), grid.repeat_interleave(channels, 0), mode, padding_mode, align_corners
    )
    steps = slopes * g.repeat_interleave(channels, 0)
    return steps.sum(-1).reshape(*input.shape[:2], *grid.shape[1:-1])


# What the output changes by, to second order, is a sum over the same elements as the output: of products over the
# dimensions of their shares, or of the first or second slopes of these.
def _second(
    g: Tensor, grad: Tensor, input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool
) -> tuple[Tensor | None, ...]:
    """Of what the gradient to the grid, weighted by ``g``, depends on: input and grid."""
    if mode == "nearest":  # the same everywhere nearby
        return None, None
    n, wide = input.ndim - 2, wide_dtype(input.dtype)
    places, steps = (t.to(wide).flatten(1, -2) for t in (grid, g))
    flat, weights = input.to(wide).flatten(2), grad.to(wide).flatten(2)
    dims = range(n)
    along = [steps[..., n - 1 - d] for d in dims]
    taps = [_slopes(places[..., n - 1 - d], input.shape[d + 2], mode, padding_mode, align_corners) for d in dims]
    to_input, to_grid = at.zeros_like(flat), [at.zeros_like(step) for step in along]
    for combination in itertools.product(*taps):

        def product(*slopes: int, combination: tuple[_Slopes, ...] = combination) -> Tensor:
            """Of the dimensions, those in ``slopes`` with a slope of as high an order as they are named there."""
            factors = [tap.orders[slopes.count(d)] for d, tap in enumerate(combination)]
            return functools.reduce(at.mul, factors)

        index, inside = combination[0].index, combination[0].inside
        for d in dims[1:]:
            index = index * input.shape[d + 2] + combination[d].index
            inside = at.logical_and(inside, combination[d].inside)
        everywhere = index.unsqueeze(1).expand(*flat.shape[:2], index.shape[1])
        values = at.where(inside.unsqueeze(1), at.gather(flat, 2, everywhere), 0.0)
        products = (values * weights).sum(1)
        change = functools.reduce(at.add, (along[d] * product(d) for d in dims))
        change = at.where(inside, change, 0.0).unsqueeze(1)
        to_input = at.scatter_add(to_input, 2, everywhere, weights * change)
        for d in dims:
            changes = functools.reduce(at.add, (along[e] * product(d, e) for e in dims))
            to_grid[d] = to_grid[d] + products * at.where(inside, changes, 0.0)
    curvature = at.stack([*reversed(to_grid)], -1).reshape(grid.shape)
    return to_input.reshape(input.shape).to(input.dtype), curvature.to(grid.dtype)


@dataclasses.dataclass
class _Slopes:
    """An element for each place along a dimension; orders: its share, and that one's first and second slopes."""

    index: Tensor
    inside: Tensor
    orders: tuple[Tensor, Tensor, Tensor]


def _slopes(coordinate: Tensor, size: int, mode: str, padding_mode: str, corners: bool) -> list[_Slopes]:
    from .functional._resampling import brought_inside, grid_taps

    scale = (size - 1) / 2 if corners else size / 2
    place = (coordinate + 1) * scale - (0.0 if corners else 0.5)
    if mode == "bicubic":
        t = place - at.floor(place)
        a = -0.75
        far, near = [t + 1, 2 - t], [t, 1 - t]
        first = [(3 * a * x - 10 * a) * x + 8 * a for x in far], [(3 * (a + 2) * x - 2 * (a + 3)) * x for x in near]
        second = [6 * a * x - 10 * a for x in far], [6 * (a + 2) * x - 2 * (a + 3) for x in near]
        slopes = [first[0][0], first[1][0], -first[1][1], -first[0][1]]
        curves = [second[0][0], second[1][0], second[1][1], second[0][1]]
    else:
        turned = at.ones_like(place)
        if padding_mode != "zeros":
            inner = at.logical_and(place > 0, place < size - 1)
            if padding_mode == "reflection":
                low, span = (0.0, size - 1) if corners else (-0.5, size)
                odd = at.floor(at.abs(place - low) / max(span, 1)) % 2 == 1
                turned = at.where(at.logical_xor(odd, place < low), -1.0, turned)
                inside = brought_inside(place, size, padding_mode, corners)
                inner = at.logical_and(inside > 0, inside < size - 1)
            turned = at.where(inner, turned, 0.0)
        slopes, curves = [-turned, turned], [at.zeros_like(place)] * 2
    found = []
    taps = grid_taps(coordinate, size, mode, padding_mode, corners)
    for (index, inside, share), slope, curve in zip(taps, slopes, curves, strict=True):
        orders = (at.where(inside, slope * scale, 0.0), at.where(inside, curve * (scale * scale), 0.0))
        found.append(_Slopes(index, inside, (share, *orders)))
    return found
