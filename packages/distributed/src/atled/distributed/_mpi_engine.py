"""MPI from one thread: the only thread of the process that calls MPI runs operations in the order of submission.

Every operation first exchanges a line of text that says what it is. That finds ranks that call different things, and
it costs no processor while a slower rank is awaited: requests are polled with growing pauses, never spun on, so that
computation goes on beside communication, and a failed rank or a timeout ends the wait.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import DistError, DistTimeoutError, MismatchError
from ._group import FutureWork
from ._store import resolve

if TYPE_CHECKING:
    from mpi4py.MPI import Comm, Request

    from ._store import Store

__all__ = ["Engine", "Run"]

Run = Callable[["Comm", Callable[["Request"], None]], None]
_SIGNATURE_BYTES = 256
_SPIN_SECONDS = 5e-5
_MEMORY_MAP = Path("/proc/self/maps")


class Channel:
    """One communicator with its name, its ranks (in the job), its timeout in seconds and the number of its calls."""

    def __init__(self, comm: Comm, name: str, ranks: tuple[int, ...], timeout: float) -> None:
        self.comm = comm
        self.name = name
        self.ranks = ranks
        self.timeout = timeout
        self.calls = 0


class _Operation:
    def __init__(self, channel: Channel, signature: str, run: Run | None) -> None:
        channel.calls += 1
        self.channel = channel
        self.number = channel.calls
        self.signature = signature
        self.run = run
        self.work = FutureWork(signature)

    def __str__(self) -> str:
        return f"{self.signature} (call {self.number} of group {self.channel.name!r})"


class Engine:
    """Owns MPI in this process. ``submit`` from any thread; after a failure every operation ends with that failure."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished: dict[_Operation, None] = {}
        self._last = "nothing yet"
        self._calls: dict[str, int] = {}
        self._failure: BaseException | None = None
        self._abandoned: list[Any] = []
        self.world: Comm | None = None
        store.status = self._status
        started = FutureWork("init_process_group")
        store.on_failure = started.finish
        self._thread = threading.Thread(target=self._main, args=(started,), name="atled-mpi", daemon=True)
        self._thread.start()
        started.wait()

    def submit(self, channel: Channel, signature: str, run: Run | None = None) -> FutureWork:
        """Queues an operation; ``run(comm, wait)`` runs on the MPI thread once every rank of the channel is there."""
        operation = _Operation(channel, signature, run)
        with self._lock:
            self._unfinished[operation] = None
            self._last = str(operation)
            self._calls[channel.name] = operation.number
            failure = self._failure
        if failure is not None:
            self._end(operation, failure)
        else:
            self._queue.put(operation)
        return operation.work

    def abort(self, error: BaseException) -> None:
        """Ends everything in progress, and everything submitted later, with ``error``."""
        with self._lock:
            self._failure = self._failure or error
            unfinished = list(self._unfinished)
        for operation in unfinished:
            self._end(operation, self._failure)

    def close(self, channel: Channel) -> None:
        """Ends the engine together with all other ranks; raises if one of them does something else instead.

        MPI itself stays up, for MPI_Finalize waits without a limit and the process could not start MPI again.
        """

        def leave(comm: Comm, wait: Callable[[Request], None]) -> None:
            # Until every rank is through, a slower one may need this one's help to receive what was sent to it.
            self._store.gather("destroy_process_group", None, channel.timeout, meanwhile=comm.Iprobe)

        self.submit(channel, "destroy_process_group()", leave).wait()
        self._queue.put(None)
        self._thread.join()

    def _main(self, started: FutureWork) -> None:
        try:
            self.world = _init_mpi(self._store)
        except BaseException as error:
            started.finish(error)
            return
        started.finish()
        while (operation := self._queue.get()) is not None:
            if self._failure is None:
                self._run(operation)

    def _run(self, operation: _Operation) -> None:
        deadline = time.monotonic() + operation.channel.timeout

        def wait(request: Request) -> None:
            self._poll(request, operation, deadline)

        try:
            self._meet(operation, wait)
            if operation.run is not None:
                operation.run(operation.channel.comm, wait)
        except MismatchError as error:
            self._end(operation, error)
        except BaseException as error:
            # A half-done collective leaves the ranks out of step: nothing after it could be trusted.
            self._end(operation, error)
            self.abort(error)
        else:
            self._end(operation, None)

    def _meet(self, operation: _Operation, wait: Callable[[Request], None]) -> None:
        """Returns when every rank of the channel is at this operation; raises if one is at another."""
        comm = operation.channel.comm
        mine = np.frombuffer(_fixed_size(operation.signature), np.uint8)
        all_ranks = np.empty((comm.size, _SIGNATURE_BYTES), np.uint8)
        wait(comm.Iallgather(mine, all_ranks))
        if (all_ranks != mine).any():
            calls = [bytes(row).rstrip(b"\0").decode(errors="replace") for row in all_ranks]
            lines = [f"  rank {rank}: {call}" for rank, call in zip(operation.channel.ranks, calls, strict=True)]
            name = operation.signature.partition("(")[0]
            raise MismatchError("\n".join([f"{name}: expected the same call on every rank, got", *lines]))

    def _poll(self, request: Request, operation: _Operation, deadline: float) -> None:
        start = time.monotonic()
        while not request.Test():
            now = time.monotonic()
            if self._failure is not None or now > deadline:
                self._abandoned.append((request, operation))
                raise self._failure or DistTimeoutError(self._missing(operation))
            waited = now - start
            # The shortest sleep takes 50 µs, and a small operation less than that if every rank is there.
            if waited > _SPIN_SECONDS:
                time.sleep(5e-5 if waited < 0.1 else 5e-4)

    def _missing(self, operation: _Operation) -> str:
        """Who does not come, and what the others say they do instead."""
        channel = operation.channel
        try:
            answers = self._store.ask()
        except DistError:
            answers = {}
        lines = []
        for rank in channel.ranks:
            if rank not in answers:
                lines.append(f"  rank {rank} does not answer")
            elif answers[rank]["calls"].get(channel.name, 0) < operation.number:
                lines.append(f"  rank {rank} has not called it; its last call: {answers[rank]['last']}")
        return "\n".join([f"{operation}: not done within {channel.timeout:g} s", *lines])

    def _status(self) -> dict[str, Any]:
        return {"last": self._last, "calls": self._calls}

    def _end(self, operation: _Operation, error: BaseException | None) -> None:
        with self._lock:
            self._unfinished.pop(operation, None)
        operation.work.finish(error)


