"""Ranked elements of long lines, where a sample decides what is looked at, against a stable sort."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at

RNG = np.random.default_rng(0)
N = 70_000

LINES: dict[str, Callable[[Any], Any]] = {
    "normal": lambda x: x,
    "rising": np.sort,
    "falling": lambda x: np.sort(x)[::-1],
    "few values": lambda x: np.rint(x),
    "two values": lambda x: (x > 0).astype(x.dtype),
    "one value": lambda x: np.zeros_like(x),
    "mostly NaN": lambda x: np.where(x < 0.5, np.nan, x),
    "all NaN": lambda x: np.full_like(x, np.nan),
    "period": lambda x: np.arange(N) % 263 - 100.0,
    "an end that stands out": lambda x: np.where(np.arange(N) < 5, -1e30, x),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64"])
@pytest.mark.parametrize("pattern", LINES)
def test_ranks_are_those_of_a_stable_sort(pattern: str, dtype: str) -> None:
    x = LINES[pattern](RNG.standard_normal(N))
    if dtype.startswith("int"):
        x = np.nan_to_num(x * 20).clip(-128, 127)
    x = np.ascontiguousarray(x.astype(dtype))
    order = np.argsort(x, kind="stable")
    ranks = [0, 1, 17, N // 4, N // 2, N // 2 + 1, N - 2, N - 1]
    found = at.ops.core.ranked(at.asarray(x), at.tensor(ranks), False)
    assert found.indices.tolist() == order[ranks].tolist()
    np.testing.assert_array_equal(found.values.numpy(), x[order[ranks]])


def test_threads_change_nothing() -> None:
    x = at.asarray(RNG.standard_normal((3, N)).astype("float32"))
    before = at.get_num_threads()
    try:
        at.set_num_threads(1)
        one = x.median(1)
        at.set_num_threads(4)
        four = x.median(1)
    finally:
        at.set_num_threads(before)
    assert one.indices.tolist() == four.indices.tolist() and one.values.tolist() == four.values.tolist()


def test_searching_few_elements_in_many_and_many_in_few() -> None:
    x = np.sort(RNG.standard_normal(N).astype("float32"))
    for wanted in (x[:3], RNG.permutation(x), np.array([np.nan, -np.inf, np.inf], "float32")):
        for side in ("left", "right"):
            found = at.searchsorted(at.asarray(x), at.asarray(wanted), side=side)
            np.testing.assert_array_equal(found.numpy(), np.searchsorted(x, wanted, side))
