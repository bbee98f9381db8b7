"""Exponentials, logarithms, roots and the error function."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import special

import atled.core as at
from atled.testing import BOOL, FLOATS, FUNCTION, REALS, ROUNDED, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import binary, unary

NOT_A_TENSOR = ErrorCase(at.ArgumentError, "expected input to be Tensor, got str", "text")
COMPLEX = ErrorCase(at.DTypeError, "expected real numbers, got complex", np.ones(2, np.complex64))


def near_zero(draw: Draw) -> Iterator[Sample]:
    """Where exp(x) - 1 and log(1 + x) lose their digits."""
    yield from unary(draw)
    if draw.dtype in FLOATS and not draw.smooth:
        yield Sample((draw(100) * 1e-3).astype(draw(1).dtype))


def wide_range(draw: Draw) -> Iterator[Sample]:
    """From underflow to overflow."""
    yield from unary(draw)
    if draw.dtype in ("float32", "float64") and not draw.smooth:
        edge = 110.0 if draw.dtype == "float32" else 750.0
        yield Sample(draw(1000, low=-edge, high=edge))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x)) if np.iscomplexobj(x) else special.expit(x)


def erfc(x: Any) -> Any:
    """SciPy's own has an error that grows with x², up to 250 ulp; a wider type squares without it."""
    tail = np.exp(-(x.astype(np.longdouble) ** 2)) * special.erfcx(x)
    return np.where(x > 0.5, tail.astype(np.float64), special.erfc(x))


def log1p(x: Any) -> Any:
    """NumPy's own complex log1p loses digits near 0; a wider type has some to spare."""
    return np.log1p(x.astype(np.clongdouble)).astype(np.complex128) if np.iscomplexobj(x) else np.log1p(x)


def function(name: str, reference: Any, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {
        "samples": unary,
        "result": "float",
        "ulps": FUNCTION,
        "errors": (NOT_A_TENSOR,),
        **kwargs,
    }
    return OpSpec(name=name, reference=reference, **fields)


def fractions(draw: Draw) -> Iterator[Sample]:
    """Around 1/2, where a plain quotient's logarithm loses its digits; with and without eps."""
    yield from unary(draw)
    if draw.dtype in FLOATS and not draw.smooth:
        yield Sample((0.5 + (draw(100) - 0.5) * 1e-3).astype(draw(1).dtype))
        yield Sample(draw(50, low=-1, high=2), 0.125)
    if draw.dtype in FLOATS:
        yield Sample(draw(5), eps=0.25)


def logit(x: Any, eps: float | None = None) -> Any:
    return special.logit(x if eps is None else np.clip(x, eps, 1 - eps))


def logarithm_terms(draw: Draw) -> Iterator[Sample]:
    """The second operand is above 0 where a number can be chosen; zeros of the first hide it."""
    for sample in binary(draw):
        a, b = sample.args
        yield Sample(a, np.abs(b) + np.asarray(1, b.dtype) if isinstance(b, np.ndarray) and draw.smooth else b)
    if not draw.smooth:
        yield Sample(0, draw(5))
        x = draw(3, 4)
        x[0] = 0
        yield Sample(x, draw(4))


SPECS = [
    function("exp", np.exp, samples=wide_range),
    function("exp2", np.exp2),
    function("expm1", np.expm1, samples=near_zero),
    function("log", np.log, domain=(0.001, 50)),
    function("log2", np.log2, domain=(0.001, 50)),
    function("log10", np.log10, domain=(0.001, 50)),
    function("log1p", log1p, domain=(-0.9, 9), samples=near_zero),
    function("sqrt", np.sqrt, domain=(0, 50), ulps=ROUNDED),
    function("rsqrt", lambda x: 1 / np.sqrt(x), domain=(0.1, 50)),
    function("sigmoid", sigmoid, ulps={**FUNCTION, "complex64": 256, "complex128": 256}),
    function("erf", special.erf, dtypes=(*BOOL, *REALS), samples=near_zero, errors=(NOT_A_TENSOR, COMPLEX)),
    function(
        "erfc",
        erfc,
        dtypes=(*BOOL, *REALS),
        ulps={**FUNCTION, "float32": 1, "float64": 6},  # the kernel's error is below 2, the reference's below 4
        errors=(NOT_A_TENSOR, COMPLEX),
    ),
    function(
        "logaddexp2",
        np.logaddexp2,
        scale=lambda a, b: a + b,
        samples=binary,
        dtypes=(*BOOL, *REALS),
        errors=(ErrorCase(at.DTypeError, "expected real numbers, got complex", *[np.ones(2, np.complex64)] * 2),),
    ),
    function(
        "logit",
        logit,
        samples=fractions,
        domain=(0.01, 0.99),
        dtypes=(*BOOL, *REALS),
        errors=(NOT_A_TENSOR, COMPLEX),
    ),
    function(
        "xlogy",
        special.xlogy,
        samples=logarithm_terms,
        dtypes=(*BOOL, *REALS),
        errors=(ErrorCase(at.DTypeError, "expected real numbers, got complex", *[np.ones(2, np.complex64)] * 2),),
    ),
    function(
        "logaddexp",
        np.logaddexp,
        scale=lambda a, b: a + b,
        samples=binary,
        dtypes=(*BOOL, *REALS),
        errors=(
            ErrorCase(at.DTypeError, "expected real numbers, got complex", *[np.ones(2, np.complex64)] * 2),
            ErrorCase(at.ShapeError, r"got \(2,\) and \(3,\)", np.ones(2), np.ones(3)),
        ),
    ),
]
