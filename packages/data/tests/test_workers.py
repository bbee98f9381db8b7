"""Worker processes: what happens when something goes wrong in them, to them, or to the main process."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import flatten

from atled import data

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """No process, no open descriptor and no name in shared memory outlives a test."""
    # What the first loader, and Python's tracker for spawned processes, open once is no leak.
    resource_tracker.ensure_running()
    list(data.DataLoader(range(2), num_workers=1))
    gc.collect()
    before = _open_files(), _shared_names()
    yield
    gc.collect()
    assert multiprocessing.active_children() == []
    assert (_open_files(), _shared_names()) == before


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


def _shared_names() -> set[str]:
    # Other programs of the machine keep files there, too.
    return {name for name in os.listdir("/dev/shm") if name.startswith(("tmp", "psm_", "atled"))}


class Special(data.Dataset[Any]):
    """Integers, but for one index at which ``act`` is called."""

    def __init__(self, act: Any, at: int = 13, length: int = 40) -> None:
        self.act, self.at, self.length = act, at, length

    def __getitem__(self, index: int) -> Any:
        return self.act() if index == self.at else index

    def __len__(self) -> int:
        return self.length


def fail() -> None:
    raise KeyError("no such picture")


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(7)


def sleep() -> int:
    time.sleep(60)
    return 0


class Unpicklable(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__("cannot be rebuilt from this")


def fail_strangely() -> None:
    raise Unpicklable(1, 2)


def test_an_exception_does_not_keep_the_workers() -> None:
    gc.disable()
    try:
        with contextlib.suppress(KeyError):
            list(data.DataLoader(Special(fail), num_workers=2))
        assert multiprocessing.active_children() == []
    finally:
        gc.enable()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exception_comes_as_it_is_and_says_where(workers: int) -> None:
    iterator = iter(data.DataLoader(Special(fail), batch_size=4, num_workers=workers))
    got = [next(iterator).tolist() for _ in range(3)]
    with pytest.raises(KeyError, match="no such picture") as caught:
        next(iterator)
    assert "sample 13" in caught.value.__notes__[0]
    if workers:
        remote = caught.value.__notes__[1]
        assert "which held samples [12, 13, 14, 15]" in remote
        assert f'File "{__file__}"' in remote
        assert "in fail" in remote
    got += [batch.tolist() for batch in iterator]
    assert got == [list(range(start, start + 4)) for start in range(0, 40, 4) if start != 12]


def test_an_exception_that_cannot_travel_is_told() -> None:
    with pytest.raises(data.WorkerError, match="Unpicklable raised in worker") as caught:
        list(data.DataLoader(Special(fail_strangely), num_workers=1))
    assert "cannot be rebuilt from this" in str(caught.value)


def test_a_batch_that_cannot_travel_is_told() -> None:
    with pytest.raises(Exception, match="pickle") as caught:
        list(data.DataLoader(Special(lambda: lambda: 0), batch_size=None, num_workers=1))
    assert "which held samples [13]" in caught.value.__notes__[-1]


@pytest.mark.parametrize("workers", [0, 2])
def test_stop_iteration_in_a_dataset_is_an_error(workers: int) -> None:
    with pytest.raises(RuntimeError, match="StopIteration for sample 13"):
        list(data.DataLoader(Special(lambda: next(iter([]))), num_workers=workers))


@pytest.mark.parametrize(
    ("act", "exitcode", "words"), [(kill_myself, -9, "was killed by SIGKILL"), (leave, 7, "ended with exit code 7")]
)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_dead_worker_is_reported_with_what_it_held(act: Any, exitcode: int, words: str, method: str) -> None:
    loader = data.DataLoader(Special(act), batch_size=4, num_workers=2, multiprocessing_context=method)
    iterator = iter(loader)
    start = time.monotonic()
    with pytest.raises(data.WorkerDiedError, match=words) as caught:
        list(iterator)
    assert time.monotonic() - start < 20
    error = caught.value
    assert error.exitcode == exitcode
    assert {12, 13, 14, 15} <= set(error.indices)
    assert "12, 13, 14, 15" in str(error)
    with pytest.raises(data.WorkerError, match="start a new pass"):
        next(iterator)


def test_an_idle_worker_that_is_killed_is_reported() -> None:
    iterator = iter(data.DataLoader(range(1000), num_workers=2))
    next(iterator)
    victim = multiprocessing.active_children()[0]
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(data.WorkerDiedError, match="SIGKILL") as caught:
        list(iterator)
    assert time.monotonic() - start < 20
    assert caught.value.pid == victim.pid


def test_a_worker_killed_while_it_sends_is_reported() -> None:
    class Large(data.Dataset[Any]):
        def __getitem__(self, index: int) -> Any:
            return "x" * 10_000_000, index

        def __len__(self) -> int:
            return 100

    iterator = iter(data.DataLoader(Large(), batch_size=None, num_workers=1))
    time.sleep(0.3)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(data.WorkerDiedError) as caught:
        list(iterator)
    assert caught.value.indices[0] in (0, 1)


def test_persistent_workers_start_again_after_a_death(tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    armed.touch()

    def once() -> int:
        if armed.exists():
            armed.unlink()
            kill_myself()
        return 13

    loader = data.DataLoader(Special(once), batch_size=8, num_workers=2, persistent_workers=True)
    with pytest.raises(data.WorkerDiedError):
        list(loader)
    assert flatten(loader) == flatten(data.DataLoader(range(40), batch_size=8))


def test_a_slow_batch_is_a_timeout() -> None:
    iterator = iter(data.DataLoader(Special(sleep), batch_size=4, num_workers=2, timeout=0.5))
    with pytest.raises(TimeoutError, match=r"within 0.5 s, got none from worker \d") as caught:
        list(iterator)
    assert isinstance(caught.value, data.WorkerTimeoutError)
    assert caught.value.indices == [12, 13, 14, 15]


def test_leaving_early_ends_busy_workers_soon() -> None:
    start = time.monotonic()
    for _ in data.DataLoader(Special(sleep, at=1), num_workers=2):
        break
    assert multiprocessing.active_children() == []
    assert time.monotonic() - start < 4


class Drowsy(data.Dataset[int]):
    def __getitem__(self, index: int) -> int:
        time.sleep(0.02)
        return index

    def __len__(self) -> int:
        return 100


def test_leaving_early_lets_workers_end_after_the_sample_in_hand() -> None:
    iterator = iter(data.DataLoader(Drowsy(), batch_sampler=[[0], [1], range(100), range(100)], num_workers=2))
    next(iterator)
    workers = multiprocessing.active_children()
    del iterator
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_persistent_workers_drop_what_an_abandoned_pass_left() -> None:
    options: dict[str, Any] = {"batch_size": 5, "shuffle": True, "seed": 0}
    local = data.DataLoader(range(100), **options)
    expected = [flatten(local), flatten(local)][1]
    loader = data.DataLoader(Drowsy(), num_workers=2, persistent_workers=True, prefetch_factor=4, **options)
    first = iter(loader)
    next(first)
    time.sleep(1)  # until all that was loaded ahead is on its way
    pids = {child.pid for child in multiprocessing.active_children()}
    assert flatten(loader) == expected
    assert {child.pid for child in multiprocessing.active_children()} == pids
    with pytest.raises(data.WorkerError, match="ended by a newer one"):
        next(first)


def worker_facts(index: int) -> tuple[int, int, int, bool]:
    info = data.get_worker_info()
    assert info is not None
    return info.id, info.num_workers, info.seed, info.dataset is not None


class Facts(Special):
    def __getitem__(self, index: int) -> Any:
        return worker_facts(index)


def test_workers_know_who_they_are() -> None:
    facts = set(data.DataLoader(Facts(None), batch_size=None, num_workers=3, collate_fn=tuple, seed=1))
    again = set(data.DataLoader(Facts(None), batch_size=None, num_workers=3, collate_fn=tuple, seed=1))
    assert data.get_worker_info() is None
    assert facts | again <= {fact for fact in facts | again if fact[0] in range(3) and fact[1] == 3 and fact[3]}
    assert len({fact[2] for fact in facts | again}) == len({fact[0] for fact in facts | again})


def test_worker_init_fn_is_called_once_in_each_worker(tmp_path: Path) -> None:
    def note(worker_id: int) -> None:
        (tmp_path / str(worker_id)).touch(exist_ok=False)

    loader = data.DataLoader(range(9), num_workers=3, worker_init_fn=note, persistent_workers=True)
    list(loader)
    list(loader)
    assert {file.name for file in tmp_path.iterdir()} == {"0", "1", "2"}


def test_a_failing_worker_init_fn_is_told() -> None:
    def refuse(worker_id: int) -> None:
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database") as caught:
        list(data.DataLoader(range(9), num_workers=2, worker_init_fn=refuse))
    assert "in refuse" in caught.value.__notes__[0]


def test_a_forked_child_leaves_its_parents_workers_alone() -> None:
    iterator = iter(data.DataLoader(range(40), batch_size=4, num_workers=2))
    next(iterator)
    child = os.fork()
    if child == 0:
        del iterator
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(iterator)) == 9


def test_loaders_can_be_nested() -> None:
    def outer() -> Iterator[Any]:
        for batch in data.DataLoader(range(8), batch_size=4, num_workers=2):
            yield batch.tolist(), flatten(data.DataLoader(range(4), batch_size=2, num_workers=1))

    assert [pair[0] for pair in outer()] == [[0, 1, 2, 3], [4, 5, 6, 7]]


class Wide(data.Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        return np.full(50_000, index, dtype=np.float32)

    def __len__(self) -> int:
        return 12


def no_large_files(worker_id: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))


@pytest.mark.parametrize("workers", [1, 3])
def test_without_room_for_shared_memory_there_is_one_warning(workers: int) -> None:
    loader = data.DataLoader(Wide(), batch_size=2, num_workers=workers, worker_init_fn=no_large_files)
    with pytest.warns(data.SharedMemoryWarning) as caught:
        batches = [batch.numpy() for _ in range(2) for batch in loader]
    assert len(caught) == 1
    assert "copied through a pipe" in str(caught[0].message)
    assert caught[0].filename == __file__
    expected = np.stack([Wide()[index] for index in range(12)])
    np.testing.assert_array_equal(np.concatenate(batches[:6]), expected)
    np.testing.assert_array_equal(np.concatenate(batches[6:]), expected)


def test_with_room_there_is_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", data.SharedMemoryWarning)
        assert len(list(data.DataLoader(Wide(), num_workers=2))) == 12


def test_very_long_index_lists_do_not_block() -> None:
    rows = data.TensorDataset(data.default_convert(np.zeros((10, 1))))
    loader = data.DataLoader(rows, batch_sampler=[[3] * 300_000] * 12, num_workers=2, prefetch_factor=3)
    assert [tuple(batch[0].shape) for batch in loader] == [(300_000, 1)] * 12
