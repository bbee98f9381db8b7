"""Automatic differentiation for atled tensors, of any order.

>>> import atled.core as at
>>> x = at.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad.tolist()
[2.0, 4.0]
"""

import importlib
from typing import TYPE_CHECKING, Any

from atled.autograd import grad_mode
from atled.autograd._anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from atled.autograd._engine import backward, grad
from atled.autograd._function import Function, FunctionContext, once_differentiable
from atled.autograd._rule import coverage, rule
from atled.autograd._tape import Node
from atled.autograd.grad_mode import (
    enable_grad,
    enforce_grad_layout_policy,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)

if TYPE_CHECKING:
    from atled.autograd import amp, checkpoint, forward_ad, func, function, functional, graph, graphed
    from atled.autograd._gradcheck import GradcheckError, gradcheck, gradgradcheck
    from atled.autograd._variable import Variable
    from atled.autograd.amp import autocast

__all__ = [
    "Function",
    "FunctionContext",
    "GradcheckError",
    "Node",
    "Variable",
    "amp",
    "autocast",
    "backward",
    "checkpoint",
    "coverage",
    "detect_anomaly",
    "enable_grad",
    "enforce_grad_layout_policy",
    "forward_ad",
    "func",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "graphed",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "rule",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


def __getattr__(name: str) -> Any:
    # What training does not need is imported when it is asked for; the checks need NumPy.
    if name in ("amp", "checkpoint", "forward_ad", "func", "function", "functional", "graph", "graphed"):
        return importlib.import_module(f"atled.autograd.{name}")
    if name == "autocast":
        return importlib.import_module("atled.autograd.amp").autocast
    if name == "Variable":
        return importlib.import_module("atled.autograd._variable").Variable
    if name not in ("GradcheckError", "gradcheck", "gradgradcheck"):
        raise AttributeError(f"module 'atled.autograd' has no attribute {name!r}")
    from atled.autograd import _gradcheck

    return getattr(_gradcheck, name)
