"""NCCL on streams of its own: communicators, what they were given, and the thread that watches over it.

A call is given to the communicator's stream, after all that the caller's current stream has been given, and the host
goes on; ``Work.wait`` has the then current stream wait. What another rank's failure, NCCL's own or the end of the time
leaves undone is ended by ``ncclCommAbort``: streams that waited go on, and every later call raises the reason.
"""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from ctypes import byref, c_int, c_void_p
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import atled.core as at
from atled.core import DeviceError, Tensor

from ._calls import overdue
from ._errors import DistError, DistTimeoutError, left
from ._group import FutureWork, Work, seconds
from ._nccl_library import CONSTANTS, UniqueId, nccl

if TYPE_CHECKING:
    from ._store import Store

__all__ = ["Communicator", "Launch", "Members", "NcclEngine", "NcclWork", "Operation"]

_LOOK_SECONDS = 0.1
_LONGEST_PAUSE = 1e-3
_GIVING_SECONDS = 1.0


class Launch:
    """One operation that is being given to NCCL, on the stream ``stream`` of the communicator ``comm``."""

    def __init__(self, comm: c_void_p, stream: int) -> None:
        self.nccl = nccl()
        self.comm = comm
        self.stream = stream
        self._sources: list[Tensor] = []
        self._targets: list[tuple[Callable[[Tensor], None], Tensor]] = []

    def source(self, values: Tensor) -> int:
        """The address of a tensor in row-major order, which stays until NCCL has the call."""
        self._sources.append(values)
        return values.data_ptr()

    def target(self, values: Tensor, store: Callable[[Tensor], None]) -> int:
        """The same of a tensor that is written, and then handed to ``store``."""
        self._targets.append((store, values))
        return values.data_ptr()

    def finish(self) -> None:
        """Stores what was written."""
        for store, values in self._targets:
            store(values)


@dataclass
class Operation:
    """One call: what it is, the callers' tensors that it works on, and how it is given to NCCL.

    ``number`` is that of the calls which all ranks of the group make, 0 for a message; ``source`` is whom it is from.
    The host waits for one that ``blocks``.
    """

    signature: str
    tensors: Sequence[Tensor]
    give: Callable[[Launch], None]
    number: int = 0
    source: int = -1
    blocks: bool = False


@dataclass(frozen=True)
class Members:
    """A group: its name, its ranks by their numbers in the job, which of them this one is, and its timeout."""

    name: str
    ranks: tuple[int, ...]
    rank: int
    timeout: float

    @property
    def key(self) -> str:
        """What the group is called among those of all backends."""
        return f"nccl {self.name}"

    def text(self, operation: Operation) -> str:
        """A call as errors show it."""
        call = f"call {operation.number} of " * bool(operation.number)
        return f"{operation.signature} ({call}group {self.name!r}, nccl)"

    def overdue(self, store: Store, operation: Operation) -> DistTimeoutError:
        """The error for an operation whose time is up."""
        head = f"{self.text(operation)}: not done within {self.timeout:g} s"
        return overdue(store, self.ranks, self.key, operation.number, operation.signature, head)


