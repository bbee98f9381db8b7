"""The gradient rules of attention, by blocks and fused, which compute the weights again."""

from __future__ import annotations

import math
from typing import Any

import atled.core as at
from atled.core import Tensor

from ._ops import one as _one
from ._ops import several as _several
from ._precision import wide_dtype


def register(rule: Any) -> None:
    """Registers the rules of attention's ops, and what `vmap` calls in their place."""
    rule.joint("attention", ("query", "key", "value", "bias"), _gradients)
    rule.decompose("attention", _whole)
    rule.joint("fused_attention", ("query", "key", "value"), _fused)
    rule("fused_attention", bias=None)
    rule.constant("fused_attention", "lse")
    rule.decompose("fused_attention", _in_heads)
    rule.joint("fused_attention_backward", ("grad", "query", "key", "value"), _fused_second)
    rule("fused_attention_backward", bias=None, attended=None, lse=None)


def _whole(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, is_causal: bool, scale: float, block: int
) -> Tensor:
    return at.matmul(at.softmax(_scores(query * scale, key, bias, is_causal, 0), -1), value)


def _scores(query: Tensor, key: Tensor, bias: Tensor | None, is_causal: bool, begin: int) -> Tensor:
    """Of scaled queries from `begin` on and the first keys, all that those queries may see."""
    scores = at.matmul(query, key.mT)
    if bias is not None:
        return scores + bias
    if is_causal:
        hidden = at.full((query.shape[-2], key.shape[-2]), -math.inf, dtype=query.dtype, device=query.device)
        return scores + hidden.triu(1 + begin)
    return scores


def _fused(
    g: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    attended: Tensor,
    lse: Tensor,
    is_causal: bool,
    scale: float,
) -> tuple[Tensor, ...]:
    return _several.fused_attention_backward(g, query, key, value, bias, attended, lse, is_causal, scale)


def _in_heads(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, is_causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """Fused attention of public ops."""
    wide = wide_dtype(query.dtype)
    heads, groups = query.shape[1], key.shape[1]
    key, value = (t.to(wide).repeat_interleave(heads // max(groups, 1), 1) for t in (key, value))
    scores = _scores(query.to(wide) * scale, key, _numbers(bias, wide), False, 0)
    scores = _hidden(scores) if is_causal else scores
    return at.matmul(_weights(scores), value).to(query.dtype), at.logsumexp(scores, -1)


def _numbers(bias: Tensor | None, dtype: at.dtype) -> Tensor | None:
    """What a mask adds to scores."""
    if bias is None or bias.dtype != at.bool:
        return bias
    return at.where(bias, at.zeros((), dtype=dtype, device=bias.device), -math.inf)


def _weights(scores: Tensor) -> Tensor:
    """Softmax; zeros for a query without keys."""
    return at.where((scores == -math.inf).all(-1, keepdim=True), 0.0, at.softmax(scores, -1))


def _hidden(scores: Tensor) -> Tensor:
    hidden = at.full(scores.shape[-2:], -math.inf, dtype=scores.dtype, device=scores.device)
    return scores + hidden.triu(1)


# With s = scale q k^T + bias, p = softmax(s), dp = g v^T, ds = p (dp - r) and r the row sums of p dp, the gradients
# are dq = scale ds k, dk = scale ds^T q and dv = p^T g. Given theirs, those of ds, p and s follow backwards.
def _fused_second(
    g_query: Tensor,
    g_key: Tensor,
    g_value: Tensor,
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    is_causal: bool,
    scale: float,
) -> tuple[Tensor, ...]:
    wide = wide_dtype(query.dtype)
    groups, shared = key.shape[1], query.shape[1] // max(key.shape[1], 1)

    def sums(t: Tensor, a: Tensor) -> Tensor:
        return (t * a).sum(-1, keepdim=True)

    def each(t: Tensor) -> Tensor:
        return t.to(wide).repeat_interleave(shared, 1)

    def together(t: Tensor) -> Tensor:
        return t.unflatten(1, (groups, shared)).sum(2)

    q, g, by_query = (t.to(wide) for t in (query, grad, g_query))
    k, v, by_key, by_value = (each(t) for t in (key, value, g_key, g_value))
    scores = _scores(q * scale, k, _numbers(bias, wide), False, 0)
    p = _weights(_hidden(scores) if is_causal else scores)
    dp = at.matmul(g, v.mT)
    r = sums(p, dp)
    ds = p * (dp - r)
    on_ds = (at.matmul(by_query, k.mT) + at.matmul(q, by_key.mT)) * scale
    mean = sums(p, on_ds)
    on_dp = p * (on_ds - mean)
    on_p = at.matmul(g, by_value.mT) + on_ds * (dp - r) - mean * dp
    on_s = p * (on_p - sums(p, on_p))
    return (
        at.matmul(p, by_value) + at.matmul(on_dp, v),
        (at.matmul(on_s, k) + at.matmul(ds, by_key)) * scale,
        together(at.matmul(on_s.mT, q) + at.matmul(ds.mT, by_query)) * scale,
        together(at.matmul(on_dp.mT, g)),
    )


def _gradients(
    g: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    is_causal: bool,
    scale: float,
    block: int,
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    length, keys = query.shape[-2], key.shape[-2]
    scaled = query * scale
    to_query, to_bias = [], []
    to_key: Tensor | None = None
    to_value: Tensor | None = None
    for begin in range(0, length, block):
        n = min(block, length - begin)
        seen = min(begin + n, keys) if is_causal else keys
        rows, grad = scaled.narrow(-2, begin, n), g.narrow(-2, begin, n)
        by_row = bias is not None and bias.shape[-2] != 1
        added = bias.narrow(-2, begin, n) if bias is not None and by_row else bias
        some_keys, some_values = key.narrow(-2, 0, seen), value.narrow(-2, 0, seen)
        weights = at.softmax(_scores(rows, some_keys, added, is_causal, begin), -1)
        to_value = _grown(to_value, at.matmul(weights.mT, grad))
        to_scores = at.ops.core.softmax_backward(at.matmul(grad, some_values.mT), weights, -1)
        to_query.append(at.matmul(to_scores, some_keys))
        to_key = _grown(to_key, at.matmul(to_scores.mT, rows))
        if added is not None and needs[3]:
            to_bias.append(to_scores.sum_to_size(added.shape))
    if not to_query:
        none = None if bias is None else at.zeros_like(bias)
        return at.zeros_like(query), at.zeros_like(key), at.zeros_like(value), none
    if bias is not None and needs[3]:
        whole = at.cat(to_bias, -2) if bias.shape[-2] != 1 else sum(to_bias[1:], to_bias[0])
    else:
        whole = None
    return at.cat(to_query, -2) * scale, _fitted(to_key, keys), _fitted(to_value, keys), whole


def _fitted(rows: Tensor | None, count: int) -> Tensor:
    """With rows of zeros at the end."""
    assert rows is not None
    missing = count - rows.shape[-2]
    return _one.constant_pad(rows, [0, 0, 0, missing]) if missing else rows


def _grown(total: Tensor | None, more: Tensor) -> Tensor:
    return more if total is None else _fitted(total, more.shape[-2]) + more
