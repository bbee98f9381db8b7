"""A quick comparison with NumPy on this machine: ``python -m atled.core bench``.

Both libraries are timed in turn, round after round, so that a noisy moment hits both; the ratio is the rounds' median.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

import atled.core as at

Call = Callable[[], object]
_SECONDS = 0.3  # per case, both libraries together
_ROUNDS = 7


class Result(NamedTuple):
    """Seconds per call, and atled's time as a share of NumPy's."""

    name: str
    atled: float
    numpy: float
    ratio: float


def cases() -> Iterator[tuple[str, Call, Call]]:
    """What is compared: name, atled's call, NumPy's call."""
    rng = np.random.default_rng(0)
    tiny = rng.standard_normal(4, dtype=np.float32)
    n_flat = rng.standard_normal(1 << 22, dtype=np.float32)
    n_rows = n_flat.reshape(2048, 2048)
    n_order = rng.permutation(1 << 20)
    n_left, n_right = n_rows[:1024, :1024].copy(), n_rows[1024:, 1024:].copy()
    small, flat, rows, order = at.asarray(tiny), at.asarray(n_flat), at.asarray(n_rows), at.asarray(n_order)
    left, right = at.asarray(n_left), at.asarray(n_right)
    n_keys = n_order.astype(np.float32)  # no two are equal, so that there is one right order
    keys = at.asarray(n_keys)
    million, n_million = flat[: 1 << 20], n_flat[: 1 << 20]

    yield "x + y, 4 elements", lambda: small + small, lambda: tiny + tiny
    yield "x.sum(), 4 elements", lambda: small.sum(), lambda: tiny.sum()
    yield "x[1:3]", lambda: small[1:3], lambda: tiny[1:3]
    yield "x + y, 4M float32", lambda: flat + flat, lambda: n_flat + n_flat
    yield "exp", lambda: at.exp(flat), lambda: np.exp(n_flat)
    yield "tanh", lambda: at.tanh(flat), lambda: np.tanh(n_flat)
    yield "where(x > 0, x, 0)", lambda: at.where(flat > 0, flat, 0), lambda: np.where(n_flat > 0, n_flat, 0)
    yield "x.T, made contiguous", lambda: rows.T.contiguous(), lambda: np.ascontiguousarray(n_rows.T)
    yield "sum of all", lambda: flat.sum(), lambda: n_flat.sum()
    yield "sum over rows", lambda: rows.sum(0), lambda: n_rows.sum(0)
    yield "max over columns", lambda: at.amax(rows, 1), lambda: n_rows.max(1)
    yield "var over columns", lambda: rows.var(1), lambda: n_rows.var(1, ddof=1)
    yield "cumsum", lambda: flat.cumsum(0), lambda: n_flat.cumsum()
    yield "x[index], 1M", lambda: million[order], lambda: n_million[n_order]
    yield "sort, 1M", lambda: at.sort(million)[0], lambda: np.sort(n_million)
    yield "argsort, 1M", lambda: at.argsort(keys), lambda: np.argsort(n_keys)
    yield "matmul, 1024", lambda: left @ right, lambda: n_left @ n_right
    yield "matrix by vector", lambda: rows @ rows[0], lambda: n_rows @ n_rows[0]
    yield "normal numbers, 1M", lambda: at.randn(1 << 20), lambda: rng.standard_normal(1 << 20, dtype=np.float32)


def run() -> Iterator[Result]:
    """Measures every case, about ten seconds in all; a terminal shows how far it is, where tqdm is installed."""
    for name, ours, theirs in _shown(list(cases())):
        pairs = list(_rounds(ours, theirs))
        yield Result(
            name,
            statistics.median(a for a, _ in pairs),
            statistics.median(b for _, b in pairs),
            statistics.median(a / b for a, b in pairs),
        )


def _shown(measured: list[tuple[str, Call, Call]]) -> Iterable[tuple[str, Call, Call]]:
    try:
        from tqdm import tqdm
    except ImportError:
        return measured
    # None: disabled where stderr is no terminal.
    bar: Iterable[tuple[str, Call, Call]] = tqdm(measured, disable=None, leave=False, unit="case")
    return bar


def _rounds(ours: Call, theirs: Call) -> Iterator[tuple[float, float]]:
    repeats = []
    for call in (ours, theirs):
        call()
        once = max(_seconds(call, 1), 1e-7)
        repeats.append(max(1, round(_SECONDS / 2 / _ROUNDS / once)))
    for _ in range(_ROUNDS):
        yield _seconds(ours, repeats[0]), _seconds(theirs, repeats[1])


def _seconds(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def mean_ratio(results: list[Result]) -> float:
    """The geometric mean of the ratios."""
    return math.exp(statistics.fmean(math.log(result.ratio) for result in results))


def rows(results: list[Result]) -> list[tuple[str, ...]]:
    """The table, in text."""
    head = ("", "atled", "NumPy", "atled / NumPy")
    body: list[Any] = [(r.name, _time(r.atled), _time(r.numpy), f"{r.ratio:.2f}") for r in results]
    return [head, *body, ("geometric mean", "", "", f"{mean_ratio(results):.2f}")]


def _time(seconds: float) -> str:
    for unit, scale in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * scale < 1000:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"
