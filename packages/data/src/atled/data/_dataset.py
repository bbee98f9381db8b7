"""Datasets: what a loader reads samples from."""

from __future__ import annotations

import bisect
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Generic, TypeVar

import atled.core as at
from atled.core._explained import explained

from ._collate import is_numpy
from ._random import draw_seed
from ._random import generator as new_generator

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_CONTAINERS = (list, tuple, range, str, bytes, dict, at.Tensor)


class Dataset(Generic[T_co]):
    """A map from indices to samples; subclasses define ``__getitem__`` and, for most samplers, ``__len__``.

    Before each sample a loader seeds the global generators of core, NumPy and ``random`` with the sample's own seed, so
    that augmentations are the same for any number of workers (see also :func:`atled.data.sample_generator`). A dataset
    that draws no random numbers may set ``deterministic = True`` to save that time. It may also define
    ``__getitems__(indices)``, which returns the list of samples of a batch.

    Example:
        >>> class Squares(Dataset[int]):
        ...     def __getitem__(self, index: int) -> int:
        ...         return index * index
        ...
        ...     def __len__(self) -> int:
        ...         return 5
        >>> Squares()[3]
        9
    """

    deterministic: bool = False

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__; define it in the subclass of Dataset")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples; subclasses define ``__iter__``.

    Each worker process iterates a copy of its own: split the stream there with :func:`atled.data.get_worker_info`,
    or every sample comes once per worker.

    Example:
        >>> class Count(IterableDataset[int]):
        ...     def __iter__(self) -> Iterator[int]:
        ...         info = get_worker_info()
        ...         first, step = (info.id, info.num_workers) if info else (0, 1)
        ...         return iter(range(first, 10, step))
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(
            f"{type(self).__name__} has no __iter__; define it in the subclass of IterableDataset"
        )

    def __add__(self, other: Dataset[T_co]) -> ChainDataset[T_co]:  # type: ignore[override]
        return ChainDataset([self, other])  # type: ignore[list-item]  # checked by its iteration


