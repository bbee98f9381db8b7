"""Rules of softmax and its logarithm."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook

_core = at.ops.core


def _softmax_to_result(g: Any, grad: Any, result: Any, dim: Any) -> Any:
    return g * (grad - at.sum(grad * result, dim, True)) - grad * at.sum(g * result, dim, True)


def register(rule: RuleBook) -> None:
    rule.autocast("float32", "softmax", "log_softmax")
    rule("softmax", input=lambda g, dim, out: _core.softmax_backward(g, out, dim))
    rule("log_softmax", input=lambda g, dim, out: _core.log_softmax_backward(g, out, dim))
    rule(
        "softmax_backward",
        grad=lambda g, result, dim: _core.softmax_backward(g, result, dim),
        result=_softmax_to_result,
    )
    rule(
        "log_softmax_backward",
        grad=lambda g, result, dim: g - at.sum(g * at.exp(result), dim, True),
        result=lambda g, grad, result, dim: -g * at.exp(result) * at.sum(grad, dim, True),
    )
    rule.batch("dims", "softmax", "log_softmax", "softmax_backward", "log_softmax_backward")
