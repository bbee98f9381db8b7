"""DataLoader: arguments, batches, and the same batches for any number of workers."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import Augmented, flatten

import atled.core as at
from atled import data

WORKERS = [1, 4]


def two_epochs(dataset: Any, **options: Any) -> list[Any]:
    loader = data.DataLoader(dataset, **options)
    return [flatten(loader), flatten(loader)]


class Batches(Augmented):
    """A dataset that loads whole batches."""

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in indices]


class Named(data.Dataset[Any]):
    """A dataset whose indices are no integers."""

    def __getitem__(self, index: tuple[str, int]) -> Any:
        return index[1], at.rand(2)


def mix_up(samples: list[Any]) -> Any:
    """A collate function that draws random numbers."""
    batch = data.default_collate(samples)
    return [batch, at.rand(2), np.random.random(), random.random()]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("dataset", "options"),
    [
        (Augmented(), {"batch_size": 4, "shuffle": True}),
        (Augmented(), {"batch_size": 5, "drop_last": True}),
        (Augmented(), {"batch_size": None, "shuffle": True}),
        (Augmented(width=20_000), {"batch_size": 4}),
        (Augmented(), {"batch_sampler": [[1, 1, 2], [0]]}),
        (Augmented(), {"batch_size": 4, "sampler": data.RandomSampler(range(23), replacement=True)}),
        (Augmented(), {"batch_size": 4, "collate_fn": mix_up}),
        (Batches(), {"batch_size": 4, "shuffle": True}),
        (Named(), {"batch_size": 2, "sampler": [("a", 1), ("b", 2), ("c", 3)]}),
        (data.ConcatDataset([Augmented(), data.Subset(Augmented(), range(7))]), {"batch_size": 3, "shuffle": True}),
        (
            data.TensorDataset(at.from_numpy(np.arange(60.0).reshape(20, 3)), at.from_numpy(np.arange(20))),
            {"batch_size": 6, "shuffle": True},
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else type(value).__name__,
)
def test_any_number_of_workers_gives_the_same(workers: int, dataset: Any, options: dict[str, Any]) -> None:
    expected = two_epochs(dataset, seed=11, **options)
    assert two_epochs(dataset, seed=11, num_workers=workers, **options) == expected
    if options.get("shuffle") or not getattr(dataset, "deterministic", False):
        assert expected[0] != expected[1]
        assert two_epochs(dataset, seed=12, **options) != expected


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize(
    "dataset", [Augmented(), data.TensorDataset(at.arange(40).reshape(20, 2), at.ones(20, dtype=at.bfloat16))]
)
def test_every_start_method_gives_the_same(dataset: Any, method: str) -> None:
    expected = two_epochs(dataset, batch_size=8, shuffle=True, seed=1)
    options: dict[str, Any] = {"num_workers": 2, "multiprocessing_context": method, "persistent_workers": True}
    assert two_epochs(dataset, batch_size=8, shuffle=True, seed=1, **options) == expected


def test_workers_compute_after_the_main_process_used_threads() -> None:
    class Products(data.Dataset[Any]):
        def __getitem__(self, index: int) -> Any:
            square = at.full((200, 200), float(index))
            return (square @ square)[0, 0] + (at.ones(1_000_000) * 2)[-1]

        def __len__(self) -> int:
            return 4

    threads = at.get_num_threads()
    at.set_num_threads(2)
    try:
        large = at.ones(4_000_000) * 2
        loader = data.DataLoader(Products(), batch_size=4, num_workers=2)
        assert [batch.tolist() for batch in loader] == [[200.0 * index**2 + 2 for index in range(4)]]
        assert (large + 1)[-1].item() == 3
    finally:
        at.set_num_threads(threads)


def test_batches_are_those_of_the_reference() -> None:
    values = np.random.default_rng(0).standard_normal((17, 5))
    loader = data.DataLoader(data.TensorDataset(at.from_numpy(values)), batch_size=4, num_workers=2)
    assert len(loader) == 5
    got = [batch[0].numpy() for batch in loader]
    assert [len(batch) for batch in got] == [4, 4, 4, 4, 1]
    np.testing.assert_array_equal(np.concatenate(got), values)


def test_shuffling_visits_everything_once_an_epoch() -> None:
    loader = data.DataLoader(range(50), batch_size=7, shuffle=True, num_workers=2)
    for _ in range(2):
        order = [index for batch in loader for index in batch.tolist()]
        assert sorted(order) == list(range(50))
        assert order != sorted(order)


def test_a_repeated_index_is_augmented_anew_within_an_epoch() -> None:
    class Same(data.Sampler[int]):
        repeats = True

        def __iter__(self) -> Iterator[int]:
            return iter([3, 3, 3])

    (batch,) = data.DataLoader(Augmented(), batch_size=3, sampler=Same(), seed=0)
    assert len({tuple(row) for row in batch["core"].tolist()}) == 3


def test_epochs_can_be_resumed() -> None:
    run = two_epochs(Augmented(), batch_size=4, shuffle=True, seed=3)
    loader = data.DataLoader(Augmented(), batch_size=4, shuffle=True, seed=3)
    loader.set_epoch(1)
    assert flatten(loader) == run[1]
    assert loader.epoch == 2


def test_the_seed_comes_from_the_global_generator_or_the_given_one() -> None:
    def run(generator: at.Generator | None) -> list[Any]:
        return flatten(data.DataLoader(Augmented(), batch_size=4, shuffle=True, generator=generator))

    at.manual_seed(4)
    first = run(None)
    at.manual_seed(4)
    assert run(None) == first
    own = run(at.Generator().manual_seed(9))
    assert own != first
    assert run(at.Generator().manual_seed(9)) == own


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_generators_alone(workers: int) -> None:
    def draw() -> tuple[Any, ...]:
        return at.rand(2).tolist(), np.random.random(), random.random()

    def start() -> None:
        at.manual_seed(1)
        np.random.seed(1)
        random.seed(1)

    start()
    expected = [draw() for _ in range(7)]
    start()
    got = [draw() for _ in data.DataLoader(Augmented(), batch_size=4, num_workers=workers, seed=0)]
    assert [*got, draw()] == expected


def test_without_order_every_batch_still_comes() -> None:
    loader = data.DataLoader(range(40), batch_size=4, num_workers=3, in_order=False)
    assert sorted(batch.tolist()[0] for batch in loader) == list(range(0, 40, 4))


def test_iterators_know_their_length_and_end_once() -> None:
    for workers in (0, 2):
        iterator = iter(data.DataLoader(range(4), batch_size=2, num_workers=workers))
        assert len(iterator) == 2  # type: ignore[arg-type]
        assert len(list(iterator)) == 2
        assert list(iterator) == []


def test_fewer_batches_than_workers() -> None:
    assert flatten(data.DataLoader(range(2), num_workers=4)) == flatten(data.DataLoader(range(2)))
    assert flatten(data.DataLoader([], num_workers=2)) == []


class Failing(data.Sampler[int]):
    def __iter__(self) -> Iterator[int]:
        yield from range(6)
        raise ValueError("no more")


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_a_sampler_that_raises_does_so_behind_its_batches(workers: int) -> None:
    iterator, got = iter(data.DataLoader(range(10), sampler=Failing(), num_workers=workers)), []
    with pytest.raises(ValueError, match="no more"):
        for batch in iterator:
            got.append(batch.item())
    assert got == list(range(6)) and list(iterator) == []


def test_a_distributed_sampler_follows_the_epochs_of_the_loader() -> None:
    sampler = data.DistributedSampler(range(30), 2, 0)
    loader = data.DataLoader(range(30), batch_size=15, sampler=sampler)
    first, second = flatten(loader)[0], flatten(loader)[0]
    assert first != second


def test_pin_memory_is_accepted() -> None:
    assert len(list(data.DataLoader(range(4), batch_size=2, pin_memory=True))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers of at least 0, got -1"),
        ({"timeout": -1}, "timeout of at least 0"),
        ({"timeout": 5}, "num_workers > 0 with timeout"),
        ({"prefetch_factor": 2}, "num_workers > 0 with prefetch_factor"),
        ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor of at least 1"),
        ({"persistent_workers": True}, "num_workers > 0 with persistent_workers"),
        ({"multiprocessing_context": "fork"}, "num_workers > 0 with multiprocessing_context"),
        ({"num_workers": 1, "multiprocessing_context": "thread"}, "got 'thread'"),
        ({"sampler": [0], "shuffle": True}, "sampler or shuffle, got both"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler or"),
        ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler or"),
        ({"batch_size": 0}, "positive integer, got 0"),
        ({"batch_size": None, "drop_last": True}, "batch_size with drop_last"),
        ({"seed": 1, "generator": at.Generator()}, "seed or generator, got both"),
        ({"pin_memory_device": "gpu"}, "pin_memory_device to be .cuda. or .., got 'gpu'"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(at.InvalidValueError, match=message):
        data.DataLoader(range(4), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": 1.5}, "num_workers to be an integer, got 1.5"),
        ({"num_workers": 1, "timeout": "5"}, "timeout to be a number of seconds, got '5'"),
        ({"num_workers": 1, "prefetch_factor": 1.5}, "prefetch_factor to be an integer"),
        ({"num_workers": 1, "multiprocessing_context": 3}, "multiprocessing_context, or one of .*, got 3"),
        ({"collate_fn": 3}, "collate_fn to be callable"),
        ({"sampler": 5}, "sampler to be an iterable of indices, got 5"),
        ({"batch_sampler": 3}, "batch_sampler to be an iterable of lists of indices, got 3"),
    ],
)
def test_wrong_types(options: dict[str, Any], message: str) -> None:
    with pytest.raises(at.ArgumentError, match=message):
        data.DataLoader(range(4), **options)


@pytest.mark.parametrize("timeout", [np.int64(3), np.float32(3), 3, 3.0])
def test_a_timeout_is_any_real_number(timeout: Any) -> None:
    loader = data.DataLoader(range(4), num_workers=1, timeout=timeout)
    assert loader.timeout == 3
    assert type(loader.timeout) in (int, float)


def test_loaders_can_name_what_they_load_in_annotations() -> None:
    assert data.DataLoader[int].__origin__ is data.DataLoader  # type: ignore[attr-defined]


def test_what_a_loader_is_made_of_stays() -> None:
    loader = data.DataLoader(range(4), batch_size=2)
    with pytest.raises(at.InvalidValueError, match="batch_size cannot be set after it was made"):
        loader.batch_size = 4
    loader.collate_fn = len  # type: ignore[assignment]
    assert list(loader) == [2, 2]


@pytest.mark.parametrize("module", ["dataloader", "dataset", "distributed", "sampler"])
def test_pytorchs_modules_have_what_is_public_here(module: str) -> None:
    assert getattr(data, module) is (imported := importlib.import_module(f"atled.data.{module}"))
    assert imported.__all__
    assert all(getattr(imported, name) is getattr(data, name) for name in imported.__all__)


@pytest.mark.parametrize(("workers", "name"), [(0, "LocalIterator"), (1, "PoolIterator")])
def test_a_profiler_sees_what_waiting_for_a_batch_takes(workers: int, name: str) -> None:
    loader = data.DataLoader(range(4), batch_size=2, num_workers=workers)
    with at.profiler.profile() as prof:
        assert len(list(loader)) == len(loader) == 2
    fetches = [event.name for event in prof.events() if event.is_user_annotation]
    assert fetches == [f"enumerate(DataLoader)#{name}.__next__"] * 3  # the last finds the end
