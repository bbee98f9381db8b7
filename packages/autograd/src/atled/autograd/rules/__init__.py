"""The gradient rules of core's ops, one module for each family of ops."""

import importlib
from collections.abc import Callable

from atled.autograd._rule import RuleBook

#: As the families are named in core's csrc/ops.
FAMILIES = (
    "arithmetic",
    "comparison",
    "complex",
    "creation",
    "explog",
    "extremes",
    "indexing",
    "joining",
    "matmul",
    "random",
    "reduction",
    "rounding",
    "scan",
    "selection",
    "softmax",
    "sorting",
    "trig",
    "views",
)


def register(rule: RuleBook) -> None:
    """Registers all rules; what the entry point ``atled.gradients`` core names."""
    for family in FAMILIES:
        add: Callable[[RuleBook], None] = importlib.import_module(f"{__name__}.{family}").register
        add(rule)


def register_own(rule: RuleBook) -> None:
    """Registers the rules of this package's own ops."""
    importlib.import_module(f"{__name__}.regions").register(rule)
