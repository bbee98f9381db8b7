"""Trigonometric and hyperbolic functions and their inverses."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import BOOL, FUNCTION, REALS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import binary, unary

NOT_A_TENSOR = ErrorCase(at.ArgumentError, "expected input to be Tensor, got str", "text")
BINARY_ERRORS = (
    ErrorCase(at.DTypeError, "expected real numbers, got complex", *[np.ones(2, np.complex64)] * 2),
    ErrorCase(at.ShapeError, r"got \(2,\) and \(3,\)", np.ones(2), np.ones(3)),
)


def far_out(draw: Draw) -> Iterator[Sample]:
    """Arguments that must be reduced by many periods."""
    yield from unary(draw)
    if draw.dtype in ("float32", "float64") and not draw.smooth:
        yield Sample(draw(1000, low=-1e4, high=1e4))


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
    function("atan2", np.arctan2, samples=binary, dtypes=(*BOOL, *REALS), errors=BINARY_ERRORS),
    function("hypot", np.hypot, samples=binary, dtypes=(*BOOL, *REALS), errors=BINARY_ERRORS),
]
