"""In which dtypes a sharded module computes and communicates, and where it keeps what it does not use."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType

import atled.core as at
from atled.core import ArgumentError, DTypeError

__all__ = ["CPUOffloadPolicy", "MixedPrecisionPolicy", "OffloadPolicy"]


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """The dtypes of a sharded module; None is that of the parameters.

    ``param_dtype``: of the whole floating parameters, and so of computing. The shards, which the optimizer changes,
    keep theirs. ``reduce_dtype``: of the averaging of gradients; None is ``param_dtype``. ``output_dtype``: what
    floating results of forward are converted to. ``cast_forward_inputs``: whether floating arguments of forward are
    converted to ``param_dtype``.

    Raises DTypeError for dtypes that are not floating, ArgumentError for what is no dtype.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> policy = dist.MixedPrecisionPolicy(param_dtype=at.bfloat16, reduce_dtype=at.float32)
    >>> model = dist.fully_shard(nn.Linear(4, 6), mp_policy=policy)
    >>> model(at.ones((1, 4))).dtype, model.weight.dtype
    (atled.bfloat16, atled.float32)
    """

    param_dtype: at.dtype | None = None
    reduce_dtype: at.dtype | None = None
    output_dtype: at.dtype | None = None
    cast_forward_inputs: bool = True

    def __post_init__(self) -> None:
        for name in ("param_dtype", "reduce_dtype", "output_dtype"):
            dtype = getattr(self, name)
            if not isinstance(dtype, (at.dtype, NoneType)):
                raise ArgumentError(f"MixedPrecisionPolicy: expected {name} to be a dtype or None, got {dtype!r}")
            if dtype is not None and not dtype.is_floating_point:
                raise DTypeError(f"MixedPrecisionPolicy: expected {name} to be a floating dtype, got {dtype}")


@dataclass(frozen=True)
class OffloadPolicy:
    """Where the shards of a module are: on the device that it computes on. `CPUOffloadPolicy` has them elsewhere.

    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.fsdp import OffloadPolicy
    >>> dist.fully_shard(nn.Linear(4, 6), offload_policy=OffloadPolicy()).weight.device.type
    'cpu'
    """


@dataclass(frozen=True)
class CPUOffloadPolicy(OffloadPolicy):
    """The shards are on cpu, and so are their gradients and the optimizer's state and steps.

    They are copied to the device of the mesh, or without one to that which the parameters have been on, before they are
    gathered there, and gradients come back. On a module that computes on cpu it changes nothing. ``pin_memory``:
    whether shards and gradients are in memory that a GPU copies from directly, which no other process can have then.

    What acts on gradients of all ranks, such as ``clip_grad_norm_``, and whole state dicts need a backend for cpu, too:
    ``init_process_group()`` takes both. Raises ArgumentError for a ``pin_memory`` that is no bool.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.fsdp import CPUOffloadPolicy
    >>> mesh = dist.init_device_mesh("cpu", (2,))  # "cuda", in earnest
    >>> model = dist.fully_shard(nn.Linear(4, 6), mesh=mesh, offload_policy=CPUOffloadPolicy(pin_memory=False))
    >>> model(at.ones((1, 4))).sum().backward()
    >>> model.weight.device.type, model.weight.grad.device.type
    ('cpu', 'cpu')
    """

    pin_memory: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.pin_memory, bool):
            raise ArgumentError(f"CPUOffloadPolicy: expected pin_memory to be a bool, got {self.pin_memory!r}")
