"""Optimizers of many processes, where PyTorch's programs look for them."""

from ._zero import ZeroRedundancyOptimizer

__all__ = ["ZeroRedundancyOptimizer"]
