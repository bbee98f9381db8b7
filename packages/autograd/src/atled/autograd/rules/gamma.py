"""Rules of the gamma function's relatives."""

import math
from typing import Any, NoReturn

import atled.core as at
from atled.autograd._math import is_number
from atled.autograd._rule import RuleBook


def _unknown(g: Any) -> NoReturn:
    raise at.NotImplementedOpError(
        "the derivative of the incomplete gamma functions in input has no closed form; detach input"
    )


def _density(g: Any, input: Any, other: Any) -> Any:
    """g times the integrand of igamma at its end."""
    if is_number(input):
        return g * at.exp(at.xlogy(input - 1, other) - other - math.lgamma(input))
    return g * at.exp(at.xlogy(at.sub(input, 1), other) - other - at.lgamma(input))


def _mvlgamma(g: Any, input: Any, p: int) -> Any:
    slope = at.digamma(input)
    for j in range(1, p):
        slope = slope + at.digamma(input - j / 2)
    return g * slope


def register(rule: RuleBook) -> None:
    rule("lgamma", input=lambda g, input: g * at.digamma(input))
    rule("digamma", input=lambda g, input: g * at.polygamma(1, input))
    rule("polygamma", input=lambda g, n, input: g * at.polygamma(n + 1, input))
    rule("mvlgamma", input=_mvlgamma)
    rule("igamma", input=_unknown, other=_density)
    rule("igammac", input=_unknown, other=lambda g, input, other: -_density(g, input, other))
