"""Rules of making and copying tensors. What is made like a tensor does not depend on its values."""

import atled.core as at
from atled.autograd._rule import RuleBook


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
