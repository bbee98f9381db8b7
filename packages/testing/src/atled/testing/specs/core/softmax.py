"""Softmax and its logarithm."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import BOOL, FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import along_dim

X = np.ones((2, 3), np.float32)
ERRORS = (
    ErrorCase(at.BoundsError, "dim", X, 2),
    ErrorCase(at.ArgumentError, "missing argument dim", X),
    ErrorCase(at.DTypeError, "", np.ones(3, np.complex64), 0),
    ErrorCase(at.DTypeError, "expected a real floating dtype, got int32", X, 0, dtype="int32"),
)
HALF = {"float16": 1, "bfloat16": 1}


def logits(draw: Draw) -> Iterator[Sample]:
    yield from along_dim(draw)
    if draw.smooth:
        return
    yield Sample(draw(3, 4), 1, dtype="float64")
    yield Sample(draw(5, 6, 7), 1)
    if draw.dtype in FLOATS:
        wide = draw(4, 50, low=-100, high=100)
        yield Sample(wide, 1)
        yield Sample(np.where(wide < 0, np.array(-np.inf, wide.dtype), wide), 1)
        yield Sample(np.full((2, 3), -np.inf).astype(wide.dtype), 1)


def below_top(x: Any, dim: int) -> Any:
    """In a type wider than float64, in which the difference would round as the kernels' own does not."""
    x = x.astype(np.longdouble).reshape(x.shape or (1,))
    return x - np.max(x, dim, keepdims=True, initial=-np.inf)


def softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    powers = np.exp(below_top(x, dim))
    return (powers / np.sum(powers, dim, keepdims=True)).astype(np.float64).reshape(x.shape)


def log_softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    y = below_top(x, dim)
    return (y - np.log(np.sum(np.exp(y), dim, keepdims=True))).astype(np.float64).reshape(x.shape)


def results(function: Any) -> Any:
    def samples(draw: Draw) -> Iterator[Sample]:
        for sample in along_dim(draw):
            if sample.args[0].size == 0:
                yield Sample(sample.args[0], sample.args[0], **sample.kwargs)
                continue
            x, dim = sample.args[0], sample.args[1] if len(sample.args) > 1 else sample.kwargs["dim"]
            yield Sample(draw(*x.shape), function(x.astype(np.float64), dim).astype(x.dtype), dim)
        if not draw.smooth:
            x = draw(5, 6, 7)
            yield Sample(draw(5, 6, 7), function(x.astype(np.float64), 1).astype(x.dtype), 1)

    return samples


def summed(x: Any, dim: int) -> Any:
    return np.sum(x, dim, keepdims=True) if x.ndim else x


PAST_ERRORS = (
    ErrorCase(at.BoundsError, "dim", X, X, 2),
    ErrorCase(at.ShapeError, r"grad and result of one shape, got \(2, 3\) and \(3,\)", X, X[0], 0),
    ErrorCase(at.DTypeError, "expected real floating numbers, got complex64", *[np.ones(3, np.complex64)] * 2, 0),
)

SPECS = [
    OpSpec(
        name="softmax_backward",
        reference=lambda g, y, dim: (g - summed(g * y, dim)) * y,
        scale=lambda g, y, dim: (g + summed(g * y, dim)) * y,
        samples=results(softmax),
        dtypes=FLOATS,
        ulps={"default": 8, **HALF},
        errors=PAST_ERRORS,
    ),
    OpSpec(
        name="log_softmax_backward",
        reference=lambda g, y, dim: g - np.exp(y) * summed(g, dim),
        scale=lambda g, y, dim: g + np.exp(-y) * summed(g, dim),
        samples=results(log_softmax),
        dtypes=FLOATS,
        ulps={"default": 8, **HALF},
        errors=PAST_ERRORS,
    ),
    OpSpec(
        name="softmax",
        reference=softmax,
        samples=logits,
        dtypes=(*BOOL, *REALS),
        result="float",
        ulps={"default": 4, **HALF},
        errors=ERRORS,
    ),
    OpSpec(
        name="log_softmax",
        reference=log_softmax,
        scale=lambda x, dim, dtype=None: np.ones(x.shape),  # where one input dominates, of a sum near 1
        samples=logits,
        dtypes=(*BOOL, *REALS),
        result="float",
        ulps={"default": 2, **HALF},
        errors=ERRORS,
    ),
]
