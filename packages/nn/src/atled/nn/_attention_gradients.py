"""The gradient rule of attention by blocks, which computes each block's weights again."""

from __future__ import annotations

import math
from typing import Any

import atled.core as at
from atled.core import Tensor

from ._ops import one as _one


def register(rule: Any) -> None:
    """Registers the rule of `attention`, and what `vmap` calls in its place."""
    rule.joint("attention", ("query", "key", "value", "bias"), _gradients)
    rule.decompose("attention", _whole)


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
