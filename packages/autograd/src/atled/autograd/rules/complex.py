"""Rules of complex numbers and their parts; the tape gives each gradient its argument's dtype."""

import atled.core as at
from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule("conj", input=lambda g: at.conj(g))
    rule("real", input=lambda g: g)
    rule("imag", input=lambda g: g * 1j)
