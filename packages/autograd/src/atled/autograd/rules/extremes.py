"""Rules of the largest and smallest elements along a dimension; their gradient goes to where they were found."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook

_core = at.ops.core


def chosen(g_values: Any, input_shape: Any, indices: Any, dim: Any, keepdim: bool) -> Any:
    """The gradient of one value along dim, whose place is in indices."""
    if not keepdim and len(input_shape):
        g_values, indices = at.unsqueeze(g_values, dim), at.unsqueeze(indices, dim)
    return _core.scatter_add(g_values.new_zeros(input_shape), dim, indices, g_values)


def register(rule: RuleBook) -> None:
    rule("max_dim", input=chosen)
    rule("min_dim", input=chosen)
    rule.non_differentiable("argmax", "argmin")
    rule.batch("dims", "max_dim", "min_dim", "argmax", "argmin")
