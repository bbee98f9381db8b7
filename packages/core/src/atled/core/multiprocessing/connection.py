"""Connections that carry tensors in shared memory.

What ``send`` does can be had in two steps: ``pack`` pickles an object, ``send_packet`` sends it. On the other side
``recv_packet`` answers once the packet is here, with a label that came beside it, and ``open`` makes the object.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import pickle
import socket
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, reduction
from typing import Any

from . import _packing, _segments
from ._packing import Packet as Packet
from ._packing import layout
from ._packing import pack as pack

# Below this, one more copy is cheaper than a file and a mapping.
_INLINE_BYTES = 32 * 1024
_COUNT = struct.Struct("!I")
_MAX_DESCRIPTORS = 250  # per message of the system, whose limit is 253

#: The ways to send tensors: "file_descriptor" through shared memory, "copy" through the connection.
STRATEGIES = frozenset({"file_descriptor", "copy"})
_strategy = "file_descriptor"


class SharedMemoryWarning(RuntimeWarning):
    """Tensors are copied through the connection, because shared memory could not be had."""


def get_strategy() -> str:
    """The way in which this process sends tensors."""
    return _strategy


def set_strategy(strategy: str) -> None:
    """Sets the way in which this process sends tensors."""
    global _strategy
    _strategy = strategy


@dataclass
class Received:
    """A packet that has come; ``fallback`` says why it was copied, if not by choice."""

    label: Any
    fallback: str | None
    open: Callable[[], Any]


class _Descriptors:
    """Descriptors that came with a packet; closed when nobody needs them."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.lost = False

    def __del__(self) -> None:
        while self.numbers:
            os.close(self.numbers.pop())


class Connection(connection.Connection):
    """A ``multiprocessing`` connection over a socket, whose ``send`` and ``recv`` pass tensors in shared memory."""

    def __init__(self, handle: Any, readable: bool = True, writable: bool = True) -> None:
        self._writer = _segments.Writer()
        self._reader = _segments.Reader()
        super().__init__(handle, readable, writable)

    def send(self, obj: Any) -> None:
        """Sends an object that can be pickled."""
        self.send_packet(pack(obj))

    def recv(self) -> Any:
        """Receives an object; raises EOFError when nothing is left and the other end is closed."""
        return self.recv_packet().open()

    def send_packet(self, packet: Packet, *, warn: bool = True) -> None:
        """Sends what `pack` made. Without `warn`, only the receiver learns that there was no shared memory."""
        self._check_closed()  # type: ignore[attr-defined]
        self._check_writable()  # type: ignore[attr-defined]
        offsets, total = layout(packet.sizes)
        written: _segments.Written | None = None
        fallback: str | None = None
        if total > _INLINE_BYTES and _strategy != "copy":
            try:
                written = self._writer.write(packet.pieces, offsets, total)
            except OSError as error:
                fallback = f"{total} bytes: {error.strerror}"
                if warn:
                    _warn(fallback)
        key = None if written is None else written.key
        header = (packet.payload, packet.places, packet.sizes, packet.label, written is not None, key, fallback)
        try:
            self._send_descriptors(packet.shared + ([written.descriptor] if written is not None else []))
            self._send_bytes(pickle.dumps(header, 5))  # type: ignore[attr-defined]
        finally:
            if written is not None:
                self._writer.sent(written)
        if written is None and total:
            memory = bytearray(total)
            for offset, piece in zip(offsets, packet.pieces, strict=True):
                memory[offset : offset + piece.nbytes] = piece
            self._send_bytes(memory)  # type: ignore[attr-defined]

    def recv_packet(self) -> Received:
        """Receives a packet, without making its object yet."""
        self._check_closed()  # type: ignore[attr-defined]
        self._check_readable()  # type: ignore[attr-defined]
        descriptors = self._recv_descriptors()
        header = self._recv_bytes().getbuffer()  # type: ignore[attr-defined]
        payload, places, sizes, label, in_file, key, fallback = pickle.loads(header)
        _, total = layout(sizes)
        memory = memoryview(b"")
        if total and not in_file:
            memory = self._recv_bytes().getbuffer()  # type: ignore[attr-defined]
        # Not before all of the message is read, so that the next one can be.
        if descriptors.lost:
            raise OSError(errno.EMFILE, "the shared memory of a message is lost: this process has too many open files")
        if in_file:
            memory = self._reader.open(key, descriptors.numbers[-1], total)
        return Received(label, fallback, lambda: _packing.unpack(payload, places, memory, sizes, descriptors.numbers))

    def _close(self) -> None:
        """At close() and when nobody has the connection any more; tensors that came through it stay."""
        self._writer.close()
        self._reader.close()
        super()._close()  # type: ignore[misc]

    def _send_descriptors(self, descriptors: Sequence[int]) -> None:
        with self._socket() as end:
            if len(descriptors) <= _MAX_DESCRIPTORS:
                _send(end, _COUNT.pack(len(descriptors)), descriptors)
                return
            _send(end, _COUNT.pack(len(descriptors)), ())
            for first in range(0, len(descriptors), _MAX_DESCRIPTORS):
                _send(end, b"d", descriptors[first : first + _MAX_DESCRIPTORS])

    def _recv_descriptors(self) -> _Descriptors:
        found = _Descriptors()
        with self._socket() as end:
            (count,) = _COUNT.unpack(_recv(end, _COUNT.size, found.numbers))
            if count > _MAX_DESCRIPTORS:
                for _ in range(0, count, _MAX_DESCRIPTORS):
                    _recv(end, 1, found.numbers)
        found.lost = len(found.numbers) < count
        return found

    @contextlib.contextmanager
    def _socket(self) -> Iterator[socket.socket]:
        """The connection as the socket that it is."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, self.fileno())
        try:
            yield end
        finally:
            end.detach()


def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:
    """Both ends of a connection; without `duplex`, the first only receives and the second only sends.

    Tensors and NumPy arrays in what is sent go through shared memory.

    >>> receiver, sender = Pipe(duplex=False)
    >>> sender.send([at.tensor([1, 2]), "two"])
    >>> receiver.recv()
    [tensor([1, 2]), 'two']
    """
    left, right = socket.socketpair()
    return Connection(left.detach(), writable=duplex), Connection(right.detach(), readable=duplex)


def _send(end: socket.socket, data: bytes, descriptors: Sequence[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    sent = end.sendmsg([data], rights)
    if sent < len(data):
        end.sendall(data[sent:])


def _recv(end: socket.socket, size: int, descriptors: list[int]) -> bytes:
    """So many bytes; the descriptors that come with them are added to the list."""
    data = b""
    item = array.array("i").itemsize
    while len(data) < size:
        more, rights, _, _ = end.recvmsg(size - len(data), socket.CMSG_SPACE(_MAX_DESCRIPTORS * item))
        for level, kind, content in rights:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.extend(array.array("i", content[: len(content) // item * item]))
        if not more:
            if data:
                raise OSError("got end of file during message")
            raise EOFError
        data += more
    return data


def _warn(reason: str) -> None:
    warnings.warn(
        f"no shared memory for a message ({reason}); it is copied through the connection, which is slower; "
        "give this process more memory, or send less at a time",
        SharedMemoryWarning,
        stacklevel=4,
    )


def _reduce_connection(end: Connection) -> Any:
    return _rebuild_connection, (reduction.DupFd(end.fileno()), end.readable, end.writable)


def _rebuild_connection(descriptor: Any, readable: bool, writable: bool) -> Connection:
    return Connection(descriptor.detach(), readable, writable)


reduction.ForkingPickler.register(Connection, _reduce_connection)
