"""The DataLoader: from a dataset to batches."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import atled.core as at
from atled.core._explained import explained

from ._collate import default_collate, default_convert, map_leaves
from ._dataset import IterableDataset
from ._fetch import Plan
from ._iterators import LocalIterator, PoolIterator
from ._random import draw_seed
from ._sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from ._tensors import can_pin, pinned

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from ._pool import WorkerPool

T_co = TypeVar("T_co", covariant=True)

# What a loader is made of: to set it later would not reach what was made from it.
_FIXED = ("batch_sampler", "batch_size", "dataset", "drop_last", "persistent_workers", "sampler")


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches, in the main process or with worker processes.

    Batches depend on ``(seed, epoch, sample index)`` alone: the order of samples and every random number that the
    dataset draws while it loads one (from core, NumPy or ``random``, or from :func:`atled.data.sample_generator`) are
    the same for any ``num_workers``. Each ``iter(loader)`` is the next epoch. Workers hand tensors over in shared
    memory, without a copy in the main process; the memory of a batch is freed with the last of its tensors.

    Args:
        dataset: a :class:`Dataset` (or anything with ``__getitem__`` and ``__len__``), or an :class:`IterableDataset`.
        batch_size: samples per batch; None hands over single samples as they are, with arrays turned into tensors.
        shuffle: visit the samples in random order.
        sampler: an iterable of indices, in place of ``shuffle``.
        batch_sampler: an iterable of lists of indices, in place of all four of ``batch_size``, ``shuffle``, ``sampler``
            and ``drop_last``.
        num_workers: number of worker processes; 0 loads in the main process.
        collate_fn: makes a batch from a list of samples; :func:`default_collate` by default.
        pin_memory: copy batches into page-locked memory, from which copies to a GPU are faster; without a GPU, nothing.
        drop_last: leave out a last batch that is smaller.
        timeout: seconds to wait for a batch of the workers; 0 waits without limit.
        worker_init_fn: called in each worker with its number when it starts.
        multiprocessing_context: a start method ("fork", "spawn", "forkserver") or context; Python's default by default.
        generator: where the seed is drawn from, if none is given.
        prefetch_factor: batches that each worker loads ahead; 2 by default.
        pin_memory_device: "cuda", or "" for the accelerator there is.
        persistent_workers: keep the workers from one pass to the next.
        in_order: hand batches over in order; False hands over whichever is ready, which is not reproducible.
        seed: the seed; by default one is drawn at the first pass, from ``generator`` or core's global generator.

    Raises:
        InvalidValueError: arguments that are out of range or exclude each other.
        WorkerDiedError, WorkerTimeoutError: while iterating; an exception of the dataset comes as it is, with the
            worker's traceback and the sample's index in its notes.

    Example:
        >>> loader = DataLoader(range(5), batch_size=2)
        >>> [batch.tolist() for batch in loader]
        [[0, 1], [2, 3], [4]]
    """

    @explained
    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: at.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.num_workers = num_workers = _count("num_workers", num_workers)
        self.timeout = _seconds(timeout)
        self.pin_memory = pin_memory
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.in_order = in_order
        self.persistent_workers = persistent_workers
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers > 0 else prefetch_factor
        self.multiprocessing_context = _context(multiprocessing_context, num_workers)
        for name, value in (("collate_fn", collate_fn), ("worker_init_fn", worker_init_fn)):
            _require_type(value is None or callable(value), f"expected {name} to be callable, got {value!r}")
        self._check_worker_options(prefetch_factor)
        _require(seed is None or generator is None, "expected seed or generator, got both")
        _require(
            pin_memory_device.partition(":")[0] in ("", "cuda"),
            f'expected pin_memory_device to be "cuda" or "", got {pin_memory_device!r}',
        )
        self.pin_memory_device = pin_memory_device

        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler: Iterable[Any]
        self.batch_sampler: Iterable[Any] | None
        if isinstance(dataset, IterableDataset):
            _require(
                not shuffle and sampler is None and batch_sampler is None,
                "expected no shuffle, sampler or batch_sampler for an IterableDataset, whose own order counts",
            )
            self.sampler, self.batch_sampler = (), None
            if batch_size is not None:
                BatchSampler((), batch_size, drop_last)
        else:
            self.sampler, self.batch_sampler = self._samplers(shuffle, sampler, batch_sampler)
        _require(
            not (batch_size is None and drop_last),
            "expected a batch_size with drop_last, got None, which makes no batches",
        )
        self._is_batched = batch_sampler is not None or batch_size is not None
        self.collate_fn = collate_fn or (default_collate if self._is_batched else default_convert)

        self._seed = seed
        self._next_epoch = 0
        self._pool: WorkerPool | None = None
        self._on_fallback: Callable[[str], None] | None = None
        self._is_made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_is_made" in self.__dict__:
            raise at.InvalidValueError(f"DataLoader: {name} cannot be set after it was made; make another DataLoader")
        super().__setattr__(name, value)

    @property
    def seed(self) -> int:
        """The seed that all randomness of this loader comes from, drawn now if it was not given."""
        if self._seed is None:
            self._seed = draw_seed(self.generator)
        return self._seed

    @property
    def epoch(self) -> int:
        """The number of the next pass, from 0."""
        return self._next_epoch

    def set_epoch(self, epoch: int) -> None:
        """Sets the number of the next pass, for example to resume a run.

        Example:
            >>> loader = DataLoader(range(8), shuffle=True, seed=3)
            >>> first, second = list(loader), list(loader)
            >>> loader.set_epoch(1)
            >>> [int(batch) for batch in loader] == [int(batch) for batch in second]
            True
        """
        self._next_epoch = _count("epoch", epoch)

    def __iter__(self) -> Iterator[Any]:
        epoch = self._next_epoch
        self._next_epoch += 1
        if isinstance(self._index_sampler, Sampler):
            self._index_sampler.reseed(self.seed, epoch)
        if self.num_workers == 0:
            return LocalIterator(self, self.seed, epoch)
        return PoolIterator(self, self._workers(), self.seed, epoch)

    def __len__(self) -> int:
        """Number of batches; for an iterable dataset as its own length says, which workers may change."""
        if isinstance(self.dataset, IterableDataset):
            length = len(self.dataset)  # type: ignore[arg-type]  # a stream without length says so
            if self.batch_size is None:
                return length
            return length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        return len(self._index_sampler)  # type: ignore[arg-type]

    @property
    def _index_sampler(self) -> Iterable[Any]:
        """What gives the indices of each batch, or, where nothing is collated, of each sample."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def plan(self) -> Plan:
        """What the processes of this loader need to make batches."""
        # A batch sampler's own size plays no role: any number will do that says that samples are collated.
        size = (self.batch_size or 1) if self._is_batched else None
        return Plan(self.dataset, self.collate_fn, size, self.drop_last)

    @property
    def prefetch_depth(self) -> int:
        """Batches that each worker loads ahead."""
        return self.prefetch_factor or 1

    def finish(self, batch: Any) -> Any:
        """What is left to do with a batch in the main process."""
        if not self.pin_memory or not can_pin():
            return batch
        return map_leaves(pinned, batch)

    def _workers(self) -> WorkerPool:
        from ._pool import FallbackWarning, WorkerPool

        if self._pool is not None and not self._pool.closed:
            return self._pool
        self._on_fallback = self._on_fallback or FallbackWarning()
        context: Any = self.multiprocessing_context
        pool = WorkerPool(self.plan(), self.num_workers, self.seed, self.worker_init_fn, context, self._on_fallback)
        self._pool = pool if self.persistent_workers else None
        return pool

    def _samplers(
        self, shuffle: bool | None, sampler: Iterable[Any] | None, batch_sampler: Iterable[Any] | None
    ) -> tuple[Iterable[Any], Iterable[Any] | None]:
        _require(not (sampler is not None and shuffle), "expected sampler or shuffle, got both")
        for name, order, what in (
            ("sampler", sampler, "indices"),
            ("batch_sampler", batch_sampler, "lists of indices"),
        ):
            _require_type(
                order is None or hasattr(order, "__iter__") or hasattr(order, "__getitem__"),
                f"expected {name} to be an iterable of {what}, got {order!r}",
            )
        if batch_sampler is not None:
            _require(
                self.batch_size == 1 and not shuffle and sampler is None and not self.drop_last,
                "expected batch_sampler or (batch_size, shuffle, sampler, drop_last), got both",
            )
            self.batch_size = None
            return (), batch_sampler
        if sampler is None:
            sampler = RandomSampler(self.dataset) if shuffle else SequentialSampler(self.dataset)
        return sampler, None if self.batch_size is None else BatchSampler(sampler, self.batch_size, self.drop_last)

    def _check_worker_options(self, prefetch_factor: int | None) -> None:
        if self.num_workers == 0:
            _require(prefetch_factor is None, "expected num_workers > 0 with prefetch_factor, got num_workers=0")
            _require(not self.persistent_workers, "expected num_workers > 0 with persistent_workers, got num_workers=0")
            _require(self.timeout == 0, "expected num_workers > 0 with timeout, got num_workers=0")
        elif prefetch_factor is not None:
            _count("prefetch_factor", prefetch_factor, 1)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise at.InvalidValueError(f"DataLoader: {message}")


def _require_type(condition: bool, message: str) -> None:
    if not condition:
        raise at.ArgumentError(f"DataLoader: {message}")


def _count(name: str, value: Any, least: int = 0) -> int:
    _require_type(hasattr(value, "__index__"), f"expected {name} to be an integer, got {value!r}")
    _require(value >= least, f"expected {name} of at least {least}, got {value}")
    return operator.index(value)


def _seconds(timeout: Any) -> float:
    _require_type(isinstance(timeout, numbers.Real), f"expected timeout to be a number of seconds, got {timeout!r}")
    _require(timeout >= 0, f"expected timeout of at least 0, got {timeout}")
    # NumPy's numbers, which count as real ones, become Python's.
    return timeout if isinstance(timeout, int | float) else float(timeout)


def _context(context: str | BaseContext | None, num_workers: int) -> BaseContext | None:
    if context is None:
        return None
    import multiprocessing

    _require(num_workers > 0, "expected num_workers > 0 with multiprocessing_context, got num_workers=0")
    methods = multiprocessing.get_all_start_methods()
    if not isinstance(context, str):
        is_context = hasattr(context, "Process")
        _require_type(is_context, f"expected a multiprocessing_context, or one of {methods}, got {context!r}")
        return context
    _require(context in methods, f"expected a multiprocessing_context among {methods}, got {context!r}")
    chosen: BaseContext = multiprocessing.get_context(context)
    return chosen
