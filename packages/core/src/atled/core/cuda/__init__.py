"""GPUs of NVIDIA, with the names of ``torch.cuda``: devices, streams, memory, graphs, marks for profilers.

Importing it needs no GPU; `is_available` says whether there is one.

>>> import atled.core as at
>>> isinstance(at.cuda.is_available(), bool)
True
"""

from typing import TYPE_CHECKING

from atled.core.cuda import memory as memory
from atled.core.cuda import nvtx as nvtx
from atled.core.cuda import random as random
from atled.core.cuda._devices import DeviceProperties as DeviceProperties
from atled.core.cuda._devices import can_device_access_peer as can_device_access_peer
from atled.core.cuda._devices import current_device as current_device
from atled.core.cuda._devices import device as device
from atled.core.cuda._devices import device_count as device_count
from atled.core.cuda._devices import device_of as device_of
from atled.core.cuda._devices import get_device_capability as get_device_capability
from atled.core.cuda._devices import get_device_name as get_device_name
from atled.core.cuda._devices import get_device_properties as get_device_properties
from atled.core.cuda._devices import init as init
from atled.core.cuda._devices import is_available as is_available
from atled.core.cuda._devices import is_bf16_supported as is_bf16_supported
from atled.core.cuda._devices import is_initialized as is_initialized
from atled.core.cuda._devices import mem_get_info as mem_get_info
from atled.core.cuda._devices import set_device as set_device
from atled.core.cuda._devices import synchronize as synchronize
from atled.core.cuda._streams import Event as Event
from atled.core.cuda._streams import ExternalStream as ExternalStream
from atled.core.cuda._streams import Stream as Stream
from atled.core.cuda._streams import StreamContext as StreamContext
from atled.core.cuda._streams import current_stream as current_stream
from atled.core.cuda._streams import default_stream as default_stream
from atled.core.cuda._streams import is_current_stream_capturing as is_current_stream_capturing
from atled.core.cuda._streams import set_stream as set_stream
from atled.core.cuda._streams import stream as stream
from atled.core.cuda.graphs import CUDAGraph as CUDAGraph
from atled.core.cuda.graphs import graph as graph
from atled.core.cuda.graphs import graph_pool_handle as graph_pool_handle
from atled.core.cuda.memory import OutOfMemoryError as OutOfMemoryError
from atled.core.cuda.memory import empty_cache as empty_cache
from atled.core.cuda.memory import host_empty_cache as host_empty_cache
from atled.core.cuda.memory import host_memory_stats as host_memory_stats
from atled.core.cuda.memory import max_memory_allocated as max_memory_allocated
from atled.core.cuda.memory import max_memory_reserved as max_memory_reserved
from atled.core.cuda.memory import memory_allocated as memory_allocated
from atled.core.cuda.memory import memory_reserved as memory_reserved
from atled.core.cuda.memory import memory_snapshot as memory_snapshot
from atled.core.cuda.memory import memory_stats as memory_stats
from atled.core.cuda.memory import memory_summary as memory_summary
from atled.core.cuda.memory import reset_accumulated_memory_stats as reset_accumulated_memory_stats
from atled.core.cuda.memory import reset_peak_memory_stats as reset_peak_memory_stats
from atled.core.cuda.memory import set_per_process_memory_fraction as set_per_process_memory_fraction
from atled.core.cuda.random import get_rng_state as get_rng_state
from atled.core.cuda.random import get_rng_state_all as get_rng_state_all
from atled.core.cuda.random import initial_seed as initial_seed
from atled.core.cuda.random import manual_seed as manual_seed
from atled.core.cuda.random import manual_seed_all as manual_seed_all
from atled.core.cuda.random import seed as seed
from atled.core.cuda.random import seed_all as seed_all
from atled.core.cuda.random import set_rng_state as set_rng_state
from atled.core.cuda.random import set_rng_state_all as set_rng_state_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from atled.core.cuda import amp as amp

    make_graphed_callables: Callable[..., Any]  # comes with atled-autograd


def __getattr__(name: str) -> object:
    import importlib

    from atled.core import _registry

    if name in ("amp", "snapshot"):  # the latter is a program as well, so it is not loaded beforehand
        return importlib.import_module(f"atled.core.cuda.{name}")
    if name.endswith("Tensor"):
        found: object = getattr(importlib.import_module("atled.core.cuda._tensor_types"), name)
    else:
        found = _registry.module_function(f"cuda.{name}")
    globals()[name] = found
    return found
