"""Samplers: the order in which a loader visits the indices of a dataset."""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import atled.core as at
from atled.core._explained import explained

from ._random import Stream, derive_seed, draw_seed
from ._random import generator as new_generator

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """An iterable of indices; subclasses define ``__iter__`` and, where it is known, ``__len__``.

    ``repeats`` says that an index may come more than once in a pass: a loader then gives each occurrence a random
    stream of its own. A loader calls ``reseed(seed, epoch)`` before each pass, on which the order should depend.

    Example:
        >>> from atled import data
        >>> class Backwards(Sampler[int]):
        ...     def __init__(self, source):
        ...         self.source = source
        ...
        ...     def __iter__(self):
        ...         return reversed(range(len(self.source)))
        ...
        ...     def __len__(self):
        ...         return len(self.source)
        >>> [batch.tolist() for batch in data.DataLoader(range(3), 2, sampler=Backwards(range(3)))]
        [[2, 1], [0]]
    """

    repeats: bool = False

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__; define it in the subclass of Sampler")

    def reseed(self, seed: int, epoch: int) -> None:
        """Called by a loader before each pass: the order should depend on ``(seed, epoch)``, if on anything random."""


class SequentialSampler(Sampler[int]):
    """0, 1, 2, … in order.

    Example:
        >>> list(SequentialSampler("abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class _RandomOrder(Sampler[int]):
    """A sampler whose order comes from its own generator, or the loader's (seed, epoch), or the global generator."""

    def __init__(self, generator: at.Generator | None) -> None:
        self.generator = generator
        self._key: tuple[int, int] | None = None

    def reseed(self, seed: int, epoch: int) -> None:
        self._key = (seed, epoch)

    def _pass_generator(self) -> at.Generator:
        if self.generator is None and self._key is not None:
            return new_generator(derive_seed(Stream.ORDER, *self._key))
        return new_generator(draw_seed(self.generator))


