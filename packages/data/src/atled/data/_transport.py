"""Carries Python objects from one process to another, with the memory of their tensors shared and not copied.

An object is pickled with its buffers (tensors and NumPy arrays) out of band, and these go through shared memory, which
the tensors that the receiver rebuilds keep alive. Where it cannot be had, and for little data, the buffers go through
the connection itself.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import atled.core as at

from . import _segments
from ._tensors import buffer_of, rebuild

_ALIGNMENT = 64
# Below this, one more copy is cheaper than a file and a mapping.
_INLINE_BYTES = 32 * 1024
_CAN_SHARE = os.name == "posix" and hasattr(reduction, "sendfds")


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, at.Tensor):
            buffer, dtype = buffer_of(value)
            return rebuild, (pickle.PickleBuffer(buffer), dtype, tuple(value.shape))
        return NotImplemented


@dataclass(frozen=True)
class Parcel:
    """An object on its way, and where its buffers are.

    With ``in_file`` they are in a file: number ``file`` of those that are used again, where it has one; its descriptor
    follows if ``is_new``. ``fallback`` says why there is no file, if not by choice.
    """

    label: Any
    payload: bytes
    sizes: tuple[int, ...]
    in_file: bool = False
    file: int | None = None
    is_new: bool = False
    dropped: Sequence[int] = ()
    fallback: str | None = None


def _layout(sizes: Iterable[int]) -> tuple[list[int], int]:
    """Where each buffer starts in the common memory, and the total size."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(-(-end // _ALIGNMENT) * _ALIGNMENT)
        end = offsets[-1] + size
    return offsets, end


def pack(value: Any) -> tuple[bytes, list[memoryview]]:
    """Pickles an object; returns the pickle and the buffers that it left out."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    return stream.getvalue(), [buffer.raw() for buffer in buffers]


class Sender:
    """The sending end of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._writer = _segments.Writer()

    def release(self, releases: Iterable[_segments.Release]) -> None:
        """Passes on what the receiver has done with; may be called from any thread."""
        self._writer.release(releases)

    def close(self) -> None:
        """Gives up the shared memory that is kept for reuse."""
        self._writer.close()

    def send(self, label: Any, payload: bytes, buffers: Sequence[memoryview]) -> None:
        """Sends what :func:`pack` made, with a small ``label``. Raises OSError if the other side is gone."""
        sizes = tuple(buffer.nbytes for buffer in buffers)
        offsets, total = _layout(sizes)
        fallback: str | None = None
        if _CAN_SHARE and total > _INLINE_BYTES:
            try:
                written = self._writer.write(buffers, offsets, total)
            except OSError as error:
                fallback = f"{_segments.directory()}: {error.strerror}"
            else:
                self._send_file(label, payload, sizes, written)
                return
        self._connection.send(Parcel(label, payload, sizes, fallback=fallback))
        if total:
            memory = bytearray(total)
            for offset, buffer in zip(offsets, buffers, strict=True):
                memory[offset : offset + buffer.nbytes] = buffer
            self._connection.send_bytes(memory)

    def _send_file(self, label: Any, payload: bytes, sizes: tuple[int, ...], written: _segments.Written) -> None:
        number, descriptor, dropped = written
        try:
            self._connection.send(Parcel(label, payload, sizes, True, number, descriptor is not None, dropped))
            if descriptor is not None:
                reduction.send_handle(self._connection, descriptor, None)  # the last argument is for Windows
        finally:
            self._writer.sent(written)


class Receiver:
    """The receiving end of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader = _segments.Reader()

    def take_released(self) -> list[_segments.Release]:
        """What the sender is to be told through its ``release``."""
        return self._reader.take_released()

    def receive(self) -> tuple[Parcel, Callable[[], Any]]:
        """Receives one parcel and how to open it. Raises EOFError or OSError if the other side is gone."""
        parcel: Parcel = self._connection.recv()
        offsets, total = _layout(parcel.sizes)
        memory = self._memory(parcel, total)

        def unpack() -> Any:
            slices = [memory[offset : offset + size] for offset, size in zip(offsets, parcel.sizes, strict=True)]
            return pickle.loads(parcel.payload, buffers=slices)

        return parcel, unpack

    def _memory(self, parcel: Parcel, total: int) -> memoryview:
        if parcel.in_file:
            descriptor = reduction.recv_handle(self._connection) if parcel.is_new else None
            try:
                return self._reader.open(parcel.file, descriptor, total, parcel.dropped)
            finally:
                if descriptor is not None:
                    os.close(descriptor)
        memory = bytearray(total)
        if total:
            self._connection.recv_bytes_into(memory)
        return memoryview(memory)
