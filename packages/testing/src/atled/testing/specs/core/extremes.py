"""Where the largest and the smallest elements are; of equal ones the first, and NaN before everything."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import BOOL, FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample

from .sorting import values

X = np.ones((2, 3), np.float32)
ERRORS = (
    ErrorCase(at.BoundsError, "dim", X, 2),
    ErrorCase(at.DTypeError, "complex", np.ones(3, np.complex64), 0),
    ErrorCase(at.ShapeError, "at least one element", np.ones((0, 3)), 0),
)


def lines(draw: Draw) -> Iterator[Sample]:
    yield Sample(values(draw, 2, 3, 4), 1)
    yield Sample(values(draw, 2, 3, 4), dim=-1, keepdim=True)
    yield Sample(values(draw, 5), 0)
    if not draw.smooth:
        yield Sample(values(draw), 0)
        yield Sample(draw(0, 3), 1)
        yield Sample(draw(7, 1130), 1)
        yield Sample(draw(1031, 7), 0)
        yield Sample(draw(3, 70, 65), 1, True)
        if draw.dtype in FLOATS:
            x = draw(6, 50)
            yield Sample(np.where(x > 3, np.array(np.nan, x.dtype), x), 1)


def whole(draw: Draw) -> Iterator[Sample]:
    yield from lines(draw)
    yield Sample(values(draw, 2, 3, 4))
    yield Sample(values(draw, 3, 4), None, True)


def place(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        return np.zeros((), np.int64) if x.ndim == 0 else function(x, dim, keepdims=keepdim)

    return reference


def extreme(arg: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: Any, dim: int, keepdim: bool = False) -> Any:
        if x.ndim == 0:
            return x, np.zeros((), np.int64)
        index = arg(x, dim, keepdims=True)
        found = np.take_along_axis(x, index, dim)
        return (found, index) if keepdim else (np.squeeze(found, dim), np.squeeze(index, dim))

    return reference


def index_of(name: str, function: Any) -> OpSpec:
    return OpSpec(
        name=name,
        reference=place(function),
        samples=whole,
        dtypes=(*BOOL, *REALS),
        result="int64",
        errors=(*ERRORS, ErrorCase(at.ShapeError, "at least one element", np.ones(0))),
        differentiable=False,
    )


def along(name: str, arg: Any) -> OpSpec:
    return OpSpec(
        name=name,
        reference=extreme(arg),
        samples=lines,
        dtypes=(*BOOL, *REALS),
        result=("input", "int64"),
        ulps=0,
        errors=ERRORS,
    )


SPECS = [
    index_of("argmax", np.argmax),
    index_of("argmin", np.argmin),
    along("max_dim", np.argmax),
    along("min_dim", np.argmin),
]
