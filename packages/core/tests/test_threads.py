"""Any thread may call any op; results depend neither on who else computes nor on how many threads there are."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.testing import to_numpy


@pytest.fixture(autouse=True)
def same_threads_afterwards() -> Any:
    before = at.get_num_threads()
    yield
    at.set_num_threads(before)


def computations() -> dict[str, Callable[[], at.Tensor]]:
    rng = np.random.default_rng(0)
    x = at.tensor(rng.standard_normal((700, 501)).astype(np.float32))
    y = at.tensor(rng.standard_normal((501, 300)).astype(np.float32))
    index = at.tensor(rng.integers(0, 700, 3000))
    return {
        "add": lambda: x + x,
        "exp": lambda: x.exp(),
        "transpose copy": lambda: x.T.contiguous(),
        "sum of all": lambda: x.sum(),
        "sum of rows": lambda: x.sum(1),
        "sum of columns": lambda: x.sum(0),
        "mean": lambda: x.mean((0, 1)),
        "softmax": lambda: x.softmax(1),
        "cumsum": lambda: x.cumsum(0),
        "index_select": lambda: x.index_select(0, index),
        "index_add": lambda: at.zeros(700, 501).index_add(0, index, x[index]),
        "sort": lambda: x.sort(0).values,
        "matmul": lambda: x @ y,
        "randn": lambda: (at.manual_seed(3), at.randn(100_000))[1],
    }


@pytest.mark.parametrize("name", computations())
def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    compute = computations()[name]
    results = []
    for threads in (1, 2, 3, 8):
        at.set_num_threads(threads)
        assert at.get_num_threads() == threads
        results.append(to_numpy(compute()).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("name", [name for name in computations() if name != "randn"])
def test_many_threads_compute_the_same_at_once(name: str) -> None:
    compute = computations()[name]
    expected = to_numpy(compute())
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: to_numpy(compute()), range(16)))
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_errors_belong_to_their_thread() -> None:
    def provoke(n: int) -> str:
        try:
            at.ones(n) + at.ones(n + 1)
        except at.ShapeError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        for n, message in zip(range(2, 200), pool.map(provoke, range(2, 200)), strict=True):
            assert message.endswith(f"got ({n},) and ({n + 1},)"), message


def test_tensors_cross_threads_and_outlive_them() -> None:
    made: list[at.Tensor] = []
    thread = threading.Thread(target=lambda: made.extend(at.full((1000,), i) for i in range(100)))
    thread.start()
    thread.join()
    assert [int(t[7].item()) for t in made] == list(range(100))
    with ThreadPoolExecutor(4) as pool:  # memory of one thread is given back by others
        list(pool.map(lambda _: made.pop(), range(100)))
    assert not made


@pytest.mark.parametrize("n", [0, -1])
def test_a_number_of_threads_that_makes_no_sense(n: int) -> None:
    with pytest.raises(at.InvalidValueError, match=f"set_num_threads: expected at least 1, got {n}"):
        at.set_num_threads(n)


def test_long_ops_let_other_threads_run() -> None:
    x = at.ones(3000, 1000)
    ticks = 0
    done = threading.Event()

    def count() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1

    thread = threading.Thread(target=count)
    thread.start()
    for _ in range(20):
        x.exp()
    done.set()
    thread.join()
    assert ticks > 100
