"""Attention against NumPy, one query after the other."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.nn import functional as F
from atled.nn.functional import _attention

RNG = np.random.default_rng(11)
Array = np.ndarray[Any, np.dtype[Any]]


def draw(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def softmax(scores: Array) -> Array:
    if not len(scores) or scores.max() == -math.inf:
        return np.zeros_like(scores)
    weights: Array = np.exp(scores - scores.max())
    return weights / weights.sum()


def attended(q: Array, k: Array, v: Array, added: Array, scale: float | None = None) -> tuple[Array, Array]:
    """Of matrices; `added` has the scores' shape."""
    scale = 1 / math.sqrt(q.shape[1]) if scale is None else scale
    weights = np.array([softmax(k @ row * scale + extra) for row, extra in zip(q, added, strict=True)])
    return weights @ v, weights


def route(monkeypatch: pytest.MonkeyPatch, block: int | None) -> None:
    """Fused, as the CPU does, or composed: at once, or by blocks of so many queries."""
    if block is not None:
        monkeypatch.setattr(_attention, "_fuses", lambda *_: False)
        monkeypatch.setattr(_attention, "_block", lambda *_: block)


def numbers(mask: Array) -> Array:
    return np.where(mask, 0.0, -math.inf) if mask.dtype == bool else mask


