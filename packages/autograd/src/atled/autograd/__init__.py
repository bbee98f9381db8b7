"""Automatic differentiation for atled tensors, of any order.

>>> import atled.core as at
>>> x = at.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad.tolist()
[2.0, 4.0]
"""

from typing import TYPE_CHECKING, Any

from atled.autograd._engine import backward, grad
from atled.autograd._function import Function, FunctionContext
from atled.autograd._mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from atled.autograd._rule import coverage, rule
from atled.autograd._tape import Node

if TYPE_CHECKING:
    from atled.autograd._gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = [
    "Function",
    "FunctionContext",
    "GradcheckError",
    "Node",
    "backward",
    "coverage",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "rule",
    "set_grad_enabled",
]


def __getattr__(name: str) -> Any:
    # The checks need NumPy, which training does not.
    if name not in ("GradcheckError", "gradcheck", "gradgradcheck"):
        raise AttributeError(f"module 'atled.autograd' has no attribute {name!r}")
    from atled.autograd import _gradcheck

    return getattr(_gradcheck, name)
