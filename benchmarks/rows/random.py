"""Draws of 16M elements."""

import numpy as np
import torch

import atled.core as at
from benchmarks.rows.row import Row

N = 16 * 2**20


def rows() -> list[Row]:
    """rand, randn, randperm, bernoulli."""
    rng = np.random.default_rng(7)
    ours, theirs = at.full((N,), 0.3), torch.full((N,), 0.3)
    budgets = {"torch": 0.5, "numpy": 1.0}
    return [
        Row(
            "rand of 16M",
            {
                "atled": lambda: at.rand(N),
                "numpy": lambda: rng.random(N, dtype=np.float32),
                "torch": lambda: torch.rand(N),
            },
            budgets,
        ),
        Row(
            "randn of 16M",
            {
                "atled": lambda: at.randn(N),
                "numpy": lambda: rng.standard_normal(N, dtype=np.float32),
                "torch": lambda: torch.randn(N),
            },
            budgets,
        ),
        Row(
            "randint of 16M",
            {
                "atled": lambda: at.randint(0, 1000, (N,)),
                "numpy": lambda: rng.integers(0, 1000, N),
                "torch": lambda: torch.randint(0, 1000, (N,)),
            },
            budgets,
        ),
        Row(
            "randperm of 16M",
            {
                "atled": lambda: at.randperm(N),
                "numpy": lambda: rng.permutation(N),
                "torch": lambda: torch.randperm(N),
            },
            budgets,
        ),
        Row(
            "bernoulli of 16M",
            {"atled": lambda: at.bernoulli(ours), "torch": lambda: torch.bernoulli(theirs)},
            {"torch": 0.5},
        ),
    ]
