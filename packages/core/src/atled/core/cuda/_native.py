"""The backend's table of functions (include/atled/cuda.h), bound with ctypes when it is first needed."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Any

from atled.core import _core


class Properties(ctypes.Structure):
    """``atled_cuda_properties``."""

    _fields_ = [
        ("name", ctypes.c_char * 256),
        ("uuid", ctypes.c_uint8 * 16),
        ("total_memory", c_uint64),
        ("major", c_int32),
        ("minor", c_int32),
        ("multi_processor_count", c_int32),
        ("warp_size", c_int32),
        ("max_threads_per_block", c_int32),
        ("max_threads_per_multi_processor", c_int32),
        ("regs_per_multiprocessor", c_int32),
        ("shared_memory_per_block", c_int32),
        ("shared_memory_per_block_optin", c_int32),
        ("shared_memory_per_multiprocessor", c_int32),
        ("l2_cache_size", c_int32),
        ("is_integrated", c_int32),
        ("is_multi_gpu_board", c_int32),
        ("pci_bus_id", c_int32),
        ("pci_device_id", c_int32),
        ("pci_domain_id", c_int32),
    ]


_INT, _HANDLE, _TEXT = POINTER(c_int32), POINTER(c_void_p), POINTER(c_char_p)

# The functions in the table's order, with their arguments.
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "versions": (_INT, _INT),
    "device_count": (_INT,),
    "properties": (c_int32, POINTER(Properties), ctypes.c_size_t),
    "current_device": (_INT,),
    "set_device": (c_int32,),
    "memory_info": (c_int32, POINTER(c_uint64), POINTER(c_uint64)),
    "can_access_peer": (c_int32, c_int32, _INT),
    "pointer_device": (c_void_p, _INT),
    "synchronize": (c_int32,),
    "stream_create": (c_int32, c_int32, _HANDLE),
    "stream_priorities": (c_int32, _INT, _INT),
    "stream_priority": (c_int32, c_void_p, _INT),
    "current_stream": (c_int32, _HANDLE),
    "set_stream": (c_int32, c_void_p),
    "stream_query": (c_int32, c_void_p, _INT),
    "stream_synchronize": (c_int32, c_void_p),
    "stream_wait": (c_int32, c_void_p, c_void_p),
    "stream_capturing": (c_int32, c_void_p, _INT),
    "event_create": (c_int32, c_uint32, _HANDLE),
    "event_destroy": (c_int32, c_void_p),
    "event_record": (c_int32, c_void_p, c_void_p),
    "event_query": (c_int32, c_void_p, _INT),
    "event_synchronize": (c_int32, c_void_p),
    "event_elapsed": (c_int32, c_void_p, c_void_p, POINTER(c_double)),
    "record_stream": (c_int32, c_void_p, c_void_p),
    "memory_stats": (c_int32, _TEXT),
    "memory_snapshot": (c_int32, _TEXT),
    "reset_peak_stats": (c_int32,),
    "reset_accumulated_stats": (c_int32,),
    "record_history": (c_int32, c_uint64),
    "empty_cache": (c_int32,),
    "set_memory_fraction": (c_int32, c_double),
    "host_tensor": (c_int32, c_int32, POINTER(c_int64), POINTER(c_int64), _HANDLE),
    "host_pinned": (c_void_p, _INT),
    "host_stats": (_TEXT,),
    "host_empty_cache": (),
    "graph_begin": (c_int32, c_int32, POINTER(c_uint64), _HANDLE),
    "graph_end": (c_void_p,),
    "graph_launch": (c_void_p,),
    "graph_destroy": (c_void_p,),
    "counters": (c_int32, c_void_p, c_uint64, c_void_p),
    "range_push": (c_char_p, _INT),
    "range_pop": (_INT,),
    "range_start": (c_char_p, POINTER(c_uint64)),
    "range_end": (c_uint64,),
    "mark": (c_char_p,),
    "open_library": (c_char_p, c_char_p, _HANDLE),
    "index_begin": (c_int32, c_char_p, c_char_p, c_void_p),
    "index_end": (c_int32, c_void_p),
    "enter_device": (c_int32,),
    "leave_device": (),
}


# They wait for nothing, so the GIL is kept.
_BRIEF = {"current_device", "current_stream", "set_stream", "range_push", "range_pop", "mark"}


class _Table(ctypes.Structure):
    _fields_ = [
        (name, (ctypes.PYFUNCTYPE if name in _BRIEF else ctypes.CFUNCTYPE)(ctypes.c_int, *types))
        for name, types in FUNCTIONS.items()
    ]


def _checked(function: Callable[..., int]) -> Callable[..., None]:
    raise_error = _core._raise_error

    def call(*arguments: Any) -> None:
        if function(*arguments):
            raise_error()

    return call


class Native:
    """A method for each function of the table, which raises what the function answers as an error."""

    def __init__(self) -> None:
        _core.device("cuda")  # loads the backend, or says why there is none
        self._table = _Table.from_buffer_copy(_core._group("cuda", 1, ctypes.sizeof(_Table)))
        for name in FUNCTIONS:
            setattr(self, name, _checked(getattr(self._table, name)))

    def __getattr__(self, name: str) -> Callable[..., None]:
        raise AttributeError(name)


@cache
def native() -> Native:
    """The table; DeviceError where no GPU can be used, each time."""
    return Native()


def loaded() -> bool:
    """Whether the table is in use already."""
    return native.cache_info().currsize > 0


def ask(name: str, *arguments: Any) -> int:
    """The int32 that a function answers in its last argument."""
    out = c_int32()
    getattr(native(), name)(*arguments, byref(out))
    return out.value


def handle(name: str, *arguments: Any) -> int:
    """The pointer that a function answers in its last argument; 0 for NULL."""
    out = c_void_p()
    getattr(native(), name)(*arguments, byref(out))
    return out.value or 0


def tell(name: str, *arguments: Any) -> Any:
    """What the JSON that a function answers in its last argument says."""
    out = c_char_p()
    getattr(native(), name)(*arguments, byref(out))
    return json.loads(out.value or b"null")
