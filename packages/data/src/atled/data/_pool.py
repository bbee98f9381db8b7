"""The main process's side of its workers: starts them, gives them tasks, gathers parcels, notices deaths."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import time
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from atled.core.multiprocessing.connection import Connection, Pipe, Received

from ._errors import SharedMemoryWarning, WorkerDiedError, WorkerError, WorkerTimeoutError
from ._fetch import Plan, Task
from ._worker import Begin, Kind, Label, Setup, run

# A process may have died although its sentinel is silent, if a child of its own keeps the pipe open: so look, too.
_LIVENESS_SECONDS = 1.0
# How long workers may take to end by themselves, and then by SIGTERM, before they are killed.
_CLOSE_SECONDS = 1.0
_SHOWN_INDICES = 64


@dataclass
class Result:
    """What a worker made of a task; ``open`` gives the batch or the exception."""

    kind: Kind
    open: Callable[[], Any]


@dataclass
class _Worker:
    id: int
    process: BaseProcess
    connection: Connection
    held: dict[int, Task] = field(default_factory=dict)


class WorkerPool:
    """Worker processes of one loader. Closes itself when it is collected and at interpreter exit."""

    def __init__(
        self,
        plan: Plan,
        num_workers: int,
        seed: int,
        init_fn: Callable[[int], None] | None,
        context: BaseContext | None,
        on_fallback: Callable[[str], None],
    ) -> None:
        self._generation = 0
        self._results: dict[int, Result] = {}
        self._on_fallback = on_fallback
        self._workers: list[_Worker] = []
        # A forked child inherits this object; its finalizer must not touch the parent's workers.
        self._close = weakref.finalize(self, _close_workers, self._workers, os.getpid())
        context = context or multiprocessing.get_context()
        try:
            for worker_id in range(num_workers):
                setup = Setup(plan, worker_id, num_workers, seed, init_fn)
                self._workers.append(_start(context, setup))
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether the workers have been ended."""
        return not self._close.alive

    @property
    def generation(self) -> int:
        """The number of the current pass."""
        return self._generation

    def begin(self, seed: int, epoch: int) -> int:
        """Starts a pass, dropping what is left of an earlier one; returns its generation."""
        self._generation += 1
        self._results.clear()
        for worker in self._workers:
            worker.held.clear()
            self._send(worker, Begin(self._generation, seed, epoch))
        return self._generation

    def submit(self, task: Task, worker_id: int | None = None) -> None:
        """Gives a task to a worker, by default to the one that holds the fewest."""
        if worker_id is None:
            worker_id = min(self._workers, key=lambda worker: len(worker.held)).id
        worker = self._workers[worker_id]
        worker.held[task.number] = task
        self._send(worker, task)

    def owner(self, number: int) -> int | None:
        """The worker that holds a task, or None once its result is here."""
        return next((worker.id for worker in self._workers if number in worker.held), None)

    def take(self, number: int | None, timeout: float | None) -> tuple[int, Result]:
        """Waits for the result of one task (with ``number`` None, of any) and hands it over.

        Raises WorkerDiedError as soon as any worker has died, WorkerTimeoutError when ``timeout`` seconds have passed.
        """
        if self.closed:
            raise WorkerError("DataLoader: the workers of this pass have been ended; start a new pass over the loader")
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self._gather(0)
            while number not in self._results and not (number is None and self._results):
                left = _LIVENESS_SECONDS if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise self._timed_out(number, timeout)
                self._gather(min(left, _LIVENESS_SECONDS))
        except WorkerTimeoutError:
            raise
        except BaseException:
            # An interrupted receive leaves half a message behind: this pool is of no further use.
            self.close()
            raise
        number = next(iter(self._results)) if number is None else number
        return number, self._results.pop(number)

    def close(self) -> None:
        """Ends the workers; at most about two seconds, whatever they do."""
        self._close()

    def _send(self, worker: _Worker, work: Begin | Task) -> None:
        try:
            worker.connection.send(work)
        except OSError:
            # A dead worker, which the next gathering reports with what it held.
            pass
        except BaseException:
            # An interrupted send leaves half a message behind.
            self.close()
            raise

    def _gather(self, seconds: float) -> None:
        """Files every parcel that has come, waiting up to ``seconds`` for the first."""
        ready = set(wait([w.connection for w in self._workers] + [w.process.sentinel for w in self._workers], seconds))
        for worker in self._workers:
            dead = worker.process.sentinel in ready or (not ready and not worker.process.is_alive())
            if worker.connection in ready or dead:
                try:
                    while worker.connection.poll(0):
                        self._file(worker)
                except (EOFError, OSError):
                    dead = True
            if dead:
                raise self._died(worker)

    def _file(self, worker: _Worker) -> None:
        received: Received = worker.connection.recv_packet()
        label: Label = received.label
        if received.fallback is not None:
            self._on_fallback(received.fallback)
        if label.number is None:
            raise received.open()
        if label.generation == self._generation:
            worker.held.pop(label.number, None)
            self._results[label.number] = Result(label.kind, received.open)

    def _died(self, worker: _Worker) -> WorkerDiedError:
        worker.process.join(_CLOSE_SECONDS)
        code = worker.process.exitcode
        held = [index for task in worker.held.values() for index in task.samples()]
        pid = worker.process.pid or 0
        message = f"DataLoader: worker {worker.id} (pid {pid}) {_describe_exit(code)} while it held {_show(held)}"
        return WorkerDiedError(message + _advice(code), worker.id, pid, code, held)

    def _timed_out(self, number: int | None, timeout: float | None) -> WorkerTimeoutError:
        owner = 0 if number is None else self.owner(number) or 0
        task = self._workers[owner].held.get(-1 if number is None else number)
        samples = task.samples() if task else []
        return WorkerTimeoutError(
            f"DataLoader: expected a batch within {timeout} s, got none from worker {owner}, "
            f"which held {_show(samples)}; raise timeout, or use more workers",
            owner,
            samples,
        )


