"""Distances and norms between vectors, cross products, Vandermonde's matrix."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import COMPLEX, FLOATS, INTEGERS, Draw, ErrorCase, OpSpec, Sample

X = np.ones((2, 3), np.float32)
SUM_ULPS = {"default": 16, "float16": 2, "bfloat16": 2}


def norm_of(x: Any, p: float, axis: Any, keepdims: bool = False) -> Any:
    size = np.abs(x)
    if p == 0:
        return np.sum(size != 0, axis, keepdims=keepdims).astype(size.dtype)
    if np.isinf(p):
        return np.max(size, axis, keepdims=keepdims, initial=0)
    return np.sum(size**p, axis, keepdims=keepdims) ** (1 / p)


def cdist(a: Any, b: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    return norm_of(a[..., :, None, :] - b[..., None, :, :], p, -1)


def pairs(draw: Draw) -> Iterator[Sample]:
    for p in (1.0, 2.0, 3.5) if draw.smooth else (0.0, 0.5, 1.0, 2.0, 3.0, np.inf):
        yield Sample(draw(4, 5), draw(3, 5), p)
    yield Sample(draw(2, 1, 4, 3), draw(3, 2, 3))
    yield Sample(draw.distinct(3, 4), draw(2, 4), p=np.inf)
    if draw.smooth:
        return
    x = draw(60, 9)
    yield Sample(x, x)
    # Far from 0 and close to each other.
    yield Sample(x + np.array(100, x.dtype), x[:30] + np.array(100, x.dtype))
    x = draw(3, 40)
    yield Sample(x, x, compute_mode="use_mm_for_euclid_dist")
    yield Sample(draw(0, 3), draw(2, 3))
    yield Sample(draw(2, 0), draw(2, 0))
    yield Sample(np.where(np.arange(40) == 7, np.array(np.nan, x.dtype), x), draw(2, 40), np.inf)


def both(draw: Draw) -> Iterator[Sample]:
    for p in (2, 1, 3) if draw.smooth else (2, 0, 1, 2.5, np.inf):
        yield Sample(draw(3, 4), draw(4), p)
    yield Sample(draw(5), draw(5))


def dist(a: Any, b: Any, p: float = 2) -> Any:
    return norm_of(a - b, p, None)


def renorm(x: Any, p: float, dim: int, maxnorm: float) -> Any:
    others = tuple(d for d in range(x.ndim) if d != dim % x.ndim)
    norms = norm_of(x, p, others, True)
    return x * np.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1)


def slices(draw: Draw) -> Iterator[Sample]:
    for p in (2, 1, 3):
        yield Sample(draw(3, 4), p, 0, 4.0)
        yield Sample(draw(3, 4), p, -1, 2.0)
    yield Sample(draw(2, 3, 4), 2, 1, 5.0)
    if not draw.smooth:
        yield Sample(draw(3, 4), np.inf, 0, 1.0)
        yield Sample(np.zeros((2, 3), draw(1).dtype), 2, 0, 0.0)


def cross(a: Any, b: Any, dim: int | None = None) -> Any:
    axis = a.shape.index(3) - a.ndim if dim is None else dim
    a, b = np.broadcast_arrays(a, b)
    return np.moveaxis(np.cross(np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1)), -1, axis)


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "promote", "ulps": SUM_ULPS, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


SPECS = [
    op(
        "cdist",
        cdist,
        pairs,
        ErrorCase(at.ShapeError, "x1 and x2 of shapes", X, np.ones((2, 2), np.float32)),
        ErrorCase(at.ShapeError, "x1 and x2 of shapes", X[0], X),
        ErrorCase(at.ShapeError, "batches", np.ones((2, 2, 3)), np.ones((3, 2, 3))),
        ErrorCase(at.InvalidValueError, "p >= 0", X, X, -1.0),
        ErrorCase(at.DTypeError, "floating", np.ones((2, 3), int), np.ones((2, 3), int)),
        ErrorCase(at.InvalidValueError, "compute_mode", X, X, compute_mode="fast"),
        dtypes=FLOATS,
        scale=lambda a, b, p=2.0, compute_mode=None: norm_of(a[..., :, None, :] + b[..., None, :, :], p, -1),
    ),
    op(
        "dist",
        dist,
        both,
        ErrorCase(at.ShapeError, "broadcast", X, np.ones(2, np.float32)),
        dtypes=(*FLOATS, *COMPLEX),
        result="real",
        scale=lambda a, b, p=2: norm_of(a + b, p, None),
    ),
    op(
        "renorm",
        renorm,
        slices,
        ErrorCase(at.InvalidValueError, "p > 0", X, 0, 0, 1.0),
        ErrorCase(at.InvalidValueError, "maxnorm >= 0", X, 2, 0, -1.0),
        ErrorCase(at.DTypeError, "a real maxnorm", X, 2, 0, 1j),
        ErrorCase(at.ShapeError, "at least two dimensions", X[0], 2, 0, 1.0),
        ErrorCase(at.BoundsError, "dim", X, 2, 2, 1.0),
        ErrorCase(at.DTypeError, "floating", np.ones((2, 3), int), 2, 0, 1.0),
        dtypes=("float32", "float64", *COMPLEX),
    ),
    op(
        "cross",
        cross,
        lambda draw: iter(
            [
                Sample(draw(4, 3), draw(4, 3)),
                Sample(draw(3, 4), draw(3, 4)),
                Sample(draw(2, 3, 4), draw(1, 3, 4), 1),
                Sample(draw(4, 3), draw(3), -1),
            ]
        ),
        ErrorCase(at.ShapeError, "dimension of size 3", np.ones(2), np.ones(2)),
        ErrorCase(at.ShapeError, "three components", X, X, 0),
        ErrorCase(at.BoundsError, "dim", X, X, 2),
        dtypes=(*INTEGERS, *FLOATS, *COMPLEX),
        scale=lambda a, b, dim=None: np.abs(cross(a, b, dim)) + np.max(a) * np.max(b),
        ulps=2,
    ),
    op(
        "vander",
        lambda x, N=None, increasing=False: np.vander(x, N, increasing),
        lambda draw: iter([Sample(draw(4)), Sample(draw(3), 5, True), Sample(draw(3), 0), Sample(draw(0), 2)]),
        ErrorCase(at.ShapeError, "one dimension", X),
        ErrorCase(at.InvalidValueError, "N >= 0", X[0], -1),
        domain=(-2, 2),
        dtypes=("int32", "int64", *FLOATS, *COMPLEX),
        result="sum",
        ulps={"default": 4, "complex64": 16, "complex128": 16},
    ),
]
