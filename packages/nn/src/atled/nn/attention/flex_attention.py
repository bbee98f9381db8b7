"""Attention whose scores a function changes or hides, with the names of ``torch.nn.attention.flex_attention``.

A ``score_mod(score, b, h, q_idx, kv_idx)`` answers another score, a ``mask_mod(b, h, q_idx, kv_idx)`` whether a query
attends to a key; both are written for single numbers, 0-d tensors, and run for all by ``vmap`` of atled-autograd.

>>> import atled.core as at
>>> def causal(b, h, q_idx, kv_idx):
...     return q_idx >= kv_idx
>>> x = at.ones(1, 1, 3, 2)
>>> value = at.tensor([1.0, 3.0, 8.0]).reshape(1, 1, 3, 1)
>>> block_mask = create_block_mask(causal, None, None, 3, 3)
>>> flex_attention(x, x, value, block_mask=block_mask).flatten().tolist()
[1.0, 2.0, 4.0]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import ExplainsInit, explained

from .._precision import as_given, cast, wide
from ..functional._attention import attended

__all__ = ["BlockMask", "and_masks", "create_block_mask", "create_mask", "flex_attention", "noop_mask", "or_masks"]

ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

_BLOCK = 128
_MOST = 1 << 23  # of scores that are made at once, where no mask says how many queries make a block


def _for_all(mod: Callable[..., Any], indices: tuple[Tensor, ...], *scores: Tensor) -> Tensor:
    """What a function of single scores and of the indices b, h, q_idx and kv_idx answers for all: ``(B, H, Q, KV)``."""
    vmap: Any = at.vmap
    for inner in (3, 2, 1, 0):
        mod = vmap(mod, in_dims=(0,) * len(scores) + tuple(0 if i == inner else None for i in range(4)))
    found: Tensor = mod(*scores, *indices)
    return found


def _indices(b: int, h: int, queries: range, keys: range, device: Any) -> tuple[Tensor, ...]:
    return tuple(at.arange(r.start, r.stop, device=device) for r in (range(b), range(h), queries, keys))


def _allowed(mask_mod: MaskMod, indices: tuple[Tensor, ...]) -> Tensor:
    mask = _for_all(mask_mod, indices)
    if mask.dtype != at.bool:
        raise at.DTypeError(f"mask_mod: expected a function that answers bool, got {mask.dtype.name}")
    return mask


class BlockMask(ExplainsInit):
    """A ``mask_mod``, and which blocks of queries and keys it hides altogether; made by `create_block_mask`.

    ``shape`` is ``(B, H, Q_LEN, KV_LEN)``, ``BLOCK_SIZE`` how many queries and keys a block has.

    >>> block_mask = create_block_mask(noop_mask, 2, None, 300, 200)
    >>> block_mask, block_mask.sparsity()
    (BlockMask(shape=(2, 1, 300, 200), sparsity=0.00%), 0.0)
    """

    def __init__(
        self, mask_mod: MaskMod, blocks: Tensor, shape: tuple[int, int, int, int], block: tuple[int, int]
    ) -> None:
        self.mask_mod, self.shape, self.BLOCK_SIZE = mask_mod, shape, block
        self._blocks = blocks
        self._keys: list[range] = []  # for each block of queries, those that some batch or head attends to
        for row in blocks.any(0).any(0).tolist():
            used = [i for i, is_used in enumerate(row) if is_used]
            first, last = (used[0], used[-1]) if used else (0, 0)
            self._keys.append(range(first * block[1], min((last + 1) * block[1], shape[3])))

    @property
    def seq_lengths(self) -> tuple[int, int]:
        """``(Q_LEN, KV_LEN)``."""
        return self.shape[2:]

    def to_dense(self) -> Tensor:
        """1 for blocks that are not hidden altogether, in int32: ``(B, H, blocks of queries, blocks of keys)``."""
        return self._blocks.to(at.int32)

    def sparsity(self) -> float:
        """How many of the blocks are hidden altogether, in percent."""
        return float(100 * (1 - self._blocks.to(at.float64).mean()))

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


@explained
def create_block_mask(
    mask_mod: MaskMod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: at.device | str | None = None,
    BLOCK_SIZE: int | tuple[int, int] = _BLOCK,
    _compile: bool = False,
) -> BlockMask:
    """Which blocks of queries and keys a ``mask_mod`` hides altogether, for `flex_attention` to leave out.

    B, H: how many batches and heads the mask differs in; None for one mask for all.
    device: where ``mask_mod`` runs here, which is where the tensors are that it reads.
    BLOCK_SIZE: how many queries and keys a block has; a number for both. ``_compile`` changes nothing.
    DTypeError for a function that answers no bool, InvalidValueError for sizes below 1.

    >>> create_block_mask(lambda b, h, q, k: q >= k, None, None, 512, 512).to_dense()[0, 0].tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    """
    block = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    shape = (1 if B is None else B, 1 if H is None else H, Q_LEN, KV_LEN)
    if min(*shape, *block) < 1 or len(block) != 2:
        raise at.InvalidValueError(f"create_block_mask: expected sizes of at least 1, got {shape} in blocks {block}")
    rows = []
    for queries in _parts(Q_LEN, block[0]):
        mask = _allowed(mask_mod, _indices(shape[0], shape[1], queries, range(KV_LEN), device)).any(2)
        rows.append(at.stack([mask[..., keys.start : keys.stop].any(-1) for keys in _parts(KV_LEN, block[1])], -1))
    return BlockMask(mask_mod, at.stack(rows, 2), shape, (block[0], block[1]))


def _parts(length: int, block: int) -> list[range]:
    return [range(start, min(start + block, length)) for start in range(0, length, block)]


@explained
def create_mask(
    mod_fn: MaskMod, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: at.device | str | None = None
) -> Tensor:
    """What a ``mask_mod`` answers for all: a bool tensor ``(B, H, Q_LEN, KV_LEN)``, 1 for what is None.

    >>> create_mask(lambda b, h, q, k: q >= k, None, None, 2, 3)[0, 0].tolist()
    [[True, False, False], [True, True, False]]
    """
    return _allowed(mod_fn, _indices(B or 1, H or 1, range(Q_LEN), range(KV_LEN), device))


@explained
def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """The ``mask_mod`` that hides nothing.

    >>> create_mask(noop_mask, 1, 1, 1, 2).tolist()
    [[[[True, True]]]]
    """
    return at.ones((), dtype=at.bool, device=batch.device)


@explained
def and_masks(*mask_mods: MaskMod) -> MaskMod:
    """The ``mask_mod`` that hides what one of several hides.

    >>> window = and_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: q - k < 2)
    >>> create_mask(window, None, None, 3, 3)[0, 0].int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    return _joined("and_masks", mask_mods, at.logical_and)


