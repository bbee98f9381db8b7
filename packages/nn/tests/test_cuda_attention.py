"""Attention in half precision on CUDA, by tensor cores, against NumPy in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.nn import functional as F

RNG = np.random.default_rng(5)
Array = np.ndarray[Any, np.dtype[Any]]
DTYPES = [pytest.param(dtype, id=dtype.name) for dtype in (at.float16, at.bfloat16)]


pytestmark = pytest.mark.usefixtures("gpu")


def in_heads(layout: str, dtype: at.dtype, *shape: int) -> tuple[Array, at.Tensor]:
    """(B, H, L, E), with what the dtype holds of it in double precision."""
    b, h, rows, size = shape
    if layout == "rows first":
        t = at.from_numpy(RNG.standard_normal((b, rows, h, size))).to(dtype).cuda().transpose(1, 2)
    elif layout == "packed":  # as one map makes query, key and value
        t = at.from_numpy(RNG.standard_normal((b, rows, 3, h, size))).to(dtype).cuda()[:, :, 1].transpose(1, 2)
    elif layout == "odd":  # where kernels cannot read 16 bytes at once
        t = at.from_numpy(RNG.standard_normal((b, h, rows, size + 1))).to(dtype).cuda()[..., 1:]
    else:
        t = at.from_numpy(RNG.standard_normal(shape)).to(dtype).cuda()
    return exact(t), t


def exact(t: at.Tensor) -> Array:
    array: Array = t.detach().cpu().double().numpy()
    return array


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("length", "keys", "size", "heads", "layout", "hidden"),
    [
        (1, 17, 8, (4, 1), "plain", "nothing"),
        (1, 33, 16, (4, 2), "rows first", "bias"),
        (17, 1, 24, (4, 4), "plain", "causal"),
        (2, 600, 16, (2, 1), "rows first", "causal"),
        (3, 700, 72, (2, 1), "plain", "bias"),
        (65, 130, 64, (4, 2), "rows first", "causal"),
        (130, 65, 72, (2, 1), "packed", "causal"),
        (65, 17, 40, (2, 2), "packed", "bias"),
        (130, 200, 128, (1, 1), "rows first", "causal"),
        (65, 127, 128, (2, 1), "plain", "nothing"),
        (3, 5, 16, (4, 2), "odd", "bias"),
    ],
)
def test_fused_attention(
    length: int, keys: int, size: int, heads: tuple[int, int], layout: str, hidden: str, dtype: at.dtype
) -> None:
    h, groups = heads
    b = 1 + (size < 100)
    (q, query), (k, key), (v, value) = (
        in_heads(layout, dtype, b, n, rows, size) for n, rows in ((h, length), (groups, keys), (groups, keys))
    )
    (g, grad), scale, causal = in_heads(layout, dtype, b, h, length, size), 0.5 / math.sqrt(size), hidden == "causal"
    added = np.zeros((b, h, 1, 1))
    if hidden == "bias":  # a key for each query at least
        added = RNG.standard_normal((b, h, length, keys)).astype("float32").astype(float)
        added[..., 1:][RNG.random((b, h, length, keys - 1)) < 0.3] = -math.inf
    bias = at.from_numpy(added).float().cuda() if hidden == "bias" else None
    attended, lse = at.ops.nn.fused_attention(query, key, value, bias, causal, scale)
    got = at.ops.nn.fused_attention_backward(grad, query, key, value, bias, attended, lse, causal, scale)

    k, v = (np.repeat(t, h // groups, 1) for t in (k, v))
    scores = scale * q @ np.swapaxes(k, -1, -2) + added
    if causal:
        scores = np.where(np.arange(keys) > np.arange(length)[:, None], -math.inf, scores)
    most = scores.max(-1, keepdims=True)
    total = np.exp(scores - most).sum(-1, keepdims=True)
    p = np.exp(scores - most) / total
    np.testing.assert_allclose(exact(lse), (most + np.log(total))[..., 0], rtol=0, atol=1e-5)
    # Weights and results are rounded, by half an eps each; so is what is subtracted from slopes.
    eps = at.finfo(dtype).eps

    def check(t: at.Tensor, wanted: Array, bound: Array, n: int) -> None:
        wanted, bound = (x.reshape(b, n, h // n, *x.shape[2:]).sum(2) for x in (wanted, bound))
        assert t.dtype == dtype and t.shape == wanted.shape
        assert np.all(np.abs(exact(t) - wanted) <= 1.01 * eps * bound + 2e-5)

    check(attended, p @ v, p @ np.abs(v), h)
    mean = (g * (p @ v)).sum(-1, keepdims=True)
    dp = g @ np.swapaxes(v, -1, -2)
    ds = scale * p * (dp - mean)
    size_of_ds = scale * p * (np.abs(dp - mean) + (np.abs(g) * (p @ np.abs(v))).sum(-1, keepdims=True))
    check(got[0], ds @ k, size_of_ds @ np.abs(k), h)
    check(got[1], np.swapaxes(ds, -1, -2) @ q, np.swapaxes(size_of_ds, -1, -2) @ np.abs(q), groups)
    check(got[2], np.swapaxes(p, -1, -2) @ g, np.swapaxes(p, -1, -2) @ np.abs(g), groups)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shapes", "mask", "settings"),
    [
        pytest.param([(5, 8), (3, 8), (3, 8)], None, {}, id="matrices"),
        pytest.param([(2, 1, 3, 5, 16), (3, 4, 16), (4, 16)], "rows", {}, id="broadcasting"),
        pytest.param([(2, 4, 5, 8), (2, 2, 6, 8), (2, 2, 6, 8)], "empty", {"enable_gqa": True}, id="groups"),
        pytest.param([(3, 5, 8), (3, 6, 8), (3, 6, 8)], "float", {"scale": -0.5}, id="added"),
        pytest.param([(3, 5, 8), (3, 6, 8), (3, 6, 8)], "learnt", {}, id="learnt"),
        pytest.param([(2, 5, 6), (2, 6, 6), (2, 6, 3)], "empty", {}, id="odd heads"),
        pytest.param(
            [(2, 2, 5, 6), (2, 1, 6, 6), (2, 1, 6, 3)], None, {"enable_gqa": True, "is_causal": True}, id="odd groups"
        ),
        pytest.param([(2, 5, 8), (2, 0, 8), (2, 0, 8)], None, {}, id="no keys"),
    ],
)
def test_scaled_dot_product_attention(
    shapes: list[tuple[int, ...]], mask: str | None, settings: dict[str, Any], dtype: at.dtype
) -> None:
    drawn = [at.from_numpy(RNG.standard_normal(shape)).to(dtype) for shape in shapes]
    length, keys = shapes[0][-2], shapes[1][-2]
    given = None
    if mask in ("rows", "empty"):
        given = at.from_numpy(RNG.random((1 if mask == "rows" else length, keys)) < 0.7)
        given[0] = mask == "rows"
    elif mask:
        given = at.from_numpy(RNG.standard_normal((length, keys))).to(dtype)
    found = []
    for device, wide in (("cpu", at.float64), ("cuda", dtype)):
        tensors = [t.to(device).to(wide) for t in drawn]
        if given is not None:
            tensors.append(given.to(device) if given.dtype == at.bool else given.to(device).to(wide))
        learns = hasattr(at.Tensor, "backward")
        leaves = [t for t in tensors[: 4 if mask == "learnt" else 3] if learns and t.requires_grad_() is t]
        result = F.scaled_dot_product_attention(*tensors, **settings)
        if learns:
            (result * result).sum().backward()
        assert result.dtype == wide
        found.append([exact(t) for t in (result, *(leaf.grad for leaf in leaves))])
    for wanted, got in zip(*found, strict=True):
        largest = max(1.0, np.abs(wanted).max(initial=0.0))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=3 * at.finfo(dtype).eps * largest)


def test_no_matrix_of_scores_is_made() -> None:
    q = at.from_numpy(RNG.standard_normal((1, 1, 512, 8))).half().cuda()
    before = at.cuda.memory_allocated()
    at.cuda.reset_peak_memory_stats()
    F.scaled_dot_product_attention(q, q, q)
    at.cuda.synchronize()
    assert at.cuda.max_memory_allocated() - before < 64 << 10  # all scores are 1 MB
