"""DataLoader over iterable datasets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import flatten

import atled.core as at
from atled import data


class Count(data.IterableDataset[Any]):
    """Counts to ``end``; workers take turns. Every sample comes with random numbers."""

    def __init__(self, end: int) -> None:
        self.end = end

    def __iter__(self) -> Iterator[Any]:
        info = data.get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        for value in range(first, self.end, step):
            yield value, np.random.random(), at.rand(1)

    def __len__(self) -> int:
        return self.end


def values(loader: data.DataLoader) -> list[list[int]]:
    return [batch[0].tolist() for batch in loader]


def test_one_process() -> None:
    assert values(data.DataLoader(Count(5), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert values(data.DataLoader(Count(5), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    assert [sample[0] for sample in data.DataLoader(Count(3), batch_size=None)] == [0, 1, 2]
    assert values(data.DataLoader(Count(0), batch_size=2)) == []


def test_one_worker_gives_what_no_worker_gives() -> None:
    assert flatten(data.DataLoader(Count(9), batch_size=2, num_workers=1, seed=5)) == flatten(
        data.DataLoader(Count(9), batch_size=2, seed=5)
    )


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("end", "workers"), [(20, 2), (7, 3), (2, 4), (0, 2), (31, 4)])
def test_workers_take_turns(end: int, workers: int, drop_last: bool) -> None:
    streams = []
    for worker in range(workers):
        share = list(range(worker, end, workers))
        batches = [share[start : start + 2] for start in range(0, len(share), 2)]
        streams.append([batch for batch in batches if len(batch) == 2 or not drop_last])
    expected = [batch for turn in itertools.zip_longest(*streams) for batch in turn if batch is not None]
    loader = data.DataLoader(Count(end), 2, num_workers=workers, drop_last=drop_last, persistent_workers=True)
    assert values(loader) == expected
    assert values(loader) == expected


def test_streams_are_reproducible_and_differ_between_workers_and_epochs() -> None:
    def run() -> list[Any]:
        loader = data.DataLoader(Count(12), batch_size=None, num_workers=2, seed=1)
        return [flatten(loader), flatten(loader)]

    first, second = run()
    assert [first, second] == run()
    draws = [sample[1] for sample in first + second]
    assert len(set(draws)) == len(draws)


def test_length_is_that_of_the_stream() -> None:
    assert len(data.DataLoader(Count(5), batch_size=2)) == 3
    assert len(data.DataLoader(Count(5), batch_size=2, drop_last=True)) == 2
    assert len(data.DataLoader(Count(5), batch_size=None)) == 5


def test_chains() -> None:
    chained = Count(2) + Count(3)
    assert isinstance(chained, data.ChainDataset)
    assert values(data.DataLoader(chained, batch_size=5)) == [[0, 1, 0, 1, 2]]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_the_stream_says_where(workers: int) -> None:
    class Broken(data.IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            yield 0
            raise OSError("the tape tore")

    iterator = iter(data.DataLoader(Broken(), num_workers=workers))
    next(iterator)
    with pytest.raises(OSError, match="the tape tore") as caught:
        list(iterator)
    assert "sample 1 of the stream" in caught.value.__notes__[0]


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_a_stream_has_its_own_order(options: dict[str, Any]) -> None:
    with pytest.raises(at.InvalidValueError, match="IterableDataset, whose own order counts"):
        data.DataLoader(Count(3), **options)
