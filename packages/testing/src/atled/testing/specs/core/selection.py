"""Choosing between elements."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import BOOL, FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample, result_dtype
from atled.testing.samples import binary, unary, unary_finite

X = np.ones((2, 3), np.float32)
MASK = np.ones((2, 3), bool)
NO_ORDER = ErrorCase(at.DTypeError, "real numbers, got complex", *[np.ones(2, np.complex64)] * 2)
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


def bounds(draw: Draw) -> Iterator[Sample]:
    for shape in ((), (5,), (3, 4), (0, 2), (1037,)):
        yield Sample(draw(*shape), 2)
    yield Sample(draw(3, 4), draw(4))
    if not draw.smooth:
        yield Sample(draw.specials(), draw(1))
        yield Sample(draw(3, 4), draw.specials()[:, None, None])
        yield Sample(draw(3, 4), 0.5)


def steps(draw: Draw) -> Iterator[Sample]:
    if not draw.smooth:
        yield from binary(draw)
    x = draw(3, 4)
    x[:, 0] = 0
    yield Sample(x, draw(4))


def slopes(draw: Draw) -> Iterator[Sample]:
    for shape in ((), (5,), (3, 4), (0, 2), (3, 1037)):
        # At the kink there is no derivative to compare with.
        yield Sample(draw(*shape), draw(*shape, low=0.1) if draw.smooth else draw(*shape))
    yield Sample(draw(3, 4), draw(4, low=0.1))
    if not draw.smooth:
        yield Sample(draw.specials()[:, None], draw.specials())


def holes(draw: Draw) -> Iterator[Sample]:
    yield from unary_finite(draw)
    yield Sample(draw(3, 4), 1.0, 2.0, 3.0)
    if draw.smooth:
        return
    yield Sample(draw.specials(), nan=0.5, posinf=2.0, neginf=-3.0)
    if draw.dtype == "float64":  # what stands for infinity in the others, the reference cannot know
        yield Sample(draw.specials())


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


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
        name="clamp_min",
        reference=np.maximum,
        samples=bounds,
        dtypes=REALS,
        ulps=1,
        errors=(ErrorCase(at.DTypeError, "real numbers, got complex64", np.ones(2, np.complex64), 0),),
    ),
    OpSpec(
        name="clamp_max",
        reference=np.minimum,
        samples=bounds,
        dtypes=REALS,
        ulps=1,
        errors=(ErrorCase(at.DTypeError, "real numbers, got complex64", np.ones(2, np.complex64), 0),),
    ),
    OpSpec(name="fmax", reference=np.fmax, samples=binary, dtypes=(*BOOL, *REALS), ulps=0, errors=(NO_ORDER,)),
    OpSpec(name="fmin", reference=np.fmin, samples=binary, dtypes=(*BOOL, *REALS), ulps=0, errors=(NO_ORDER,)),
    OpSpec(
        name="heaviside",
        # Of NaN NumPy makes NaN, PyTorch 0.
        reference=lambda x, values: np.where(x == 0, values, x > 0),
        samples=steps,
        dtypes=(*BOOL, *REALS),
        ulps=1,
        errors=(NO_ORDER,),
        differentiable=("values",),
    ),
    OpSpec(name="nan_to_num", reference=nan_to_num, samples=holes, result="input", ulps=1),
    OpSpec(
        name="relu",
        reference=lambda x: np.maximum(x, 0),
        samples=unary,
        dtypes=REALS,
        ulps=0,
        errors=(ErrorCase(at.DTypeError, "real numbers", np.ones(2, np.complex64)),),
    ),
    OpSpec(
        name="relu_backward",
        reference=lambda grad, x: np.where(x > 0, grad, 0),
        samples=slopes,
        dtypes=FLOATS,
        ulps=0,
        errors=(ErrorCase(at.DTypeError, "real", *[np.ones(2, np.complex64)] * 2),),
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