class FallbackWarning:
    """Says once that tensors are copied through a pipe."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, reason: str) -> None:
        if not self._said:
            self._said = True
            warnings.warn(
                f"DataLoader: no shared memory for a batch ({reason}); batches are copied through a pipe, which is "
                "slower; make room for it, or lower num_workers, prefetch_factor or batch_size",
                SharedMemoryWarning,
                stacklevel=7,  # the loop over the loader
            )


def _start(context: BaseContext, setup: Setup) -> _Worker:
    connection, remote = Pipe(duplex=True)
    process = context.Process(  # type: ignore[attr-defined]
        target=run, args=(remote, setup), name=f"atled-data-worker-{setup.worker_id}", daemon=True
    )
    try:
        with _interrupts_blocked(context):
            process.start()
    except BaseException:
        connection.close()
        raise
    finally:
        # Only the worker may hold its end, or its death would not close the connection.
        remote.close()
    return _Worker(setup.worker_id, process, connection)


@contextlib.contextmanager
def _interrupts_blocked(context: BaseContext) -> Iterator[None]:
    """Keeps Ctrl-C from a new worker until it has made up its mind about it (the mask is inherited).

    A fork server would pass the mask on to processes that are not ours.
    """
    if os.name != "posix" or context.get_start_method() == "forkserver":
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _close_workers(workers: list[_Worker], owner: int) -> None:
    if os.getpid() != owner:
        return
    for worker in workers:
        _hang_up(worker.connection)
    for end in (None, BaseProcess.terminate, BaseProcess.kill):
        if end is not None:
            for worker in workers:
                if worker.process.is_alive():
                    end(worker.process)
        deadline = time.monotonic() + _CLOSE_SECONDS
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
    workers.clear()


def _hang_up(connection: Connection) -> None:
    """Closes a connection for the other side too, even where forked siblings inherited copies of this end."""
    if os.name == "posix":
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
    connection.close()


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "closed its connection"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _advice(code: int | None) -> str:
    advice = {
        -9: "often the system is out of memory: use fewer workers, a smaller batch_size or prefetch_factor",
        -11: "native code in the dataset crashed: num_workers=0 shows where",
        -7: "native code in the dataset crashed, or shared memory that it uses is full",
        1: 'if the start method is "spawn", guard the main program with if __name__ == "__main__"',
    }.get(code or 0)
    return f"; {advice}" if advice else ""


def _show(indices: Sequence[Hashable]) -> str:
    if not indices:
        return "no samples"
    shown = ", ".join(map(repr, indices[:_SHOWN_INDICES]))
    more = len(indices) - _SHOWN_INDICES
    return f"samples [{shown}" + (f", … {more} more]" if more > 0 else "]")
