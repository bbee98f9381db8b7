"""Carries Python objects from one process to another, with the memory of their tensors shared and not copied.

An object is pickled with its buffers (tensors and NumPy arrays) out of band. The sender writes them into one file in
memory that never has a name, and passes its descriptor through the connection: so nothing is left behind when either
process is killed. The receiver maps the file, and the tensors it rebuilds own the mapping. Where such a file cannot be
had, and for little data, the buffers go through the connection itself.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import atled.core as at

from ._tensors import array_of, rebuild

_ALIGNMENT = 64
# Below this, one more copy is cheaper than a file and a mapping.
_INLINE_BYTES = 32 * 1024
# A mapping costs a descriptor and one of the kernel's limited areas; of a receiver's further batches copies are made.
_MAX_MAPPINGS = 128

_CAN_SHARE = os.name == "posix" and hasattr(reduction, "sendfds")
_mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, at.Tensor):
            array, dtype = array_of(value)
            return rebuild, (pickle.PickleBuffer(array), dtype, tuple(value.shape))
        return NotImplemented


@dataclass(frozen=True)
class Parcel:
    """An object on its way. ``fallback`` says why its buffers came through the connection, if not by choice."""

    label: Any
    payload: bytes
    sizes: tuple[int, ...]
    in_file: bool
    fallback: str | None = None

    def offsets(self) -> list[int]:
        """Where each buffer starts in the common memory, and at the end the total size."""
        offsets, end = [], 0
        for size in self.sizes:
            start = -(-end // _ALIGNMENT) * _ALIGNMENT
            offsets.append(start)
            end = start + size
        return [*offsets, end]


def pack(value: Any) -> tuple[bytes, list[memoryview]]:
    """Pickles an object; returns the pickle and the buffers that it left out."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    return stream.getvalue(), [buffer.raw() for buffer in buffers]


def send(connection: Connection, label: Any, payload: bytes, buffers: Sequence[memoryview]) -> None:
    """Sends what :func:`pack` made, with a small ``label``. Raises OSError if the other side is gone."""
    sizes = tuple(buffer.nbytes for buffer in buffers)
    parcel = Parcel(label, payload, sizes, in_file=True)
    *offsets, total = parcel.offsets()
    descriptor: int | None = None
    fallback: str | None = None
    if _CAN_SHARE and total > _INLINE_BYTES:
        try:
            descriptor = _write_file(buffers, offsets)
        except OSError as error:
            fallback = f"{_directory() or 'the temporary folder'}: {error.strerror}"
    if descriptor is not None:
        try:
            connection.send(parcel)
            reduction.send_handle(connection, descriptor, None)  # type: ignore[arg-type]  # the pid is for Windows
        finally:
            os.close(descriptor)
        return
    connection.send(Parcel(label, payload, sizes, in_file=False, fallback=fallback))
    if total:
        memory = bytearray(total)
        for offset, buffer in zip(offsets, buffers, strict=True):
            memory[offset : offset + buffer.nbytes] = buffer
        connection.send_bytes(memory)


def receive(connection: Connection) -> tuple[Parcel, Callable[[], Any]]:
    """Receives one parcel and how to open it. Raises EOFError or OSError if the other side is gone."""
    parcel: Parcel = connection.recv()
    *offsets, total = parcel.offsets()
    memory: Any = b""
    if parcel.in_file:
        descriptor = reduction.recv_handle(connection)
        try:
            memory = _map_file(descriptor, total)
        finally:
            os.close(descriptor)
    elif total:
        memory = bytearray(total)
        connection.recv_bytes_into(memory)

    def unpack() -> Any:
        view = memoryview(memory)
        slices = [view[offset : offset + size] for offset, size in zip(offsets, parcel.sizes, strict=True)]
        return pickle.loads(parcel.payload, buffers=slices)

    return parcel, unpack


@lru_cache(maxsize=1)
def _directory() -> str | None:
    """A folder whose files are memory, or None for the temporary folder."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None


def _write_file(buffers: Sequence[memoryview], offsets: Sequence[int]) -> int:
    """A descriptor of a nameless file with the buffers. Raises OSError where there is no room.

    Written and not mapped: a full file system is then an error code here, where a mapping would end in SIGBUS.
    """
    # TemporaryFile opens without a name where the system can, and otherwise unlinks at once.
    with tempfile.TemporaryFile(dir=_directory(), buffering=0) as file:
        for offset, buffer in zip(offsets, buffers, strict=True):
            done = 0
            while done < buffer.nbytes:
                done += os.pwrite(file.fileno(), buffer[done:], offset + done)
        return os.dup(file.fileno())


def _map_file(descriptor: int, size: int) -> mmap.mmap | bytearray:
    if len(_mappings) >= _MAX_MAPPINGS:
        memory = bytearray(size)
        view, done = memoryview(memory), 0
        while done < size:
            done += os.preadv(descriptor, [view[done:]], done)
        return memory
    # MAP_POPULATE, where there is one, takes all page faults at once.
    mapping = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
    _mappings.add(mapping)
    return mapping