def _fixed_size(signature: str) -> bytes:
    text = signature.encode()
    if len(text) > _SIGNATURE_BYTES:
        digest = hashlib.sha256(text).hexdigest()[:16].encode()
        text = text[: _SIGNATURE_BYTES - len(digest) - 3] + b"..." + digest
    return text.ljust(_SIGNATURE_BYTES, b"\0")


def _init_mpi(store: Store) -> Comm:
    """Starts MPICH with this process as one rank of the job; returns a communicator of all ranks."""
    folder = _mpich_folder()
    if folder is not None:
        os.environ.setdefault("MPI4PY_LIBMPI", folder)
    host, _, port = store.address.rpartition(":")
    # MPICH's own names: where its start-up server listens, and who we are there.
    os.environ.update(PMI_PORT=f"{resolve(host)}:{port}", PMI_ID=str(store.rank), MPIR_CVAR_PMI_VERSION="1")
    import mpi4py

    mpi4py.rc.initialize = False
    mpi4py.rc.finalize = False
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise DistError(f"init_process_group: backend 'mpi' cannot load MPICH; pip install mpich: {error}") from error

    # Nobody may be missing from here on: inside MPI_Init there is no timeout.
    store.gather("init_process_group", None)
    if not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_SERIALIZED)
    # Programs that this process starts are no ranks.
    for name in ("PMI_PORT", "PMI_ID"):
        del os.environ[name]
    world = MPI.COMM_WORLD
    if (world.size, world.rank) != (store.world_size, store.rank):
        vendor = " ".join(map(str, MPI.get_vendor()))
        raise DistError(
            f"init_process_group: MPI ({vendor}) has rank {world.rank} of {world.size}, the environment says "
            f"{store.rank} of {store.world_size}; backend 'mpi' needs MPICH (pip install mpich), started by nobody "
            "else in this process, and the same RANK and WORLD_SIZE each time"
        )
    group = world.Dup()
    store.gather("init_process_group: MPI", None)
    _unlink_shared_memory()
    return group


def _unlink_shared_memory() -> None:
    """Takes the names off MPICH's shared memory, now that every rank has mapped it: no death leaves a file behind."""
    if not _MEMORY_MAP.exists():
        return
    paths = {line.split()[-1] for line in _MEMORY_MAP.read_text().splitlines() if "/dev/shm/mpich_shm_" in line}
    for path in paths:
        Path(path).unlink(missing_ok=True)


def _mpich_folder() -> str | None:
    """The folder of the wheel mpich's libraries, wherever pip has put it."""
    try:
        files = importlib.metadata.files("mpich") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((str(Path(file.locate()).resolve().parent) for file in files if file.stem == "libmpi"), None)
