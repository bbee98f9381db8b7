"""Rules of the error function's inverse."""

import math

import atled.core as at
from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule.autocast("float32", "erfinv")
    rule("erfinv", input=lambda g, out: g * (at.exp(out * out) * (math.sqrt(math.pi) / 2)))
