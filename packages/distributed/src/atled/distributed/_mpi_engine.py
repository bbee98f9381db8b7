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
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._calls import overdue
from ._errors import DistError, DistTimeoutError, MismatchError, left
from ._group import FutureWork
from ._store import resolve

if TYPE_CHECKING:
    from mpi4py.MPI import Comm, Request, Status

    from ._store import Store

__all__ = ["SIGNATURE_BYTES", "Engine", "Receives", "Run", "Steps", "fixed_size"]

Run = Callable[["Comm", Callable[["Request"], None]], None]
# Yields each request that it cannot go on without; gets the status of the message.
Steps = Callable[["Comm", FutureWork], Generator["Request", "Status", None]]
SIGNATURE_BYTES = 256
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


@dataclass
class Receives:
    """What a transfer receives: messages with ``tag`` from the rank ``source`` of the channel, None from any."""

    tag: int
    source: int | None


class _Operation:
    def __init__(
        self,
        channel: Channel,
        signature: str,
        run: Run | None,
        steps: Steps | None = None,
        receives: Receives | None = None,
    ) -> None:
        # Messages between two ranks are no calls that all ranks make.
        channel.calls += steps is None
        self.steps = steps
        self.receives = receives
        self.channel = channel
        self.number = channel.calls
        self.signature = signature
        self.run = run
        self.work = FutureWork(signature)

    def __str__(self) -> str:
        if self.steps is not None:
            return f"{self.signature} (group {self.channel.name!r})"
        return f"{self.signature} (call {self.number} of group {self.channel.name!r})"


