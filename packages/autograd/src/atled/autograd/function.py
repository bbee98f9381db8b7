"""Where PyTorch has ``torch.autograd.function``: what its programs import from there."""

from atled.autograd._function import Function, once_differentiable
from atled.autograd._function import FunctionContext as FunctionCtx

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
