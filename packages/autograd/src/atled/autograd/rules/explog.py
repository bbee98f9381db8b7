"""Rules of exponentials, logarithms, roots and what is made of them."""

import math
from typing import Any

import atled.core as at
from atled.autograd._math import conj
from atled.autograd._rule import RuleBook

_LN2, _LN10 = math.log(2), math.log(10)
_ERF_SLOPE = 2 / math.sqrt(math.pi)


def _logit(g: Any, input: Any, eps: Any) -> Any:
    slope = g / (input * (1 - input))
    return slope if eps is None else at.where(at.logical_and(input >= eps, input <= 1 - eps), slope, 0)


def _xlogy_input(g: Any, input: Any, other: Any) -> Any:
    # other may be a number: the product makes a tensor of it.
    flat = at.logical_and(input == 0, at.ones_like(g) * other <= 0)
    return at.where(flat, 0, at.xlogy(g, other))


def register(rule: RuleBook) -> None:
    rule.autocast("float32", "exp", "expm1", "log", "log10", "log1p", "log2", "rsqrt")
    rule("exp", input=lambda g, out: g * conj(out))
    rule("exp2", input=lambda g, out: g * conj(out * _LN2))
    rule("expm1", input=lambda g, out: g * conj(out + 1))
    rule("log", input=lambda g, input: g / conj(input))
    rule("log2", input=lambda g, input: g / conj(input * _LN2))
    rule("log10", input=lambda g, input: g / conj(input * _LN10))
    rule("log1p", input=lambda g, input: g / conj(input + 1))
    rule("sqrt", input=lambda g, out: g / conj(out * 2))
    rule("rsqrt", input=lambda g, out: g * conj(out * out * out * -0.5))
    rule("sigmoid", input=lambda g, out: g * conj(out * (1 - out)))
    rule("erf", input=lambda g, input: g * (at.exp(-input * input) * _ERF_SLOPE))
    rule("erfc", input=lambda g, input: g * (at.exp(-input * input) * -_ERF_SLOPE))
    rule("logit", input=_logit)
    rule(
        "xlogy",
        input=_xlogy_input,
        other=lambda g, input, other: g * (input / other),
    )
    rule(
        "logaddexp2",
        input=lambda g, input, other: g * at.sigmoid(at.sub(input, other) * _LN2),
        other=lambda g, input, other: g * at.sigmoid(at.sub(other, input) * _LN2),
    )
    rule(
        "logaddexp",
        input=lambda g, input, other: g * at.sigmoid(at.sub(input, other)),
        other=lambda g, input, other: g * at.sigmoid(at.sub(other, input)),
    )
