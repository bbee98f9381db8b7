"""Work on large arrays: memory traffic and arithmetic."""

import numpy as np
import torch

import atled.core as at
from benchmarks.rows.row import Row


def _matmul(size: int) -> Row:
    rng = np.random.default_rng(size)
    x = rng.standard_normal((size, size), dtype=np.float32)
    a, t = at.asarray(x), torch.from_numpy(x)
    return Row(
        f"matmul {size}",
        {"atled": lambda: a @ a, "numpy": lambda: x @ x, "torch": lambda: t @ t},
        {"torch": 1.05},
    )


def rows() -> list[Row]:
    """A 16M-element float32 add into a fresh output, matmul of 512 and 2048."""
    x = np.ones(16 * 2**20, dtype=np.float32)
    a, t = at.asarray(x), torch.from_numpy(x)
    fresh = Row(
        "add of 16M elements, fresh output",
        {"atled": lambda: a + a, "numpy": lambda: x + x, "torch": lambda: t + t},
        {"torch": 0.5},
    )
    return [fresh, _matmul(512), _matmul(2048)]
