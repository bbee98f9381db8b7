"""Where PyTorch has ``torch.nn.parameter``: what its programs import from there."""

from ._parameter import Parameter, UninitializedParameter

__all__ = ["Parameter", "UninitializedParameter"]
