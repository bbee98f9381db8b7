"""Scaled dot-product attention."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._ops import several as _several
from .._parameter import requires_grad
from .._precision import as_given, cast, wide, wide_dtype
from ._dropout import dropout

# Of scores that are made at once: in a block, and of all where there are gradients, which keep them.
_MOST = 1 << 23
_MOST_LEARNING = 1 << 26
_MOST_FEATURES = 128  # of a head, for the fused kernels


@explained
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.mT * scale + mask) @ value`` (Vaswani et al. 2017, eq. 1).

    query: ``(*, L, E)``; key: ``(*, S, E)``; value: ``(*, S, V)``; all of one floating dtype. Answers ``(*, L, V)``.
    Leading dimensions broadcast. With ``enable_gqa`` the third dimension from the end counts heads, and each of the
    fewer heads of key and value serves as many neighbouring heads of query (Ainslie et al. 2023).

    attn_mask: broadcasts to ``(*, L, S)``; booleans say which keys a query attends to, floats are added before the
    softmax. A query that attends to no key gets zeros.
    is_causal: query i attends to keys 0 to i; there may be no ``attn_mask`` then.
    scale: None for ``1 / sqrt(E)``.
    dropout_p: weights are dropped with this probability, whatever the mode of a module: give 0 in evaluation.

    ShapeError where the sizes do not fit, DTypeError for other dtypes, ArgumentError for ``attn_mask`` together with
    ``is_causal``.

    Half precision is computed in float32 and rounded once, at the end. On CUDA, tensor cores multiply the halves:
    scores, softmax and sums are float32, and weights are rounded before they are multiplied.

    >>> scaled_dot_product_attention(at.ones(1, 3), at.ones(2, 3), at.tensor([[1.0], [3.0]])).tolist()
    [[2.0]]
    """
    query, key, value = cast("lower", query, key, value)
    _check_operands(query, key, value, enable_gqa)
    if is_causal and attn_mask is not None:
        raise at.ArgumentError("scaled_dot_product_attention: expected attn_mask or is_causal, got both")
    mask = None if attn_mask is None else _checked_mask(attn_mask, query, key.shape[-2])
    return attended(query, key, value, mask, dropout_p, is_causal, scale, enable_gqa)


def _checked_mask(mask: Tensor, query: Tensor, keys: int) -> Tensor:
    """With two dimensions at least."""
    if mask.dtype != at.bool and (not mask.is_floating_point() or mask.dtype not in (query.dtype, at.float32)):
        raise at.DTypeError(
            f"scaled_dot_product_attention: expected attn_mask of bool or {query.dtype.name}, got {mask.dtype.name}"
        )
    mask, length = mask if mask.ndim > 1 else mask.reshape(1, -1), query.shape[-2]
    if mask.shape[-2] not in (1, length) or mask.shape[-1] not in (1, keys):
        raise at.ShapeError(
            f"scaled_dot_product_attention: expected attn_mask that broadcasts to (*, {length}, {keys}), "
            f"got {tuple(mask.shape)}"
        )
    return mask


def _check_operands(query: Tensor, key: Tensor, value: Tensor, grouped: bool) -> None:
    op = "scaled_dot_product_attention"
    shapes = f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
    if not query.is_floating_point() or not query.dtype == key.dtype == value.dtype:
        raise at.DTypeError(
            f"{op}: expected query, key and value of one floating dtype, got {query.dtype.name}, {key.dtype.name} and "
            f"{value.dtype.name}; convert them, for example key.to(query.dtype)"
        )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise at.ShapeError(f"{op}: expected query (*, L, E), key (*, S, E) and value (*, S, V), {shapes}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise at.ShapeError(
            f"{op}: expected query.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2], {shapes}"
        )
    if grouped:
        heads = [t.shape[-3] if t.ndim > 2 else 0 for t in (query, key, value)]
        if not heads[1] or heads[1] != heads[2] or heads[0] % heads[1]:
            raise at.ShapeError(
                f"{op}: expected the heads of query, shape[-3], to be a multiple of those of key and value, {shapes}"
            )


