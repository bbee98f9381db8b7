"""The gradient rules of core's ops, one module for each family of ops."""

import importlib
import pkgutil
from collections.abc import Callable

from atled.autograd._rule import RuleBook

# Of namespaces other than core's; entry points of their own name these.
_FURTHER = {"fft", "linalg", "orthogonal", "regions", "special", "spectral"}


def register(rule: RuleBook) -> None:
    """Registers the rules of the namespace core; what the entry point ``atled.gradients`` core names."""
    for family in sorted({module.name for module in pkgutil.iter_modules(__path__)} - _FURTHER):
        add: Callable[[RuleBook], None] = importlib.import_module(f"{__name__}.{family}").register
        add(rule)


def register_own(rule: RuleBook) -> None:
    """Registers the rules of this package's own ops."""
    importlib.import_module(f"{__name__}.regions").register(rule)
