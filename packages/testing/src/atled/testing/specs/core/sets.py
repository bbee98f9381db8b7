"""Membership, and the different slices of a dimension."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, FLOATS, Draw, ErrorCase, OpSpec, Sample


def values(draw: Draw, *shape: int) -> Any:
    """Few different ones."""
    x = draw(*shape)
    return np.rint(x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)).astype(x.dtype)


def isin(elements: Any, tested: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    # Element by element, with the equality of promoted numbers.
    found = np.any(np.asarray(elements)[..., None] == np.ravel(tested), -1)
    return ~found if invert else found


def members(draw: Draw) -> Iterator[Sample]:
    x = values(draw, 3, 7)
    yield Sample(x, values(draw, 3))
    yield Sample(x, values(draw, 2, 10), invert=True)
    yield Sample(x, draw.scalar())
    yield Sample(draw.scalar(), x)
    yield Sample(x, values(draw, 0))
    yield Sample(values(draw), values(draw, 20))
    yield Sample(x, values(draw, 40), assume_unique=True)
    if draw.dtype in FLOATS:
        nan = np.array([np.nan] * 10, x.dtype)
        yield Sample(np.concatenate([x[0], nan]), np.concatenate([values(draw, 9), nan]))


def unique_dim(x: Any, dim: int, consecutive: bool = False) -> Any:
    rows = np.moveaxis(x, dim, 0)
    keys = [tuple(np.ravel(row).tolist()) for row in rows]
    order = list(range(len(keys)))
    if not consecutive:
        order.sort(key=lambda i: [(v.real, v.imag) for v in keys[i]])
    firsts, inverse, counts = [], np.zeros(len(keys), np.int64), []
    for k, i in enumerate(order):
        if k == 0 or keys[i] != keys[order[k - 1]]:
            firsts.append(i)
            counts.append(0)
        counts[-1] += 1
        inverse[i] = len(firsts) - 1
    return np.take(x, np.array(firsts, np.int64), dim), inverse, np.array(counts, np.int64)


def repeated(draw: Draw) -> Iterator[Sample]:
    for shape, dim in (((6, 2), 0), ((2, 6), 1), ((2, 6, 1), -2), ((5,), 0), ((0, 3), 0), ((3, 0), 0)):
        x = (draw(*shape).real > 1).astype(draw(1).dtype)
        yield Sample(x, dim)
        yield Sample(x, dim, True)


SPECS = [
    OpSpec(
        name="isin",
        reference=isin,
        samples=members,
        dtypes=ALL,
        result="bool",
        ulps=0,
        errors=(ErrorCase(at.ArgumentError, "two numbers", 1, 2),),
        differentiable=False,
    ),
    OpSpec(
        name="unique_dim",
        reference=unique_dim,
        samples=repeated,
        dtypes=ALL,
        result=("input", "int64", "int64"),
        ulps=0,
        errors=(
            ErrorCase(at.BoundsError, "dim", np.ones((2, 3)), 2),
            ErrorCase(at.ShapeError, "at least one dimension", np.ones(()), 0),
        ),
        differentiable=False,
    ),
]
