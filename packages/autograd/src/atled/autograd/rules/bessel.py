"""Rules of the modified Bessel function that core itself has."""

import atled.core as at
from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule("i0", input=lambda g, input: g * at.ops.special.i1(input))
