"""What goes wrong between a loader and its worker processes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from atled.core import AtledError


class WorkerError(AtledError, RuntimeError):
    """An exception of a worker process that could not be sent as it was; its text and traceback are in the message."""


class WorkerDiedError(AtledError, RuntimeError):
    """A worker process ended although work was left for it.

    ``worker_id``, ``pid`` and ``exitcode`` (negative: the signal) say which; ``indices`` are the samples it held.
    """

    def __init__(
        self, message: str, worker_id: int, pid: int, exitcode: int | None, indices: Sequence[Hashable]
    ) -> None:
        super().__init__(message)
        self.worker_id = worker_id
        self.pid = pid
        self.exitcode = exitcode
        self.indices = list(indices)


class WorkerTimeoutError(AtledError, TimeoutError, RuntimeError):
    """No batch came within the loader's ``timeout``; ``indices`` are the samples that were waited for."""

    def __init__(self, message: str, worker_id: int, indices: Sequence[Hashable]) -> None:
        super().__init__(message)
        self.worker_id = worker_id
        self.indices = list(indices)


class SharedMemoryWarning(RuntimeWarning):
    """Batches go through a pipe, copied, because shared memory could not be had."""
