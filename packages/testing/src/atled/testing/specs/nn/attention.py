"""Attention by blocks of queries."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample


def attention(
    q: Any, k: Any, v: Any, bias: Any = None, is_causal: bool = False, scale: float = 1.0, block: int = 128
) -> Any:
    scores = scale * (q @ np.swapaxes(k, -1, -2)) + (0 if bias is None else bias)
    if is_causal:
        scores = np.where(np.arange(k.shape[-2]) > np.arange(q.shape[-2])[:, None], -np.inf, scores)
    weights = np.exp(scores - scores.max(-1, keepdims=True, initial=-1e30))
    return weights / weights.sum(-1, keepdims=True) @ v


def samples(draw: Draw) -> Iterator[Sample]:
    for (length, keys), causal in (((3, 4), False), ((5, 5), True), ((5, 2), True), ((2, 5), True)):
        for lead in ((), (2,)):
            parts = draw(*lead, length, 3), draw(*lead, keys, 3), draw(*lead, keys, 2)
            yield Sample(*parts, None, causal, 0.4, 2)
    q, k, v = draw(2, 2, 5, 3), draw(2, 2, 4, 3), draw(2, 2, 4, 2)
    for shape in ((5, 4), (2, 1, 1, 4), (2, 1, 5, 1), (2, 2, 5, 4)):
        yield Sample(q, k, v, draw(*shape), False, 0.5, 2)
    if not draw.smooth:
        yield Sample(draw(300, 8), draw(300, 8), draw(300, 8), None, True, 0.3)
        yield Sample(draw(0, 3), draw(4, 3), draw(4, 2))


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


X = ones(2, 3, 4)
SPECS = [
    OpSpec(
        name="nn::attention",
        reference=attention,
        samples=samples,
        dtypes=FLOATS,
        domain=(-2, 2),
        # Scores round before their exponential is taken, and weights before they are multiplied.
        ulps={"float16": 12, "bfloat16": 12, "float32": 64, "float64": 64},
        scale=lambda q, k, v, *_: np.full((*q.shape[:-1], v.shape[-1]), np.abs(v).max(initial=1.0)),
        errors=(
            ErrorCase(at.ShapeError, r"query of shape \(\*, L, E\), got \(3,\)", ones(3), ones(3), ones(3)),
            ErrorCase(at.ShapeError, "expected key with query's dimensions before", X, ones(3, 3, 4), X),
            ErrorCase(at.ShapeError, r"key \(\*, S, E\) and value", X, ones(2, 3, 5), X),
            ErrorCase(at.ShapeError, r"bias .* broadcasts to \(2, 3, 3\), got \(3, 4\)", X, X, X, ones(3, 4)),
            ErrorCase(at.ArgumentError, "bias or is_causal, got both", X, X, X, ones(3, 3), True),
            ErrorCase(at.InvalidValueError, "block of at least 1, got 0", X, X, X, None, False, 1.0, 0),
            ErrorCase(at.DTypeError, "value of query's dtype float32", X, X, X.astype(np.float64)),
        ),
    )
]