class Bias:
    """What is added to the scores, and which queries it leaves without any key."""

    def __init__(self, added: Tensor, empty: Tensor) -> None:
        self.added, self.empty = added, empty


def bias_of(mask: Tensor | None, query: Tensor) -> Bias | None:
    """Of a mask; for queries without keys nothing is added, so that their softmax and its gradient stay finite."""
    if mask is None:
        return None
    if mask.dtype == at.bool:
        empty = ~mask.any(-1, keepdim=True)
        allowed = mask | empty
        zero = at.zeros((), dtype=wide_dtype(query.dtype), device=mask.device)
        return Bias(at.where(allowed, zero, -math.inf), empty)
    empty = (mask == -math.inf).all(-1, keepdim=True)
    return Bias(at.where(empty, 0.0, mask).to(wide_dtype(query.dtype)), empty)


def _in_halves(t: Tensor) -> bool:
    """Whether products are of halves, with scores of float32."""
    return wide_dtype(t.dtype) is not t.dtype and t.device.type == "cuda"


@as_given
def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    grouped: bool = False,
) -> Tensor:
    """The attended values alone, fused or by blocks of queries where that saves time or much memory."""
    dtype = query.dtype
    fuses = _fuses(query, key, value, mask, dropout_p)
    if fuses and query.device.type == "cpu":
        added = mask if mask is None or mask.dtype == at.bool else mask.to(wide_dtype(dtype))
        return _fused(query, key, value, added, is_causal, scale, grouped)
    bias = bias_of(mask, query)
    added = None if bias is None else bias.added
    if fuses:
        result = _fused(query, key, value, added, is_causal, scale, grouped)
        return result if bias is None else at.where(bias.empty, 0.0, result)
    learning = any(requires_grad(t) for t in (query, key, value))
    block = 0 if dropout_p else _block(query, key, is_causal, learning)
    if not block:
        return attend(query, key, value, bias, dropout_p, is_causal, scale, grouped)[0]
    query, key, value = (wide(t) for t in (query, key, value))
    if grouped:
        shared = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(shared, -3), value.repeat_interleave(shared, -3)
    operands = (query, key, value)
    lead = at.broadcast_shapes(*(t.shape[:-2] for t in operands), () if added is None else added.shape[:-2])
    query, key, value = (t.expand(*lead, *t.shape[-2:]) for t in operands)
    result = _one.attention(query, key, value, added, is_causal, _scale(query, scale), block)
    return (result if bias is None else at.where(bias.empty, 0.0, result)).to(dtype)


def _fuses(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float) -> bool:
    """Whether there are kernels that make no matrix of scores; they have no gradient for the mask."""
    if dropout_p or (mask is not None and requires_grad(mask)):
        return False
    if query.device.type == "cpu":
        return True
    size = query.shape[-1]
    return size == value.shape[-1] and size % 8 == 0 and 0 < size <= _MOST_FEATURES and _in_halves(query)


def _fused(
    query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, is_causal: bool, scale: float | None, grouped: bool
) -> Tensor:
    """In heads of batches; broadcasting copies nothing, and heads that broadcast are dimensions like others."""
    factor = _scale(query, scale)
    if _in_heads(query.shape, key.shape, value.shape, None if added is None else added.shape, grouped):
        return _several.fused_attention(query, key, value, added, is_causal, factor)[0]
    own = 3 if grouped else 2
    operands = [query, key, value] if added is None else [query, key, value, added]
    lead = at.broadcast_shapes(*(t.shape[:-own] for t in operands))

    def in_heads(t: Tensor) -> Tensor:
        while t.ndim < own:
            t = t.unsqueeze(0)
        t = t.expand(*lead, *t.shape[-own:])
        while t.ndim < 4:
            t = t.unsqueeze(0)
        return t if t.ndim == 4 else t.flatten(0, -4)

    result = _several.fused_attention(
        in_heads(query),
        in_heads(key),
        in_heads(value),
        None if added is None else in_heads(added),
        is_causal,
        factor,
    )[0]
    return result.reshape(*lead, *query.shape[-own:-2], *result.shape[-2:])


