"""Orthogonal polynomials against SciPy's; those of the third and fourth kind as sums of the second."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import special

import atled.core as at
from atled.testing import Draw, ErrorCase, OpSpec, Sample

from ..core.gamma import COMPLEX_PAIR

FAR = ErrorCase(at.InvalidValueError, "n of at most 1000000, got more", np.ones(2), np.array([3, 2**40]))


def degrees(draw: Draw) -> Iterator[Sample]:
    for n in (0, 1, 2, 5, 11):
        yield Sample(draw(3, 4), n)
    if draw.smooth:
        return
    yield Sample(draw(3, 1), np.arange(-1, 20))
    yield Sample(draw(1037), 7)
    yield Sample(draw(2, 0, 3), draw(3, low=0, high=9))
    yield Sample(np.array([-1, 0, 1]).astype(draw(1).dtype)[:, None], np.arange(12))
    yield Sample(draw(5), np.array([0, 1, 2.5, 3, 9], np.float32))


def polynomial(name: str, evaluate: Any, domain: tuple[float, float], **kwargs: Any) -> OpSpec:
    def reference(x: Any, n: Any) -> Any:
        n = np.floor(n).astype(np.int64) if isinstance(n, np.ndarray) else int(n)
        x, n = np.broadcast_arrays(np.asarray(x, np.float64), n)
        return np.where(n < 0, 0, evaluate(np.maximum(n, 0), x))

    fields: dict[str, Any] = {
        "samples": degrees,
        "dtypes": ("float16", "float32", "float64", "int32"),
        "result": "float",
        # Sums that may cancel: what rounds is of the size that the polynomial has at -|x|, or at 1.
        "scale": lambda x, n: 1 + np.abs(reference(np.maximum(x, 1), n)),
        "ulps": {"default": 1, "float64": 32},
        "errors": (FAR, COMPLEX_PAIR),
        "differentiable": ("input",),
        **kwargs,
    }
    return OpSpec(name=f"special::{name}", reference=reference, domain=domain, **fields)


def u(n: Any, x: Any) -> Any:
    return np.where(n < 0, 0, special.eval_chebyu(np.maximum(n, 0), x))


KINDS = {
    "t": special.eval_chebyt,
    "u": u,
    "v": lambda n, x: u(n, x) - u(n - 1, x),
    "w": lambda n, x: u(n, x) + u(n - 1, x),
}


def hermite_size(step: int) -> Any:
    """What Hermite's recurrence adds up, all terms of one sign: step 2 for H, 1 for He."""

    def size(x: Any, n: Any) -> Any:
        n, x = np.broadcast_arrays(np.floor(n), np.asarray(x, np.float64))
        p, q, result = np.zeros(x.shape), np.ones(x.shape), np.ones(x.shape)
        for k in range(int(np.max(n, initial=0))):
            p, q = q, step * (x * q + k * p)
            result = np.where(n == k + 1, q, result)
        return result

    return size


def shifted(evaluate: Any) -> Any:
    return lambda n, x: evaluate(n, 2 * x - 1)


SPECS = [
    *(polynomial(f"chebyshev_polynomial_{kind}", f, (-0.95, 0.95)) for kind, f in KINDS.items()),
    *(polynomial(f"shifted_chebyshev_polynomial_{kind}", shifted(f), (0.05, 0.95)) for kind, f in KINDS.items()),
    polynomial("hermite_polynomial_h", special.eval_hermite, (-2, 2), scale=hermite_size(2)),
    polynomial("hermite_polynomial_he", special.eval_hermitenorm, (-2, 2), scale=hermite_size(1)),
    polynomial("laguerre_polynomial_l", special.eval_laguerre, (0.1, 3)),
    polynomial("legendre_polynomial_p", special.eval_legendre, (-0.95, 0.95)),
]
