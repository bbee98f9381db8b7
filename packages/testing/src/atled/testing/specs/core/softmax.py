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


def log_softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    x = x.astype(np.float64).reshape(1) if x.ndim == 0 else x.astype(np.float64)
    top = np.max(x, dim, keepdims=True, initial=-np.inf)
    shifted = x - top
    return shifted - np.log(np.sum(np.exp(shifted), dim, keepdims=True))


def shaped(function: Any) -> Any:
    return lambda x, dim, dtype=None: function(x, dim, dtype).reshape(x.shape)


def magnitude(x: Any, dim: int, dtype: Any = None) -> Any:
    """The logarithm is a difference of the largest input and the others."""
    finite = np.where(np.isfinite(x), x, 0).astype(np.float64)
    return finite + (np.max(finite, dim, keepdims=True, initial=0) if x.ndim else finite)


SPECS = [
    OpSpec(
        name="softmax",
        reference=shaped(lambda x, dim, dtype: np.exp(log_softmax(x, dim))),
        samples=logits,
        dtypes=(*BOOL, *REALS),
        result="float",
        ulps={"default": 64, **HALF},
        errors=ERRORS,
    ),
    OpSpec(
        name="log_softmax",
        reference=shaped(log_softmax),
        scale=magnitude,
        samples=logits,
        dtypes=(*BOOL, *REALS),
        result="float",
        ulps={"default": 8, **HALF},
        errors=ERRORS,
    ),
]
