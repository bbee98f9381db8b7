"""Sharding of parameters, gradients and optimizer state over the ranks."""

from ._clip import clip_grad_norm_, max_over_ranks_
from ._fully_shard import FSDPModule, UnshardHandle, fully_shard, register_fsdp_forward_method
from ._policy import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy
from ._sharded_tensor import ShardedTensor

__all__ = [
    "CPUOffloadPolicy",
    "FSDPModule",
    "MixedPrecisionPolicy",
    "OffloadPolicy",
    "ShardedTensor",
    "UnshardHandle",
    "clip_grad_norm_",
    "fully_shard",
    "max_over_ranks_",
    "register_fsdp_forward_method",
]
