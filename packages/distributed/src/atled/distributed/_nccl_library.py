"""NCCL's functions by ctypes. The library is loaded when the first is needed, and not before."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_void_p
from functools import cache
from typing import Any

import atled.core as at
from atled.core import DeviceError

from ._errors import DistError

__all__ = ["CONSTANTS", "FUNCTIONS", "NCCL", "UniqueId", "is_usable", "nccl"]

FILE = "libnccl.so.2"
_MEND = "pip install 'atled-distributed[cuda]' brings it"


class UniqueId(ctypes.Structure):
    """``ncclUniqueId``."""

    _fields_ = [("internal", ctypes.c_uint8 * 128)]


# The functions with their arguments; all but those that answer text answer an ncclResult_t.
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "ncclGetVersion": (POINTER(c_int),),
    "ncclGetUniqueId": (POINTER(UniqueId),),
    "ncclCommInitRank": (POINTER(c_void_p), c_int, UniqueId, c_int),
    "ncclCommDestroy": (c_void_p,),
    "ncclCommAbort": (c_void_p,),
    "ncclCommGetAsyncError": (c_void_p, POINTER(c_int)),
    "ncclCommCuDevice": (c_void_p, POINTER(c_int)),
    "ncclReduce": (c_void_p, c_void_p, c_size_t, c_int, c_int, c_int, c_void_p, c_void_p),
    "ncclBroadcast": (c_void_p, c_void_p, c_size_t, c_int, c_int, c_void_p, c_void_p),
    "ncclAllReduce": (c_void_p, c_void_p, c_size_t, c_int, c_int, c_void_p, c_void_p),
    "ncclReduceScatter": (c_void_p, c_void_p, c_size_t, c_int, c_int, c_void_p, c_void_p),
    "ncclAllGather": (c_void_p, c_void_p, c_size_t, c_int, c_void_p, c_void_p),
    "ncclSend": (c_void_p, c_size_t, c_int, c_int, c_void_p, c_void_p),
    "ncclRecv": (c_void_p, c_size_t, c_int, c_int, c_void_p, c_void_p),
    "ncclGroupStart": (),
    "ncclGroupEnd": (),
}
_TEXTS: dict[str, tuple[Any, ...]] = {"ncclGetErrorString": (c_int,), "ncclGetLastError": (c_void_p,)}

# The numbers of NCCL's enumerators that are used here.
CONSTANTS = {
    "ncclSuccess": 0,
    "ncclInvalidUsage": 5,
    "ncclInProgress": 7,
    "ncclSum": 0,
    "ncclProd": 1,
    "ncclMax": 2,
    "ncclMin": 3,
    "ncclAvg": 4,
    "ncclInt8": 0,
    "ncclUint8": 1,
    "ncclInt32": 2,
    "ncclUint32": 3,
    "ncclInt64": 4,
    "ncclUint64": 5,
    "ncclFloat16": 6,
    "ncclFloat32": 7,
    "ncclFloat64": 8,
    "ncclBfloat16": 9,
}


class NCCL:
    """A method for each of ``FUNCTIONS``, by its name, which raises what NCCL answers as a DistError."""

    def __init__(self) -> None:
        from atled.core.cuda._native import handle  # imports what only a program with a GPU needs

        address = handle("open_library", FILE.encode(), _MEND.encode())
        self._library = ctypes.CDLL(FILE, handle=address)
        for name, types in _TEXTS.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = types, c_char_p
        for name, types in FUNCTIONS.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = types, c_int
            setattr(self, name, self._checked(name, function))

    def __getattr__(self, name: str) -> Callable[..., None]:
        raise AttributeError(name)

    def _checked(self, name: str, function: Callable[..., int]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            result = function(*arguments)
            if result:
                raise DistError(f"{name}: {self.explain(result)}")

        return call

    def explain(self, result: int) -> str:
        """What a result means, with NCCL's last words."""
        meaning = (self._library.ncclGetErrorString(result) or b"").decode(errors="replace")
        detail = (self._library.ncclGetLastError(None) or b"").decode(errors="replace").strip()
        mend = ""
        if result == CONSTANTS["ncclInvalidUsage"] and "uplicate GPU" in detail:
            mend = "; give each rank a GPU of its own: at.cuda.set_device(dist.get_node_local_rank()) before"
        more = ", run with NCCL_DEBUG=WARN for more" if not detail else f" ({detail})"
        return f"NCCL says {meaning!r}{more}{mend}"


@cache
def nccl() -> NCCL:
    """The library; DeviceError where it, or a GPU, is missing, each time."""
    return NCCL()


def is_usable() -> bool:
    """Whether there is a GPU, and the library can be loaded."""
    if not at.cuda.is_available():
        return False
    try:
        nccl()
    except DeviceError:
        return False
    return True
