"""Marks of ops on integers."""

from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule.non_differentiable("gcd", "lcm")
