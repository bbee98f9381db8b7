"""Optimizers' steps alone, beside PyTorch's fused ones, or where there are none those over lists (``foreach``)."""

from typing import Any

import numpy as np
import torch

import atled.core as at
from atled import optim
from benchmarks.rows.row import Row

#: What each may take of PyTorch's time, for many small parameters and for a large one.
OPTIMIZERS: dict[str, tuple[dict[str, Any], float, float]] = {
    "SGD": ({"lr": 1e-3, "momentum": 0.9}, 0.5, 0.8),
    "Adam": ({}, 0.5, 0.9),
    "Adagrad": ({}, 0.5, 1.0),
    "Adadelta": ({}, 0.3, 0.6),
    "Adamax": ({}, 0.3, 0.8),
    "NAdam": ({}, 0.3, 0.6),
    "RAdam": ({}, 0.3, 0.6),
    "RMSprop": ({"momentum": 0.9, "centered": True}, 0.3, 0.6),
    "Rprop": ({}, 0.3, 0.4),
    "ASGD": ({}, 0.3, 0.8),
}
FUSED = ("SGD", "Adam", "Adagrad")
SMALL, LARGE = ((16, 16), (16,)), ((1000, 1000),)


def _row(name: str, shapes: tuple[tuple[int, ...], ...], title: str, budget: float) -> Row:
    settings = OPTIMIZERS[name][0]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
    grads = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
    ours = [at.asarray(array.copy()).requires_grad_() for array in arrays]
    theirs = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    for our, their, grad in zip(ours, theirs, grads, strict=True):
        our.grad, their.grad = at.asarray(grad), torch.from_numpy(grad)
    how = {"fused": True} if name in FUSED else {"foreach": True}
    return Row(
        f"{name}, {title}",
        {
            "atled": getattr(optim, name)(ours, **settings).step,
            "torch": getattr(torch.optim, name)(theirs, **settings, **how).step,
        },
        {"torch": budget},
    )


def rows() -> list[Row]:
    """Every optimizer, for 100 parameters of 16 and 256 elements, and for one of a million."""
    found = []
    for name, (_, small, large) in OPTIMIZERS.items():
        found.append(_row(name, SMALL * 50, "100 small parameters", small))
        found.append(_row(name, LARGE, "a million elements", large))
    return found
