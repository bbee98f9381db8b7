"""Rules of core's arithmetic."""

from typing import Any

import atled.core as at
from atled.autograd._math import conj, scale
from atled.autograd._rule import RuleBook


def _pow_input(g: Any, input: Any, exponent: Any) -> Any:
    # d(x^0)/dx is 0 also where x^-1 is infinite.
    if isinstance(exponent, at.Tensor):
        slope = exponent * input ** at.where(exponent == 0, 1, exponent - 1)
        return g * conj(slope)
    if exponent == 0:
        return at.zeros_like(g)
    if exponent == 1:
        return g
    if exponent == 2:
        return g * conj(input * 2)
    return g * conj(input ** (exponent - 1) * exponent)


def _pow_exponent(g: Any, input: Any, exponent: Any, out: Any) -> Any:
    # 0^x is 0 for all x > 0: there log(0) must not make a NaN of it.
    if not isinstance(input, at.Tensor):
        return g * conj(out * at.log(at.full_like(exponent, input))) if input != 0 else at.zeros_like(g)
    base = at.where(at.logical_and(input == 0, exponent.real >= 0 if _complex(exponent) else exponent >= 0), 1, input)
    return g * conj(out * at.log(base))


def _complex(x: Any) -> bool:
    return bool(x.dtype in (at.complex64, at.complex128))