class NcclWork(Work):
    """An operation on a communicator's stream."""

    def __init__(self, engine: NcclEngine, members: Members, operation: Operation) -> None:
        self.source = operation.source
        self.deadline = time.monotonic() + members.timeout
        self.event: at.cuda.Event | None = None
        self._engine = engine
        self._members = members
        self.operation = operation
        self._is_done = False

    def __str__(self) -> str:
        return self._members.text(self.operation)

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Has the current stream wait; the host waits as well for ``barrier``, or where a timeout is given."""
        if timeout is not None or self.operation.blocks:
            self.wait_on_host(None if timeout is None else seconds(timeout))
        self._engine.check()
        assert self.event is not None and self.event.device is not None
        stream = at.cuda.current_stream(self.event.device)
        stream.wait_event(self.event)
        tensors, self.operation.tensors = self.operation.tensors, ()
        for tensor in tensors:
            # What they are used for now comes after the collective. For the stream that they are of, this does nothing.
            with suppress(DeviceError):  # another library's memory
                tensor.record_stream(stream)
        return True

    def wait_on_host(self, limit: float | None = None) -> None:
        """Waits until it is done, at most ``limit`` seconds."""
        start = time.monotonic()
        while not self.is_completed():
            waited = time.monotonic() - start
            if limit is not None and waited > limit:
                raise DistTimeoutError(f"{self}: not done after {waited:.1f} s of Work.wait")
            time.sleep(min(5e-5 + waited / 100, _LONGEST_PAUSE))

    def is_completed(self) -> bool:
        if not self._is_done:
            self._is_done = self._engine.failure is not None or (self.event is not None and self.event.query())
        return self._is_done

    def exception(self) -> BaseException | None:
        return self._engine.failure

    def overdue(self) -> DistTimeoutError:
        """The error for work whose time is up."""
        return self._members.overdue(self._engine.store, self.operation)


class Communicator:
    """NCCL's handle for the members of a group, on this process's GPU ``index``, with a stream and the work on it.

    All members make it at the same time, for the ``first`` call of the group.
    """

    def __init__(self, engine: NcclEngine, members: Members, index: int, first: Operation) -> None:
        self.index = index
        self.works: deque[NcclWork] = deque()
        self._engine = engine
        self._members = members
        self._handle = c_void_p()
        self._is_in_graphs = False
        self._ends = threading.Lock()
        self._giving = threading.Lock()
        self._start(first)
        self._stream = at.cuda.Stream(index)

    def _start(self, first: Operation) -> None:
        # NCCL waits for the other ranks without a limit, so it has a thread that may be left behind.
        begun = FutureWork("ncclCommInitRank")

        def begin() -> None:
            try:
                self._begin_here()
            except BaseException as error:
                begun.finish(error)
            else:
                begun.finish()

        threading.Thread(target=begin, name="atled-nccl-begin", daemon=True).start()
        try:
            self._engine.await_start(begun, self._members.timeout)
        except BaseException as error:
            is_late = isinstance(error, DistTimeoutError) and self._engine.failure is None
            self._engine.abort(self._members.overdue(self._engine.store, first) if is_late else error)
            if isinstance(error, DistError):
                self._engine.check()
            raise

    def _begin_here(self) -> None:
        key = f"{self._members.key} {self._engine.token}"
        ident = UniqueId()
        with at.cuda.device(self.index):
            if self._members.rank == 0:
                nccl().ncclGetUniqueId(byref(ident))
                self._engine.store.set(key, bytes(ident))
            else:
                ident = UniqueId.from_buffer_copy(self._engine.store.get(key, self._members.timeout))
            handle = c_void_p()
            nccl().ncclCommInitRank(byref(handle), len(self._members.ranks), ident, self._members.rank)
        taken = c_int()
        nccl().ncclCommCuDevice(handle, byref(taken))
        if taken.value != self.index:
            raise DistError(f"ncclCommInitRank: expected cuda:{self.index} to be used, NCCL took cuda:{taken.value}")
        self._handle = handle

    def run(self, works: Sequence[NcclWork]) -> None:
        """Gives the stream the operations of the works, which do not wait for each other."""
        from atled.core.cuda._native import ask

        engine = self._engine
        engine.check()
        library, caller = nccl(), at.cuda.current_stream(self.index)
        if ask("stream_capturing", self.index, caller.cuda_stream):
            self._is_in_graphs = True
        else:
            # Before NCCL has it, for the first call to a rank waits for that rank on the host.
            self.works.extend(works)
        try:
            with self._giving, at.cuda.stream(self._stream):
                self._stream.wait_stream(caller)
                launches = [Launch(self._handle, self._stream.cuda_stream) for _ in works]
                library.ncclGroupStart()
                try:
                    for work, launch in zip(works, launches, strict=True):
                        work.operation.give(launch)
                finally:
                    library.ncclGroupEnd()
                for launch in launches:
                    launch.finish()
                event = self._stream.record_event()
        except BaseException as error:
            if engine.failure is not None:
                engine.check()
            # The ranks are out of step: nothing after it could be trusted.
            engine.abort(error)
            raise
        for work in works:
            # The tensors stay with it until somebody waits, or it is done. To tell the allocator of the stream instead
            # would keep freed memory until all is done that the stream has by then.
            work.event, work.operation.give = event, _given

    def look(self) -> None:
        """Forgets what is done; ends everything if something takes too long, or NCCL has an error."""
        while self.works and self.works[0].is_completed():
            self.works.popleft().operation.tensors = ()
        if self._engine.failure is not None:
            return
        # What graphs do is not among the works, but NCCL knows of its errors.
        late = self.works[0] if self.works else None
        if late is not None and time.monotonic() > late.deadline:
            self._engine.abort(late.overdue())
            return
        result = c_int()
        with self._ends:
            if self._handle:
                nccl().ncclCommGetAsyncError(self._handle, byref(result))
        if result.value not in (CONSTANTS["ncclSuccess"], CONSTANTS["ncclInProgress"]):
            what = f"group {self._members.name!r}, nccl" if late is None else str(late)
            self._engine.abort(DistError(f"{what}: {nccl().explain(result.value)}"))

    def finish(self) -> None:
        """Waits on the host for all work."""
        for work in list(self.works):
            work.wait_on_host()

    def end(self, aborts: bool) -> None:
        """Gives the handle up, once."""
        with self._ends:
            handle, self._handle = self._handle, c_void_p()
        # NCCL frees what a thread in ncclGroupEnd still uses. Most are through at once; who waits there for another
        # rank must be aborted.
        if self._giving.acquire(timeout=_GIVING_SECONDS):
            self._giving.release()
        # ncclCommDestroy waits until the graphs with calls of the communicator are gone, which may outlive the job.
        if handle and (aborts or not self._is_in_graphs):
            (nccl().ncclCommAbort if aborts else nccl().ncclCommDestroy)(handle)


def _given(launch: Launch) -> None:
    raise AssertionError("an operation is given to NCCL once")


class NcclEngine:
    """All communicators of this process. After a failure every operation ends with that failure."""

    def __init__(self, store: Store, timeout: float) -> None:
        nccl()
        self.store = store
        self.failure: BaseException | None = None
        # What an earlier job of the same processes has left in the store must not be taken for this one's.
        self.token = str(store.gather("init_process_group: nccl", secrets.token_hex(8))[0])
        store.on_failure = self.abort
        self._timeout = timeout
        self._lock = threading.Lock()
        self._communicators: list[Communicator] = []
        self._starting: list[FutureWork] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="atled-nccl", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises the failure, if there is one."""
        if self.failure is not None:
            # Several callers may raise the one error.
            raise self.failure.with_traceback(None)

    def communicator(self, members: Members, index: int, first: Operation) -> Communicator:
        """Makes one, together with its other members."""
        self.check()
        made = Communicator(self, members, index, first)
        with self._lock:
            self._communicators.append(made)
        return made

    def await_start(self, begun: FutureWork, timeout: float) -> None:
        """Waits for the start of a communicator, which a failure ends."""
        with self._lock:
            self._starting.append(begun)
            if self.failure is not None:
                begun.finish(self.failure)
        try:
            begun.wait(timeout)
        finally:
            with self._lock:
                self._starting.remove(begun)

    def abort(self, error: BaseException) -> None:
        """Ends everything in progress, and everything submitted later, with ``error``. Callable from any thread."""
        with self._lock:
            if self.failure is not None:
                return
            if not isinstance(error, DistError):
                # Later calls raise it, which have not met it themselves.
                summary = "".join(traceback.format_exception_only(error)).splitlines()[0]
                failure = DistError(f"an earlier call of backend 'nccl' failed on this rank: {summary}")
                failure.__cause__, error = error, failure
            self.failure = error
            communicators, starting = list(self._communicators), list(self._starting)
        for begun in starting:
            begun.finish(error)
        for each in communicators:
            # Each waits for its kernels to end.
            threading.Thread(target=each.end, args=(True,), name="atled-nccl-abort", daemon=True).start()

    def close(self) -> None:
        """Ends the engine together with all other ranks."""
        self.store.calls.note_message("destroy_process_group()")
        for each in self._communicators:
            each.finish()
        self.check()
        self.store.gather("destroy_process_group: nccl", None, self._timeout)
        self._closed.set()
        self._thread.join()
        for each in self._communicators:
            each.end(aborts=False)
        self.failure = self.failure or left()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            with self._lock:
                communicators = list(self._communicators)
            for each in communicators:
                try:
                    each.look()
                except BaseException as error:
                    self.abort(error)
