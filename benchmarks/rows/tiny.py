"""Calls on tensors of a few elements: what a call itself costs."""

from typing import Any

import numpy as np

from benchmarks.rows.peers import Compute, beside, everywhere
from benchmarks.rows.row import Row

NUMBERS = [0.1, 0.2, 0.3, 0.4]


def _in_place(_: Any, w: Any) -> object:
    w += 1.0
    return w


def _assign(_: Any, w: Any) -> object:
    w[1] = 2.0
    return w


def _write(_: Any, w: Any, m: Any) -> object:
    w[m] = 2.0
    return w


# Of vectors v and u of 8, a square s of 4 × 4, a mask m, an index i, and a vector w that is written.
_SAME: list[tuple[str, Compute, str]] = [
    ("add", lambda xp, v, u: v + u, "vu"),
    ("mul by scalar", lambda xp, v: v * 2.0, "v"),
    ("scalar minus", lambda xp, v: 1.0 - v, "v"),
    ("negative", lambda xp, v: -v, "v"),
    ("exp", lambda xp, v: xp.exp(v), "v"),
    ("sqrt", lambda xp, v: xp.sqrt(v), "v"),
    ("less", lambda xp, v, u: v < u, "vu"),
    ("equal to scalar", lambda xp, v: v == 0.5, "v"),
    ("where", lambda xp, m, v, u: xp.where(m, v, u), "mvu"),
    ("sum", lambda xp, v: v.sum(), "v"),
    ("sum, last axis", lambda xp, s: s.sum(1), "s"),
    ("mean", lambda xp, v: v.mean(), "v"),
    ("max", lambda xp, v: v.max(), "v"),
    ("argmax", lambda xp, v: v.argmax(), "v"),
    ("matmul", lambda xp, s: s @ s, "s"),
    ("x.T", lambda xp, s: s.T, "s"),
    ("reshape", lambda xp, s: s.reshape(2, 8), "s"),
    ("x[1]", lambda xp, s: s[1], "s"),
    ("x[1, 2]", lambda xp, s: s[1, 2], "s"),
    ("x[1:3]", lambda xp, v: v[1:3], "v"),
    ("x[:, 1]", lambda xp, s: s[:, 1], "s"),
    ("x[:, None]", lambda xp, v: v[:, None], "v"),
    ("x[index]", lambda xp, v, i: v[i], "vi"),
    ("x[mask]", lambda xp, v, m: v[m], "vm"),
    ("x[mask] = number", _write, "wm"),
    ("x[1] = number", _assign, "w"),
    ("in-place add", _in_place, "w"),
    ("stack", lambda xp, v, u: xp.stack((v, u)), "vu"),
    ("item", lambda xp, o: o.item(), "o"),
    ("tolist", lambda xp, v: v.tolist(), "v"),
    ("zeros", lambda xp: xp.zeros((2, 3)), ""),
    ("ones", lambda xp: xp.ones(8), ""),
    ("arange", lambda xp: xp.arange(8), ""),
    ("full", lambda xp: xp.full((2, 3), 0.5), ""),
]
# Where NumPy's name is another.
_OTHER: list[tuple[str, Compute, Compute, str]] = [
    ("cat", lambda xp, v, u: xp.cat((v, u)), lambda xp, v, u: xp.concatenate((v, u)), "vu"),
    ("clone", lambda xp, v: v.clone(), lambda xp, v: v.copy(), "v"),
    ("permute", lambda xp, s: s.permute(1, 0), lambda xp, s: s.transpose(1, 0), "s"),
    ("cast", lambda xp, v: v.to(xp.float64), lambda xp, v: v.astype(xp.float64), "v"),
    ("from a list", lambda xp: xp.tensor(NUMBERS), lambda xp: xp.array(NUMBERS, dtype=xp.float32), ""),
]


def rows() -> list[Row]:
    """Every kind of op on 8 and on 4 × 4 float32 elements."""
    vector = np.linspace(0.1, 0.8, 8, dtype=np.float32)
    kinds = {
        "v": vector,
        "u": vector[::-1].copy(),
        "w": vector.copy(),
        "s": np.linspace(0.1, 1.6, 16, dtype=np.float32).reshape(4, 4),
        "m": vector > 0.4,
        "i": np.array([2, 0, 5]),
        "o": np.array([0.5], dtype=np.float32),
    }
    arrays = {kind: everywhere(x) for kind, x in kinds.items()}
    return [
        beside(f"tiny {name}", call, [arrays[k] for k in used], 0.2, numpy=numpy)
        for name, call, numpy, used in [(n, c, c, u) for n, c, u in _SAME] + _OTHER
    ]
