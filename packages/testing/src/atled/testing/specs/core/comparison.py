"""Comparisons and tests of each element."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, BOOL, REALS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import binary, unary

ERRORS = (
    ErrorCase(at.ShapeError, r"input and other to broadcast, got \(2,\) and \(3,\)", np.ones(2), np.ones(3)),
    ErrorCase(at.ArgumentError, "other", np.ones(2), "text"),
)
UNORDERED = ErrorCase(at.DTypeError, "no order", *[np.ones(2, np.complex64)] * 2)


def pairs(draw: Draw) -> Iterator[Sample]:
    """As `binary`, and with elements that are equal."""
    yield from binary(draw)
    x = draw(3, 4)
    yield Sample(x, np.where(draw(3, 4, dtype="bool"), x, draw(3, 4)).astype(x.dtype))
    if draw.dtype not in ("bool", "uint64") and not draw.smooth:
        yield Sample(2, draw(5))


def compare(name: str, reference: Any, ordered: bool) -> OpSpec:
    return OpSpec(
        name=name,
        reference=reference,
        samples=pairs,
        dtypes=(*BOOL, *REALS) if ordered else ALL,
        result="bool",
        errors=(*ERRORS, UNORDERED) if ordered else ERRORS,
        differentiable=False,
    )


def element_test(name: str, reference: Any, **kwargs: Any) -> OpSpec:
    return OpSpec(name=name, reference=reference, samples=unary, result="bool", differentiable=False, **kwargs)


def real_test(name: str, reference: Any) -> OpSpec:
    errors = (ErrorCase(at.DTypeError, "input to be real, got complex64", np.ones(2, np.complex64)),)
    return element_test(name, reference, dtypes=(*BOOL, *REALS), errors=errors)


def with_sign(x: Any) -> Any:
    return np.signbit(x) if x.dtype.kind == "f" else x < 0


def near(draw: Draw) -> Iterator[Sample]:
    x = draw(4, 50)
    yield Sample(x, x)
    yield Sample(x, draw(50))
    yield Sample(x, draw(50), 0.3, 0.25)
    yield Sample(x, draw.scalar(), rtol=0.5)
    special = draw.specials()
    yield Sample(special[:, None], special)
    yield Sample(special[:, None], special, equal_nan=True)


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    a, b = (np.asarray(x) if np.iscomplexobj(x) else np.asarray(x, np.float64) for x in (a, b))
    return np.isclose(a, b, rtol, atol, equal_nan)


SPECS = [
    compare("eq", np.equal, False),
    compare("ne", np.not_equal, False),
    compare("lt", np.less, True),
    compare("le", np.less_equal, True),
    compare("gt", np.greater, True),
    compare("ge", np.greater_equal, True),
    element_test("isnan", np.isnan),
    element_test("isinf", np.isinf),
    element_test("isfinite", np.isfinite),
    element_test("isreal", np.isreal),
    real_test("isposinf", lambda x: x == np.inf),
    real_test("isneginf", lambda x: x == -np.inf),
    real_test("signbit", with_sign),
    OpSpec(name="isclose", reference=isclose, samples=near, result="bool", differentiable=False),
]
