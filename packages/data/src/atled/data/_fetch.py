"""From a task to a batch: the part of a loader that runs alike in the main process and in workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from ._collate import default_collate, default_convert
from ._dataset import IterableDataset, is_deterministic, method_for_batches, reads_batches
from ._random import Key, Stream, seed_everything


class Task(NamedTuple):
    """One batch to be made. ``indices`` is one index where nothing is collated, and None for a stream."""

    number: int
    indices: Any = None
    occurrences: Sequence[int] | None = None

    def samples(self) -> list[Hashable]:
        """The indices, for an error to show."""
        if self.indices is None:
            return []
        return list(self.indices) if isinstance(self.indices, list | tuple) else [self.indices]


class EndOfStream(Exception):
    """A stream has no further batch."""


class Abandoned(Exception):
    """Nobody waits for the batch any more."""


def _go_on() -> None:
    """The checkpoint of a process that is never told to stop."""


class Plan(NamedTuple):
    """What every process of a loader knows: where samples come from and how they become batches.

    ``batch_size`` is None where nothing is collated; for a map dataset its value is of no other importance.
    """

    dataset: Any
    collate_fn: Callable[[Any], Any]
    batch_size: int | None
    drop_last: bool

    @property
    def seeds_samples(self) -> bool:
        """Whether the dataset may draw random numbers, so that generators must be seeded for it."""
        return not is_deterministic(self.dataset)

    @property
    def seeds_batches(self) -> bool:
        """Whether the collate function may draw random numbers."""
        return self.collate_fn not in (default_collate, default_convert)

    def fetcher(self) -> Fetcher:
        """A fetcher for the kind of dataset at hand."""
        return StreamFetcher(self) if isinstance(self.dataset, IterableDataset) else MapFetcher(self)


class Fetcher(ABC):
    """Makes batches. ``begin`` starts a pass; then ``fetch`` turns each task into a batch."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seeds_samples = plan.seeds_samples
        self._seeds_batches = plan.seeds_batches
        self._keys: dict[Stream, Key] = {}

    def begin(self, seed: int, epoch: int, worker_id: int) -> None:
        """Starts a pass over the data."""
        self._keys = {stream: Key(stream, seed, epoch) for stream in Stream}

    @abstractmethod
    def fetch(self, task: Task, checkpoint: Callable[[], None] = _go_on) -> Any:
        """The batch of a task. Raises EndOfStream, and what ``checkpoint``, called before each sample, raises."""

    def _seed_sample(self, stream: Stream, *key: Hashable) -> None:
        if self._seeds_samples:
            seed_everything(self._keys[stream].seed(*key))

    def _collate(self, samples: Any, *key: Hashable) -> Any:
        if self._seeds_batches:
            seed_everything(self._keys[Stream.BATCH].seed(*key))
        return self._plan.collate_fn(samples)


class MapFetcher(Fetcher):
    """Fetches from a dataset with indices."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        is_default = plan.collate_fn is default_collate
        self._whole = method_for_batches(plan.dataset, "__getbatch__") if is_default else None
        self._reads_batches = reads_batches(plan.dataset)

    def fetch(self, task: Task, checkpoint: Callable[[], None] = _go_on) -> Any:
        plan = self._plan
        if plan.batch_size is None:
            sample = self._sample(task.indices, task.occurrences[0] if task.occurrences else 0)
            return self._collate(sample, task.number)
        if self._whole is not None:
            batch = self._whole(task.indices)
            if batch is not NotImplemented:
                return batch
        if self._reads_batches:
            self._seed_sample(Stream.SAMPLES, task.number)
            samples = plan.dataset.__getitems__(task.indices)
        else:
            samples = []
            for position, index in enumerate(task.indices):
                checkpoint()
                samples.append(self._sample(index, task.occurrences[position] if task.occurrences else 0))
        return self._collate(samples, task.number)

    def _sample(self, index: Any, occurrence: int) -> Any:
        self._seed_sample(Stream.SAMPLE, index, occurrence)
        try:
            return self._plan.dataset[index]
        except StopIteration as error:
            # Let through, it would end the user's loop without a word.
            raise RuntimeError(f"the dataset raised StopIteration for sample {index!r}") from error
        except Exception as error:
            error.add_note(f"raised while the loader read sample {index!r}")
            raise


class StreamFetcher(Fetcher):
    """Fetches from an iterable dataset; samples are numbered in the order in which the stream gives them."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._worker_id = 0
        self._iterator: Iterator[Any] | None = None
        self._sample_number = 0

    def begin(self, seed: int, epoch: int, worker_id: int) -> None:
        super().begin(seed, epoch, worker_id)
        self._worker_id = worker_id
        self._iterator = None
        self._sample_number = 0

    def fetch(self, task: Task, checkpoint: Callable[[], None] = _go_on) -> Any:
        plan = self._plan
        if self._iterator is None:
            self._seed_sample(Stream.ITERATOR, self._worker_id)
            self._iterator = iter(plan.dataset)
        if plan.batch_size is None:
            return self._collate(self._sample(self._iterator), self._worker_id, self._sample_number)
        samples: list[Any] = []
        while len(samples) < plan.batch_size:
            checkpoint()
            try:
                samples.append(self._sample(self._iterator))
            except EndOfStream:
                if not samples or plan.drop_last:
                    raise
                break
        return self._collate(samples, self._worker_id, self._sample_number)

    def _sample(self, iterator: Iterator[Any]) -> Any:
        self._seed_sample(Stream.SAMPLE, self._worker_id, self._sample_number)
        try:
            sample = next(iterator)
        except StopIteration:
            raise EndOfStream from None
        except Exception as error:
            error.add_note(f"raised while the loader read sample {self._sample_number} of the stream")
            raise
        self._sample_number += 1
        return sample
