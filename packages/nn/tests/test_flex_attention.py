"""flex_attention against NumPy, one score after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("atled.autograd", reason="functions of single scores run by its vmap")

import atled.core as at
from atled import nn
from atled.autograd import gradcheck
from atled.nn.attention import flex_attention as module
from atled.nn.attention.flex_attention import (
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    noop_mask,
    or_masks,
)

RNG = np.random.default_rng(17)
Array = np.ndarray[Any, np.dtype[Any]]
B, H, L, S, E, V = 2, 4, 11, 13, 6, 5

SLOPES = RNG.random(H)
TABLE = RNG.standard_normal((B, H, L, S))
RELATIVE = RNG.standard_normal(L + S)
DOCUMENTS = np.array([0] * 5 + [1] * 4 + [2] * 4)
LENGTHS = np.array([9, 4])


def tensor(values: Any) -> at.Tensor:
    return at.tensor(values)


def draw(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def expected(q: Array, k: Array, v: Array, score: Callable[..., float], scale: float) -> tuple[Array, Array]:
    """Values and logarithms; ``score`` answers minus infinity for what is hidden."""
    out, logs = np.zeros((*q.shape[:3], v.shape[3])), np.full(q.shape[:3], -math.inf)
    shared = q.shape[1] // k.shape[1]
    for b, h, i in np.ndindex(*q.shape[:3]):
        keys, values = k[b, h // shared], v[b, h // shared]
        scores = np.array([score(keys[j] @ q[b, h, i] * scale, b, h, i, j) for j in range(len(keys))])
        if scores.max() > -math.inf:
            weights = np.exp(scores - scores.max())
            out[b, h, i] = weights @ values / weights.sum()
            logs[b, h, i] = math.log(weights.sum()) + scores.max()
    return out, logs


# Each as what runs, and as NumPy's numbers have it.
MASKS: dict[str, tuple[Any, Callable[..., Any], bool, bool]] = {
    "causal": (lambda b, h, q, k: q >= k, lambda b, h, q, k: q >= k, False, False),
    "window": (
        and_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: q - k < 3),
        lambda b, h, q, k: 0 <= q - k < 3,
        False,
        False,
    ),
    "documents": (
        lambda b, h, q, k: tensor(DOCUMENTS)[q] == tensor(DOCUMENTS)[k],
        lambda b, h, q, k: DOCUMENTS[q] == DOCUMENTS[k],
        False,
        False,
    ),
    "padding": (lambda b, h, q, k: k < tensor(LENGTHS)[b], lambda b, h, q, k: k < LENGTHS[b], True, False),
    "heads": (
        or_masks(lambda b, h, q, k: (h > 0) & (q >= k), lambda b, h, q, k: k - h > 7),
        lambda b, h, q, k: (h > 0 and q >= k) or k - h > 7,
        True,
        True,
    ),
    "some hide all": (lambda b, h, q, k: (q > 4) & (k > 1), lambda b, h, q, k: q > 4 and k > 1, False, False),
    "all": (noop_mask, lambda b, h, q, k: True, False, False),
}
SCORES: dict[str, tuple[Any, Callable[..., float]]] = {
    "alibi": (
        lambda s, b, h, q, k: s - tensor(SLOPES)[h] * (q - k).abs(),
        lambda s, b, h, q, k: s - SLOPES[h] * abs(q - k),
    ),
    "table": (lambda s, b, h, q, k: s + tensor(TABLE)[b][h][q, k], lambda s, b, h, q, k: s + TABLE[b, h, q, k]),
    "relative": (lambda s, b, h, q, k: s * tensor(RELATIVE)[q - k + S], lambda s, b, h, q, k: s * RELATIVE[q - k + S]),
    "cap": (lambda s, b, h, q, k: 2 * at.tanh(s / 2), lambda s, b, h, q, k: 2 * math.tanh(s / 2)),
    "hides": (
        lambda s, b, h, q, k: at.where((q >= k) & (q > 2), s, -math.inf),
        lambda s, b, h, q, k: s if q >= k and q > 2 else -math.inf,
    ),
}


@pytest.mark.parametrize("block", [128, (4, 3), (3, 5), (1, 1)], ids=str)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("heads", [H, 2, 1])
def test_masks(mask: str, block: Any, heads: int) -> None:
    q, k, v = draw(B, H, L, E), draw(B, heads, S, E), draw(B, heads, S, V)
    mod, number, by_batch, by_head = MASKS[mask]
    block_mask = create_block_mask(mod, B if by_batch else None, H if by_head else None, L, S, BLOCK_SIZE=block)
    out, logs = expected(q, k, v, lambda s, *place: s if number(*place) else -math.inf, 0.7)
    operands = (tensor(q), tensor(k), tensor(v))
    settings: Any = {"block_mask": block_mask, "scale": 0.7, "enable_gqa": heads != H}
    np.testing.assert_allclose(flex_attention(*operands, **settings).numpy(), out, rtol=1e-12, atol=1e-13)
    found = flex_attention(*operands, **settings, return_lse=True)
    np.testing.assert_allclose(found[0].numpy(), out, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found[1].numpy(), logs, rtol=1e-12)

    whole = np.zeros((B, H, L, S), bool)
    for place in np.ndindex(*whole.shape):
        whole[place] = number(*place)
    dense = create_mask(mod, B, H, L, S)
    np.testing.assert_array_equal(dense.numpy(), whole)
    rows, columns = block if isinstance(block, tuple) else (block, block)
    blocks = np.zeros((*block_mask.shape[:2], -(-L // rows), -(-S // columns)), bool)
    for b, h, i, j in np.ndindex(*blocks.shape):
        blocks[b, h, i, j] = whole[b, h, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns].any()
    np.testing.assert_array_equal(block_mask.to_dense().numpy(), blocks)
    assert block_mask.to_dense().dtype == at.int32 and block_mask.seq_lengths == (L, S)
    assert block_mask.sparsity() == pytest.approx(100 * (1 - blocks.mean()))


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("mask", [None, "window", "heads"])
@pytest.mark.parametrize("most", [1, 1 << 23])
def test_scores(name: str, mask: str | None, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 4)
    monkeypatch.setattr(module, "_MOST", most)
    q, k, v = draw(B, H, L, E), draw(B, 2, S, E), draw(B, 2, S, V)
    mod, number = SCORES[name]
    block_mask, shown = None, lambda *place: True
    if mask:
        mask_mod, shown, by_batch, by_head = MASKS[mask]
        block_mask = create_block_mask(mask_mod, B if by_batch else None, H if by_head else None, L, S, BLOCK_SIZE=4)
    out, logs = expected(q, k, v, lambda s, *place: number(s, *place) if shown(*place) else -math.inf, 1 / math.sqrt(E))
    found = flex_attention(tensor(q), tensor(k), tensor(v), mod, block_mask, enable_gqa=True, return_lse=True)
    np.testing.assert_allclose(found[0].numpy(), out, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found[1].numpy(), logs, rtol=1e-11)


def test_keys_that_no_query_of_a_block_attends_to_are_left_out() -> None:
    q, k, v = draw(1, 1, 8, E), draw(1, 1, 8, E), draw(1, 1, 8, V)
    block_mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, 8, 8, BLOCK_SIZE=2)
    out, _ = expected(q, k, v, lambda s, b, h, i, j: s if i >= j else -math.inf, 1 / math.sqrt(E))
    v[:, :, 4:] = math.nan
    for settings in ({}, {"return_lse": True}):
        found: Any = flex_attention(tensor(q), tensor(k), tensor(v), block_mask=block_mask, **settings)
        first = (found[0] if settings else found)[:, :, :4]
        np.testing.assert_allclose(first.numpy(), out[:, :, :4], rtol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_reach_what_the_function_reads(masked: bool) -> None:
    operands = [tensor(draw(1, 2, 5, 3)), tensor(draw(1, 1, 6, 3)), tensor(draw(1, 1, 6, 2)), tensor(draw(2, 12))]
    # The first query attends to nothing.
    block_mask = create_block_mask(lambda b, h, i, j: i > j, None, None, 5, 6, BLOCK_SIZE=2) if masked else None

    def attention(q: at.Tensor, k: at.Tensor, v: at.Tensor, bias: at.Tensor) -> Any:
        out, logs = flex_attention(
            q, k, v, lambda s, b, h, i, j: s * s + bias[h, i - j + 6], block_mask, enable_gqa=True, return_lse=True
        )
        return out, at.where(logs == -math.inf, 0.0, logs)

    assert gradcheck(attention, [t.requires_grad_() for t in operands])
    out: Any = flex_attention(*operands[:3], block_mask=block_mask, enable_gqa=True)
    out.sum().backward()
    assert all(bool(at.isfinite(t.grad).all()) for t in operands[:3])


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16], ids=lambda dtype: dtype.name)
def test_half_precision_is_rounded_once(dtype: at.dtype) -> None:
    q, k, v = (tensor(draw(1, 2, 7, 8)).to(dtype) for _ in range(3))
    seen = []

    def mod(score: at.Tensor, b: at.Tensor, h: at.Tensor, i: at.Tensor, j: at.Tensor) -> at.Tensor:
        seen.append(score.dtype)
        return score + 1

    block_mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, 7, 7)
    out, logs = flex_attention(q, k, v, mod, block_mask, return_lse=True)
    assert seen == [at.float32] and out.dtype == dtype and logs.dtype == at.float32
    arrays = [t.double().numpy() for t in (q, k, v)]
    exact, _ = expected(*arrays, lambda s, b, h, i, j: s + 1 if i >= j else -math.inf, 1 / math.sqrt(8))
    eps = at.finfo(dtype).eps
    np.testing.assert_allclose(out.double().numpy(), exact, rtol=0.51 * eps, atol=1e-6)
    with at.autocast("cpu", dtype):
        same = flex_attention(q.float(), k.float(), v.float(), mod, block_mask)
    assert isinstance(same, at.Tensor) and same.dtype == dtype and same.tolist() == out.tolist()


def test_nothing_to_attend_with_or_to() -> None:
    q, k, v = at.ones(1, 2, 0, 3), at.ones(1, 2, 4, 3), at.ones(1, 2, 4, 5)
    mod: Any = lambda s, b, h, i, j: s  # noqa: E731
    assert flex_attention(q, k, v).shape == flex_attention(q, k, v, mod).shape == (1, 2, 0, 5)
    out = flex_attention(k, at.ones(1, 2, 0, 3), at.ones(1, 2, 0, 5), mod)
    assert out.shape == (1, 2, 4, 5) and not out.any()  # type: ignore[union-attr]


def test_errors() -> None:
    q, k = at.ones(2, 4, 5, 3), at.ones(2, 2, 6, 3)
    causal: Any = lambda b, h, i, j: i >= j  # noqa: E731
    block_mask = create_block_mask(causal, None, None, 5, 6)
    assert isinstance(block_mask, BlockMask) and repr(block_mask) == "BlockMask(shape=(1, 1, 5, 6), sparsity=0.00%)"
    for call, error, message in [
        (lambda: flex_attention(q, k, k), at.ShapeError, "as many heads of query as of key, or with enable_gqa"),
        (lambda: flex_attention(k, q, q, enable_gqa=True), at.ShapeError, "with enable_gqa=True a multiple"),
        (lambda: flex_attention(q[0], k[0], k[0]), at.ShapeError, r"expected query \(B, Hq, L, E\)"),
        (lambda: flex_attention(q, q[:1], q[:1]), at.ShapeError, r"expected query \(B, Hq, L, E\)"),
        (lambda: flex_attention(q, q.double(), q), at.DTypeError, "one floating dtype, got float32, float64"),
        (lambda: flex_attention(q, q, q, block_mask=block_mask), at.ShapeError, r"of shape \(2, 4, 5, 5\), .* 5, 6\)"),
        (
            lambda: flex_attention(k, k, k, block_mask=create_block_mask(causal, 3, None, 6, 6)),
            at.ShapeError,
            r"got \(3, 1, 6, 6\)",
        ),
        (lambda: create_block_mask(lambda b, h, i, j: i - j, 1, 1, 5, 6), at.DTypeError, "answers bool, got int64"),
        (lambda: create_block_mask(causal, 1, 1, 0, 6), at.InvalidValueError, "sizes of at least 1"),
        (lambda: create_block_mask(causal, 1, 1, 5, 6, BLOCK_SIZE=0), at.InvalidValueError, "in blocks .0, 0."),
        (lambda: and_masks(), at.ArgumentError, "and_masks: expected functions"),
        (lambda: or_masks(causal, 3), at.ArgumentError, "or_masks: expected functions"),  # type: ignore[arg-type]
    ]:
        with pytest.raises(error, match=message):
            call()
    assert nn.attention.flex_attention.flex_attention is flex_attention
