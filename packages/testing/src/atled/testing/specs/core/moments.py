"""Sums and means without NaN, moments in pairs, and covariances."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import BOOL, COMPLEX, REALS, Draw, ErrorCase, HostErrorCase, OpSpec, Sample, Samples
from atled.testing.samples import reductions

from .reduction import (
    DIM_ERRORS,
    FLOATING,
    NO_ELEMENTS,
    NO_ORDER,
    NOT_FLOATING,
    SUM_ULPS,
    by_name,
    deviation,
    mean,
    over,
    spread,
    variance,
    with_dtype,
    with_nan,
)

X = np.ones((2, 3), np.float32)
SPREAD_AND_MEAN = ("real", "input")


def some_nan(samples: Samples) -> Samples:
    """Samples of floats in which every third element, or everything, is NaN."""

    def generate(draw: Draw) -> Iterator[Sample]:
        for sample in samples(draw):
            x, *rest = sample.args
            yield Sample(x, *rest, **sample.kwargs)
            if x.dtype.kind in "fcV" and not draw.smooth:
                nan = np.array(np.nan, x.dtype)
                third = np.arange(x.size).reshape(x.shape) % 3 == 1
                yield Sample(np.where(third, nan, x), *rest, **sample.kwargs)
                yield Sample(np.full_like(x, nan), *rest, **sample.kwargs)

    return generate


def nan_mean(x: Any, axis: Any, keepdims: bool = False) -> Any:
    with warnings.catch_warnings(action="ignore"):  # NumPy warns of NaNs alone
        return np.nanmean(x, axis, keepdims=keepdims)


def pair(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None) -> Any:
        return spread(function)(x, dim, unbiased, keepdim, correction), over(mean)(x, dim, keepdim)

    return reference


def sizes(x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: Any = None) -> Any:
    """Of the terms of the sums: at most that of the squares, which is more than that of their roots."""
    return over(mean)(np.abs(x) ** 2, dim, keepdim), over(mean)(x, dim, keepdim)


def pairs(draw: Draw) -> Iterator[Sample]:
    yield from by_name(reductions())(draw)
    yield Sample(draw(3, 7), 1, False)
    yield Sample(draw(3, 7), 0, True, True)
    yield Sample(draw(3, 7), correction=2)


def extremes(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    return over(np.min)(x, dim, keepdim), over(np.max)(x, dim, keepdim)


def weighted(x: Any, correction: float = 1, fweights: Any = None, aweights: Any = None) -> Any:
    with warnings.catch_warnings(action="ignore"):  # NumPy warns of too few observations
        return np.cov(x, ddof=correction, fweights=fweights, aweights=aweights)


def observations(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 9))
    yield Sample(draw(9))
    yield Sample(draw(2, 9), correction=0)
    if draw.dtype in COMPLEX and draw.smooth:
        return
    often = np.array([1, 2, 1, 3, 1, 1, 2, 1, 4])
    much = np.abs(draw(9, dtype="float64")) + 0.5
    yield Sample(draw(3, 9), fweights=often)
    yield Sample(draw(3, 9), aweights=much)
    yield Sample(draw(3, 9), fweights=often, aweights=much)
    yield Sample(draw(3, 9), fweights=often, aweights=much, correction=0)
    if not draw.smooth:
        yield Sample(draw(3, 1))


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "input", "ulps": 0, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


SPECS = [
    op(
        "nansum",
        over(np.nansum),
        some_nan(with_dtype(reductions())),
        *DIM_ERRORS,
        ErrorCase(at.DTypeError, "a floating dtype", X, dtype="int64"),
        scale=over(np.nansum),
        result="sum",
        ulps=SUM_ULPS,
    ),
    op(
        "nanmean",
        over(nan_mean),
        some_nan(with_dtype(reductions())),
        *DIM_ERRORS,
        ErrorCase(at.DTypeError, "floating", np.ones(3, np.int64)),
        scale=over(nan_mean),
        dtypes=FLOATING,
        # In half precision the sum is rounded once, and the mean again.
        ulps={"default": 8, "float16": 2, "bfloat16": 2},
    ),
    op("var_mean", pair(variance), pairs, NOT_FLOATING, dtypes=FLOATING, result=SPREAD_AND_MEAN, ulps=32, scale=sizes),
    op("std_mean", pair(deviation), pairs, NOT_FLOATING, dtypes=FLOATING, result=SPREAD_AND_MEAN, ulps=32, scale=sizes),
    op(
        "aminmax",
        extremes,
        by_name(with_nan(reductions(several=False, empty=False))),
        NO_ORDER,
        NO_ELEMENTS,
        ErrorCase(at.BoundsError, "dim", X, dim=2),
        dtypes=(*BOOL, *REALS),
        result=("input", "input"),
    ),
    op(
        "cov",
        weighted,
        observations,
        ErrorCase(at.ShapeError, "at most two dimensions", np.ones((2, 2, 2))),
        ErrorCase(at.ShapeError, r"fweights of shape \(3,\)", X, fweights=np.ones(2, np.int64)),
        ErrorCase(at.DTypeError, "fweights to be integers", X, fweights=np.ones(3)),
        HostErrorCase(at.InvalidValueError, "fweights of at least 0, got -1", X, fweights=np.array([2, -1, 0])),
        HostErrorCase(at.InvalidValueError, "aweights of at least 0, got -0.5", X, aweights=np.array([-0.5, 1, 1])),
        ErrorCase(at.DTypeError, "aweights to be floating", X, aweights=np.ones(3, np.int64)),
        ErrorCase(at.ArgumentError, "correction to be int, got float", X, correction=0.5),
        dtypes=("float32", "float64", *COMPLEX),
        scale=lambda x, **kwargs: np.full(np.shape(weighted(x)), 16.0),
        ulps={"default": 16, "complex64": 32, "complex128": 32},
        differentiable=("input",),
    ),
    op(
        "corrcoef",
        np.corrcoef,
        lambda draw: iter([Sample(draw(3, 9)), Sample(draw(9))]),
        ErrorCase(at.ShapeError, "at most two dimensions", np.ones((2, 2, 2))),
        dtypes=("float32", "float64", *COMPLEX),
        scale=lambda x: np.ones(np.shape(np.corrcoef(x))),
        ulps={"default": 16, "complex64": 32, "complex128": 32},
    ),
]
