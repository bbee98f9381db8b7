"""The gamma function's relatives.

float64 kernels are within 4 ulp of the exact values (compared with mpmath) but where a spec says otherwise; where the
allowance is larger, it is the reference's own error, or the function's condition.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import special

import atled.core as at
from atled.testing import BOOL, FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import unary

REAL = (*BOOL, *REALS)
NOT_A_TENSOR = ErrorCase(at.ArgumentError, "expected input to be Tensor, got str", "text")
COMPLEX = ErrorCase(at.DTypeError, "expected real numbers, got complex", np.ones(2, np.complex64))
COMPLEX_PAIR = ErrorCase(at.DTypeError, "expected real numbers, got complex", *[np.ones(2, np.complex64)] * 2)
#: Computed in double: float32 sees one rounding.
ULPS = {"default": 1, "float64": 8}


def log_sizes(draw: Draw) -> Iterator[Sample]:
    """Also small and large numbers."""
    yield from unary(draw)
    if draw.dtype in FLOATS and not draw.smooth:
        yield Sample(np.exp2(draw(100, low=-12, high=12).astype(np.float64)).astype(draw(1).dtype))


def pairs(draw: Draw) -> Iterator[Sample]:
    """Parameters and ends of integrals, both above 0."""
    for a, b in (((), ()), ((3, 4), (4,)), ((3, 1), (1, 4))):
        yield Sample(draw(*a), draw(*b))
    if draw.smooth:
        return
    yield Sample(draw(2, 0, 3), draw(3))
    yield Sample(draw(1037), draw(1037))
    yield Sample(draw(5), 2)
    yield Sample(2, draw(5))
    if draw.dtype in FLOATS:
        ends = np.array([0, 0.5, 1, np.inf, np.nan, -1]).astype(draw(1).dtype)
        yield Sample(ends[:, None], ends)


def large_pairs(draw: Draw) -> Iterator[Sample]:
    """Also where the uniform expansion takes over."""
    yield from pairs(draw)
    if draw.dtype in ("float32", "float64") and not draw.smooth:
        a = np.exp(draw(300, low=4, high=9).astype(np.float64))
        yield Sample(a.astype(draw.dtype), (a + draw(300, low=-2, high=2) * np.sqrt(a)).astype(draw.dtype))


def incomplete(function: Any) -> Any:
    """SciPy has a limit at (0, 0), where PyTorch says NaN."""
    return lambda a, x: np.where((np.asarray(a) == 0) & (np.asarray(x) == 0), np.nan, function(a, x))


def at_infinity(function: Any, limit: float) -> Any:
    """With a limit at both infinities where SciPy has NaN or another one."""
    return lambda x: np.where(np.isinf(x), limit, function(x))


def function(name: str, reference: Any, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {
        "samples": unary,
        "result": "float",
        "dtypes": REAL,
        "ulps": ULPS,
        "errors": (NOT_A_TENSOR, COMPLEX),
        **kwargs,
    }
    return OpSpec(name=name, reference=reference, **fields)


def orders(draw: Draw) -> Iterator[Sample]:
    for n in range(5):
        yield Sample(n, draw(3, 4))
    if not draw.smooth:
        yield Sample(2, draw(1037))
        yield Sample(1, draw(2, 0))


def one(x: Any) -> Any:
    """Where a function crosses 0, SciPy's error is one of absolute size."""
    return np.ones(x.shape)


SPECS = [
    function(
        "lgamma",
        at_infinity(special.gammaln, np.inf),
        samples=log_sizes,
        domain=(-4.5, 9),
        scale=one,
    ),
    function("digamma", special.digamma, samples=log_sizes, domain=(0.1, 9), scale=one),
    function(
        "polygamma",
        lambda n, x: special.polygamma(n, x),
        samples=orders,
        domain=(0.1, 9),
        errors=(
            ErrorCase(at.InvalidValueError, "n of at least 0, got -1", -1, np.ones(2)),
            ErrorCase(at.DTypeError, "expected real numbers, got complex", 1, np.ones(2, np.complex64)),
        ),
    ),
    function(
        "mvlgamma",
        lambda x, p: np.asarray(special.multigammaln(x, p)),
        samples=lambda draw: iter([Sample(draw(3, 4), 1), Sample(draw(5), 3), Sample(draw(), p=2)]),
        scale=lambda x, p: np.full(x.shape, 10),  # of the terms of its sum
        domain=(1.1, 9),
        dtypes=(*FLOATS, "int32"),
        errors=(ErrorCase(at.InvalidValueError, r"p in \[1, 100000\], got 0", np.ones(2), 0),),
    ),
    # Far from other = input the result is exp(-t), with the relative error t times that of t. Compared with mpmath, the
    # float64 kernels are within 80 ulp on this domain, and SciPy within 370 (at input = 0.14, other = 1.1).
    function(
        "igamma",
        incomplete(special.gammainc),
        samples=large_pairs,
        domain=(0.05, 15),
        ulps={"default": 1, "float64": 400},
        errors=(COMPLEX_PAIR,),
        differentiable=("other",),
    ),
    function(
        "igammac",
        incomplete(special.gammaincc),
        samples=large_pairs,
        domain=(0.05, 15),
        ulps={"default": 1, "float64": 400},
        errors=(COMPLEX_PAIR,),
        differentiable=("other",),
    ),
]
