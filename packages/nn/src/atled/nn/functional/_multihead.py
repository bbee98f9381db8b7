"""Attention with several heads."""

from __future__ import annotations

import math
from typing import NamedTuple

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._precision import wide_dtype
from ._attention import attend, attended, bias_of
from ._layer import linear

_OP = "multi_head_attention_forward"


class Projections(NamedTuple):
    """The maps to and from the heads, named as `multi_head_attention_forward` names them; one of the first two."""

    packed: Tensor | None
    separate: tuple[Tensor, Tensor, Tensor] | None
    bias: Tensor | None
    out_weight: Tensor
    out_bias: Tensor | None
    bias_k: Tensor | None = None
    bias_v: Tensor | None = None


@explained
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `MultiheadAttention` computes, with its parameters as arguments (Vaswani et al. 2017, section 3.2.2).

    query: ``(L, N, E)`` or ``(L, E)``; key: ``(S, N, K)`` or ``(S, K)``; value: ``(S, N, V)`` or ``(S, V)``.
    in_proj_weight: ``(3 E, E)``, the maps of query, key and value one below the other; with
    ``use_separate_proj_weight`` they are ``q_proj_weight`` ``(E, E)``, ``k_proj_weight`` ``(E, K)`` and
    ``v_proj_weight`` ``(E, V)``. in_proj_bias: ``(3 E,)`` or None. out_proj_weight: ``(E, E)``.
    bias_k, bias_v: ``(1, 1, E)``, one more key and value for each sequence. add_zero_attn: and another one of zeros.
    static_k, static_v: ``(N * num_heads, S, E / num_heads)``, in place of the mapped key and value.
    attn_mask: ``(L, S)`` or ``(N * num_heads, L, S)``, key_padding_mask: ``(N, S)`` or ``(S,)``. Booleans are true
    where attention is *not* allowed, other than in `scaled_dot_product_attention`; floats are added.
    is_causal: says that ``attn_mask``, which has to be given, is the causal one; where that saves work (no weights, no
    padding and no keys added) the mask's values are not looked at then.

    Answers the output ``(L, N, E)`` or ``(L, E)``, and with ``need_weights`` the weights ``(N, L, S)`` or ``(L, S)``,
    which are the mean over the heads, or with ``average_attn_weights=False`` ``(N, num_heads, L, S)`` or
    ``(num_heads, L, S)``; else None. A query that may attend to no key gets weights of 0.

    ShapeError where sizes do not fit, DTypeError for masks that are neither boolean nor floating, ArgumentError where
    one of two arguments that go together is missing.

    >>> x, eye = at.ones(2, 1, 4), at.eye(4)
    >>> y, weights = multi_head_attention_forward(
    ...     x, x, x, 4, 2, at.cat([eye, eye, eye]), None, None, None, False, 0.0, eye, None)
    >>> y.shape, weights.tolist()
    ((2, 1, 4), [[[0.5, 0.5], [0.5, 0.5]]])
    """
    if query.shape[-1] != embed_dim_to_check:
        raise at.ShapeError(
            f"{_OP}: expected query of {embed_dim_to_check} features, embed_dim_to_check, got {tuple(query.shape)}"
        )
    separate = None
    if use_separate_proj_weight:
        if q_proj_weight is None or k_proj_weight is None or v_proj_weight is None:
            raise at.ArgumentError(f"{_OP}: expected q_proj_weight, k_proj_weight and v_proj_weight, got None")
        separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    elif in_proj_weight is None:
        raise at.ArgumentError(f"{_OP}: expected in_proj_weight without use_separate_proj_weight, got None")
    return attend_in_heads(
        (query, key, value),
        num_heads,
        Projections(
            in_proj_weight,
            separate,
            in_proj_bias,
            out_proj_weight,
            out_proj_bias,
            bias_k,
            bias_v,
        ),
        add_zero_attn,
        dropout_p if training else 0.0,
        key_padding_mask,
        attn_mask,
        need_weights,
        average_attn_weights,
        is_causal,
        static=(static_k, static_v),
    )


def attend_in_heads(
    inputs: tuple[Tensor, Tensor, Tensor],
    num_heads: int,
    projections: Projections,
    add_zero_attn: bool,
    dropout_p: float,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    need_weights: bool,
    average_attn_weights: bool,
    is_causal: bool,
    *,
    batch_first: bool = False,
    static: tuple[Tensor | None, Tensor | None] = (None, None),
) -> tuple[Tensor, Tensor | None]:
    """`multi_head_attention_forward`, with the batch in the first dimension too, which takes no copies then."""
    query, batched = inputs[0], inputs[0].ndim == 3
    _check(inputs, num_heads, projections, is_causal and attn_mask is None)
    _check_batch(query, inputs[1], batch_first)
    if not batched:
        same = {id(t): t.unsqueeze(0) for t in inputs}  # what is one tensor stays one
        inputs = same[id(inputs[0])], same[id(inputs[1])], same[id(inputs[2])]
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        batch_first = True
    q, k, v = _project(inputs, projections)
    if projections.bias_k is not None and projections.bias_v is not None:
        k, v = _appended(k, projections.bias_k, batch_first), _appended(v, projections.bias_v, batch_first)
    q, k, v = (_split(t, num_heads, batch_first) for t in (q, k, v))
    if static[0] is not None:
        k = _static(static[0], q, "static_k")
    if static[1] is not None:
        v = _static(static[1], q, "static_v")
    if add_zero_attn:
        zero = at.zeros(*k.shape[:2], 1, k.shape[3], dtype=k.dtype, device=k.device)
        k, v = at.cat([k, zero], 2), at.cat([v, zero], 2)
    added = (projections.bias_k is not None) + add_zero_attn
    mask = _mask(key_padding_mask, attn_mask, (*q.shape[:3], k.shape[2]), added, wide_dtype(q.dtype))
    # A causal mask alone needs no tensor: taken at its word, as PyTorch takes it.
    causal = is_causal and not need_weights and key_padding_mask is None and not added
    weights = None
    if need_weights:
        bias = bias_of(mask, q)
        values, weights = attend(q, k, v, bias, dropout_p)
        weights = weights if bias is None else at.where(bias.empty, 0.0, weights)
        weights = (weights.mean(1) if average_attn_weights else weights).to(q.dtype)
    else:
        values = attended(q, k, v, None if causal else mask, dropout_p, causal)
    merged = values.permute(0, 2, 1, 3) if batch_first else values.permute(2, 0, 1, 3)
    merged = merged.reshape(*merged.shape[:2], num_heads * merged.shape[3])
    output = linear(merged, projections.out_weight, projections.out_bias)
    if batched:
        return output, weights
    return output.squeeze(0), None if weights is None else weights.squeeze(0)


def _check(inputs: tuple[Tensor, Tensor, Tensor], num_heads: int, projections: Projections, causal_alone: bool) -> None:
    query, key, value = inputs
    shapes = f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
    if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
        raise at.ShapeError(f"{_OP}: expected query, key and value of 3 dimensions, or of 2 without a batch, {shapes}")
    if key.shape[:-1] != value.shape[:-1]:
        raise at.ShapeError(f"{_OP}: expected key and value of as many vectors in as many sequences, {shapes}")
    if num_heads < 1 or query.shape[-1] % num_heads:
        raise at.ShapeError(f"{_OP}: expected embed_dim to be a multiple of num_heads={num_heads}, {shapes}")
    if (projections.bias_k is None) != (projections.bias_v is None):
        raise at.ArgumentError(f"{_OP}: expected bias_k and bias_v, got one of them")
    if causal_alone:
        raise at.ArgumentError(
            f"{_OP}: expected attn_mask with is_causal=True, got None; "
            "make one with Transformer.generate_square_subsequent_mask"
        )


def _check_batch(query: Tensor, key: Tensor, batch_first: bool) -> None:
    dim = 0 if batch_first else 1
    if query.ndim == 3 and query.shape[dim] != key.shape[dim]:
        raise at.ShapeError(
            f"{_OP}: expected query and key of as many sequences, dimension {dim}, got {tuple(query.shape)} and "
            f"{tuple(key.shape)}"
        )


def _project(inputs: tuple[Tensor, Tensor, Tensor], projections: Projections) -> tuple[Tensor, ...]:
    """Query, key and value in the heads' features, in as few products as the inputs differ."""
    query, key, value = inputs
    packed, bias = projections.packed, projections.bias
    biases = (None, None, None) if bias is None else at.chunk(bias, 3)
    if projections.separate is not None:
        return tuple(linear(t, w, b) for t, w, b in zip(inputs, projections.separate, biases, strict=True))
    assert packed is not None
    if query is key and key is value:
        return tuple(at.chunk(linear(query, packed, bias), 3, -1))
    size = packed.shape[0] // 3
    if key is value:
        rest = linear(key, packed[size:], None if bias is None else bias[size:])
        return linear(query, packed[:size], biases[0]), *at.chunk(rest, 2, -1)
    return tuple(linear(t, w, b) for t, w, b in zip(inputs, at.chunk(packed, 3), biases, strict=True))