@pytest.mark.parametrize("kind", ["none", "causal", "bool", "float", "row"])
@pytest.mark.parametrize("sizes", [(1, 1), (5, 7), (6, 3)])
@pytest.mark.parametrize("heads", [4, 2, 1])
@pytest.mark.parametrize("block", [None, 0, 2])
def test_scaled_dot_product_attention(
    kind: str, sizes: tuple[int, int], heads: int, block: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    route(monkeypatch, block)
    length, keys = sizes
    q, k, v = draw(2, 4, length, 6), draw(2, heads, keys, 6), draw(2, heads, keys, 3)
    masks: dict[str, Array] = {
        "bool": RNG.random((2, 4, length, keys)) < 0.4,
        "float": np.where(RNG.random((length, keys)) < 0.3, -math.inf, draw(length, keys)),
        "row": RNG.random((2, 1, 1, keys)) < 0.6,
    }
    added = np.zeros((length, keys))
    if kind == "causal":
        added = np.where(np.arange(keys) > np.arange(length)[:, None], -math.inf, 0.0)
    mask = masks.get(kind)
    added = np.broadcast_to(added if mask is None else numbers(mask), (2, 4, length, keys))
    scale = 0.3 if kind == "row" else None
    expected = np.array(
        [
            [attended(q[n, h], k[n, h * heads // 4], v[n, h * heads // 4], added[n, h], scale)[0] for h in range(4)]
            for n in range(2)
        ]
    )
    for dtype, tolerance in ((at.float64, 1e-13), (at.float32, 1e-5), (at.bfloat16, 0.06)):
        tensors = [at.from_numpy(t).to(dtype) for t in (q, k, v)]
        given = None if mask is None else at.from_numpy(mask)
        given = given if given is None or given.dtype == at.bool else given.to(dtype)
        got = F.scaled_dot_product_attention(
            *tensors, given, is_causal=kind == "causal", scale=scale, enable_gqa=heads < 4
        )
        assert got.dtype == dtype
        np.testing.assert_allclose(got.to(at.float64).numpy(), expected, atol=tolerance)


def test_attention_broadcasts_and_drops() -> None:
    q, k, v = draw(3, 1, 2, 4), draw(5, 6, 4), draw(6, 2)
    got = F.scaled_dot_product_attention(*map(at.from_numpy, (q, k, v)))
    assert got.shape == (3, 5, 2, 2)
    np.testing.assert_allclose(got[2, 3].numpy(), attended(q[2, 0], k[3], v, np.zeros((2, 6)))[0], rtol=1e-12)
    at.manual_seed(1)
    ones = at.ones(1, 40000, 1)
    dropped = F.scaled_dot_product_attention(at.ones(1, 1, 1), ones, ones, dropout_p=0.5).item()
    assert dropped != 1 and abs(dropped - 1) < 0.03


def test_a_chosen_backend_changes_nothing() -> None:
    q = at.from_numpy(draw(2, 3, 4))
    expected = F.scaled_dot_product_attention(q, q, q)
    with nn.attention.sdpa_kernel([nn.attention.SDPBackend.MATH, nn.attention.SDPBackend.FLASH_ATTENTION]):
        assert bool((F.scaled_dot_product_attention(q, q, q) == expected).all())
    with pytest.raises(at.ArgumentError, match="got 'flash'"), nn.attention.sdpa_kernel("flash"):  # type: ignore[arg-type]
        pass


def test_when_attention_goes_by_blocks() -> None:
    """Long causal queries leave keys out; other scores are made at once as long as they are few."""
    cases = {
        (128, 128): (0, 0, 0), (200, 200): (128, 0, 0), (8192, 512): (128, 0, 0),
        (8192, 2048): (128, 0, 4096), (16384, 8192): (128, 1024, 1024), (64, 1 << 20): (64, 0, 64),
    }  # fmt: skip
    for (length, keys), expected in cases.items():
        q, k = at.empty(1, length, 4), at.empty(1, keys, 4)
        settings = (True, False), (False, True), (False, False)
        assert tuple(_attention._block(q, k, *each) for each in settings) == expected
    q = at.empty(1, 1025, 4, device="meta")
    assert _attention._block(q, q, True, True) == 1024 and _attention._block(q[:, 1:], q, True, True) == 0


def test_long_causal_attention() -> None:
    q, k, v = draw(300, 5), draw(300, 5), draw(300, 4)
    expected, _ = attended(q, k, v, np.triu(np.full((300, 300), -math.inf), 1))
    got = F.scaled_dot_product_attention(*map(at.from_numpy, (q, k, v)), is_causal=True)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-13)


@pytest.mark.parametrize(("length", "dtype"), [(70, at.float64), (2, at.float32), (70, at.bfloat16)])
def test_masks_that_hide_every_key(length: int, dtype: at.dtype) -> None:
    """Booleans and minus infinity are the same; a query without keys gets zeros, and gives none."""
    q, k, v = draw(1, 2, length, 6), draw(1, 2, 140, 6), draw(1, 2, 140, 6)
    seen = RNG.random((length, 140)) < 0.5
    seen[1:2], seen[:, 1:2] = False, False
    tensors = [at.from_numpy(t).to(dtype) for t in (q, k, v)]
    exact = [t.double().numpy() for t in tensors]
    expected = [attended(exact[0][0, h], exact[1][0, h], exact[2][0, h], numbers(seen))[0] for h in range(2)]
    found = []
    for mask in (at.from_numpy(seen), at.from_numpy(numbers(seen)).to(dtype)):
        leaves = [t.clone() for t in tensors]
        learns = hasattr(at.Tensor, "backward")
        result = F.scaled_dot_product_attention(*(t.requires_grad_() if learns else t for t in leaves), mask)
        values = result.detach() if learns else result
        np.testing.assert_allclose(values.double().numpy()[0], expected, atol=4 * at.finfo(dtype).eps)
        assert not values[0, :, 1].any()
        if learns:
            (result * result).sum().backward()
            found.append([at.Tensor(t.grad).double().numpy() for t in leaves])
    if found:
        assert not found[0][0][0, :, 1].any() and not found[0][1][0, :, 1].any() and np.isfinite(found[0][2]).all()
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


def test_blocks_need_little_memory() -> None:
    q = at.from_numpy(draw(4, 1024, 8)).float()
    at.reset_peak_memory()
    before = at.memory_stats()["live_bytes"]
    F.scaled_dot_product_attention(q, q, q)
    assert at.memory_stats()["peak_bytes"] - before < 1 << 20  # all scores are 16 MB


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16])
@pytest.mark.parametrize("block", [None, 0, 16])
def test_half_precision_is_rounded_once(dtype: at.dtype, block: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    route(monkeypatch, block)
    q, k, v = (at.from_numpy(t).to(dtype) for t in (6 * draw(40, 64), draw(40, 64), draw(40, 8)))
    bias = at.from_numpy(draw(40, 40))  # digits that half precision does not have
    exact = [t.double().numpy() for t in (q, k, v)]
    expected, _ = attended(*exact, bias.float().double().numpy())
    got = F.scaled_dot_product_attention(q, k, v, bias.float())
    assert got.dtype == dtype
    np.testing.assert_allclose(got.double().numpy(), expected, rtol=at.finfo(dtype).eps / 2, atol=1e-5)
    large = at.full((40, 64), 200.0, dtype=dtype)  # whose scores are above what float16 has
    np.testing.assert_allclose(
        F.scaled_dot_product_attention(large, large, v, scale=1.0).double().numpy(),
        np.broadcast_to(exact[2].mean(0), (40, 8)),
        rtol=at.finfo(dtype).eps / 2,
        atol=1e-5,
    )


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16])
def test_weights_of_half_precision_are_rounded_once(dtype: at.dtype) -> None:
    eye = at.eye(4, dtype=dtype)
    x = at.from_numpy(9 * draw(20, 1, 4)).to(dtype)
    _, got = F.multi_head_attention_forward(x, x, x, 4, 2, at.cat([eye] * 3), None, None, None, False, 0.0, eye, None)
    exact = x[:, 0].double().numpy()
    heads = [attended(exact[:, s], exact[:, s], exact[:, s], np.zeros((20, 20)))[1] for s in (slice(2), slice(2, 4))]
    assert got is not None and got.dtype == dtype
    np.testing.assert_allclose(got[0].double().numpy(), np.mean(heads, 0), rtol=at.finfo(dtype).eps / 2, atol=1e-5)


