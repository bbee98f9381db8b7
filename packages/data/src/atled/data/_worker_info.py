"""What a worker process knows of itself."""

from __future__ import annotations

from typing import Any, NamedTuple


class WorkerInfo(NamedTuple):
    """Which worker this process is: ``id`` in [0, ``num_workers``), its ``seed`` and its copy of the ``dataset``.

    Example:
        >>> info = WorkerInfo(id=1, num_workers=4, seed=7, dataset=range(10))
        >>> list(info.dataset[info.id :: info.num_workers])  # this worker's share of a stream
        [1, 5, 9]
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_current: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What a worker process is told about itself; None in the main process.

    Example:
        >>> get_worker_info() is None
        True
    """
    return _current


def set_worker_info(info: WorkerInfo) -> None:
    """Makes this process a worker."""
    global _current
    _current = info
