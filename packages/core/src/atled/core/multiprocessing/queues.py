"""The standard queues over connections that carry tensors in shared memory."""

from __future__ import annotations

import threading
from multiprocessing import queues, reduction
from typing import Any

from .connection import Pipe, pack


class SimpleQueue(queues.SimpleQueue):  # type: ignore[type-arg]
    """``multiprocessing.SimpleQueue`` over such a connection."""

    _reader: Any
    _writer: Any
    _rlock: Any
    _wlock: Any

    def __init__(self, *, ctx: Any) -> None:
        super().__init__(ctx=ctx)
        _renew(self)
        self._poll = self._reader.poll

    def put(self, obj: Any) -> None:
        """Sends an object."""
        packet = pack(obj)
        with self._wlock:
            self._writer.send_packet(packet)

    def get(self) -> Any:
        """Waits for an object."""
        with self._rlock:
            received = self._reader.recv_packet()
        return received.open()


_current = threading.local()


class _Parcel:
    """What the standard queue's thread pickles in place of an object: the packet stays with the thread."""

    def __init__(self, obj: Any) -> None:
        self._obj = obj

    def __reduce__(self) -> Any:
        _current.sent = pack(self._obj)
        return _Parcel, (None,)


def _open_parcel() -> Any:
    received = _current.received
    del _current.received
    return received.open()


class _Opened:
    """What the standard queue unpickles: it stands for the object that the thread has received."""

    def __reduce__(self) -> Any:
        return _open_parcel, ()


_OPENED = bytes(reduction.ForkingPickler.dumps(_Opened()))


class _QueueMixin:
    """Takes the objects of a standard queue through packets."""

    _reader: Any
    _writer: Any

    def __init__(self, maxsize: int = 0, *, ctx: Any) -> None:
        super().__init__(maxsize, ctx=ctx)  # type: ignore[call-arg]
        _renew(self)
        self._reset()

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Puts an object into the queue; a thread sends it."""
        super().put(_Parcel(obj), block, timeout)  # type: ignore[misc]

    def _reset(self, after_fork: bool = False) -> None:
        super()._reset(after_fork)  # type: ignore[misc]
        self._send_bytes, self._recv_bytes = self._send_current, self._recv_current

    def _send_current(self, buffer: Any) -> None:
        packet, _current.sent = _current.sent, None
        self._writer.send_packet(packet)

    def _recv_current(self) -> bytes:
        _current.received = self._reader.recv_packet()
        return _OPENED


class Queue(_QueueMixin, queues.Queue):  # type: ignore[type-arg]
    """``multiprocessing.Queue`` over such a connection."""


class JoinableQueue(_QueueMixin, queues.JoinableQueue):  # type: ignore[type-arg]
    """``multiprocessing.JoinableQueue`` over such a connection."""


def _renew(queue: Any) -> None:
    """Puts connections of ours in place of a queue's pipe."""
    queue._reader.close()
    queue._writer.close()
    queue._reader, queue._writer = Pipe(duplex=False)
