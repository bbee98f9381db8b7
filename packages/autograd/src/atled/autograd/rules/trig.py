"""Rules of trigonometric and hyperbolic functions."""

import math
from typing import Any

import atled.core as at
from atled.autograd._math import conj
from atled.autograd._rule import RuleBook


def _sinc(g: Any, input: Any, out: Any) -> Any:
    safe = at.where(input == 0, 1, input)
    return g * conj(at.where(input == 0, 0, (at.cos(input * math.pi) - out) / safe))


def register(rule: RuleBook) -> None:
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
    rule("asinh", input=lambda g, input: g / conj(at.sqrt(input * input + 1)))
    # Not sqrt(x² - 1), which takes the other branch in half of the complex plane.
    rule("acosh", input=lambda g, input: g / conj(at.sqrt(input - 1) * at.sqrt(input + 1)))
    rule("atanh", input=lambda g, input: g / conj(1 - input * input))
    rule(
        "atan2",
        input=lambda g, input, other: g * (other / (input * input + other * other)),
        other=lambda g, input, other: -g * (input / (input * input + other * other)),
    )
    rule("hypot", input=lambda g, input, out: g * (input / out), other=lambda g, other, out: g * (other / out))
