"""Marks of ops that answer yes or no."""

from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule.non_differentiable(
        "equal", "allclose", "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "isclose"
    )
    rule.non_differentiable("isposinf", "isneginf", "isreal", "signbit")
    rule.non_differentiable("logical_and", "logical_or", "logical_xor", "logical_not")
    rule.non_differentiable("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
    rule.non_differentiable("bitwise_left_shift", "bitwise_right_shift")
