"""Rules of sorting: values go back to where they came from."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook
from atled.autograd.rules.extremes import chosen

_core = at.ops.core


def _back(g_values: Any, input_shape: Any, indices: Any, dim: Any) -> Any:
    return _core.scatter_add(g_values.new_zeros(input_shape), dim, indices, g_values)


def register(rule: RuleBook) -> None:
    rule("sort", input=_back)
    rule("topk", input=_back)
    rule("kthvalue", input=chosen)
    rule.non_differentiable("argsort", "searchsorted")
    for op in ("unique_all", "unique_consecutive_all", "unique_dim", "unique_values"):
        rule.not_implemented(op, "which of several equal elements a value is, is not defined")
    rule.batch("dims", "sort", "argsort", "topk", "kthvalue")
    rule.batch("refused", "unique_all", "unique_consecutive_all", "unique_values", "unique_dim")
