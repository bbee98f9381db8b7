"""Choosing between elements."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import BOOL, REALS, Draw, ErrorCase, OpSpec, Sample, result_dtype
from atled.testing.samples import binary, unary

X = np.ones((2, 3), np.float32)
MASK = np.ones((2, 3), bool)
NOT_REAL = (
    ErrorCase(at.DTypeError, "real numbers, got complex64", np.ones(2, np.complex64), 0, 1),
    ErrorCase(at.DTypeError, "real numbers, got bool", np.ones(2, bool), False),
)


def choices(draw: Draw) -> Iterator[Sample]:
    def mask(*shape: int) -> Any:
        return draw(*shape, dtype="bool")

    for shape in ((), (5,), (3, 4), (0, 2), (3, 16411)):
        yield Sample(mask(*shape), draw(*shape), draw(*shape))
    yield Sample(mask(3, 1), draw(4), draw(2, 1, 1))
    yield Sample(mask(4), draw(4), draw.scalar())
    yield Sample(mask(4), draw.scalar(), draw(3, 4))
    yield Sample(mask(4), 1, draw(3, 4, dtype="float32"))
    if not draw.smooth:
        yield Sample(mask(4), draw(4), draw(4, dtype="int16" if draw.dtype != "uint64" else "bool"))
        yield Sample(mask(4), 1.5, 2)


def clamps(draw: Draw) -> Iterator[Sample]:
    low, high = (1, 3) if "int" in draw.dtype else (-1.5, 2.0)
    for shape in ((), (5,), (3, 4), (0, 2), (1037,)):
        yield Sample(draw(*shape), low, high)
    yield Sample(draw(5), low)
    yield Sample(draw(5), max=high)
    yield Sample(draw(5), min=high, max=low)
    if not draw.smooth:
        yield Sample(draw.specials(), low, high)
        yield Sample(draw(3, 4), draw(4), draw(3, 1))
        yield Sample(draw(3, 4), None, draw(4))
        yield Sample(draw(3, 4), 0.5)


def fills(draw: Draw) -> Iterator[Sample]:
    for shape, mask in (((3, 4), (3, 4)), ((3, 4), (4,)), ((), ()), ((0, 2), (2,)), ((1037,), (1037,))):
        yield Sample(draw(*shape), draw(*mask, dtype="bool"), draw.scalar())
    yield Sample(draw(3, 4), draw(3, 1, dtype="bool"), draw())


SPECS = [
    OpSpec(
        name="where",
        reference=np.where,
        samples=choices,
        result=lambda sample: result_dtype(*sample.args[1:]),
        ulps=1,
        errors=(
            ErrorCase(at.DTypeError, "condition to be bool, got float32", X, X, X),
            ErrorCase(at.ShapeError, "broadcast", MASK, X, np.ones(2, np.float32)),
        ),
        differentiable=("input", "other"),
    ),
    OpSpec(
        name="clamp",
        reference=lambda x, min=None, max=None: np.clip(x, min, max),
        samples=clamps,
        dtypes=REALS,
        ulps=1,
        errors=(*NOT_REAL, ErrorCase(at.InvalidValueError, "min, max or both", X)),
    ),
    OpSpec(
        name="masked_fill",
        reference=lambda x, mask, value: np.where(mask, value, x),
        samples=fills,
        result="input",
        ulps=1,
        errors=(
            ErrorCase(at.DTypeError, "mask to be bool", X, X, 1),
            ErrorCase(at.ShapeError, "number or a 0-d tensor", X, MASK, np.ones(2, np.float32)),
            ErrorCase(at.DTypeError, "higher kind", np.ones((2, 3), int), MASK, 0.5),
        ),
        differentiable=("input", "value"),
    ),
    OpSpec(
        name="relu",
        reference=lambda x: np.maximum(x, 0),
        samples=unary,
        dtypes=REALS,
        ulps=0,
        errors=(ErrorCase(at.DTypeError, "real numbers", np.ones(2, np.complex64)),),
    ),
    OpSpec(
        name="copysign",
        reference=np.copysign,
        samples=binary,
        dtypes=(*BOOL, *REALS),
        result="float",
        ulps=1,
        errors=(ErrorCase(at.DTypeError, "real", *[np.ones(2, np.complex64)] * 2),),
    ),
]
