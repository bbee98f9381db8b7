"""What takes communication away, to see what it costs."""

from __future__ import annotations

from atled.core import Tensor

from ..._comm_hook import GradBucket
from ...futures import Future

__all__ = ["noop_hook"]


def noop_hook(_: object, bucket: GradBucket) -> Future[Tensor]:
    """Leaves each rank its own gradients: the time that a step so takes is what it takes without communication.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks.debugging_hooks import noop_hook
    >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
    >>> model.register_comm_hook(None, noop_hook)
    >>> model(at.full((1, 2), dist.get_rank() + 1.0)).sum().backward()
    >>> model.weight.grad[0, 0].item() == dist.get_rank() + 1.0
    True
    """
    future: Future[Tensor] = Future()
    future.set_result(bucket.buffer())
    return future
