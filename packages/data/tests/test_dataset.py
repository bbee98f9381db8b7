"""Datasets against plain Python lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import data


def test_tensor_dataset_gives_rows() -> None:
    values, labels = np.arange(12.0).reshape(4, 3), np.arange(4)
    dataset = data.TensorDataset(at.from_numpy(values), at.from_numpy(labels))
    assert len(dataset) == 4
    row, label = dataset[2]
    np.testing.assert_array_equal(row.numpy(), values[2])
    assert label.item() == 2


def test_tensor_dataset_takes_whole_batches_like_single_ones() -> None:
    values = at.from_numpy(np.arange(30.0).reshape(10, 3))
    dataset = data.TensorDataset(values, at.from_numpy(np.arange(10)))
    subset: data.Subset[Any] = data.Subset(dataset, [9, 1, 4, 7])
    for chosen in (dataset, subset):
        fast = chosen.__getbatch__([3, 0, 1])
        slow = data.default_collate([chosen[index] for index in (3, 0, 1)])
        assert [part.tolist() for part in fast] == [part.tolist() for part in slow]


@pytest.mark.parametrize("indices", [[1, 1.5], [1.0], np.array([0.0, 2.0])])
def test_tensor_dataset_takes_no_fractions_as_indices(indices: Any) -> None:
    loader = data.DataLoader(data.TensorDataset(at.arange(4)), batch_size=2, sampler=indices)
    with pytest.raises(at.BoundsError, match="integers as indices, got .*1.5|integers as indices, got .*[01].0"):
        list(loader)


def test_tensor_dataset_takes_whole_numbers_of_all_kinds_as_indices() -> None:
    loader = data.DataLoader(data.TensorDataset(at.arange(4)), 2, sampler=[np.uint8(3), at.tensor(1), -1, np.int32(0)])
    assert [batch[0].tolist() for batch in loader] == [[3, 1], [3, 0]]
    assert data.TensorDataset(at.arange(4)).__getbatch__([])[0].shape == (0,)


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ([], at.ArgumentError, "at least one tensor"),
        ([np.zeros((3, 1)), np.zeros(4)], at.ShapeError, r"equally many rows, got \[3, 4\]"),
        ([np.float64(1)], at.ShapeError, "at least one dimension"),
    ],
)
def test_tensor_dataset_errors(tensors: list[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        data.TensorDataset(*(at.from_numpy(np.asarray(tensor)) for tensor in tensors))


def test_concat_is_one_after_the_other() -> None:
    parts = [list("ab"), [], list("cde")]
    dataset: data.ConcatDataset[str] = data.ConcatDataset(parts)
    joined = list("abcde")
    assert len(dataset) == 5
    assert [dataset[index] for index in range(-5, 5)] == [joined[index] for index in range(-5, 5)]
    for outside in (5, -6):
        with pytest.raises(at.BoundsError, match=r"\[-5, 5\)"):
            dataset[outside]


def test_concat_refuses_streams_and_nothing() -> None:
    with pytest.raises(at.ArgumentError, match="use ChainDataset"):
        data.ConcatDataset([data.ChainDataset([])])
    with pytest.raises(at.InvalidValueError, match="at least one dataset"):
        data.ConcatDataset([])


class Doubled(data.Dataset[Any]):
    """A dataset around another one, to which it hands on what it does not know."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getitem__(self, index: int) -> Any:
        return self.inner[index][0] * 2

    def __len__(self) -> int:
        return len(self.inner)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)


class DoubledRows(data.TensorDataset):
    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index)[0] * 2


class DoubledSubset(data.Subset[Any]):
    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index)[0] * 2


@pytest.mark.parametrize(
    "make",
    [
        Doubled,
        lambda rows: DoubledRows(*rows.tensors),
        lambda rows: DoubledSubset(rows, range(4)),
        lambda rows: data.Subset(DoubledRows(*rows.tensors), range(4)),
    ],
)
def test_a_getitem_of_ones_own_is_never_passed_by(make: Any) -> None:
    dataset = make(data.TensorDataset(at.arange(4)))
    assert [batch.tolist() for batch in data.DataLoader(dataset, batch_size=2)] == [[0, 2], [4, 6]]
    # It may draw random numbers, whatever the class below says of its own.
    assert data.DataLoader(dataset).plan().seeds_samples


