"""Reductions of 16M float32 over the first, the last, a middle and all axes; softmax and running sums."""

from typing import Any

import numpy as np

from benchmarks.rows.peers import Compute, beside, everywhere
from benchmarks.rows.row import Row

# Axes of (4096, 4096) or, for the middle ones, of (256, 256, 256).
_AXES: dict[str, tuple[str, Any]] = {
    "first": ("square", 0),
    "last": ("square", 1),
    "middle": ("cube", 1),
    "first and last": ("cube", (0, 2)),
    "all": ("square", None),
}

_REDUCTIONS: list[tuple[str, float, Compute, Compute, tuple[str, ...]]] = [
    (
        "sum",
        0.6,
        lambda xp, x, dim: xp.sum(x, dim=dim),
        lambda xp, x, axis: xp.sum(x, axis=axis),
        ("first", "last", "middle", "first and last", "all"),
    ),
    (
        "mean",
        0.6,
        lambda xp, x, dim: xp.mean(x, dim=dim),
        lambda xp, x, axis: xp.mean(x, axis=axis),
        ("first", "last", "middle", "all"),
    ),
    (
        "amax",
        0.6,
        lambda xp, x, dim: xp.max(x) if dim is None else xp.amax(x, dim=dim),
        lambda xp, x, axis: xp.max(x, axis=axis),
        ("first", "last", "middle", "first and last", "all"),
    ),
    (
        "argmax",
        0.6,
        lambda xp, x, dim: xp.argmax(x, dim=dim),
        lambda xp, x, axis: xp.argmax(x, axis=axis),
        ("first", "last", "middle", "all"),
    ),
    (
        "var",
        0.15,
        lambda xp, x, dim: xp.var(x, dim=dim),
        lambda xp, x, axis: xp.var(x, axis=axis, ddof=1),
        ("first", "last", "middle", "all"),
    ),
    (
        "std",
        0.15,
        lambda xp, x, dim: xp.std(x, dim=dim),
        lambda xp, x, axis: xp.std(x, axis=axis, ddof=1),
        ("first", "last", "all"),
    ),
    (
        "norm",
        0.15,
        lambda xp, x, dim: xp.norm(x, dim=dim),
        lambda xp, x, axis: xp.sqrt(xp.sum(x * x, axis=axis)),
        ("first", "last", "all"),
    ),
]

_LINES: list[tuple[str, str, Compute, Compute | None, Compute | None]] = [
    ("softmax, last axis", "square", lambda xp, x: xp.softmax(x, -1), None, lambda xp, x: _softmax(xp, x, -1)),
    ("softmax, first axis", "square", lambda xp, x: xp.softmax(x, 0), None, lambda xp, x: _softmax(xp, x, 0)),
    ("softmax, rows of 1M", "long", lambda xp, x: xp.softmax(x, -1), None, lambda xp, x: _softmax(xp, x, -1)),
    ("softmax, rows of 32", "short", lambda xp, x: xp.softmax(x, -1), None, lambda xp, x: _softmax(xp, x, -1)),
    ("log_softmax, last axis", "square", lambda xp, x: xp.log_softmax(x, -1), None, None),
    ("log_softmax, rows of 1M", "long", lambda xp, x: xp.log_softmax(x, -1), None, None),
    ("logsumexp, last axis", "square", lambda xp, x: xp.logsumexp(x, 1), None, lambda xp, x: _logsumexp(xp, x, 1)),
    ("logsumexp, first axis", "square", lambda xp, x: xp.logsumexp(x, 0), None, lambda xp, x: _logsumexp(xp, x, 0)),
    ("logsumexp, all", "square", lambda xp, x: xp.logsumexp(x, (0, 1)), None, lambda xp, x: _logsumexp(xp, x, None)),
    ("cumsum, last axis", "square", *[lambda xp, x: xp.cumsum(x, 1)] * 3),
    ("cumsum, first axis", "square", *[lambda xp, x: xp.cumsum(x, 0)] * 3),
    ("cumsum of 16M", "line", *[lambda xp, x: xp.cumsum(x, 0)] * 3),
]


def _softmax(xp: Any, x: Any, axis: int) -> Any:
    e = xp.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _logsumexp(xp: Any, x: Any, axis: int | None) -> Any:
    top = x.max(axis, keepdims=True)
    return xp.log(xp.exp(x - top).sum(axis, keepdims=True)) + top


def _shapes() -> dict[str, Any]:
    line = np.random.default_rng(2).standard_normal(16 * 2**20, dtype=np.float32)
    shapes = {"line": -1, "square": (4096, 4096), "cube": (256, 256, 256), "long": (16, -1), "short": (-1, 32)}
    return {name: everywhere(line.reshape(shape)) for name, shape in shapes.items()}


def rows() -> list[Row]:
    """sum, mean, amax, argmax, var, std, norm."""
    arrays = _shapes()
    return [
        beside(
            f"{name}, {where}",
            lambda xp, x, call=call, axis=_AXES[where][1]: call(xp, x, axis),
            [arrays[_AXES[where][0]]],
            budget,
            numpy=lambda xp, x, call=numpy, axis=_AXES[where][1]: call(xp, x, axis),
            jax_=lambda xp, x, call=numpy, axis=_AXES[where][1]: call(xp, x, axis),
        )
        for name, budget, call, numpy, places in _REDUCTIONS
        for where in places
    ]


def lines() -> list[Row]:
    """softmax, log_softmax, logsumexp, cumsum."""
    arrays = _shapes()
    return [beside(name, call, [arrays[kind]], 0.5, numpy=numpy, jax_=jax) for name, kind, call, numpy, jax in _LINES]
