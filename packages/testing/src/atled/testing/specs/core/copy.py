"""Copying, filling and conversion."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, COMPLEX, FLOATS, SIGNED, Draw, ErrorCase, OpSpec, Sample, numpy_dtype
from atled.testing.samples import SHAPES, unary

X = np.ones((2, 3), np.float32)


def convert(x: Any, dtype: str | None = None, copy: bool = True, device: object = None) -> Any:
    """The values that a dtype can hold of x; rounding to it is left to the comparison."""
    if dtype is None:
        return x
    kind = numpy_dtype(dtype).kind
    if kind == "b":
        return x != 0
    if kind != "c":
        x = x.real
    return np.trunc(x) if kind in "iu" and x.dtype.kind == "f" else x


def conversions(draw: Draw) -> Iterator[Sample]:
    for dtype in ALL:
        yield Sample(draw(3, 4, low=0, high=100), dtype=dtype)
    if draw.dtype in (*SIGNED, *FLOATS):
        for dtype in (*SIGNED, *FLOATS, *COMPLEX):
            yield Sample(draw(1037, low=-100, high=100), dtype=dtype)
    if not draw.smooth:
        yield Sample(draw(100, 700, low=0, high=100), dtype="float32")
        yield Sample(draw(3, 0), dtype="float64")


def kinds_kept(draw: Draw) -> Iterator[Sample]:
    for sample in conversions(draw):
        if draw.dtype not in COMPLEX or sample.kwargs["dtype"] in ("bool", *COMPLEX):
            yield sample


def same(draw: Draw) -> Iterator[Sample]:
    yield from unary(draw)
    yield from conversions(draw)


def clones(draw: Draw) -> Iterator[Sample]:
    yield from unary(draw)
    for memory_format in ("preserve", "contiguous"):
        yield Sample(draw(3, 4), memory_format=memory_format)


def assignments(draw: Draw) -> Iterator[Sample]:
    for shape in SHAPES:
        yield Sample(draw(*shape), draw(*shape))
    yield Sample(draw(3, 4), draw(4))
    yield Sample(draw(3, 4), draw())
    for other in ("bool", "int32", "float64"):
        yield Sample(draw(3, 4), draw(3, 4, dtype=other, low=0, high=9))


def fills(draw: Draw) -> Iterator[Sample]:
    for shape in (*SHAPES, (3, 16411)):
        yield Sample(draw(*shape), draw.scalar())
    yield Sample(draw(3, 4), draw())
    yield Sample(draw(3, 4), 1)


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "input", "ulps": 1, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


def assign(x: Any, other: Any, non_blocking: bool = False) -> Any:
    return np.broadcast_to(other, x.shape).astype(x.dtype)


SPECS = [
    op(
        "copy_",
        assign,
        assignments,
        ErrorCase(at.ShapeError, r"\(2, 3\)", X, np.ones(2, np.float32)),
        ErrorCase(at.ShapeError, "", np.ones(3, np.float32), X),
        differentiable=("input", "other"),
    ),
    op(
        "fill_",
        lambda x, value: np.full(x.shape, value),
        fills,
        ErrorCase(at.AtledError, "value", X, np.ones(2, np.float32)),
        ErrorCase(at.ArgumentError, "value", X, "text"),
        differentiable=("input", "value"),
    ),
    op(
        "fill",
        lambda x, value: np.full(x.shape, value),
        fills,
        ErrorCase(at.AtledError, "value", X, np.ones(2, np.float32)),
        differentiable=("value",),
    ),
    op("zero_", np.zeros_like, unary),
    op(
        "clone",
        lambda x, memory_format=None: x,
        clones,
        ErrorCase(at.InvalidValueError, "memory_format", X, memory_format="diagonal"),
        ulps=0,
    ),
    op("to_copy", convert, same),
    op("contiguous", lambda x: x, unary, ulps=0),
    op("to", convert, same),
    op(
        "astype",
        convert,
        kinds_kept,
        ErrorCase(at.ArgumentError, "dtype", X),
        ErrorCase(at.DTypeError, "take the real part", np.ones(2, np.complex64), dtype="float32"),
    ),
]