def _appended(t: Tensor, vector: Tensor, batch_first: bool) -> Tensor:
    size = t.shape[-1]
    if batch_first:
        return at.cat([t, vector.expand(t.shape[0], 1, size)], 1)
    return at.cat([t, vector.expand(1, t.shape[1], size)], 0)


def _split(t: Tensor, num_heads: int, batch_first: bool) -> Tensor:
    """(N, num_heads, L, E / num_heads)."""
    parts = t.reshape(*t.shape[:2], num_heads, t.shape[2] // num_heads)
    return parts.permute(0, 2, 1, 3) if batch_first else parts.permute(1, 2, 0, 3)


def _static(given: Tensor, query: Tensor, name: str) -> Tensor:
    batch, heads, _, size = query.shape
    if given.ndim != 3 or given.shape[0] != batch * heads or given.shape[2] != size:
        raise at.ShapeError(f"{_OP}: expected {name} of shape ({batch * heads}, S, {size}), got {tuple(given.shape)}")
    return given.reshape(batch, heads, given.shape[1], size)


def _mask(
    padding: Tensor | None, attention: Tensor | None, shape: tuple[int, ...], added: int, dtype: at.dtype
) -> Tensor | None:
    """Both masks as one, where true allows attention; `added` keys at the end are allowed to all queries."""
    batch, heads, length, keys = shape
    keys -= added
    parts = []
    if padding is not None:
        if tuple(padding.shape) != (batch, keys):
            raise at.ShapeError(
                f"{_OP}: expected key_padding_mask of shape ({batch}, {keys}), got {tuple(padding.shape)}"
            )
        parts.append(padding.reshape(batch, 1, 1, keys))
    if attention is not None:
        if tuple(attention.shape) not in ((length, keys), (batch * heads, length, keys)):
            raise at.ShapeError(
                f"{_OP}: expected attn_mask of shape ({length}, {keys}) or ({batch * heads}, {length}, {keys}), "
                f"got {tuple(attention.shape)}"
            )
        parts.append(attention if attention.ndim == 2 else attention.reshape(batch, heads, length, keys))
    for i, part in enumerate(parts):
        if part.dtype != at.bool and not part.is_floating_point():
            raise at.DTypeError(f"{_OP}: expected masks of bool or a floating dtype, got {part.dtype.name}")
        if added:
            none = at.zeros(*part.shape[:-1], added, dtype=part.dtype, device=part.device)
            parts[i] = at.cat([part, none], -1)
    if not parts:
        return None
    if all(part.dtype == at.bool for part in parts):
        return ~(parts[0] if len(parts) == 1 else parts[0] | parts[1])
    numbers = [_number(part, dtype) for part in parts]
    return numbers[0] if len(numbers) == 1 else numbers[0] + numbers[1]


def _number(mask: Tensor, dtype: at.dtype) -> Tensor:
    if mask.dtype != at.bool:
        return mask.to(dtype)
    return at.where(mask, -math.inf, at.zeros((), dtype=dtype, device=mask.device))
