"""Medians, modes, quantiles, and elements by rank."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import BOOL, FLOATS, REALS, Draw, ErrorCase, HostErrorCase, OpSpec, Sample

from .sorting import SHAPES, ordered, pick, values

X = np.ones((2, 3), np.float32)
EMPTY = np.ones((2, 0), np.float32)
NO_ORDER = ErrorCase(at.DTypeError, "no order", np.ones(2, np.complex64), 0)
DIM = ErrorCase(at.BoundsError, "dim", X, 2)
NO_ELEMENTS = ErrorCase(at.ShapeError, "at least one element", EMPTY, 1)


def with_nans(draw: Draw, *shape: int) -> Any:
    x = draw(*shape)
    return np.where(draw.rng.random(shape) < 0.4, np.array(np.nan, x.dtype), x)


def ranked(x: Any, ranks: Any, propagate_nan: bool) -> Any:
    order = ordered(x, -1)
    where = np.take_along_axis(order, np.broadcast_to(ranks, (*x.shape[:-1], ranks.shape[-1])), -1)
    if propagate_nan and x.dtype.kind == "f":
        nan = np.isnan(x)
        where = np.where(nan.any(-1, keepdims=True), nan.argmax(-1)[..., None], where)
    return np.take_along_axis(x, where, -1), where


def ranks(draw: Draw) -> Iterator[Sample]:
    yield Sample(values(draw, 3, 7), np.array([0, 3, 4, 6]), False)
    yield Sample(values(draw, 2, 3, 5), draw.rng.integers(0, 5, (2, 3, 2)), True)
    yield Sample(values(draw, 2, 12), np.arange(11), True)
    if draw.smooth:
        return
    # Enough for a sample to be taken: few and many equal elements, and both ends.
    yield Sample(draw(30011), np.array([0, 15000, 15001, 30010]), False)
    yield Sample(values(draw, 2, 9000), np.array([0, 4000, 8999]), True)
    if draw.dtype in FLOATS:
        yield Sample(with_nans(draw, 4, 9), np.array([0, 8]), True)
        yield Sample(with_nans(draw, 9001), np.array([2, 5000, 9000]), False)
        yield Sample(with_nans(draw, 3, 9), np.arange(9), True)


def median(ignore_nan: bool) -> Callable[..., Any]:
    def reference(x: Any, dim: int, keepdim: bool = False) -> Any:
        rows = np.atleast_1d(np.moveaxis(x, dim, -1) if x.ndim else x)
        count = rows.shape[-1] - (np.isnan(rows).sum(-1, keepdims=True) if ignore_nan and x.dtype.kind == "f" else 0)
        found = ranked(rows, np.maximum(np.atleast_1d(count) - 1, 0) // 2, not ignore_nan)
        if x.ndim == 0:
            return [part.reshape(()) for part in found]
        back = [np.moveaxis(part, -1, dim) for part in found]
        return back if keepdim else [np.squeeze(part, dim) for part in back]

    return reference


def medians(draw: Draw) -> Iterator[Sample]:
    for shape, dim in SHAPES:
        if 0 not in shape or shape[dim] > 0:
            yield Sample(values(draw, *shape), dim)
            yield Sample(values(draw, *shape), dim, True)
    if draw.dtype in FLOATS and not draw.smooth:
        yield Sample(with_nans(draw, 4, 6), 1)
        yield Sample(with_nans(draw, 4, 6), dim=0, keepdim=True)
        yield Sample(np.full((2, 3), np.nan, draw(1).dtype), 1)


def mode(x: Any, dim: int = -1, keepdim: bool = False) -> Any:
    rows = np.atleast_1d(np.moveaxis(x, dim, -1) if x.ndim else x)
    where = np.zeros(rows.shape[:-1], np.int64)
    for at_row in np.ndindex(where.shape):
        row = rows[at_row]
        found, counts = np.unique(row, return_counts=True, equal_nan=False)
        best = found[counts.argmax()]
        where[at_row] = np.flatnonzero((row == best) if best == best else np.isnan(row))[-1 if best == best else 0]
    index = np.expand_dims(where, dim) if x.ndim else where.reshape(())
    chosen = pick(x, index, dim)
    return (chosen, index) if keepdim or x.ndim == 0 else (np.squeeze(chosen, dim), np.squeeze(index, dim))


def modes(draw: Draw) -> Iterator[Sample]:
    yield from medians(draw)
    if not draw.smooth:
        yield Sample(values(draw, 3, 5000))


def quantile(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: Any, q: Any, dim: int | None = None, keepdim: bool = False, interpolation: str = "linear") -> Any:
        def at_method(method: str) -> Any:
            return function(x, q, None if x.ndim == 0 else dim, method=method, keepdims=keepdim and x.ndim > 0)

        # NumPy has NaN between equal infinities, and beside one.
        with warnings.catch_warnings(action="ignore"):  # NumPy warns of NaNs alone
            low = at_method("lower")
            return np.where(low == at_method("higher"), low, at_method(interpolation))

    return reference


def quantiles(ignore_nan: bool) -> Callable[[Draw], Iterator[Sample]]:
    def generate(draw: Draw) -> Iterator[Sample]:
        x = draw.distinct(3, 5)
        q = np.array([0.0, 0.3, 0.75, 1.0])
        yield Sample(x, 0.3)
        yield Sample(x, 0.5, 1)
        yield Sample(x, q, 0, True)
        yield Sample(x, q, -1)
        yield Sample(x, q)
        yield Sample(x, q, keepdim=True)
        yield Sample(draw.distinct(2, 3, 4), q[1:3], 1)
        for interpolation in ("lower", "higher", "midpoint", "nearest"):
            yield Sample(draw.distinct(7), q, interpolation=interpolation)
            yield Sample(draw.distinct(4, 2), 0.5, 0, interpolation=interpolation)
        if draw.smooth:
            return
        yield Sample(draw(), 0.2)
        yield Sample(draw(), 0.2, 0, True)
        yield Sample(draw(20000), 0.25)
        yield Sample(draw(3, 40), np.linspace(0, 1, 17), 1)
        inf = np.array(np.inf, x.dtype)
        yield Sample(np.array([-inf, 1, inf, inf], x.dtype), np.array([0.0, 0.9, 1.0]))
        yield Sample(with_nans(draw, 6, 5), 0.4, 1)
        yield Sample(with_nans(draw, 6, 5), q, 0, True)
        yield Sample(np.where(np.arange(3)[:, None] == 1, np.array(np.nan, x.dtype), draw(3, 5)), q, 1)

    return generate


QUANTILE_ERRORS = (
    ErrorCase(at.InvalidValueError, r"q in \[0, 1\], got 1.5", X, 1.5),
    ErrorCase(at.InvalidValueError, "interpolation", X, 0.5, interpolation="cubic"),
    ErrorCase(at.DTypeError, "floating", np.arange(3), 0.5),
    ErrorCase(at.DTypeError, "no order", np.ones(2, np.complex64), 0.5),
    ErrorCase(at.ShapeError, "at most one dimension", X, np.ones((2, 2)) / 2),
    ErrorCase(at.ShapeError, "at least one element", EMPTY, 0.5, 1),
    ErrorCase(at.BoundsError, "dim", X, 0.5, 2),
    HostErrorCase(at.InvalidValueError, r"q in \[0, 1\], got 2", X, np.array([0.5, 2.0])),
)


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": ("input", "int64"), "ulps": 0, "dtypes": (*BOOL, *REALS), **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


def interpolated(name: str, function: Callable[..., Any], ignore_nan: bool) -> OpSpec:
    return op(
        name,
        quantile(function),
        quantiles(ignore_nan),
        *QUANTILE_ERRORS,
        dtypes=FLOATS,
        result="input",
        ulps=2,
        scale=lambda x, q, dim=None, keepdim=False, interpolation="linear": np.broadcast_to(
            np.max(np.where(np.isfinite(x), x, 0)), np.shape(quantile(np.quantile)(x, q, dim, keepdim))
        ),
        differentiable=("input",),
    )


SPECS = [
    op(
        "ranked",
        ranked,
        ranks,
        HostErrorCase(at.BoundsError, r"ranks in \[0, 3\), got 3", X, np.array([3]), False),
        ErrorCase(at.ShapeError, "for the lines of input", X, np.ones((3, 1), np.int64), False),
        ErrorCase(at.BoundsError, "no ranks in lines without elements", EMPTY, np.array([0]), False),
    ),
    op("median_dim", median(False), medians, NO_ORDER, DIM, NO_ELEMENTS),
    op("nanmedian_dim", median(True), medians, NO_ORDER, DIM, NO_ELEMENTS),
    op("mode", mode, modes, NO_ORDER, DIM, NO_ELEMENTS),
    interpolated("quantile", np.quantile, False),
    interpolated("nanquantile", np.nanquantile, True),
]
