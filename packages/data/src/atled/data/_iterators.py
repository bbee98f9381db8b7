"""One pass over a loader: in the main process, or with workers."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import atled.core as at
from atled.core._core import _recording

from ._dataset import IterableDataset
from ._errors import WorkerError
from ._fetch import EndOfStream, Task
from ._random import preserved

if TYPE_CHECKING:
    from ._loader import DataLoader
    from ._pool import WorkerPool


def tasks(loader: DataLoader[Any]) -> Iterator[Task]:
    """The tasks of one pass, in the order of their batches; endless for a stream."""
    if isinstance(loader.dataset, IterableDataset):
        return (Task(number) for number in itertools.count())
    order, batched = loader._index_sampler, loader.batch_sampler is not None
    numbered = (Task(number, list(item) if batched else item) for number, item in enumerate(order))
    return _with_occurrences(numbered) if getattr(order, "repeats", False) else numbered


def _with_occurrences(plain: Iterator[Task]) -> Iterator[Task]:
    """Adds, for each index, how often it came before: so a sample that is drawn twice is augmented in two ways."""
    seen: Counter[Hashable] = Counter()
    for task in plain:
        occurrences = []
        for index in task.samples():
            occurrences.append(seen[index])
            seen[index] += 1
        yield task._replace(occurrences=occurrences)


class Pass(ABC):
    """One pass over a loader, an iterator of its batches."""

    _loader: DataLoader[Any]

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not _recording():
            return self._next()
        with at.profiler.record_function(f"enumerate(DataLoader)#{type(self).__name__}.__next__"):
            return self._next()

    def __len__(self) -> int:
        return len(self._loader)

    @abstractmethod
    def _next(self) -> Any:
        """The next batch, or StopIteration."""


class LocalIterator(Pass):
    """Loads in the main process; the global generators are as before after every batch."""

    def __init__(self, loader: DataLoader[Any], seed: int, epoch: int) -> None:
        self._loader = loader
        self._tasks = tasks(loader)
        plan = loader.plan()
        self._fetcher = plan.fetcher()
        self._fetcher.begin(seed, epoch, 0)
        self._draws = plan.seeds_samples or plan.seeds_batches
        self._finished = False

    def _next(self) -> Any:
        if self._finished:
            raise StopIteration
        task = next(self._tasks)
        try:
            if self._draws:
                with preserved():
                    batch = self._fetcher.fetch(task)
            else:
                batch = self._fetcher.fetch(task)
        except EndOfStream:
            self._finished = True
            raise StopIteration from None
        return self._loader.finish(batch)


class PoolIterator(Pass):
    """Loads in worker processes, each with up to ``prefetch_factor`` batches ahead, and hands batches over in order."""

    def __init__(self, loader: DataLoader[Any], pool: WorkerPool, seed: int, epoch: int) -> None:
        self._loader = loader
        self._pool = pool
        self._tasks = tasks(loader)
        self._generation = pool.begin(seed, epoch)
        self._is_stream = isinstance(loader.dataset, IterableDataset)
        self._rotation = list(range(loader.num_workers))
        self._turn = 0
        self._pending: dict[int, int | None] = {}
        self._sampler_error: Exception | None = None
        self._finished = False
        for _ in range(loader.num_workers * loader.prefetch_depth):
            self._submit()

    def _next(self) -> Any:
        from ._worker import Kind

        if self._generation != self._pool.generation:
            raise WorkerError("DataLoader: this pass was ended by a newer one over a loader with persistent_workers")
        while self._pending:
            wanted = next(iter(self._pending)) if self._loader.in_order else None
            number, result = self._pool.take(wanted, self._loader.timeout or None)
            worker_id = self._pending.pop(number)
            if result.kind is Kind.END:
                self._retire(worker_id)
                continue
            self._submit()
            value = result.open()
            if result.kind is Kind.ERROR:
                try:
                    raise value
                finally:
                    # The exception knows this frame: a cycle would keep the workers until it is collected.
                    del value, result
            return self._loader.finish(value)
        error, self._sampler_error = self._sampler_error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # as above
        if not self._finished:
            self._finished = True
            if not self._loader.persistent_workers:
                self._pool.close()
        raise StopIteration

    def _submit(self) -> None:
        """Sends the next task, if there is one: a stream's to each worker in turn, any other to the least busy."""
        worker_id: int | None = None
        if self._is_stream:
            if not self._rotation:
                return
            worker_id = self._rotation[self._turn % len(self._rotation)]
        try:
            task = next(self._tasks, None)
        except Exception as error:
            # The batches before it come first, as without workers.
            self._sampler_error = error
            return
        if task is not None:
            self._turn += 1
            self._pending[task.number] = worker_id
            self._pool.submit(task, worker_id)

    def _retire(self, worker_id: int | None) -> None:
        """Leaves out a worker whose stream has ended; the turns of the others stay as they are."""
        if worker_id in self._rotation:
            place = self._rotation.index(worker_id)
            turn = self._turn % len(self._rotation)
            self._rotation.remove(worker_id)
            self._turn = turn - (place < turn)
            self._submit()