def _in_heads(
    query: tuple[int, ...],
    key: tuple[int, ...],
    value: tuple[int, ...],
    added: tuple[int, ...] | None,
    grouped: bool,
) -> bool:
    """Whether such shapes are what fused attention takes."""
    return (
        len(query) == len(key) == len(value) == 4
        and query[0] == key[0] == value[0]
        and key[1] == value[1]
        and (grouped or query[1] == key[1])
        and (added is None or all(n in (1, m) for n, m in zip(added[-3::-1], query[1::-1], strict=False)))
        and (added is None or len(added) <= 4)
    )


def _block(query: Tensor, key: Tensor, is_causal: bool, learning: bool) -> int:
    """How many queries to attend with at a time; 0 for all at once.

    Blocks leave out the keys that causal queries do not see, and need less memory, but gradients compute all scores
    again. On other devices than the CPU a launch costs more than what small blocks leave out.
    """
    length, keys = query.shape[-2], key.shape[-2]
    causal_rows = 128 if query.device.type == "cpu" else 1024
    if is_causal and length > causal_rows:
        return causal_rows
    pairs = math.prod(query.shape[:-1]) * keys
    if pairs <= (_MOST_LEARNING if learning else _MOST):
        return 0
    return max(64, length * _MOST // pairs)


def _scale(query: Tensor, given: float | None) -> float:
    return given if given is not None else 1 / math.sqrt(max(query.shape[-1], 1))


@as_given
def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Bias | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    grouped: bool = False,
) -> tuple[Tensor, Tensor]:
    """The attended values, and the weights before they were rounded, for queries without keys as well.

    The weights are of `wide_dtype`.
    """
    dtype, factor = query.dtype, _scale(query, scale)
    halves = _in_halves(query)
    if not halves:
        query, key, value = (wide(t) for t in (query, key, value))
        query = query * factor
    if grouped:
        # The heads of query that share a head of key become more queries of that head.
        heads, length = query.shape[-3], query.shape[-2]
        query = _regrouped(query, key.shape[-3])
    scores = _scores_of_halves(query, key, factor) if halves else at.matmul(query, key.mT)
    if grouped:
        scores = scores.reshape(*scores.shape[:-3], heads, length, scores.shape[-1])
    if bias is not None:
        scores = scores + bias.added
    elif is_causal:
        scores = scores + _causal(scores)
    weights = dropout(at.softmax(scores, -1), dropout_p)
    factors = weights.to(value.dtype)
    result = at.matmul(_regrouped(factors, value.shape[-3]) if grouped else factors, value)
    if grouped:
        result = result.reshape(*result.shape[:-3], heads, length, value.shape[-1])
    return (result if bias is None else at.where(bias.empty, 0.0, result)).to(dtype), weights


def _scores_of_halves(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """``scale * query @ key.mT`` in float32."""
    lead = at.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    rows, columns = (t.expand(*lead, *t.shape[-2:]).reshape(math.prod(lead), *t.shape[-2:]) for t in (query, key))
    nothing = at.zeros((), dtype=at.float32, device=query.device)
    scores = at.baddbmm(nothing, rows, columns.mT, at.float32, beta=0, alpha=scale)
    return scores.reshape(*lead, *scores.shape[-2:])


def _regrouped(rows: Tensor, heads: int) -> Tensor:
    """(*, H, L, E) as (*, heads, H / heads * L, E)."""
    return rows.reshape(*rows.shape[:-3], heads, rows.shape[-3] // heads * rows.shape[-2], rows.shape[-1])


def _causal(scores: Tensor) -> Tensor:
    """(L, S): minus infinity where a query would see a later key."""
    full = at.full(tuple(scores.shape[-2:]), -math.inf, dtype=scores.dtype, device=scores.device)
    return full.triu(1)
