"""Calls on tensors of a few elements: what a call itself costs."""

import numpy as np
import torch

import atled.core as at
from benchmarks.rows.row import Row


def rows() -> list[Row]:
    """Element-wise, scalar, matmul, reduction and indexing on 8 and 4 × 4 float32 elements."""
    vector = np.linspace(0.1, 0.8, 8, dtype=np.float32)
    square = np.linspace(0.1, 1.6, 16, dtype=np.float32).reshape(4, 4)
    a, n, t = at.asarray(vector), vector, torch.from_numpy(vector.copy())
    sa, sn, st = at.asarray(square), square, torch.from_numpy(square.copy())
    return [
        Row(
            "tiny add",
            {"atled": lambda: a + a, "numpy": lambda: n + n, "torch": lambda: t + t},
            {"torch": 0.20, "numpy": 1.0},
        ),
        Row(
            "tiny mul by scalar",
            {"atled": lambda: a * 2.0, "numpy": lambda: n * 2.0, "torch": lambda: t * 2.0},
            {"torch": 0.20},
        ),
        Row(
            "tiny matmul",
            {"atled": lambda: sa @ sa, "numpy": lambda: sn @ sn, "torch": lambda: st @ st},
            {"torch": 0.20},
        ),
        Row(
            "tiny exp",
            {"atled": lambda: at.exp(a), "numpy": lambda: np.exp(n), "torch": lambda: torch.exp(t)},
            {"torch": 0.20},
        ),
        Row(
            "tiny sum",
            {"atled": lambda: a.sum(), "numpy": lambda: n.sum(), "torch": lambda: t.sum()},
            {"torch": 0.20},
        ),
        Row(
            "tiny getitem",
            {"atled": lambda: sa[1], "numpy": lambda: sn[1], "torch": lambda: st[1]},
            {"torch": 0.20},
        ),
    ]
