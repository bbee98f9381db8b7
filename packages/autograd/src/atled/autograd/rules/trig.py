"""Rules of trigonometric and hyperbolic functions."""

import math
from typing import Any

import atled.core as at
from atled.autograd._math import conj
from atled.autograd._rule import RuleBook


def _sinc(g: Any, input: Any, out: Any) -> Any:
    safe = at.where(input == 0, 1, input)
    return g * conj(at.where(input == 0, 0, (at.cos(input * math.pi) - out) / safe))


def _squared(x: Any, y: Any) -> Any:
    """The square of the distance to the origin, where 1 stands for 0: slopes there are 0, not NaN."""
    size = x * x + y * y
    return at.where(size == 0, 1, size)


def register(rule: RuleBook) -> None:
    rule.autocast("float32", "acos", "asin", "cosh", "sinh", "tan")
    rule("deg2rad", input=lambda g: at.deg2rad(g))
    rule("rad2deg", input=lambda g: at.rad2deg(g))
    rule("sinc", input=_sinc)
    rule("sin", input=lambda g, input: g * conj(at.cos(input)))
    rule("cos", input=lambda g, input: -g * conj(at.sin(input)))
    rule("tan", input=lambda g, out: g * conj(out * out + 1))
    rule("asin", input=lambda g, input: g / conj(at.sqrt(1 - input * input)))
    rule("acos", input=lambda g, input: -g / conj(at.sqrt(1 - input * input)))
    rule("atan", input=lambda g, input: g / conj(input * input + 1))
    rule("sinh", input=lambda g, input: g * conj(at.cosh(input)))
    rule("cosh", input=lambda g, input: g * conj(at.sinh(input)))
    rule("tanh", input=lambda g, out: g * conj(1 - out * out))
    # By the result, which says on which side of a branch cut it is.
    rule("asinh", input=lambda g, out: g / conj(at.cosh(out)))
    # Not sqrt(x² - 1), which takes the other branch in half of the complex plane.
    rule("acosh", input=lambda g, input: g / conj(at.sqrt(input - 1) * at.sqrt(input + 1)))
    rule("atanh", input=lambda g, input: g / conj(1 - input * input))
    rule(
        "atan2",
        input=lambda g, input, other: g * (other / _squared(input, other)),
        other=lambda g, input, other: -g * (input / _squared(input, other)),
    )
    # At (0, 0) it has a kink; 0 is the smallest of its slopes there.
    rule(
        "hypot",
        input=lambda g, input, out: g * (input / at.where(out == 0, 1, out)),
        other=lambda g, other, out: g * (other / at.where(out == 0, 1, out)),
    )
