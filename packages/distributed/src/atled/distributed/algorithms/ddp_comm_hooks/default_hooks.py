"""Averages, as they are and in two bytes for each element.

The state of these hooks is the process group, None for all ranks. What they are told of errors is as for `all_reduce`.
"""

from __future__ import annotations

import functools
from typing import Any

import atled.core as at
from atled.core import Tensor

from ..._collectives import all_reduce
from ..._comm_hook import GradBucket, Hook
from ..._group import ProcessGroup
from ..._world import group_or_default
from ...futures import Future

__all__ = [
    "allreduce_hook",
    "bf16_compress_hook",
    "bf16_compress_wrapper",
    "fp16_compress_hook",
    "fp16_compress_wrapper",
]


def allreduce_hook(process_group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Averages the gradients over the ranks, as without a hook.

    It divides before it adds up, so that narrow dtypes do not overflow.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
    >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
    >>> model.register_comm_hook(None, allreduce_hook)
    >>> model(at.full((1, 2), dist.get_rank() + 1.0)).sum().backward()
    >>> model.weight.grad.tolist()
    [[1.5, 1.5]]
    """
    return averaged(process_group, bucket.buffer())


def averaged(process_group: ProcessGroup | None, tensor: Tensor) -> Future[Tensor]:
    """Averages a tensor in place."""
    group = group_or_default(process_group, "communication hook")
    work = all_reduce(tensor.div_(group.size), group=group, async_op=True)
    assert work is not None
    return work.get_future().then(lambda future: future.value()[0])


def _compressed(dtype: at.dtype, hook: Hook, state: Any, bucket: GradBucket) -> Future[Tensor]:
    """What a hook gives that sees the gradients in another dtype, as they were."""
    flat = bucket.buffer()
    if not flat.is_floating_point():
        return hook(state, bucket)
    bucket.set_buffer(flat.to(dtype))
    future = hook(state, bucket)
    return future.then(lambda future: flat.copy_(future.value())) if isinstance(future, Future) else future


def fp16_compress_hook(process_group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Averages gradients in float16: by NCCL half of what float32 would send, with three digits and a bit.

    MPI adds up in float32 and sends as much as without it. What is above 65504 becomes infinite; `bf16_compress_hook`
    has fewer digits and the exponents of float32. Complex gradients are averaged as they are.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
    >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
    >>> model.register_comm_hook(None, fp16_compress_hook)
    >>> model(at.full((1, 2), 0.1)).sum().backward()
    >>> model.weight.grad.tolist()
    [[0.0999755859375, 0.0999755859375]]
    """
    return _compressed(at.float16, allreduce_hook, process_group, bucket)


def bf16_compress_hook(process_group: ProcessGroup | None, bucket: GradBucket) -> Future[Tensor]:
    """Averages gradients in bfloat16: by NCCL half of what float32 would send, with two digits and a bit.

    MPI adds up in float32 and sends as much as without it. Complex gradients are averaged as they are.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
    >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
    >>> model.register_comm_hook(None, bf16_compress_hook)
    >>> model(at.full((1, 2), 0.1)).sum().backward()
    >>> model.weight.grad.tolist()
    [[0.10009765625, 0.10009765625]]
    """
    return _compressed(at.bfloat16, allreduce_hook, process_group, bucket)


def fp16_compress_wrapper(hook: Hook) -> Hook:
    """A hook that lets another one work on gradients in float16; what that gives is converted back.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks import debugging_hooks, default_hooks
    >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
    >>> model.register_comm_hook(None, default_hooks.fp16_compress_wrapper(debugging_hooks.noop_hook))
    >>> model(at.full((1, 2), 0.1)).sum().backward()
    >>> model.weight.grad.tolist()
    [[0.0999755859375, 0.0999755859375]]
    """
    return functools.partial(_compressed, at.float16, hook)


def bf16_compress_wrapper(hook: Hook) -> Hook:
    """As `fp16_compress_wrapper`, in bfloat16.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks import debugging_hooks, default_hooks
    >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
    >>> model.register_comm_hook(None, default_hooks.bf16_compress_wrapper(debugging_hooks.noop_hook))
    >>> model(at.full((1, 2), 0.1)).sum().backward()
    >>> model.weight.grad.tolist()
    [[0.10009765625, 0.10009765625]]
    """
    return functools.partial(_compressed, at.bfloat16, hook)
