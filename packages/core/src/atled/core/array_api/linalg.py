"""The standard's linear algebra: ``atled.core.linalg`` but for ``solve``."""

from __future__ import annotations

from typing import Any

import atled.core as at

from .._core import Tensor


def __getattr__(name: str) -> Any:
    return getattr(at.linalg, name)


def __dir__() -> list[str]:
    return dir(at.linalg)


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The x of ``x1 @ x = x2``: x2 is a vector if it has one dimension, else matrices that broadcast with x1.

    PyTorch's ``solve`` takes an x2 of x1's shape without its last dimension for one vector of each matrix.
    """
    if x2.ndim > 1 and x2.ndim == x1.ndim - 1:
        x2 = at.expand_dims(x2, 0)
    return at.linalg.solve(x1, x2)
