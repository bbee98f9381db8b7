"""The client of the rendezvous: a key-value store for the group, and the news of ranks that failed."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from atled.core import ArgumentError

from ._calls import CallLog
from ._errors import DistError, DistTimeoutError, RankFailedError
from ._group import seconds

__all__ = ["Store", "listen", "resolve", "start_server"]


class Store:
    """One rank's connection to the rendezvous at ``addr:port``.

    `init_process_group` makes one, and takes one; backends get it. ``timeout``, seconds or a timedelta, is for joining
    and for every call. A thread reads it for as long as it is open. When a rank fails, ``failure`` becomes a
    RankFailedError, waiting calls raise it and ``on_failure`` is called (on the reading thread). ``status`` is asked
    when another rank wants to know what this one is doing: what backends note in ``calls``. Thread-safe.

    Raises DistTimeoutError where nothing answers, DistError for a port or host that cannot be, a rank that has joined
    already, and another ``world_size`` than the job's.

    >>> import os
    >>> from atled import distributed as dist
    >>> rank, port = int(os.environ["RANK"]), int(os.environ["MASTER_PORT"])  # as the launcher has set them
    >>> store = dist.Store(os.environ["MASTER_ADDR"], port, rank, world_size=2, timeout=60)
    >>> store.set(f"from {rank}", "hello")
    >>> store.get(f"from {1 - rank}")
    b'hello'
    >>> set(store.ask()) <= {0, 1}
    True
    >>> store.gather("sizes", 10 * rank)
    [0, 10]
    >>> store.leave()
    """

    def __init__(self, addr: str, port: int, rank: int, world_size: int, timeout: float | timedelta) -> None:
        self.rank = rank
        self.world_size = world_size
        self.timeout = timeout = seconds(timeout)
        self.address = f"{addr}:{port}"
        self.failure: RankFailedError | None = None
        self.on_failure: Callable[[RankFailedError], None] = lambda error: None
        self.calls = CallLog()
        self.status: Callable[[], Any] = self.calls.status
        # Of the calls that wait.
        self._replies: dict[int, dict[str, Any] | None] = {}
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._ident = 0
        self._leaving = False
        self._socket = _connect(addr, port, timeout)
        self._reader = threading.Thread(target=self._read, name="atled-store", daemon=True)
        self._reader.start()
        forget = weakref.WeakMethod(self._forget)  # what is registered stays for ever
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())
        try:
            refusal = self._call({"op": "join", "rank": rank, "world_size": world_size}, timeout)["error"]
            if refusal is not None:
                raise DistError(f"init_process_group: {refusal}")
        except BaseException:
            self._leaving = True
            self._close()
            raise

    def set(self, key: str, value: bytes | str) -> None:
        """Stores ``value``, bytes or a string (as UTF-8), under ``key`` for every rank, in place of what was there.

        Raises ArgumentError for other values, DistTimeoutError where the rendezvous does not answer.
        """
        data = value.encode() if isinstance(value, str) else value
        if not isinstance(data, bytes):
            raise ArgumentError(f"Store.set: expected value to be bytes or a str, got {type(value).__name__}")
        self._call({"op": "set", "key": key, "value": base64.b64encode(data).decode()}, self.timeout)

    def get(self, key: str, timeout: float | timedelta | None = None) -> bytes:
        """Returns the value of ``key``, waiting until some rank has set it.

        ``timeout``: seconds or a timedelta (None: the store's). Raises DistTimeoutError when it is over.
        """
        limit = self.timeout if timeout is None else seconds(timeout)
        reply = self._call({"op": "get", "key": key}, limit, f"nobody has set {key!r}")
        return base64.b64decode(reply["value"])

    def gather(
        self,
        key: str,
        value: Any,
        timeout: float | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> list[Any]:
        """Every rank hands in a JSON value; each gets all of them, in rank order, once all have come.

        ``timeout``: seconds (None: the store's). ``meanwhile`` is called again and again during the wait. Raises
        DistTimeoutError naming the ranks that have not come.
        """
        message = {"op": "gather", "key": key, "value": value}
        try:
            return list(self._call(message, timeout or self.timeout, meanwhile=meanwhile)["value"])
        except DistTimeoutError:
            present = self._call({"op": "present", "key": key}, 5.0)["value"]
            missing = [rank for rank in range(self.world_size) if rank not in present]
            raise DistTimeoutError(
                f"{key}: waited {timeout or self.timeout:g} s for {len(missing)} of {self.world_size} ranks; "
                f"missing: {missing}"
            ) from None

    def ask(self) -> dict[int, Any]:
        """What each rank says it is doing (its ``status()``), without those that do not answer within a second."""
        value = self._call({"op": "ask"}, 5.0)["value"]
        return {int(rank): status for rank, status in value.items()}

    def fail(self, reason: str, traceback: str) -> None:
        """Tells every rank that this one has failed."""
        with contextlib.suppress(OSError):
            self._send({"op": "fail", "reason": reason, "traceback": traceback})

    def leave(self) -> None:
        """Ends the connection in good order: what happens to this process afterwards is no failure."""
        self._leaving = True
        with contextlib.suppress(DistError, OSError):
            self._call({"op": "leave"}, 5.0)
        self._close()

    def _call(
        self,
        message: dict[str, Any],
        timeout: float,
        what: str = "no answer",
        meanwhile: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        with self._changed:
            self._ident += 1
            ident = self._ident
            self._replies[ident] = None
        try:
            self._send({**message, "id": ident})
        except OSError as error:
            # The reader learns from the same end of the connection what it means.
            self._reader.join(1.0)
            raise self.failure or DistError(f"rendezvous at {self.address}: {error}") from None
        deadline = time.monotonic() + timeout
        while not self._wait_for(ident, timeout if meanwhile is None else 1e-3) and time.monotonic() < deadline:
            if meanwhile is not None:
                meanwhile()
        with self._changed:
            reply = self._replies.pop(ident)
        if reply is not None:
            return reply
        if self.failure is not None:
            raise self.failure
        raise DistTimeoutError(f"rendezvous at {self.address}: {what} after {timeout:g} s")

    def _wait_for(self, ident: int, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._replies[ident] is not None or self.failure is not None, timeout)

    def _send(self, message: dict[str, Any]) -> None:
        with self._sending:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    self._receive(json.loads(line))
        except (OSError, ValueError):
            pass
        if not self._leaving:
            self._failed(RankFailedError(f"the rendezvous at {self.address} is gone: the launcher or rank 0 has ended"))

    def _receive(self, message: dict[str, Any]) -> None:
        event = message.get("event")
        if event == "failed":
            rank, reason, traceback = message["rank"], message["reason"], message["traceback"]
            text = f"rank {rank} failed: {reason}"
            self._failed(RankFailedError(f"{text}\n{traceback}".rstrip(), rank, traceback))
        elif event == "ask":
            self._send({"op": "answer", "question": message["question"], "value": self.status()})
        else:
            with self._changed:
                if message["id"] in self._replies:  # or nobody waits for it any more
                    self._replies[message["id"]] = message
                    self._changed.notify_all()

    def _failed(self, error: RankFailedError) -> None:
        with self._changed:
            if self.failure is not None:
                return
            self.failure = error
            self._changed.notify_all()
        self.on_failure(error)

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _forget(self) -> None:
        # A forked child (a data worker) that kept the socket would hide its parent's death from the rendezvous.
        self._leaving = True
        # Not close(), which waits for the reader's file, and that thread is not in the child.
        with contextlib.suppress(OSError):
            os.close(self._socket.detach())


def _connect(addr: str, port: int, timeout: float) -> socket.socket:
    """Connects, waiting for a server that is still starting."""
    deadline = time.monotonic() + timeout
    _check_port(port)
    host = resolve(addr)
    while True:
        try:
            sock = socket.create_connection((host, port), timeout=min(timeout, 5.0))
        except OSError as error:
            if time.monotonic() >= deadline:
                raise DistTimeoutError(
                    f"init_process_group: nothing answers at {addr}:{port} ({error}); "
                    "check MASTER_ADDR and MASTER_PORT, and that rank 0 is running"
                ) from error
            time.sleep(0.05)
        else:
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock)
            return sock


def listen(addr: str, port: int) -> socket.socket:
    """A listening IPv4 socket at ``addr:port`` (port 0: any free one); MPICH's start-up protocol knows IPv4 alone."""
    _check_port(port)
    try:
        sock = socket.create_server((resolve(addr), port), backlog=1024)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise DistError(
                f"rendezvous: cannot listen at {addr}:{port}: {error.strerror}; choose another MASTER_PORT"
            ) from error
        # The address belongs to a gateway or service in front of this machine.
        sock = socket.create_server(("", port), backlog=1024)
    _keep_alive(sock)  # those that it accepts, too
    return sock


def _keep_alive(sock: socket.socket) -> None:
    """Has a machine at the other end that vanishes without a word noticed in about ten seconds."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, setting in (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), setting)


def _check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise DistError(f"rendezvous: expected a MASTER_PORT from 0 to 65535, got {port}")


def resolve(addr: str) -> str:
    """The IPv4 address of a host name."""
    try:
        return str(socket.getaddrinfo(addr, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except socket.gaierror as error:
        raise DistError(f"rendezvous: cannot resolve MASTER_ADDR={addr!r}: {error.strerror}") from error


def start_server(addr: str, port: int, world_size: int) -> subprocess.Popen[bytes]:
    """Starts the rendezvous in a process of its own, which ends soon after this process does.

    A thread would not do: starting MPI holds the interpreter while it talks to the server.
    """
    script = str(Path(__file__).with_name("_rendezvous.py"))
    with listen(addr, port) as sock:
        descriptor = sock.fileno()
        return subprocess.Popen(
            [sys.executable, "-I", script, str(descriptor), str(world_size), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[descriptor],
            start_new_session=True,
        )
