"""Many processes training one model: process groups, collectives, data-parallel training and a launcher.

The examples are what each of two ranks runs after ``init_process_group()``: put that and one of them into a file, and
start it by ``python -m atled.distributed.run --nproc-per-node 2 example.py``.
"""

from . import algorithms, checkpoint, futures, tensor
from ._backends import (
    get_default_backend_for_device,
    is_backend_available,
    is_gloo_available,
    is_mpi_available,
    is_nccl_available,
    is_ucc_available,
    is_xccl_available,
)
from ._collectives import (
    all_gather,
    all_gather_into_tensor,
    all_gather_single,
    all_reduce,
    all_to_all,
    all_to_all_single,
    barrier,
    broadcast,
    gather,
    monitored_barrier,
    reduce,
    reduce_scatter,
    reduce_scatter_single,
    reduce_scatter_tensor,
    scatter,
)
from ._comm_hook import GradBucket
from ._ddp import DistributedDataParallel
from ._errors import DistError, DistTimeoutError, MismatchError, RankFailedError
from ._group import ProcessGroup, ReduceOp, Work
from ._launch import Failure, launch, spawn
from ._objects import all_gather_object, broadcast_object_list, gather_object, scatter_object_list
from ._store import Store
from ._subgroups import new_subgroups, new_subgroups_by_enumeration
from ._transfers import P2POp, batch_isend_irecv, irecv, isend, recv, recv_object_list, send, send_object_list
from ._world import (
    GroupMember,
    destroy_process_group,
    get_backend,
    get_global_rank,
    get_group_rank,
    get_node_local_rank,
    get_process_group_ranks,
    get_rank,
    get_world_size,
    group,
    init_process_group,
    is_available,
    is_initialized,
    new_group,
)
from ._zero import ZeroRedundancyOptimizer
from .device_mesh import DeviceMesh, init_device_mesh
from .fsdp import FSDPModule, MixedPrecisionPolicy, clip_grad_norm_, fully_shard

__all__ = [
    "DeviceMesh",
    "DistError",
    "DistTimeoutError",
    "DistributedDataParallel",
    "FSDPModule",
    "Failure",
    "GradBucket",
    "GroupMember",
    "MismatchError",
    "MixedPrecisionPolicy",
    "P2POp",
    "ProcessGroup",
    "RankFailedError",
    "ReduceOp",
    "Store",
    "Work",
    "ZeroRedundancyOptimizer",
    "algorithms",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_gather_single",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "barrier",
    "batch_isend_irecv",
    "broadcast",
    "broadcast_object_list",
    "checkpoint",
    "clip_grad_norm_",
    "destroy_process_group",
    "fully_shard",
    "futures",
    "gather",
    "gather_object",
    "get_backend",
    "get_default_backend_for_device",
    "get_global_rank",
    "get_group_rank",
    "get_node_local_rank",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "group",
    "init_device_mesh",
    "init_process_group",
    "irecv",
    "is_available",
    "is_backend_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_ucc_available",
    "is_xccl_available",
    "isend",
    "launch",
    "monitored_barrier",
    "new_group",
    "new_subgroups",
    "new_subgroups_by_enumeration",
    "recv",
    "recv_object_list",
    "reduce",
    "reduce_scatter",
    "reduce_scatter_single",
    "reduce_scatter_tensor",
    "scatter",
    "scatter_object_list",
    "send",
    "send_object_list",
    "spawn",
    "tensor",
]
