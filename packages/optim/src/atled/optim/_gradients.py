"""What autograd is told of the ops of ``optim``: none is differentiated through."""

from __future__ import annotations

from typing import Any


def register(rule: Any) -> None:
    """Marks every op; the entry point of the group ``atled.gradients`` names this."""
    for op in (
        *("sgd_", "adam_", "adamax_", "nadam_", "radam_", "adagrad_", "adadelta_", "rmsprop_", "rprop_", "asgd_"),
        *("grad_norm", "scale_by_norm_", "unscale_"),
    ):
        rule.non_differentiable(op)
