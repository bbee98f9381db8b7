"""Rules of what floating numbers are made of."""

import math

import atled.core as at
from atled.autograd._math import conj
from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule("frexp", input=lambda g_mantissa, exponent: at.ldexp(g_mantissa, -exponent))
    rule("ldexp", input=lambda g, other: at.ldexp(g, conj(other)), other=lambda g, out: g * conj(out * math.log(2)))
    rule("nextafter", input=lambda g: g, other=lambda g: at.zeros_like(g))
