"""The worker process of a loader."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import atled.core as at
from atled.core.multiprocessing.connection import Connection, pack

from ._errors import WorkerError
from ._fetch import Abandoned, EndOfStream, Fetcher, Plan, Task
from ._random import Stream, derive_seed, seed_everything
from ._worker_info import WorkerInfo, set_worker_info

# How often a worker looks whether its parent is still there, and how long it then lets the work in hand take.
_PARENT_CHECK_SECONDS = 1.0
_GRACE_SECONDS = 3.0


class Begin(NamedTuple):
    """The order to start a pass. ``generation`` numbers the passes of one pool: work of older ones is dropped."""

    generation: int
    seed: int
    epoch: int


class Kind(Enum):
    """What a parcel from a worker holds."""

    BATCH = 0
    END = 1
    ERROR = 2


class Label(NamedTuple):
    """What a parcel is. ``number`` is the task's, None for a failure before the first."""

    generation: int
    number: int | None
    kind: Kind


@dataclass(frozen=True)
class Setup:
    """What a worker is started with."""

    plan: Plan
    worker_id: int
    num_workers: int
    seed: int
    init_fn: Callable[[int], None] | None


class _Inbox:
    """Reads orders in a thread of its own, so that a busy worker neither blocks its parent nor outlives it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parent = os.getppid()
        self._orders: queue.SimpleQueue[tuple[int, Begin | Task] | None] = queue.SimpleQueue()
        self.generation = 0
        self.closed = False
        threading.Thread(target=self._read, name="atled-data-inbox", daemon=True).start()

    def get(self) -> tuple[int, Begin | Task] | None:
        """The next order with its generation, or None when there will be no more."""
        return self._orders.get()

    def check(self, generation: int) -> None:
        """Raises Abandoned if work of this generation is no longer wanted."""
        if self.closed or generation != self.generation:
            raise Abandoned

    def _read(self) -> None:
        try:
            while True:
                if self._connection.poll(_PARENT_CHECK_SECONDS):
                    work: Begin | Task = self._connection.recv()
                    if isinstance(work, Begin):
                        self.generation = work.generation
                    self._orders.put((self.generation, work))
                elif os.getppid() != self._parent:
                    break
        except (EOFError, OSError):
            pass
        except Exception:
            # An order that cannot be unpickled here: the main process reports that the worker has ended.
            traceback.print_exc()
        self.closed = True
        self._orders.put(None)
        # The work in hand may never end; nobody waits for it now.
        threading.Event().wait(_GRACE_SECONDS)
        os._exit(1)


def run(connection: Connection, setup: Setup) -> None:
    """The main function of a worker process: orders in, parcels out, until the connection closes."""
    # Ctrl-C reaches every process of the terminal: the main one decides. SIGTERM must end a worker,
    # whatever handler it inherited.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    at.set_num_threads(1)
    inbox = _Inbox(connection)
    try:
        try:
            fetcher = _start(setup)
        except Exception as error:
            packet = pack(_portable(error, setup.worker_id), Label(0, None, Kind.ERROR))
            connection.send_packet(packet, warn=False)
            return
        while (order := inbox.get()) is not None:
            generation, work = order
            if isinstance(work, Begin):
                fetcher.begin(work.seed, work.epoch, setup.worker_id)
            else:
                _serve(connection, inbox, fetcher, generation, work, setup.worker_id)
    except OSError:
        # The parent has gone or has hung up: there is nobody to tell.
        pass
    finally:
        connection.close()


def _start(setup: Setup) -> Fetcher:
    seed = derive_seed(Stream.WORKER, setup.seed, setup.worker_id)
    set_worker_info(WorkerInfo(setup.worker_id, setup.num_workers, seed, setup.plan.dataset))
    seed_everything(seed)
    if setup.init_fn is not None:
        setup.init_fn(setup.worker_id)
    return setup.plan.fetcher()


def _serve(
    connection: Connection, inbox: _Inbox, fetcher: Fetcher, generation: int, task: Task, worker_id: int
) -> None:
    def checkpoint() -> None:
        inbox.check(generation)

    def label(kind: Kind) -> Label:
        return Label(generation, task.number, kind)

    try:
        checkpoint()
        packet = pack(fetcher.fetch(task, checkpoint), label(Kind.BATCH))
    except Abandoned:
        return
    except EndOfStream:
        packet = pack(None, label(Kind.END))
    except Exception as error:
        packet = pack(_portable(error, worker_id, task), label(Kind.ERROR))
    connection.send_packet(packet, warn=False)


def _portable(error: Exception, worker_id: int, task: Task | None = None) -> Exception:
    """The exception with the place it comes from in its notes; if it cannot be pickled, a WorkerError that says all."""
    text = "".join(traceback.format_exception(error)).rstrip()
    place = f"worker {worker_id} (pid {os.getpid()})"
    if task is not None and task.samples():
        place += f", which held samples {task.samples()}"
    note = f"raised in {place}:\n\n{text}"
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    if type(copy) is not type(error):
        copy = WorkerError(f"{type(error).__name__} {note}")
    else:
        copy.add_note(note)
    result: Exception = copy
    return result