class TensorDataset(Dataset[tuple[at.Tensor, ...]]):
    """Samples that are rows of tensors: sample ``i`` is ``(t[i] for t in tensors)``.

    Raises:
        ShapeError: the first dimensions differ.

    Example:
        >>> import atled.core as at
        >>> rows = TensorDataset(at.tensor([[1.0], [2.0]]), at.tensor([0, 1]))
        >>> len(rows), rows[1][1].item()
        (2, 1)
    """

    deterministic = True

    @explained
    def __init__(self, *tensors: at.Tensor) -> None:
        if not tensors:
            raise at.ArgumentError("TensorDataset: expected at least one tensor, got none")
        lengths = [_length(tensor) for tensor in tensors]
        if len(set(lengths)) > 1:
            raise at.ShapeError(f"TensorDataset: expected tensors with equally many rows, got {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[at.Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getbatch__(self, indices: Sequence[int]) -> list[at.Tensor]:
        """What collating the samples one by one would give, in one gather per tensor."""
        rows = at.tensor(indices)
        if len(indices) and (rows.dtype.is_floating_point or rows.dtype.is_complex):
            wrong = next((index for index in indices if not hasattr(index, "__index__")), indices[0])
            raise at.BoundsError(f"TensorDataset: expected integers as indices, got {wrong!r}")
        rows = rows.to(at.int64)
        return [tensor[rows] for tensor in self.tensors]

    def __len__(self) -> int:
        return _length(self.tensors[0])


def _length(tensor: at.Tensor) -> int:
    if not tensor.shape:
        raise at.ShapeError("TensorDataset: expected tensors with at least one dimension, got one with shape ()")
    return int(tensor.shape[0])


class StackDataset(Dataset[Any]):
    """Datasets side by side: a sample is the tuple (or, from keywords, the dict) of theirs.

    Raises:
        ShapeError: the lengths differ.

    Example:
        >>> StackDataset(image=["a", "b"], label=[0, 1])[1]
        {'image': 'b', 'label': 1}
    """

    @explained
    def __init__(self, *args: Sized, **kwargs: Sized) -> None:
        if bool(args) == bool(kwargs):
            raise at.ArgumentError("StackDataset: expected datasets either all positional or all by keyword")
        self.datasets: tuple[Any, ...] | dict[str, Any] = args or kwargs
        lengths = [len(part) for part in self._parts()]
        if len(set(lengths)) > 1:
            raise at.ShapeError(f"StackDataset: expected datasets of one length, got lengths {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, Mapping):
            return {name: part[index] for name, part in self.datasets.items()}
        return tuple(part[index] for part in self.datasets)

    def __getitems__(self, indices: Sequence[Any]) -> list[Any]:
        columns = [read_samples(part, indices) for part in self._parts()]
        rows = zip(*columns, strict=True)
        if isinstance(self.datasets, Mapping):
            return [dict(zip(self.datasets, row, strict=True)) for row in rows]
        return list(rows)

    def __len__(self) -> int:
        return self._length

    @property
    def deterministic(self) -> bool:  # type: ignore[override]
        return all(is_deterministic(part) for part in self._parts())

    def _parts(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, Mapping) else self.datasets)


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other; negative indices count from the end.

    Example:
        >>> both = ConcatDataset([["a", "b"], ["c"]])
        >>> len(both), both[2], both[-3]
        (3, 'c', 'a')
    """

    @explained
    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise at.InvalidValueError("ConcatDataset: expected at least one dataset, got none")
        for part in self.datasets:
            if isinstance(part, IterableDataset):
                raise at.ArgumentError(
                    "ConcatDataset: expected datasets with indices, got an IterableDataset; use ChainDataset"
                )
        self.cumulative_sizes = list(itertools.accumulate(len(part) for part in self.datasets))

    def __getitem__(self, index: Any) -> T_co:
        position = operator.index(index)
        length = self.cumulative_sizes[-1]
        if not -length <= position < length:
            raise at.BoundsError(f"ConcatDataset: expected an index in [-{length}, {length}), got {position}")
        if position < 0:
            position += length
        part = bisect.bisect_right(self.cumulative_sizes, position)
        start = self.cumulative_sizes[part - 1] if part else 0
        sample: T_co = self.datasets[part][position - start]
        return sample

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    @property
    def deterministic(self) -> bool:  # type: ignore[override]
        return all(is_deterministic(part) for part in self.datasets)


class ChainDataset(IterableDataset[T_co]):
    """Streams one after the other.

    Example:
        >>> list(ChainDataset([[1, 2], [3]]))
        [1, 2, 3]
    """

    @explained
    def __init__(self, datasets: Iterable[Iterable[T_co]]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[T_co]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(map(len, self.datasets))  # type: ignore[arg-type]  # a stream without length says so


class Subset(Dataset[T_co]):
    """The samples of ``dataset`` at ``indices``.

    Example:
        >>> Subset("abcd", [3, 1])[0]
        'd'
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        chosen = [self.indices[each] for each in index] if isinstance(index, list) else self.indices[index]
        sample: T_co = self.dataset[chosen]
        return sample

    def __getitems__(self, indices: Sequence[Any]) -> list[T_co]:
        return read_samples(self.dataset, [self.indices[index] for index in indices])

    def __getbatch__(self, indices: Sequence[int]) -> Any:
        whole = method_for_batches(self.dataset, "__getbatch__")
        return NotImplemented if whole is None else whole([self.indices[index] for index in indices])

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def deterministic(self) -> bool:  # type: ignore[override]
        return is_deterministic(self.dataset)


def is_deterministic(dataset: Any) -> bool:
    """Whether reading a sample draws no random numbers: where the dataset says so, and for plain containers."""
    if type(dataset) in _CONTAINERS or is_numpy(dataset):
        return True
    if _is_overridden(dataset, "deterministic"):
        return False
    return bool(getattr(dataset, "deterministic", False))


def method_for_batches(dataset: Any, name: str) -> Callable[[Any], Any] | None:
    """The method by that name, unless a subclass has a ``__getitem__`` of its own, which it would pass by."""
    method: Callable[[Any], Any] | None = getattr(dataset, name, None)
    return None if method is None or _is_overridden(dataset, name) else method


def reads_batches(dataset: Any) -> bool:
    """Whether the samples of a batch are to be had together, by a ``__getitems__`` that somebody wrote for it."""
    if method_for_batches(dataset, "__getitems__") is None:
        return False
    # An object may also have a function of its own by that name, of which its class knows nothing.
    written = getattr(type(dataset), "__getitems__", None)
    if written is Subset.__getitems__:
        return reads_batches(dataset.dataset)
    if written is StackDataset.__getitems__:
        return any(map(reads_batches, dataset._parts()))
    return True


def read_samples(dataset: Any, indices: Sequence[Any]) -> list[Any]:
    """The samples at ``indices``, together where the dataset can do that."""
    method = method_for_batches(dataset, "__getitems__")
    samples: list[Any] = [dataset[index] for index in indices] if method is None else method(indices)
    return samples


def _is_overridden(dataset: Any, name: str) -> bool:
    """Whether what a dataset says by ``name`` is not meant for the ``__getitem__`` (or ``__iter__``) that it has.

    So it is where this package says it and a subclass has a ``__getitem__`` of its own, and where a wrapper only hands
    on what it wraps.
    """
    kinds = type(dataset).__mro__
    owner = next((kind for kind in kinds if name in vars(kind)), None)
    if owner is None:
        return name not in getattr(dataset, "__dict__", {})
    below = kinds[: kinds.index(owner)] if owner.__module__ == __name__ else ()
    return any("__getitem__" in vars(kind) or "__iter__" in vars(kind) for kind in below)


@explained
def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: at.Generator | None = None
) -> list[Subset[Any]]:
    """Splits a dataset at random into disjoint subsets.

    Args:
        dataset: anything with a length and indices.
        lengths: sizes that add up to ``len(dataset)``, or fractions that add up to 1; what rounding down leaves over
            goes to the first subsets, one sample each.
        generator: where the order comes from; core's global generator by default.

    Raises:
        InvalidValueError: the lengths do not add up.

    Example:
        >>> train, test = random_split(range(10), [0.8, 0.2])
        >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
        (8, 2, True)
    """
    sizes = _sizes(len(dataset), lengths)
    order = at.randperm(len(dataset), generator=new_generator(draw_seed(generator))).tolist()
    ends = itertools.accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _sizes(total: int, lengths: Sequence[int | float]) -> list[int]:
    if any(length < 0 for length in lengths):
        raise at.InvalidValueError(f"random_split: expected lengths of at least 0, got {list(lengths)}")
    if math.isclose(sum(lengths), 1) and any(length != int(length) or total != 1 for length in lengths):
        sizes = [math.floor(total * length) for length in lengths]
        for extra in range(total - sum(sizes)):
            sizes[extra % len(sizes)] += 1
        return sizes
    if sum(lengths) != total:
        raise at.InvalidValueError(
            f"random_split: expected lengths that add up to {total}, or fractions that add up to 1, got {list(lengths)}"
        )
    return [int(length) for length in lengths]
