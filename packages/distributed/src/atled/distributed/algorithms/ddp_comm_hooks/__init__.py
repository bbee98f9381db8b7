"""Hooks for `DistributedDataParallel.register_comm_hook`: how a bucket's gradients of all ranks become one."""

from . import debugging_hooks, default_hooks, powerSGD_hook

__all__ = ["debugging_hooks", "default_hooks", "powerSGD_hook"]
