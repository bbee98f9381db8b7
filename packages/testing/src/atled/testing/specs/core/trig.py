"""Trigonometric and hyperbolic functions and their inverses."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import BOOL, FLOATS, FUNCTION, REALS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import binary, unary

NOT_A_TENSOR = ErrorCase(at.ArgumentError, "expected input to be Tensor, got str", "text")
COMPLEX_INPUT = ErrorCase(at.DTypeError, "expected real numbers, got complex", np.ones(2, np.complex64))
BINARY_ERRORS = (
    ErrorCase(at.DTypeError, "expected real numbers, got complex", *[np.ones(2, np.complex64)] * 2),
    ErrorCase(at.ShapeError, r"got \(2,\) and \(3,\)", np.ones(2), np.ones(3)),
)


def far_out(draw: Draw) -> Iterator[Sample]:
    """Arguments that must be reduced by many periods."""
    yield from unary(draw)
    if draw.dtype in ("float32", "float64") and not draw.smooth:
        yield Sample(draw(1000, low=-1e4, high=1e4))


def whole_numbers(draw: Draw) -> Iterator[Sample]:
    """Where the sine of pi x is 0, and near there."""
    yield from unary(draw)
    if not draw.smooth and draw.dtype in FLOATS:
        yield Sample((np.arange(-9, 10) / 2).astype(draw(1).dtype))
        yield Sample((draw(100) / 64 + 7).astype(draw(1).dtype))


def sinc(x: Any) -> Any:
    """With the sine's argument reduced before the product with pi rounds; NumPy's is off near the integers."""
    y = np.where(x == 0, 1, x)
    r = y - 2 * np.round(y.real / 2)
    if np.iscomplexobj(x):
        return np.where(x == 0, 1, np.sin(np.pi * r) / (np.pi * y))
    r = np.where(np.abs(r) > 0.5, np.sign(r) - r, r)
    return np.where(x == 0, 1, np.where(np.isinf(x), 0, np.sin(np.pi * r) / (np.pi * y)))


def function(name: str, reference: Any, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {
        "samples": unary,
        "result": "float",
        "ulps": FUNCTION,
        "errors": (NOT_A_TENSOR,),
        **kwargs,
    }
    return OpSpec(name=name, reference=reference, **fields)


SPECS = [
    function("sin", np.sin, samples=far_out),
    function("cos", np.cos, samples=far_out),
    function("tan", np.tan, domain=(-1.4, 1.4)),
    function("asin", np.arcsin, domain=(-0.99, 0.99)),
    function("acos", np.arccos, domain=(-0.99, 0.99)),
    function("atan", np.arctan),
    function("sinh", np.sinh),
    function("cosh", np.cosh),
    function("tanh", np.tanh),
    function("asinh", np.arcsinh),
    function("acosh", np.arccosh, domain=(1.1, 9)),
    function("atanh", np.arctanh, domain=(-0.95, 0.95)),
    function("deg2rad", np.deg2rad, dtypes=(*BOOL, *REALS), ulps=1, errors=(NOT_A_TENSOR, COMPLEX_INPUT)),
    function("rad2deg", np.rad2deg, dtypes=(*BOOL, *REALS), ulps=1, errors=(NOT_A_TENSOR, COMPLEX_INPUT)),
    function("sinc", sinc, ulps={**FUNCTION, "float32": 1, "float64": 4}, samples=whole_numbers),
    function("atan2", np.arctan2, samples=binary, dtypes=(*BOOL, *REALS), errors=BINARY_ERRORS),
    function("hypot", np.hypot, samples=binary, dtypes=(*BOOL, *REALS), errors=BINARY_ERRORS),
]
