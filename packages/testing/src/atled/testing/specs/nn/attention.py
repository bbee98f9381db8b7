"""Attention by blocks of queries, and fused."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample, dtype_name, result_dtype


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


def softmax_of_heads(q: Any, k: Any, bias: Any, is_causal: bool, scale: float) -> tuple[Any, Any]:
    """The weights, and the logarithm of what they were divided by."""
    shared = q.shape[1] // max(k.shape[1], 1)
    scores = scale * (q @ np.swapaxes(np.repeat(k, shared, 1), -1, -2)) + (0 if bias is None else bias)
    if is_causal:
        scores = np.where(np.arange(k.shape[2]) > np.arange(q.shape[2])[:, None], -np.inf, scores)
    most = scores.max(-1, keepdims=True, initial=-1e30)
    powers = np.exp(scores - most)
    total = powers.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return powers / np.maximum(total, 1e-300), (most + np.log(total))[..., 0]


def fused(q: Any, k: Any, v: Any, bias: Any = None, is_causal: bool = False, scale: float = 1.0) -> tuple[Any, Any]:
    weights, lse = softmax_of_heads(q, k, bias, is_causal, scale)
    return weights @ np.repeat(v, q.shape[1] // max(k.shape[1], 1), 1), lse


def fused_backward(
    g: Any, q: Any, k: Any, v: Any, bias: Any, out: Any, lse: Any, is_causal: bool, scale: float
) -> tuple[Any, Any, Any]:
    shared = q.shape[1] // max(k.shape[1], 1)
    weights, _ = softmax_of_heads(q, k, bias, is_causal, scale)
    to_weights = g @ np.swapaxes(np.repeat(v, shared, 1), -1, -2)
    to_scores = scale * weights * (to_weights - (weights * to_weights).sum(-1, keepdims=True))

    def together(t: Any) -> Any:
        return t.reshape(t.shape[0], k.shape[1], shared, *t.shape[2:]).sum(2)

    rows, columns = np.swapaxes(to_scores, -1, -2), np.swapaxes(weights, -1, -2)
    return to_scores @ np.repeat(k, shared, 1), together(rows @ q), together(columns @ g)


def heads(draw: Draw) -> Iterator[Sample]:
    """Heads that kernels for tensor cores take, in the order of batch and rows that models have, and others."""
    for b, h, groups, length, keys, size, causal in (
        (2, 4, 2, 3, 4, 8, False),
        (1, 2, 2, 5, 3, 8, True),
        (1, 2, 1, 2, 5, 3, True),
    ):
        q, k, v = (draw(b, n, t, size) for n, t in ((h, length), (groups, keys), (groups, keys)))
        yield Sample(q, k, v, None, causal, 0.4)
    if draw.smooth:
        return
    wide = "float64" if draw.dtype == "float64" else "float32"
    for length, keys, size, causal in ((17, 66, 72, False), (66, 17, 16, True), (1, 17, 128, False)):
        q, k, v = (np.swapaxes(draw(1, t, n, size), 1, 2) for n, t in ((2, length), (1, keys), (1, keys)))
        yield Sample(q, k, v, None if causal else draw(keys, dtype=wide), causal, -0.3)
    # Several blocks of queries and keys, those that see none left out; parts of one head's keys; few queries.
    for length, keys, groups, size, causal in ((150, 130, 1, 10, True), (70, 530, 2, 4, False), (3, 600, 1, 5, False)):
        q, k, v = (draw(1, n, t, size) for n, t in ((2, length), (groups, keys), (groups, keys)))
        yield Sample(q, k, v, None if causal else draw(2, length, keys, dtype=wide), causal, 0.3)
    yield Sample(draw(2, 1, 3, 8), draw(2, 1, 4, 8), draw(2, 1, 4, 8), draw(2, 1, 1, 4, dtype=wide), False, 1.0)
    yield Sample(draw(2, 0, 3, 8), draw(2, 0, 4, 8), draw(2, 0, 4, 8), None, False, 1.0)


def with_gradients(draw: Draw) -> Iterator[Sample]:
    for sample in heads(draw):
        q, k, v, bias, causal, scale = sample.args
        weights, lse = softmax_of_heads(q.astype("float64"), k.astype("float64"), bias, causal, scale)
        out = weights @ np.repeat(v.astype("float64"), q.shape[1] // max(k.shape[1], 1), 1)
        wide = "float64" if draw.dtype == "float64" else "float32"
        yield Sample(draw(*out.shape), q, k, v, bias, out.astype(q.dtype), lse.astype(wide), causal, scale)


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


X, H = ones(2, 3, 4), ones(1, 2, 3, 4)
# Scores round before their exponential is taken, and weights before they are multiplied.
ULPS = {"float16": 12, "bfloat16": 12, "float32": 64, "float64": 64}
SPECS = [
    OpSpec(
        name="nn::attention",
        reference=attention,
        samples=samples,
        dtypes=FLOATS,
        domain=(-2, 2),
        ulps=ULPS,
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
    ),
    OpSpec(
        name="nn::fused_attention",
        reference=fused,
        samples=heads,
        dtypes=FLOATS,
        domain=(-2, 2),
        ulps=ULPS,
        result=lambda sample: (dtype_name(sample.args[0].dtype), result_dtype(sample.args[0], ones(1))),
        scale=lambda q, k, v, *_: (
            np.full((*q.shape[:-1], v.shape[-1]), np.abs(v).max(initial=1.0)),
            np.full(q.shape[:-1], 20.0),
        ),
        differentiable=("query", "key", "value"),
        errors=(
            ErrorCase(at.ShapeError, r"query of shape \(B, H, L, E\), got \(2, 3, 4\)", X, H, H),
            ErrorCase(at.ShapeError, "H a multiple of G, got", H, ones(1, 3, 3, 4), ones(1, 3, 3, 4)),
            ErrorCase(at.ShapeError, r"bias that broadcasts to \(1, 2, 3, 3\), got \(3, 4\)", H, H, H, ones(3, 4)),
            ErrorCase(at.DTypeError, "bias of dtype float32.*, got float64", H, H, H, ones(3, 3).astype(np.float64)),
            ErrorCase(at.DTypeError, "value of query's dtype float32", H, H, H.astype(np.float64)),
        ),
    ),
    OpSpec(
        name="nn::fused_attention_backward",
        reference=fused_backward,
        samples=with_gradients,
        dtypes=FLOATS,
        domain=(-2, 2),
        ulps={**ULPS, "float32": 256, "float64": 256},
        scale=lambda g, q, k, v, *_: tuple(np.full(t.shape, 30.0) for t in (q, k, v)),
        result=lambda sample: (dtype_name(sample.args[0].dtype),) * 3,
        differentiable=("grad",),  # in the others only together with what was attended
        errors=(ErrorCase(at.ShapeError, r"lse of shape \(1, 2, 3\)", H, H, H, H, None, H, ones(1, 2, 4), False, 1.0),),
    ),
]