class Together(data.Dataset[Any]):
    """Samples that say how many were read at once."""

    def __getitem__(self, index: int) -> Any:
        return index, 1

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [(index, len(indices)) for index in indices]

    def __len__(self) -> int:
        return 4


def test_parts_that_read_batches_do_so_through_subset_and_stack() -> None:
    def first(dataset: Any) -> Any:
        return next(iter(data.DataLoader(dataset, batch_size=2, collate_fn=list)))

    assert first(data.Subset(data.Subset(Together(), [3, 2, 1]), [2, 0])) == [(1, 2), (3, 2)]
    assert first(data.StackDataset(Together(), "abcd")) == [((0, 2), "a"), ((1, 2), "b")]
    assert first(data.StackDataset(x=Together())) == [{"x": (0, 2)}, {"x": (1, 2)}]
    assert data.Subset(Together(), [3, 2]).__getitems__([1]) == [(2, 1)]


def test_an_object_may_have_a_getitems_of_its_own() -> None:
    class Plain(data.Dataset[int]):
        def __getitem__(self, index: int) -> int:
            return index

        def __len__(self) -> int:
            return 4

    dataset = Plain()
    dataset.__getitems__ = lambda indices: [10 * index for index in indices]  # type: ignore[attr-defined]
    assert [batch.tolist() for batch in data.DataLoader(dataset, batch_size=2)] == [[0, 10], [20, 30]]


def test_plus_concatenates() -> None:
    left = data.TensorDataset(at.from_numpy(np.arange(2)))
    assert [sample[0].item() for sample in map((left + left).__getitem__, range(4))] == [0, 1, 0, 1]


def test_stack_is_side_by_side() -> None:
    assert data.StackDataset("ab", [1, 2])[1] == ("b", 2)
    assert data.StackDataset(x="ab", y=[1, 2])[0] == {"x": "a", "y": 1}
    with pytest.raises(at.ShapeError, match=r"lengths \[1, 2\]"):
        data.StackDataset("a", [1, 2])


def test_determinism_is_that_of_the_parts() -> None:
    fixed = data.TensorDataset(at.from_numpy(np.arange(2)))
    assert data.ConcatDataset([fixed, data.Subset(fixed, [0])]).deterministic
    assert data.Subset([1], [0]).deterministic
    assert not data.ConcatDataset([fixed, Doubled([1])]).deterministic


@pytest.mark.parametrize(
    ("lengths", "sizes"), [([6, 4], [6, 4]), ([0.5, 0.5], [5, 5]), ([0.34, 0.33, 0.33], [4, 3, 3]), ([10, 0], [10, 0])]
)
def test_random_split_is_a_partition(lengths: list[float], sizes: list[int]) -> None:
    parts = data.random_split(range(10), lengths, at.Generator().manual_seed(1))
    assert [len(part) for part in parts] == sizes
    assert sorted(part[index] for part in parts for index in range(len(part))) == list(range(10))


def test_random_split_follows_its_generator() -> None:
    def split(seed: int) -> list[int]:
        first, _ = data.random_split(range(100), [50, 50], at.Generator().manual_seed(seed))
        return [first[index] for index in range(50)]

    assert split(1) == split(1)
    assert split(1) != split(2)
    assert split(1) != sorted(split(1))


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.6], [-1, 11]])
def test_random_split_checks_the_sum(lengths: list[float]) -> None:
    with pytest.raises(at.InvalidValueError, match="random_split: expected lengths"):
        data.random_split(range(10), lengths)


def test_missing_methods_are_named() -> None:
    with pytest.raises(NotImplementedError, match="Empty has no __getitem__"):
        type("Empty", (data.Dataset,), {})()[0]
    with pytest.raises(NotImplementedError, match="Empty has no __iter__"):
        iter(type("Empty", (data.IterableDataset,), {})())
