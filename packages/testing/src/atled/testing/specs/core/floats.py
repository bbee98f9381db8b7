"""What floating numbers are made of: mantissas, exponents, neighbours."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, FUNCTION, Draw, ErrorCase, OpSpec, Sample, assert_ulps
from atled.testing.samples import BROADCASTS, unary

COMPLEX = ErrorCase(at.DTypeError, "floating|real", np.ones(2, np.complex64))


def exponents(draw: Draw) -> Iterator[Sample]:
    for a, b in BROADCASTS[:4] if draw.smooth else BROADCASTS:
        yield Sample(draw(*a), draw(*b, dtype="float64" if draw.dtype == "complex128" else None))
    yield Sample(draw(3, 4), 3)
    if draw.dtype in FLOATS and not draw.smooth:
        yield Sample(draw.specials()[:, None], np.array([-3, 0, 2], np.int32))
        # The factor alone would overflow.
        yield Sample((draw(5) * 1e-4).astype(draw(1).dtype), np.array([15, 16, -3, 0, 20], np.int32))


def ldexp(x: Any, n: Any) -> Any:
    return x * np.exp2(np.asarray(n).astype(np.complex128 if np.iscomplexobj(n) else np.float64))


def neighbours(draw: Draw) -> Iterator[Sample]:
    for a, b in BROADCASTS[:4] if draw.smooth else BROADCASTS:
        yield Sample(draw(*a), draw(*b))
    if not draw.smooth:
        yield Sample(draw.specials()[:, None], draw.specials())


def check_neighbours(outputs: list[Any], a: Any, b: Any) -> None:
    """In the arrays' own dtype: float64, in which references work, has other neighbours."""
    assert_ulps(outputs[0], np.nextafter(a, b), 0)


SPECS = [
    OpSpec(
        name="frexp",
        reference=np.frexp,
        samples=unary,
        dtypes=FLOATS,
        result=("promote", "int32"),
        ulps=0,
        errors=(COMPLEX, ErrorCase(at.DTypeError, "floating", np.ones(2, int))),
    ),
    OpSpec(
        name="ldexp",
        reference=ldexp,
        samples=exponents,
        dtypes=(*FLOATS, "int32", "complex64", "complex128"),
        result="float",
        ulps=FUNCTION,
    ),
    OpSpec(
        name="nextafter",
        check=check_neighbours,
        samples=neighbours,
        dtypes=FLOATS,
        errors=(ErrorCase(at.DTypeError, "real floating numbers, got int64", np.ones(2, int), np.ones(2, int)),),
        differentiable=False,
    ),
]
