"""Rules of making and copying tensors. What is made like a tensor does not depend on its values."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook


def _fill(input: Any, value: Any) -> Any:
    return at.ops.core.copy_(input, value) if isinstance(value, at.Tensor) else NotImplemented


def _copy(input: Any, other: Any, non_blocking: bool) -> Any:
    # Assignment lets a value have leading dimensions of size 1 that its place has not.
    if other.ndim <= input.ndim:
        return NotImplemented
    return at.ops.core.copy_(input, other.reshape(other.shape[other.ndim - input.ndim :]), non_blocking)


def register(rule: RuleBook) -> None:
    rule.non_differentiable(
        "empty", "zeros", "ones", "full", "empty_strided", "scalar_tensor", "arange", "linspace", "logspace", "eye"
    )
    rule.non_differentiable("empty_like", "zeros_like", "ones_like", "full_like")
    rule.non_differentiable("new_empty", "new_zeros", "new_ones", "new_full")
    rule("tril", input=lambda g, diagonal: at.tril(g, diagonal))
    rule("triu", input=lambda g, diagonal: at.triu(g, diagonal))
    rule.non_differentiable("tril_indices", "triu_indices")
    rule("diag_embed", input=lambda g, offset, dim1, dim2: at.diagonal(g, offset, dim1, dim2))
    # The tape brings gradients to the dtype and device of what they belong to.
    rule("clone", input=lambda g: g)
    rule("to_copy", input=lambda g: g)
    rule("copy_", input=None, other=lambda g: g)
    rule("fill_", input=None, value=lambda g: g)
    rule("zero_", input=None)
    rule.linear("tril", "triu", "diag_embed", "copy_", "fill_", "zero_")
    rule.batch(
        "aligned", "tril", "triu", "copy_", "zero_", "fill_", "empty_like", "zeros_like", "ones_like", "full_like"
    )
    rule.batch("places", "diag_embed")
    rule.batch("sizes", "new_empty", "new_zeros", "new_ones", "new_full")
    rule.decompose("fill_", _fill)
    rule.decompose("copy_", _copy)