@pytest.mark.parametrize("block", [None, 0, 2])
def test_gradients_in_half_precision(block: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("atled.autograd")
    route(monkeypatch, block)
    v = at.from_numpy(draw(6, 4)).to(at.float16).requires_grad_()
    large = at.full((6, 4), 200.0, dtype=at.float16).requires_grad_()
    F.scaled_dot_product_attention(large, large, v, scale=1.0).sum().backward()
    assert v.grad is not None and large.grad is not None and v.grad.dtype == large.grad.dtype == at.float16
    # The fused gradient has weights from the logarithms of their sums, 160000 in float32 here.
    np.testing.assert_allclose(v.grad.float().numpy(), 1, rtol=2e-2 if block is None else 1e-3)
    assert at.isfinite(large.grad).all()


def test_the_bias_of_no_query_has_a_gradient() -> None:
    pytest.importorskip("atled.autograd")
    bias = at.zeros(1, 3).requires_grad_()
    at.ops.nn.attention(at.ones(0, 2), at.ones(3, 2), at.ones(3, 2), bias).sum().backward()
    assert bias.grad is not None and bias.grad.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("kind", ["none", "causal", "mask"])
@pytest.mark.parametrize("block", [None, 0, 2])
def test_gradients_of_attention(kind: str, block: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    autograd = pytest.importorskip("atled.autograd")
    route(monkeypatch, block)
    inputs = [at.from_numpy(draw(*shape)).requires_grad_() for shape in ((4, 3, 2), (2, 4, 2), (2, 4, 3), (3, 4))]
    unmasked = at.tensor([[False] * 4, [True, False, True, True], [True] * 4])

    def call(q: at.Tensor, k: at.Tensor, v: at.Tensor, bias: at.Tensor) -> at.Tensor:
        mask = at.where(unmasked, bias, -math.inf) if kind == "mask" else None
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=kind == "causal", enable_gqa=True)

    inputs = inputs if kind == "mask" else inputs[:3]
    fill = () if kind == "mask" else (at.zeros(3, 4),)
    assert autograd.gradcheck(lambda *t: call(*t, *fill), inputs)
    assert autograd.gradgradcheck(lambda *t: call(*t, *fill), inputs)


def test_bad_operands_of_attention() -> None:
    x = at.ones(2, 3, 4)
    cases: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
        (at.ArgumentError, "attn_mask or is_causal, got both", (x, x, x, at.ones(3, 3)), {"is_causal": True}),
        (at.DTypeError, "got float32, float64 and float32", (x, x.double(), x), {}),
        (at.DTypeError, "one floating dtype, got int64", (x.long(), x.long(), x.long()), {}),
        (at.DTypeError, "attn_mask of bool or float32, got int64", (x, x, x, at.ones(3, 3).long()), {}),
        (at.ShapeError, r"attn_mask that broadcasts to \(\*, 3, 3\), got \(2, 3\)", (x, x, x, at.ones(2, 3)), {}),
        (at.ShapeError, r"query.shape\[-1\] == key.shape\[-1\].*got \(2, 3, 4\)", (x, at.ones(2, 3, 5), x), {}),
        (at.ShapeError, r"key.shape\[-2\] == value.shape\[-2\]", (x, x, at.ones(2, 2, 4)), {}),
        (at.ShapeError, r"key \(\*, S, E\)", (x, at.ones(4), x), {}),
        (at.ShapeError, "heads of query", (at.ones(3, 2, 4), x, x), {"enable_gqa": True}),
    ]
    for error, message, args, kwargs in cases:
        with pytest.raises(error, match=f"scaled_dot_product_attention: expected.*{message}"):
            F.scaled_dot_product_attention(*args, **kwargs)