@explained
def or_masks(*mask_mods: MaskMod) -> MaskMod:
    """The ``mask_mod`` that hides what all of several hide.

    >>> prefix = or_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: k < 2)
    >>> create_mask(prefix, None, None, 3, 3)[0, 0].int().tolist()
    [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
    """
    return _joined("or_masks", mask_mods, at.logical_or)


def _joined(name: str, mask_mods: tuple[MaskMod, ...], join: Callable[[Tensor, Tensor], Tensor]) -> MaskMod:
    if not mask_mods or not all(callable(mod) for mod in mask_mods):
        raise at.ArgumentError(f"{name}: expected functions of (b, h, q_idx, kv_idx), got {mask_mods}")

    def mask_mod(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        first, *others = [mod(b, h, q_idx, kv_idx) for mod in mask_mods]
        for other in others:
            first = join(first, other)
        return first

    return mask_mod


@explained
def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: dict[str, Any] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """``softmax(score_mod(query @ key.mT * scale)) @ value``, of the keys that a mask leaves (Dong et al. 2024).

    query: ``(B, Hq, L, E)``; key: ``(B, H, S, E)``; value: ``(B, H, S, V)``; all of one floating dtype. Answers
    ``(B, Hq, L, V)``; with ``return_lse`` also the logarithms of the softmax's sums, ``(B, Hq, L)`` in float32 (float64
    for itself). A query that attends to no key gets zeros, and minus infinity.

    score_mod: what becomes of a score, by its indices; None for the score itself. It may read tensors, which get
    gradients. Scores of half precision are float32.
    block_mask: of `create_block_mask`, of this L and S, and of B and Hq or 1. It is computed by its blocks of queries,
    each with the keys from the first to the last that one of them attends to; blocks between are masked.
    scale: None for ``1 / sqrt(E)``.
    enable_gqa: each of the fewer heads of key and value serves as many neighbouring heads of query.
    kernel_options: tunes PyTorch's kernels, and changes nothing here.

    Scores are made, for a block of queries at a time; without ``score_mod`` and ``return_lse`` it is
    `functional.scaled_dot_product_attention` of each block, which has kernels that make none. ShapeError where sizes do
    not fit, DTypeError for other dtypes.

    >>> import atled.core as at
    >>> slopes = at.tensor([1.0, 0.5])
    >>> def alibi(score, b, h, q_idx, kv_idx):
    ...     return score - slopes[h] * (q_idx - kv_idx).abs()
    >>> flex_attention(*[at.ones(1, 2, 5, 4)] * 3, score_mod=alibi).shape
    (1, 2, 5, 4)
    """
    query, key, value = cast("lower", query, key, value)
    _check(query, key, value, block_mask, enable_gqa)
    batch, heads, length, features = query.shape
    scale = 1 / math.sqrt(max(features, 1)) if scale is None else scale
    fuses = score_mod is None and not return_lse
    if block_mask is not None:
        blocks = list(zip(_parts(length, block_mask.BLOCK_SIZE[0]), block_mask._keys, strict=True))
    else:
        every = range(key.shape[2])
        rows = length if fuses else max(_BLOCK, _MOST // max(batch * heads * len(every), 1))
        blocks = [(queries, every) for queries in _parts(length, max(rows, 1)) or [range(0)]]
    results, logs = [], []
    for queries, keys in blocks:
        part = query[:, :, queries.start : queries.stop]
        k, v = (t[:, :, keys.start : keys.stop] for t in (key, value))
        mask = None
        if block_mask is not None:
            mask = _allowed(block_mask.mask_mod, _indices(*block_mask.shape[:2], queries, keys, query.device))
        if fuses:
            results.append(attended(part, k, v, mask, scale=scale, grouped=enable_gqa))
            continue
        scores = _scores(part, k, scale)
        if score_mod is not None:
            scores = _for_all(score_mod, _indices(batch, heads, queries, keys, query.device), scores).to(scores.dtype)
        result, log = _attended(scores, mask, v, return_lse)
        results.append(result.to(query.dtype))
        logs.append(log)
    whole = results[0] if len(results) == 1 else at.cat(results, 2)
    return (whole, at.cat(logs, 2)) if return_lse else whole


def _shared(t: Tensor, heads: int) -> Tensor:
    """A head for each of the query's, in `wide_dtype`."""
    return wide(t) if t.shape[1] == heads else wide(t).repeat_interleave(heads // t.shape[1], 1)


@as_given
def _scores(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return at.matmul(wide(query) * scale, _shared(key, query.shape[1]).mT)


@as_given
def _attended(scores: Tensor, mask: Tensor | None, value: Tensor, logs: bool) -> tuple[Tensor, Any]:
    """The attended values, and where asked for the logarithms of the softmax's sums."""
    if mask is not None:
        scores = at.where(mask, scores, -math.inf)
    # Queries without keys get scores of zero, so that their softmax and its gradient stay finite.
    empty = (scores == -math.inf).all(-1, keepdim=True)
    scores = at.where(empty, 0.0, scores)
    result = at.where(empty, 0.0, at.matmul(at.softmax(scores, -1), _shared(value, scores.shape[1])))
    return result, at.where(empty.squeeze(-1), -math.inf, at.logsumexp(scores, -1)) if logs else None


def _check(query: Tensor, key: Tensor, value: Tensor, mask: BlockMask | None, grouped: bool) -> None:
    shapes = f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
    if not query.is_floating_point() or not query.dtype == key.dtype == value.dtype:
        raise at.DTypeError(
            f"flex_attention: expected query, key and value of one floating dtype, got {query.dtype.name}, "
            f"{key.dtype.name} and {value.dtype.name}"
        )
    if not (
        query.ndim == key.ndim == value.ndim == 4
        and query.shape[0] == key.shape[0] == value.shape[0]
        and key.shape[1:3] == value.shape[1:3]
        and query.shape[3] == key.shape[3]
    ):
        raise at.ShapeError(
            f"flex_attention: expected query (B, Hq, L, E), key (B, H, S, E) and value (B, H, S, V), {shapes}"
        )
    heads, others = query.shape[1], key.shape[1]
    if heads != others and not (grouped and others and heads % others == 0):
        raise at.ShapeError(
            "flex_attention: expected as many heads of query as of key, or with enable_gqa=True a multiple, " + shapes
        )
    if mask is not None:
        whole = (query.shape[0], heads, query.shape[2], key.shape[2])
        if mask.shape[2:] != whole[2:] or any(m not in (1, n) for m, n in zip(mask.shape, whole[:2], strict=False)):
            raise at.ShapeError(
                f"flex_attention: expected a block_mask of shape {whole}, or of 1 batch or head, got {mask.shape}; "
                "create one of these lengths"
            )
