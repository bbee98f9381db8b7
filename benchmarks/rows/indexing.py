"""Reading and writing by index and by mask."""

from typing import Any

import numpy as np

from benchmarks.rows.peers import Array, Compute, beside, everywhere
from benchmarks.rows.row import Row


def _write(_: Any, x: Any, mask: Any) -> object:
    x[mask] = 0.5
    return x


def _put(_: Any, x: Any, index: Any, y: Any) -> object:
    x[index] = y
    return x


def _add_at(xp: Any, z: Any, j: Any, y: Any) -> object:
    return z.scatter_add(1, j, y)


_ROWS: list[tuple[str, Compute, Compute | None, str]] = [
    ("index_select of rows of 128", lambda xp, e, r: xp.index_select(e, 0, r), lambda xp, e, r: xp.take(e, r, 0), "er"),
    ("index_select of columns", lambda xp, s, c: xp.index_select(s, 1, c), lambda xp, s, c: xp.take(s, c, 1), "sc"),
    ("gather along the last axis", lambda xp, s, j: xp.gather(s, 1, j), None, "sj"),
    ("gather along the first axis", lambda xp, s, j: xp.gather(s, 0, j), None, "sj"),
    ("scatter_add along the last axis", _add_at, None, "sjt"),
    ("scatter_add along the first axis", lambda xp, z, j, y: z.scatter_add(0, j, y), None, "sjt"),
    ("index_add of rows of 128", lambda xp, e, r, v: e.index_add(0, r, v), None, "erv"),
    ("take_along_dim", lambda xp, s, j: xp.take_along_dim(s, j, 1), lambda xp, s, j: xp.take_along_axis(s, j, 1), "sj"),
    ("masked_fill", lambda xp, s, m: xp.masked_fill(s, m, 0.5), lambda xp, s, m: xp.where(m, np.float32(0.5), s), "sm"),
    ("x[mask]", *[lambda xp, s, m: s[m]] * 2, "sm"),
    ("x[mask] = number", _write, _write, "tm"),
    ("x[index] of 1M", *[lambda xp, x, p: x[p]] * 2, "xp"),
    ("x[index] = values of 1M", _put, _put, "xpf"),
]


def _arrays() -> dict[str, Array]:
    rng = np.random.default_rng(4)
    square = rng.standard_normal((2048, 2048), dtype=np.float32)
    kinds = {
        "s": square,
        "t": square.copy(),
        "x": square.reshape(-1).copy(),
        "e": rng.standard_normal((50_000, 128), dtype=np.float32),
        "r": rng.integers(0, 50_000, 100_000),
        "v": rng.standard_normal((100_000, 128), dtype=np.float32),
        "c": rng.integers(0, 2048, 2048),
        "j": rng.integers(0, 2048, (2048, 2048)),
        "m": square > 0,
        "p": rng.integers(0, 2**22, 2**20),
        "f": rng.standard_normal(2**20, dtype=np.float32),
    }
    return {kind: everywhere(x) for kind, x in kinds.items()}


def rows() -> list[Row]:
    """index_select, gather, scatter_add, take_along_dim, masks, index tensors: 4M elements and 50 000 rows."""
    arrays = _arrays()
    return [beside(name, call, [arrays[k] for k in kinds], 0.5, numpy=numpy) for name, call, numpy, kinds in _ROWS]