def reference(layer: nn.MultiheadAttention, q: Array, k: Array, v: Array, added: Array) -> tuple[Array, Array]:
    """Output and weights (N, heads, L, S) of inputs (N, L, E), (N, S, K) and (N, S, V)."""
    own = {name: t.numpy() for name, t in layer.state_dict().items()}
    size, heads = layer.embed_dim, layer.num_heads
    maps = own.get("in_proj_weight")
    weights = [
        own[f"{name}_proj_weight"] if maps is None else maps[i * size : (i + 1) * size] for i, name in enumerate("qkv")
    ]
    bias = own.get("in_proj_bias", np.zeros(3 * size)).reshape(3, size)
    outputs, all_weights = [], []
    for n in range(len(q)):
        parts = [t[n] @ w.T + b for t, w, b in zip((q, k, v), weights, bias, strict=True)]
        if "bias_k" in own:
            parts[1:] = [np.concatenate([p, own[f"bias_{c}"][0]]) for p, c in zip(parts[1:], "kv", strict=True)]
        if layer.add_zero_attn:
            parts[1:] = [np.concatenate([p, np.zeros((1, size))]) for p in parts[1:]]
        columns = [slice(h * size // heads, (h + 1) * size // heads) for h in range(heads)]
        extra = np.zeros((len(parts[0]), len(parts[1])))
        pairs = []
        for h, column in enumerate(columns):
            extra[:, : added.shape[-1]] = added[n, h]
            pairs.append(attended(*(p[:, column] for p in parts), extra))
        outputs.append(np.concatenate([out for out, _ in pairs], 1) @ own["out_proj.weight"].T)
        outputs[-1] = outputs[-1] + own.get("out_proj.bias", 0)
        all_weights.append([w for _, w in pairs])
    return np.array(outputs), np.array(all_weights)


SETTINGS = [
    {},
    {"batch_first": True},
    {"bias": False, "batch_first": True, "kdim": 5, "vdim": 3},
    {"kdim": 5},
    {"add_bias_kv": True, "add_zero_attn": True},
    {"add_zero_attn": True, "batch_first": True},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("masks", ["none", "bool", "float", "both"])
def test_multihead_attention(settings: dict[str, Any], masks: str) -> None:
    layer = nn.MultiheadAttention(6, 2, dtype=at.float64, **settings)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    batch, length, keys = 2, 3, 4
    q, k, v = draw(batch, length, 6), draw(batch, keys, layer.kdim), draw(batch, keys, layer.vdim)
    padding = np.array([[False, True, False, False], [False, False, False, True]])
    attention: Array = RNG.random((batch * 2, length, keys)) < 0.4
    added = np.zeros((batch, 2, length, keys))
    if masks != "none":
        added = added + numbers(~padding)[:, None, None]
    if masks in ("float", "both"):
        attention = draw(length, keys) if masks == "float" else attention
        extra = attention if masks == "float" else numbers(~attention).reshape(batch, 2, length, keys)
        added = added + extra
    expected, weights = reference(layer, q, k, v, added)
    first = layer.batch_first
    tensors = [at.from_numpy(t if first else np.ascontiguousarray(t.swapaxes(0, 1))) for t in (q, k, v)]
    kwargs: dict[str, Any] = {} if masks == "none" else {"key_padding_mask": at.from_numpy(padding)}
    if masks in ("float", "both"):
        kwargs["attn_mask"] = at.from_numpy(attention)
    output, mean = layer(*tensors, **kwargs)
    plain = at.Tensor(output).numpy()
    np.testing.assert_allclose(plain if first else plain.swapaxes(0, 1), expected, atol=1e-12)
    np.testing.assert_allclose(at.Tensor(mean).numpy(), weights.mean(1), atol=1e-12)
    each = layer(*tensors, average_attn_weights=False, **kwargs)[1]
    np.testing.assert_allclose(at.Tensor(each).numpy(), weights, atol=1e-12)
    again, nothing = layer(*tensors, need_weights=False, **kwargs)
    assert nothing is None
    np.testing.assert_allclose(at.Tensor(again).numpy(), plain, atol=1e-12)


def test_multihead_attention_without_a_batch() -> None:
    layer = nn.MultiheadAttention(4, 2, dtype=at.float64).eval()
    q, k = at.from_numpy(draw(3, 4)), at.from_numpy(draw(5, 4))
    mask, padding = at.from_numpy(RNG.random((2, 3, 5)) < 0.5), at.tensor([False, False, True, False, False])
    output, weights = layer(q, k, k, padding, attn_mask=mask, average_attn_weights=False)
    assert (output.shape, weights.shape) == ((3, 4), (2, 3, 5))
    batched = layer(q[:, None], k[:, None], k[:, None], padding[None], attn_mask=mask, average_attn_weights=False)
    np.testing.assert_allclose(at.Tensor(output).numpy(), at.Tensor(batched[0][:, 0]).numpy(), atol=1e-14)
    np.testing.assert_allclose(at.Tensor(weights).numpy(), at.Tensor(batched[1][0]).numpy(), atol=1e-14)


@pytest.mark.parametrize("settings", [{}, {"add_zero_attn": True}])
def test_multihead_attention_with_a_causal_mask(settings: dict[str, bool]) -> None:
    layer = nn.MultiheadAttention(4, 2, dtype=at.float64, **settings)
    x, causal = at.from_numpy(draw(200, 1, 4)), nn.Transformer.generate_square_subsequent_mask(200, dtype=at.float64)
    expected, _ = layer(x, x, x, attn_mask=causal)
    got, _ = layer(x, x, x, attn_mask=causal, is_causal=True, need_weights=False)
    np.testing.assert_allclose(at.Tensor(got).numpy(), at.Tensor(expected).numpy(), atol=1e-13)


@pytest.mark.parametrize("first", [False, True])
def test_inputs_that_are_one_tensor_share_a_product(first: bool) -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=first, dtype=at.float64)
    nn.init.normal_(layer.in_proj_bias)
    x, y = at.from_numpy(draw(3, 2, 4)), at.from_numpy(draw(3, 2, 4))
    for tensors in ((x, x, x), (x, y, y)):
        one = layer(*tensors)[0]
        several = layer(*(t.clone() for t in tensors))[0]
        np.testing.assert_allclose(at.Tensor(one).numpy(), at.Tensor(several).numpy(), rtol=1e-12)


def test_fixed_keys_and_values() -> None:
    q, k, v = draw(3, 2, 4), draw(4, 5, 2), draw(4, 5, 2)
    eye = at.from_numpy(np.eye(4))
    output, _ = F.multi_head_attention_forward(
        at.from_numpy(q), eye[:, None].expand(4, 2, 4), eye[:, None].expand(4, 2, 4), 4, 2,
        at.cat([eye, eye, eye]), None, None, None, False, 0.0, eye, None,
        static_k=at.from_numpy(k), static_v=at.from_numpy(v),
    )  # fmt: skip
    for n, h in itertools.product(range(2), range(2)):
        part = slice(2 * h, 2 * h + 2)
        expected = attended(q[:, n, part], k[2 * n + h], v[2 * n + h], np.zeros((3, 5)))[0]
        np.testing.assert_allclose(output[:, n, part].numpy(), expected, rtol=1e-12)


def test_initial_values_and_keys_of_multihead_attention() -> None:
    layer = nn.MultiheadAttention(8, 2, add_bias_kv=True)
    assert list(layer.state_dict()) == [
        "in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj.weight", "out_proj.bias"
    ]  # fmt: skip
    bound = math.sqrt(6 / (8 + 24))
    assert 0.8 * bound < at.Tensor(layer.in_proj_weight).abs().max().item() <= bound
    assert not at.Tensor(layer.in_proj_bias).any() and not at.Tensor(layer.out_proj.bias).any()
    assert list(nn.MultiheadAttention(8, 2, kdim=3, bias=False).state_dict()) == [
        "q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"
    ]  # fmt: skip


def test_gradients_of_multihead_attention() -> None:
    autograd = pytest.importorskip("atled.autograd")
    layer = nn.MultiheadAttention(4, 2, add_bias_kv=True, dtype=at.float64)
    causal = at.ones(3, 3).triu(1).bool()
    names = [name for name, _ in layer.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    func = pytest.importorskip("atled.autograd.func")

    def call(x: at.Tensor, *parameters: at.Tensor) -> Any:
        state = dict(zip(names, parameters, strict=True))
        return func.functional_call(layer, state, (x, x, x), {"attn_mask": causal})

    assert autograd.gradcheck(call, (at.from_numpy(draw(3, 2, 4)).requires_grad_(), *values))


def test_nothing_to_attend_with_or_to() -> None:
    x, nothing = at.ones(3, 2, 4), at.ones(0, 2, 4)
    layer = nn.MultiheadAttention(4, 2)
    assert layer(nothing, x, x)[0].shape == (0, 2, 4)
    assert layer(x, nothing, nothing)[0].shape == (3, 2, 4)
    assert F.scaled_dot_product_attention(x, at.ones(3, 0, 4), at.ones(3, 0, 5)).tolist() == [[[0] * 5] * 2] * 3


def test_dropout_of_weights_is_for_training() -> None:
    layer = nn.MultiheadAttention(4, 1, dropout=0.5)
    x = at.ones(50, 1, 4)
    assert (at.Tensor(layer(x, x, x)[1]) == 0).any()
    np.testing.assert_allclose(at.Tensor(layer.eval()(x, x, x)[1]).numpy(), 0.02, rtol=1e-6)


def test_bad_operands_of_multihead_attention() -> None:
    with pytest.raises(at.ShapeError, match="embed_dim to be a multiple of num_heads, got 5 and 2"):
        nn.MultiheadAttention(5, 2)
    layer, x = nn.MultiheadAttention(4, 2), at.ones(3, 2, 4)
    cases: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
        (at.ShapeError, "of 4, 4 and 4 features, got", (x, x, at.ones(3, 2, 5)), {}),
        (at.ShapeError, "of 3 dimensions, or of 2", (x, at.ones(3, 4), x), {}),
        (at.ShapeError, "as many vectors", (x, x, at.ones(4, 2, 4)), {}),
        (at.ShapeError, "as many sequences, dimension 1", (x, x[:, :1], x[:, :1]), {}),
        (at.ShapeError, r"key_padding_mask of shape \(2, 3\), got \(3, 2\)", (x, x, x, at.zeros(3, 2)), {}),
        (at.ShapeError, r"attn_mask of shape \(3, 3\) or \(4, 3, 3\)", (x, x, x), {"attn_mask": at.zeros(2, 3, 3)}),
        (at.DTypeError, "bool or a floating dtype, got int64", (x, x, x), {"attn_mask": at.zeros(3, 3).long()}),
        (at.ArgumentError, "attn_mask with is_causal=True", (x, x, x), {"is_causal": True}),
    ]
    for error, message, args, kwargs in cases:
        with pytest.raises(error, match=message):
            layer(*args, **kwargs)
    with pytest.raises(at.ShapeError, match="as many sequences, dimension 0"):
        nn.MultiheadAttention(4, 2, batch_first=True)(x, x[:1], x[:1])
