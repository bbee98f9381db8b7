"""Special functions of one and two arguments.

The kernels' float64 results were compared with mpmath: all are within 4 ulp of the exact value, relative to the
amplitude of functions that oscillate, but where a comment says otherwise. Larger allowances are for SciPy's errors.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import special

from atled.testing import FLOATS, Draw, OpSpec, Sample
from atled.testing.samples import binary, unary, unary_finite

from ..core.gamma import COMPLEX_PAIR, at_infinity, pairs
from ..core.gamma import function as core_function


def function(name: str, reference: Any, **kwargs: Any) -> OpSpec:
    return core_function(f"special::{name}", reference, **kwargs)


def wave(x: Any) -> Any:
    """The amplitude of a Bessel function, which |x| stands for here."""
    return 0.8 / np.sqrt(np.maximum(x, 1))


def waves(draw: Draw) -> Iterator[Sample]:
    """Without the largest integers, whose phases SciPy does not know."""
    yield from unary_finite(draw)
    if draw.dtype in FLOATS and not draw.smooth:
        yield Sample(draw.specials())
        yield Sample(draw(200, low=0, high=50))


def far_below(draw: Draw) -> Iterator[Sample]:
    """Down to where the distribution function underflows."""
    yield from unary(draw)
    if draw.dtype in ("float32", "float64") and not draw.smooth:
        yield Sample(draw(200, low=-35 if draw.dtype == "float64" else -12, high=5))


def small_tails(draw: Draw) -> Iterator[Sample]:
    yield from unary(draw)
    if draw.dtype in ("float32", "float64") and not draw.smooth:
        yield Sample(np.exp(-draw(200, low=1, high=80).astype(np.float64)).astype(draw.dtype))


def exponents(draw: Draw) -> Iterator[Sample]:
    """Of zeta: above 1, as the other argument is."""
    for sample in pairs(draw):
        yield Sample(*(np.abs(a) + np.asarray(1, a.dtype) if isinstance(a, np.ndarray) else a for a in sample.args))


def logarithm_terms(draw: Draw) -> Iterator[Sample]:
    for sample in binary(draw):
        a, b = sample.args
        yield Sample(a, np.abs(b) if isinstance(b, np.ndarray) and draw.smooth else b)
    if not draw.smooth:
        x = draw(3, 4)
        x[0] = 0
        yield Sample(x, draw(4))


def odd(function: Any) -> Any:
    """With its limits at the infinities, where SciPy has NaN."""
    return lambda x: np.where(np.isinf(x), x, function(x))


def right(function: Any) -> Any:
    """Of functions that vanish at +infinity and are not defined below 0."""
    return lambda x: np.where(x == np.inf, 0, function(x))


def zeta(s: Any, q: Any) -> Any:
    """With its limits for an infinite exponent, where SciPy has NaN."""
    limit = np.where(np.isnan(q) | (q > 1), 0 * q, np.where(q == 1, 1, np.inf))
    return np.where(np.isposinf(s), np.where(np.isposinf(q), 0, limit), special.zeta(s, q))


SCIPY_TAIL = {"default": 1, "float64": 2000}

SPECS = [
    function("erfcx", special.erfcx, domain=(-4, 20), ulps={"default": 1, "float64": 16}),
    function("ndtr", special.ndtr, samples=far_below, ulps=SCIPY_TAIL),
    function("log_ndtr", special.log_ndtr, samples=far_below, ulps={"default": 1, "float64": 64}),
    function("ndtri", special.ndtri, samples=small_tails, domain=(0.001, 0.999), ulps={"default": 1, "float64": 16}),
    function("entr", special.entr, domain=(0.01, 9)),
    function(
        "xlog1py",
        special.xlog1py,
        samples=logarithm_terms,
        errors=(COMPLEX_PAIR,),
    ),
    function(
        "zeta",
        zeta,
        samples=exponents,
        domain=(0.05, 20),
        ulps={"default": 1, "float64": 16},
        errors=(COMPLEX_PAIR,),
        differentiable=("other",),
    ),
    function("i0e", special.i0e, domain=(-20, 20)),
    function("i1", odd(special.i1), domain=(-20, 20)),
    # Cephes' series is off by up to 8 ulp just below 8, where its argument is at the end of its interval.
    function("i1e", special.i1e, domain=(-20, 20)),
    function("modified_bessel_k0", special.k0, domain=(0.05, 20)),
    function("modified_bessel_k1", special.k1, domain=(0.05, 20)),
    function("scaled_modified_bessel_k0", special.k0e, domain=(0.05, 20), elsewhere=1.5),
    function("scaled_modified_bessel_k1", special.k1e, domain=(0.05, 20)),
    # SciPy makes phases x - pi/4 by a subtraction that rounds.
    function(
        "bessel_j0",
        at_infinity(special.j0, 0),
        samples=waves,
        domain=(-20, 20),
        scale=wave,
        ulps={"default": 1, "float64": 64},
    ),
    function(
        "bessel_j1",
        at_infinity(special.j1, 0),
        samples=waves,
        domain=(-20, 20),
        scale=wave,
        ulps={"default": 1, "float64": 64},
    ),
    # Cephes' quotient for y0 is off by up to 11 ulp of the amplitude just below 5.
    function(
        "bessel_y0", right(special.y0), samples=waves, domain=(0.05, 20), scale=wave, ulps={"default": 1, "float64": 64}
    ),
    function(
        "bessel_y1", right(special.y1), samples=waves, domain=(0.05, 20), scale=wave, ulps={"default": 1, "float64": 64}
    ),
    function(
        "spherical_bessel_j0",
        lambda x: np.where(np.isinf(x), 0, special.spherical_jn(0, np.abs(x))),
        domain=(-20, 20),
        scale=lambda x: 1 / np.maximum(x, 1),
    ),
    # SciPy's own error is some 200 ulp where its two series cancel; test_special.py looks at larger arguments.
    function(
        "airy_ai",
        lambda x: np.where(np.isinf(x), 0, special.airy(x)[0]),
        samples=waves,
        domain=(-9, 3),
        scale=lambda x: np.where(x > 3, 0.3, 0.03),
        ulps={"default": 1, "float64": 256},
        differentiable=False,
    ),
]
