"""Values of images at given places, and their gradients."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

Array = Any


def keys(d: float) -> tuple[float, float]:
    """Keys' function with a = -0.75 at a distance, and its slope."""
    a = -0.75
    if d < 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1, 3 * (a + 2) * d**2 - 2 * (a + 3) * d
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a, 3 * a * d**2 - 10 * a * d + 8 * a


def inside(p: float, size: int, padding: str, corners: bool) -> tuple[float, float]:
    """A place brought inside, and the slope of that."""
    slope = 1.0
    if padding == "reflection":
        low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
        while low < high and not low <= p <= high:
            p, slope = (2 * low - p if p < low else 2 * high - p), -slope
    return min(max(p, 0.0), size - 1.0), slope if 0 < p < size - 1 else 0.0


def taps(v: float, size: int, mode: str, padding: str, corners: bool) -> list[tuple[int, float, float]]:
    """Elements along a dimension, what they count, and how that changes with the coordinate."""
    p, scale = ((v + 1) / 2 * (size - 1), (size - 1) / 2) if corners else (((v + 1) * size - 1) / 2, size / 2)
    if mode == "bicubic":
        found = []
        for k in range(math.floor(p) - 1, math.floor(p) + 3):
            share, slope = keys(abs(p - k))
            place = k if padding == "zeros" else round(inside(k, size, padding, corners)[0])
            found.append((place, share, slope * scale * (1 if p >= k else -1)))
        return found
    if padding != "zeros":
        p, slope = inside(p, size, padding, corners)
        scale *= slope
    if mode == "nearest":
        return [(round(p), 1.0, 0.0)]
    low = math.floor(p)
    return [(low, 1 - p + low, -scale), (low + 1, p - low, scale)]


def visit(
    shape: tuple[int, ...], grid: Array, *settings: Any
) -> Iterator[tuple[Any, Any, list[tuple[int, float, float]]]]:
    """Output places of all channels, the elements that count there, and what they count."""
    settings = (*settings, *("bilinear", "zeros", False)[len(settings) :])
    for b, *place in np.ndindex(*grid.shape[:-1]):
        g = grid[(b, *place)][::-1].astype(float)
        for each in itertools.product(*(taps(v, s, *settings) for v, s in zip(g, shape[2:], strict=True))):
            index = tuple(k for k, _, _ in each)
            if all(0 <= k < s for k, s in zip(index, shape[2:], strict=True)):
                yield (b, slice(None), *place), (b, slice(None), *index), list(each)


def forward(x: Array, grid: Array, *settings: Any) -> Array:
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for place, element, each in visit(x.shape, grid, *settings):
        out[place] += x[element] * math.prod(share for _, share, _ in each)
    return out


def to_input(g: Array, grid: Array, shape: Any, *settings: Any) -> Array:
    out = np.zeros(shape)
    for place, element, each in visit(shape, grid, *settings):
        out[element] += g[place] * math.prod(share for _, share, _ in each)
    return out


def to_grid(g: Array, x: Array, grid: Array, *settings: Any) -> Array:
    out = np.zeros(grid.shape)
    for place, element, each in visit(x.shape, grid, *settings):
        product = (g[place] * x[element]).sum()
        for d in range(len(each)):
            slope = math.prod(tap[2 if i == d else 1] for i, tap in enumerate(each))
            out[(place[0], *place[2:], len(each) - 1 - d)] += product * slope
    return out


CASES = (
    ((2, 2, 3, 4), (3, 2), "bilinear", "zeros", False),
    ((1, 2, 4, 3), (2, 3), "bilinear", "border", True),
    ((1, 1, 4, 3), (1, 2), "bicubic", "zeros", False),
    ((1, 1, 4, 5), (1, 3), "bicubic", "reflection", False),
    ((1, 2, 2, 3, 3), (1, 2, 2), "bilinear", "reflection", True),
    ((1, 9, 4, 3), (2, 3), "nearest", "border", False),
)


def grids(draw: Draw, kind: str) -> Iterator[Sample]:
    for shape, places, *settings in CASES:
        n = len(places)
        # Between the elements, in coordinates that halves of precision hold too.
        steps = np.random.default_rng(5).integers(-11, 12, (shape[0], *places, n))
        grid = (steps * 0.125 + 0.0390625).astype(draw(1).dtype)
        g = draw(*shape[:2], *places)
        if kind == "values":
            yield Sample(draw(*shape), grid, *settings)
        elif kind == "input":
            yield Sample(g, grid, shape, *settings)
        else:
            yield Sample(g, draw(*shape), grid, *settings)


X, PLACES = np.ones((1, 1, 3, 3), np.float32), np.zeros((1, 2, 2, 2), np.float32)
ULPS = {"float16": 4, "bfloat16": 4, "default": 32}


def spec(name: str, kind: str, reference: Any, errors: tuple[ErrorCase, ...]) -> OpSpec:
    return OpSpec(
        name=f"nn::{name}",
        reference=reference,
        samples=lambda draw: grids(draw, kind),
        dtypes=FLOATS,
        scale=lambda *args: np.ones_like(reference(*args)) * 8,
        ulps=ULPS,
        errors=errors,
        cpu_alone=True,
    )


SPECS = [
    spec(
        "grid_sample",
        "values",
        forward,
        (
            ErrorCase(at.ShapeError, r"grid \(N, h, w, 2\)", X, PLACES[..., :1]),
            ErrorCase(at.InvalidValueError, "mode 'nearest'", X, PLACES, "linear"),
            ErrorCase(at.InvalidValueError, "padding_mode 'zeros'", X, PLACES, "bilinear", "wrap"),
            ErrorCase(at.DTypeError, "dtype", X, PLACES.astype(np.float64)),
        ),
    ),
    spec(
        "grid_sample_backward_input",
        "input",
        to_input,
        (ErrorCase(at.ShapeError, "grad of shape", X, PLACES, (1, 1, 3, 3)),),
    ),
    spec(
        "grid_sample_backward_grid",
        "grid",
        to_grid,
        (ErrorCase(at.ShapeError, "grad of shape", X, X, PLACES),),
    ),
]
