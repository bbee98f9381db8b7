"""Where PyTorch has ``torch.optim.optimizer``: what its programs import from there."""

from ._optimizer import Optimizer

__all__ = ["Optimizer"]