class RandomSampler(_RandomOrder):
    """Indices in random order, or drawn with replacement.

    Args:
        data_source: what is sampled; only its length is used.
        replacement: draw each index independently.
        num_samples: how many to draw, ``len(data_source)`` by default. Without replacement, more than that means one
            permutation after another.
        generator: where the order comes from. By default the loader's ``(seed, epoch)``, and outside a loader core's
            global generator.

    Raises:
        InvalidValueError: ``num_samples`` is not positive.

    Example:
        >>> sorted(RandomSampler("abc"))
        [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: at.Generator | None = None,
    ) -> None:
        super().__init__(generator)
        if num_samples is not None:
            _check_count("RandomSampler", "num_samples", num_samples)
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """How many indices a pass has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    @property
    def repeats(self) -> bool:  # type: ignore[override]
        return self.replacement or self.num_samples > len(self.data_source)

    def __iter__(self) -> Iterator[int]:
        size, left = len(self.data_source), self.num_samples
        generator = self._pass_generator()
        if size == 0:
            return
        if self.replacement:
            yield from at.randint(0, size, (left,), generator=generator).tolist()
            return
        while left > 0:
            order = at.randperm(size, generator=generator).tolist()
            yield from order[:left]
            left -= size

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_RandomOrder):
    """The given indices in random order.

    Example:
        >>> sorted(SubsetRandomSampler([7, 3, 5]))
        [3, 5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: at.Generator | None = None) -> None:
        super().__init__(generator)
        self.indices = indices

    def __iter__(self) -> Iterator[int]:
        order = at.randperm(len(self.indices), generator=self._pass_generator()).tolist()
        return map(self.indices.__getitem__, order)

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_RandomOrder):
    """Indices drawn with the given, not necessarily normalised, probabilities.

    Without replacement by exponential keys (Efraimidis & Spirakis 2006, algorithm A).

    Args:
        weights: finite numbers of at least 0, one per index.
        num_samples: how many to draw.
        replacement: whether an index can be drawn more than once.
        generator: as in :class:`RandomSampler`.

    Raises:
        InvalidValueError: a weight is negative or not finite, all are zero, or there are fewer positive ones than draws
            without replacement.

    Example:
        >>> set(WeightedRandomSampler([0.0, 1.0, 3.0], 100)) <= {1, 2}
        True
    """

    @explained
    def __init__(
        self,
        weights: Sequence[float] | at.Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: at.Generator | None = None,
    ) -> None:
        import numpy as np

        super().__init__(generator)
        _check_count("WeightedRandomSampler", "num_samples", num_samples)
        values = np.asarray(weights, dtype=np.float64)
        if values.ndim != 1:
            raise at.ShapeError(f"WeightedRandomSampler: expected a 1-d list of weights, got shape {values.shape}")
        if not np.isfinite(values).all() or (values < 0).any():
            raise at.InvalidValueError("WeightedRandomSampler: expected finite weights of at least 0, got others")
        positive = int(np.count_nonzero(values))
        if positive < (1 if replacement else num_samples):
            raise at.InvalidValueError(
                f"WeightedRandomSampler: expected positive weights for {num_samples} draws, got {positive}; "
                "draw fewer, or with replacement=True"
            )
        self.weights = at.from_numpy(values)
        self.num_samples = num_samples
        self.replacement = replacement

    @property
    def repeats(self) -> bool:  # type: ignore[override]
        return self.replacement

    def __iter__(self) -> Iterator[int]:
        import numpy as np

        weights = self.weights.numpy()
        count = self.num_samples if self.replacement else len(weights)
        uniform = at.rand(count, generator=self._pass_generator(), dtype=at.float64).numpy()
        # Core searches and sorts several times faster than NumPy.
        if self.replacement:
            edges = np.cumsum(weights)
            # A draw that rounds up to the total must not land on a trailing index of weight zero.
            last = int(np.flatnonzero(weights)[-1])
            places = at.from_numpy(uniform * edges[-1])
            drawn = at.searchsorted(at.from_numpy(edges), places, right=True).clamp(max=last)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                keys = np.where(weights > 0, np.log1p(-uniform) / weights, -np.inf)
            drawn = at.argsort(at.from_numpy(keys), descending=True, stable=True)[: self.num_samples]
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Groups the indices of another sampler into lists.

    Args:
        sampler: any iterable of indices.
        batch_size: how many to a list.
        drop_last: leave out a last list that is shorter.

    Raises:
        InvalidValueError: ``batch_size`` is not positive.

    Example:
        >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        _check_count("BatchSampler", "batch_size", batch_size)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, min(self.batch_size, sys.maxsize))):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        total = len(self.sampler)  # type: ignore[arg-type]  # a sampler without length says so
        return total // self.batch_size if self.drop_last else math.ceil(total / self.batch_size)

    @property
    def repeats(self) -> bool:  # type: ignore[override]
        return bool(getattr(self._source, "repeats", False))

    def reseed(self, seed: int, epoch: int) -> None:
        if isinstance(self._source, Sampler):
            self._source.reseed(seed, epoch)

    @property
    def _source(self) -> object:
        """The sampler; None in a subclass that makes its own lists and calls no ``__init__`` of this class."""
        return getattr(self, "sampler", None)


class DistributedSampler(Sampler[int]):
    """This rank's share of the indices: every ``num_replicas``-th of one order that all ranks agree on.

    Args:
        dataset: what is sampled; only its length is used.
        num_replicas: number of ranks; by default the process group's, without one the environment's ``WORLD_SIZE``.
        rank: this one; by default the process group's, without one the environment's ``RANK``.
        shuffle: random order, from ``(seed, epoch)``.
        seed: the same on all ranks.
        drop_last: make the shares equal by leaving out the tail; otherwise indices are repeated to fill up.

    The epoch is the loader's, unless :meth:`set_epoch` sets it.

    Raises:
        InvalidValueError: the rank is not below ``num_replicas``, or they are neither given nor to be found.

    Example:
        >>> [list(DistributedSampler("abcde", 2, rank, shuffle=False)) for rank in (0, 1)]
        [[0, 2, 4], [1, 3, 0]]
    """

    @explained
    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset = dataset
        self.num_replicas = _from_surroundings("num_replicas", "WORLD_SIZE") if num_replicas is None else num_replicas
        self.rank = _from_surroundings("rank", "RANK") if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise at.InvalidValueError(
                f"DistributedSampler: expected a rank in [0, {self.num_replicas}), got {self.rank}"
            )
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        self._follows_loader = True

    @property
    def num_samples(self) -> int:
        """How many indices a pass has on each rank."""
        size = len(self.dataset)
        return size // self.num_replicas if self.drop_last else math.ceil(size / self.num_replicas)

    @property
    def total_size(self) -> int:
        """How many indices a pass has on all ranks together."""
        return self.num_samples * self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that the order of the next passes comes from, in place of the loader's own count."""
        self.epoch = epoch
        self._follows_loader = False

    def reseed(self, seed: int, epoch: int) -> None:
        # The loader's seed may differ between ranks; the order must not.
        if self._follows_loader:
            self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        size, total = len(self.dataset), self.total_size
        if self.shuffle:
            generator = new_generator(derive_seed(Stream.ORDER, self.seed, self.epoch))
            order: list[int] = at.randperm(size, generator=generator).tolist()
        else:
            order = list(range(size))
        if total > size:
            order *= math.ceil(total / size)
        return iter(order[self.rank : total : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples


def _from_surroundings(argument: str, variable: str) -> int:
    # The group first: the environment may be that of a launcher with other ranks than those it was joined with.
    group = getattr(at, "distributed", None)
    if group is not None and group.is_initialized():
        size: int = group.get_world_size() if variable == "WORLD_SIZE" else group.get_rank()
        return size
    if variable in os.environ:
        return int(os.environ[variable])
    raise at.InvalidValueError(
        f"DistributedSampler: expected {argument}, a process group or the environment variable {variable}, got none; "
        "call init_process_group first, start the program with atled's launcher, or pass it"
    )


def _check_count(owner: str, name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise at.InvalidValueError(f"{owner}: expected {name} to be a positive integer, got {value!r}")
