"""Rules of ranked elements and modes: the gradient goes to where they were found."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook
from atled.autograd.rules.extremes import chosen

_core = at.ops.core


def _back(g_values: Any, input_shape: Any, indices: Any) -> Any:
    return _core.scatter_add(g_values.new_zeros(input_shape), -1, indices, g_values)


def register(rule: RuleBook) -> None:
    rule("ranked", input=_back)
    rule("mode", input=chosen)
    rule.batch("dims", "mode")