class _Transfer:
    """A message on its way: it advances whenever its request is done, beside everything else.

    The first request of one that receives is for the header, which says from whom the data will come.
    """

    def __init__(self, operation: _Operation, steps: Generator[Request, Status, None]) -> None:
        self.operation = operation
        self.deadline = time.monotonic() + operation.channel.timeout
        self.awaits_header = operation.receives is not None
        self._steps = steps
        self._arrived: Status | None = None
        self.request = next(steps)

    def advance(self, earlier: Sequence[_Transfer]) -> bool:
        """Goes on as far as it can; whether it is done. ``earlier`` are the transfers begun before it."""
        from mpi4py import MPI

        try:
            while True:
                if self._arrived is None:
                    status = MPI.Status()
                    if not self.request.Test(status):
                        return False
                    self._arrived = status
                # MPI gave the headers to the receives in order, but may show a later one first; were its data asked
                # for now, they would be those of the earlier message.
                if self.awaits_header and any(each.precedes(self, self._arrived.source) for each in earlier):
                    return False
                status, self._arrived = self._arrived, None
                self.awaits_header = False
                self.request = self._steps.send(status)
        except StopIteration:
            return True

    def precedes(self, other: _Transfer, source: int) -> bool:
        """Whether its data, begun before ``other``, may be an earlier message of ``source``, not yet asked for."""
        mine, its = self.operation, other.operation
        if not self.awaits_header or mine.receives is None or its.receives is None:
            return False
        is_same_kind = mine.channel is its.channel and mine.receives.tag == its.receives.tag
        return is_same_kind and mine.receives.source in (None, source)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do for it until another rank sends."""
        return self.awaits_header and self._arrived is None


class Engine:
    """Owns MPI in this process. ``submit`` from any thread; after a failure every operation ends with that failure."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Not a SimpleQueue: its get(timeout=...) may wait for ever in CPython before 3.12.
        self._queue: queue.Queue[_Operation | None] = queue.Queue()
        self._lock = threading.Lock()
        self._unfinished: dict[_Operation, None] = {}
        self._failure: BaseException | None = None
        self._abandoned: list[Any] = []
        self._transfers: list[_Transfer] = []
        self.world: Comm | None = None
        started = FutureWork("init_process_group")
        # Another backend of the job may have begun before.
        others, store.on_failure = store.on_failure, started.finish
        self._thread = threading.Thread(target=self._main, args=(started,), name="atled-mpi", daemon=True)
        self._thread.start()
        started.wait()
        store.on_failure = others
        if store.failure is not None:
            others(store.failure)

    def submit(self, channel: Channel, signature: str, run: Run | None = None) -> FutureWork:
        """Queues an operation; ``run(comm, wait)`` runs on the MPI thread once every rank of the channel is there."""
        return self._submit(_Operation(channel, signature, run))

    def transfer(self, channel: Channel, signature: str, steps: Steps, receives: Receives | None = None) -> FutureWork:
        """Queues a message to or from one rank; it is begun in order, and then does not hold up what comes after it."""
        return self._submit(_Operation(channel, signature, None, steps, receives))

    def _submit(self, operation: _Operation) -> FutureWork:
        with self._lock:
            self._unfinished[operation] = None
            if operation.steps is None:
                self._store.calls.note(operation.channel.name, operation.number, operation.signature, str(operation))
            else:
                self._store.calls.note_message(str(operation))
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
        with self._lock:
            # Nobody is left to end what groups that outlive the job are asked for.
            self._failure = self._failure or left()

    def _main(self, started: FutureWork) -> None:
        try:
            self.world = _init_mpi(self._store)
        except BaseException as error:
            started.finish(error)
            return
        started.finish()
        while (operation := self._next()) is not None:
            if self._failure is None:
                if operation.steps is None:
                    self._run(operation)
                else:
                    self._begin(operation, operation.steps)
            # It holds its tensors, and the next one may be long in coming.
            del operation
        for transfer in self._transfers:
            self._end(transfer.operation, DistError(f"{transfer.operation}: not done when the group was left"))

    def _next(self) -> _Operation | None:
        """The next operation; messages advance during the wait."""
        start = time.monotonic()
        while self._transfers:
            is_idle = all(transfer.is_idle for transfer in self._transfers)
            try:
                return self._queue.get(timeout=_pause(time.monotonic() - start, is_idle))
            except queue.Empty:
                before = [transfer.request for transfer in self._transfers]
                self._advance()
                if before != [transfer.request for transfer in self._transfers]:
                    start = time.monotonic()
        return self._queue.get()

    def _begin(self, operation: _Operation, steps: Steps) -> None:
        try:
            self._transfers.append(_Transfer(operation, steps(operation.channel.comm, operation.work)))
        except BaseException as error:
            self._end(operation, error)
            self.abort(error)
        self._advance()

    def _advance(self) -> None:
        """Lets every message go on, in the order in which they were begun."""
        going: list[_Transfer] = []
        for transfer in self._transfers:
            operation = transfer.operation
            try:
                if self._failure is None and time.monotonic() > transfer.deadline:
                    self.abort(DistTimeoutError(f"{operation}: not done within {operation.channel.timeout:g} s"))
                if self._failure is not None:
                    self._abandoned.append(transfer)
                elif transfer.advance(going):
                    self._end(operation, None)
                else:
                    going.append(transfer)
            except MismatchError as error:
                self._end(operation, error)
            except BaseException as error:
                self._end(operation, error)
                self.abort(error)
        self._transfers = going

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
        mine = np.frombuffer(fixed_size(operation.signature), np.uint8)
        all_ranks = np.empty((comm.size, SIGNATURE_BYTES), np.uint8)
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
                raise self._failure or self._overdue(operation)
            if self._transfers:
                self._advance()
            waited = now - start
            # The shortest sleep takes 50 µs, and a small operation less than that if every rank is there.
            if waited > _SPIN_SECONDS:
                time.sleep(_pause(waited))

    def _overdue(self, operation: _Operation) -> DistError:
        channel = operation.channel
        head = f"{operation}: not done within {channel.timeout:g} s"
        return overdue(self._store, channel.ranks, channel.name, operation.number, operation.signature, head)

    def _end(self, operation: _Operation, error: BaseException | None) -> None:
        with self._lock:
            self._unfinished.pop(operation, None)
        operation.work.finish(error)


def _pause(waited: float, is_idle: bool = False) -> float:
    """How long to sleep before the next look, ``waited`` seconds after the first.

    What is on its way goes on at each look only; where nothing is, a look in a few milliseconds will do.
    """
    if waited < 0.1:
        return 5e-5
    return min(waited / 100, 4e-3) if is_idle else 5e-4


def fixed_size(signature: str) -> bytes:
    """A signature as the bytes that ranks compare."""
    text = signature.encode()
    if len(text) > SIGNATURE_BYTES:
        digest = hashlib.sha256(text).hexdigest()[:16].encode()
        text = text[: SIGNATURE_BYTES - len(digest) - 3] + b"..." + digest
    return text.ljust(SIGNATURE_BYTES, b"\0")


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
