"""Order and counts: sort, unique, median, topk, searchsorted, bincount, nonzero."""

import numpy as np

from benchmarks.rows.peers import Array, Compute, beside, everywhere
from benchmarks.rows.row import Row

# Name, budget, call, what NumPy does, arrays.
_ROWS: list[tuple[str, float, Compute, Compute | None, str]] = [
    ("sort of 1M float32", 0.2, lambda xp, x: xp.sort(x), lambda xp, x: xp.sort(x), "x"),
    ("sort of 8M float32", 0.2, lambda xp, x: xp.sort(x), lambda xp, x: xp.sort(x), "y"),
    ("sort of 1M int64", 0.2, lambda xp, i: xp.sort(i), lambda xp, i: xp.sort(i), "i"),
    ("sort of 4096 rows of 256", 0.2, lambda xp, s: xp.sort(s), lambda xp, s: xp.sort(s), "s"),
    ("sort of 256 columns of 4096", 0.2, lambda xp, s: xp.sort(s, 0), lambda xp, s: xp.sort(s, 0), "s"),
    ("argsort of 1M float32", 0.2, lambda xp, x: xp.argsort(x), lambda xp, x: xp.argsort(x), "x"),
    ("argsort of 4096 rows of 256", 0.2, lambda xp, s: xp.argsort(s), lambda xp, s: xp.argsort(s), "s"),
    ("unique of 1M of 1000 int64", 0.2, lambda xp, k: xp.unique(k), lambda xp, k: xp.unique(k), "k"),
    ("unique of 1M float32", 0.2, lambda xp, x: xp.unique(x), lambda xp, x: xp.unique(x), "x"),
    ("median of 1M", 0.2, lambda xp, x: xp.median(x), lambda xp, x: xp.median(x), "x"),
    ("median of 4096 rows of 256", 0.2, lambda xp, s: xp.median(s, 1), lambda xp, s: xp.median(s, 1), "s"),
    ("topk 10 of 1M", 0.7, lambda xp, x: xp.topk(x, 10), None, "x"),
    ("topk 10 of 4096 rows of 256", 0.7, lambda xp, s: xp.topk(s, 10), None, "s"),
    ("searchsorted 1M in 64k", 0.7, *[lambda xp, o, x: xp.searchsorted(o, x)] * 2, "ox"),
    ("bincount of 1M in 1000", 0.7, lambda xp, k: xp.bincount(k), lambda xp, k: xp.bincount(k), "k"),
    ("nonzero of 8M, half true", 0.7, lambda xp, m: xp.nonzero(m), lambda xp, m: xp.nonzero(m), "m"),
]


def _arrays() -> dict[str, Array]:
    rng = np.random.default_rng(3)
    y = rng.standard_normal(8 * 2**20, dtype=np.float32)
    kinds = {
        "x": y[: 2**20].copy(),
        "y": y,
        "i": rng.integers(-(2**62), 2**62, 2**20),
        "k": rng.integers(0, 1000, 2**20),
        "s": y[: 2**20].reshape(4096, 256).copy(),
        "o": np.sort(y[:65536]),
        "m": y > 0,
    }
    return {kind: everywhere(x) for kind, x in kinds.items()}


def rows() -> list[Row]:
    """Sorting and its kin, from 1M to 8M elements."""
    arrays = _arrays()
    return [beside(name, call, [arrays[k] for k in kinds], budget, numpy=n) for name, budget, call, n, kinds in _ROWS]
