"""Histograms, with NumPy's edges."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample

X = np.linspace(0, 1, 5, dtype=np.float32)
INF = np.array([1, np.inf], np.float32)


def histc(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    low, high = (min, max) if (min, max) != (0, 0) else (np.min(x), np.max(x)) if x.size else (0, 1)
    if low == high:
        low, high = low - 1, high + 1
    return np.histogram(x, bins, (low, high))[0]


def counts(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(50), 10)
    yield Sample(draw(5, 40), 7, -2, 3)
    yield Sample(draw(50))
    yield Sample(draw(3), 4, 9, 11)
    yield Sample(draw(1), 4)
    yield Sample(draw(0), 4)
    # Edges: the last bin holds its right one.
    yield Sample(np.arange(5).astype(draw(1).dtype), 4, 0, 4)
    if draw.dtype in FLOATS:
        nan = np.array([np.nan, 1, -np.inf, 2], draw(1).dtype)
        yield Sample(nan, 3, 0, 3)


def histogram(x: Any, bins: Any, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    weights = None if weight is None else weight.ravel()
    if not isinstance(bins, np.ndarray) and range is None and x.size == 0:
        range = (0, 1)
    return np.histogram(x.ravel(), bins, range, density, weights)


def histograms(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(4, 30), 8)
    yield Sample(draw(50), 8, range=(-3.0, 2.0))
    yield Sample(draw(50), np.array([-4, -1, -0.5, 0, 2.5, 4]).astype(draw(1).dtype))
    yield Sample(draw(50), 8, weight=draw(50, low=0.1), density=False)
    yield Sample(draw(4, 20), 8, weight=draw(4, 20, low=0.1), density=True)
    yield Sample(draw(50), 5, density=True)
    yield Sample(draw(1), 3)
    yield Sample(draw(0), 3)
    yield Sample(draw(200_000), 30, range=(-4.0, 4.0))


def bin_counts(x: Any, weight: Any, edges: Any, even: bool = False) -> Any:
    return np.histogramdd(x.astype(np.float64), edges, weights=weight)[0]


def weights(draw: Draw, n: int) -> Any:
    """Whole numbers, whose sums are exact in any order."""
    return np.rint(draw(n, dtype="float64"))


def grids(draw: Draw) -> Iterator[Sample]:
    edges = np.linspace(-4, 4, 9)
    yield Sample(draw(60, 1), None, [edges], True)
    yield Sample(draw(60, 1), None, [edges])
    yield Sample(draw(60, 2), None, [edges, np.array([-2.0, 0, 0.5, 3])])
    yield Sample(draw(60, 3), weights(draw, 60), [edges[2:5], edges[:3], edges])
    yield Sample(draw(0, 2), None, [edges, edges], True)
    yield Sample(draw(140_000, 1), weights(draw, 140_000), [edges], True)


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "input", "ulps": 0, "differentiable": False, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


SPECS = [
    op(
        "bin_counts",
        bin_counts,
        grids,
        ErrorCase(at.ShapeError, "a column for each dimension", X[:, None], None, [X, X]),
        ErrorCase(at.ShapeError, "at least two", X[:, None], None, [X[:1]]),
        ErrorCase(at.ShapeError, "as many weights", X[:, None], X[:2], [X]),
        ErrorCase(at.InvalidValueError, "edges that rise", X[:, None], None, [X[::-1].copy()]),
        dtypes=REALS,
        result="float64",
    ),
    op(
        "histc",
        histc,
        counts,
        ErrorCase(at.InvalidValueError, "at least one bin", X, 0),
        ErrorCase(at.InvalidValueError, "finite range", INF),
        ErrorCase(at.InvalidValueError, "from low to high", X, 3, 2, 1),
        ErrorCase(at.DTypeError, "real", np.ones(2, np.complex64)),
        ErrorCase(at.DTypeError, "got bool", np.ones(2, bool)),
        dtypes=REALS,
    ),
    op(
        "histogram",
        histogram,
        histograms,
        ErrorCase(at.InvalidValueError, "at least one bin", X, 0),
        ErrorCase(at.InvalidValueError, "finite range", INF, 3),
        ErrorCase(at.ArgumentError, "two numbers", X, 3, range=(1.0,)),
        ErrorCase(at.ArgumentError, "got both", X, X, range=(0.0, 1.0)),
        ErrorCase(at.ArgumentError, "an integer or a tensor", X, 2.5),
        ErrorCase(at.ShapeError, "weight of input's shape", X, 3, weight=X[:2]),
        ErrorCase(at.InvalidValueError, "edges that rise", X, X[::-1].copy()),
        dtypes=("float32", "float64"),
        result=("input", "input"),
        ulps=8,
        # Edges may be all but 0.
        scale=lambda x, bins, range=None, weight=None, density=False: [
            np.full(np.size(bins) - 1 if isinstance(bins, np.ndarray) else bins, 0.0),
            np.full(np.size(bins) if isinstance(bins, np.ndarray) else bins + 1, 4.0),
        ],
    ),
]
