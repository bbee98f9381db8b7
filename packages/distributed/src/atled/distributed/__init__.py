"""Many processes training one model: process groups, collectives, data-parallel training and a launcher."""

from ._collectives import (
    all_gather,
    all_gather_into_tensor,
    all_gather_object,
    all_reduce,
    barrier,
    broadcast,
    broadcast_object_list,
    reduce_scatter,
    reduce_scatter_tensor,
)
from ._ddp import DistributedDataParallel
from ._errors import DistError, DistTimeoutError, MismatchError, RankFailedError
from ._group import ProcessGroup, ReduceOp, Work
from ._launch import Failure, launch, spawn
from ._store import Store
from ._world import (
    GroupMember,
    destroy_process_group,
    get_backend,
    get_rank,
    get_world_size,
    init_process_group,
    is_available,
    is_initialized,
    new_group,
)

__all__ = [
    "DistError",
    "DistTimeoutError",
    "DistributedDataParallel",
    "Failure",
    "GroupMember",
    "MismatchError",
    "ProcessGroup",
    "RankFailedError",
    "ReduceOp",
    "Store",
    "Work",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "destroy_process_group",
    "get_backend",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_initialized",
    "launch",
    "new_group",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "spawn",
]
