"""Where PyTorch has ``torch.utils.data.distributed``: what its programs import from there."""

from ._sampler import DistributedSampler

__all__ = ["DistributedSampler"]
