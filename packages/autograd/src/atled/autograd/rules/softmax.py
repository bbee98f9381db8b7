"""Rules of softmax and its logarithm."""

import atled.core as at
from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule("softmax", input=lambda g, dim, out: (g - at.sum(g * out, dim, True)) * out)
    rule("log_softmax", input=lambda g, dim, out: g - at.exp(out) * at.sum(g, dim, True))
    rule.batch("dims", "softmax", "log_softmax")
