"""Samplers: what they visit, how often, and what their order depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import data


def seeded(seed: int) -> at.Generator:
    return at.Generator().manual_seed(seed)


def test_random_sampler_is_a_permutation() -> None:
    order = list(data.RandomSampler(range(100), generator=seeded(0)))
    assert sorted(order) == list(range(100))
    assert order != sorted(order)
    assert order == list(data.RandomSampler(range(100), generator=seeded(0)))
    assert order != list(data.RandomSampler(range(100), generator=seeded(1)))


def test_random_sampler_with_more_samples_repeats_permutations() -> None:
    sampler = data.RandomSampler(range(5), num_samples=12)
    assert sampler.repeats
    assert len(sampler) == 12
    counts = Counter(sampler)
    assert set(counts.values()) == {2, 3}


def test_random_sampler_with_replacement_is_uniform() -> None:
    counts = np.bincount(list(data.RandomSampler(range(10), True, 10_000, seeded(3))), minlength=10)
    # Chi-squared with 9 degrees of freedom: 33.7 is exceeded once in 10,000 times.
    assert ((counts - 1000) ** 2 / 1000).sum() < 33.7


def test_empty_data_gives_nothing() -> None:
    assert list(data.RandomSampler([])) == []
    assert list(data.SequentialSampler([])) == []


def test_the_global_generator_is_the_default() -> None:
    def order() -> list[int]:
        at.manual_seed(5)
        return list(data.RandomSampler(range(50)))

    assert order() == order()


@pytest.mark.parametrize(
    "make", [lambda: data.RandomSampler(range(20)), lambda: data.SubsetRandomSampler(list(range(20)))]
)
def test_a_reseeded_order_depends_on_seed_and_epoch(make: Any) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = make()
        sampler.reseed(seed, epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_subset_sampler_visits_its_indices() -> None:
    assert sorted(data.SubsetRandomSampler([3, 9, 4])) == [3, 4, 9]


def test_weights_are_probabilities() -> None:
    drawn = list(data.WeightedRandomSampler([0.0, 1.0, 0.0, 3.0, 0.0], 20_000, generator=seeded(1)))
    counts = np.bincount(drawn, minlength=5)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    # Four standard deviations of a binomial with p = 1/4.
    assert abs(counts[1] - 5000) < 4 * np.sqrt(20_000 * 0.25 * 0.75)


def test_weights_without_replacement() -> None:
    first: Counter[int] = Counter()
    for seed in range(2000):
        drawn = list(data.WeightedRandomSampler([1.0, 0.0, 3.0], 2, False, seeded(seed)))
        assert sorted(drawn) == [0, 2]
        first[drawn[0]] += 1
    assert abs(first[2] - 1500) < 4 * np.sqrt(2000 * 0.25 * 0.75)


@pytest.mark.parametrize(
    ("weights", "count", "replacement", "message"),
    [
        ([-1.0, 1.0], 1, True, "finite weights of at least 0"),
        ([float("nan")], 1, True, "finite weights"),
        ([0.0, 0.0], 1, True, "positive weights for 1 draws, got 0"),
        ([1.0, 0.0], 2, False, "positive weights for 2 draws, got 1"),
        ([1.0], 0, True, "num_samples to be a positive integer, got 0"),
    ],
)
def test_weight_errors(weights: list[float], count: int, replacement: bool, message: str) -> None:
    with pytest.raises(at.InvalidValueError, match=message):
        data.WeightedRandomSampler(weights, count, replacement)


@pytest.mark.parametrize(("drop_last", "expected"), [(False, [[0, 1], [2, 3], [4]]), (True, [[0, 1], [2, 3]])])
def test_batches(drop_last: bool, expected: list[list[int]]) -> None:
    sampler = data.BatchSampler(data.SequentialSampler(range(5)), 2, drop_last)
    assert list(sampler) == expected
    assert len(sampler) == len(expected)


def test_batches_of_a_subclass_that_makes_its_own() -> None:
    class Pairs(data.BatchSampler):
        def __init__(self) -> None:
            self.pairs = [[0, 3], [2, 1]]

        def __iter__(self) -> Iterator[list[int]]:
            return iter(self.pairs)

        def __len__(self) -> int:
            return len(self.pairs)

    loader = data.DataLoader([0, 1, 4, 9], batch_sampler=Pairs())
    assert [batch.tolist() for batch in loader] == [[0, 9], [4, 1]] and len(loader) == 2


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_batch_size_must_be_positive(size: Any) -> None:
    with pytest.raises(at.InvalidValueError, match="batch_size"):
        data.BatchSampler([], size, False)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("size", "ranks"), [(10, 3), (2, 5), (0, 2), (8, 4)])
def test_ranks_share_the_data(size: int, ranks: int, shuffle: bool, drop_last: bool) -> None:
    samplers = [data.DistributedSampler(range(size), ranks, rank, shuffle, 7, drop_last) for rank in range(ranks)]
    shares = [list(sampler) for sampler in samplers]
    assert {len(share) for share in shares} == {len(samplers[0])}
    visited = Counter(index for share in shares for index in share)
    if drop_last:
        assert set(visited.values()) <= {1}
        assert len(visited) == size - size % ranks
    else:
        assert set(visited) == set(range(size))


def test_distributed_epochs() -> None:
    sampler = data.DistributedSampler(range(30), 2, 0)
    first = list(sampler)
    sampler.reseed(seed=123, epoch=1)
    second = list(sampler)
    sampler.set_epoch(0)
    assert first != second
    assert list(sampler) == first
    # Now the caller counts the epochs.
    sampler.reseed(seed=123, epoch=1)
    assert list(sampler) == first


def test_distributed_says_how_much_there_is() -> None:
    sampler = data.DistributedSampler(range(10), 4, 1)
    assert (sampler.num_samples, sampler.total_size, sampler.epoch) == (3, 12, 0)
    sampler = data.DistributedSampler(range(10), 4, 1, drop_last=True)
    assert (sampler.num_samples, sampler.total_size) == (2, 8)


def test_distributed_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "2")
    assert list(data.DistributedSampler(range(6), shuffle=False)) == [2, 5]
    monkeypatch.delenv("RANK")
    group = SimpleNamespace(is_initialized=lambda: True, get_rank=lambda: 1, get_world_size=lambda: 3)
    monkeypatch.setattr(at, "distributed", group, raising=False)
    assert data.DistributedSampler(range(6)).rank == 1
    group.is_initialized = lambda: False
    with pytest.raises(at.InvalidValueError, match="environment variable RANK, got none; call init_process_group"):
        data.DistributedSampler(range(6))
    with pytest.raises(at.InvalidValueError, match=r"rank in \[0, 3\), got 3"):
        data.DistributedSampler(range(6), rank=3)


def test_distributed_asks_the_process_group_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    group = SimpleNamespace(is_initialized=lambda: True, get_rank=lambda: 1, get_world_size=lambda: 2)
    monkeypatch.setattr(at, "distributed", group, raising=False)
    assert list(data.DistributedSampler(range(8), shuffle=False)) == [1, 3, 5, 7]
    assert list(data.DistributedSampler(range(8), 4, 3, shuffle=False)) == [3, 7]
