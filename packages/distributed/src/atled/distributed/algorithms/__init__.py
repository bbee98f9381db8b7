"""Ready-made parts of distributed training, where PyTorch's programs look for them."""

from . import ddp_comm_hooks

__all__ = ["ddp_comm_hooks"]
