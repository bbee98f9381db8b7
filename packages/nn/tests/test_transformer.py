"""The layers of transformers against NumPy, over the attention that has tests of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import atled.core as at
from atled import nn

RNG = np.random.default_rng(13)
Array = np.ndarray[Any, np.dtype[Any]]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * special.ndtr(x),
}


def draw(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def plain(tensor: Any) -> Array:
    result: Array = at.Tensor(tensor).numpy()
    return result


def randomised(module: Any) -> Any:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def norm(layer: Any, x: Array) -> Array:
    bias = 0 if layer.bias is None else plain(layer.bias)
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps) * plain(layer.weight) + bias


def linear(layer: Any, x: Array) -> Array:
    return x @ plain(layer.weight).T + (0 if layer.bias is None else plain(layer.bias))


def attend(layer: Any, x: Array, y: Array, mask: Array | None) -> Array:
    given = None if mask is None else at.from_numpy(mask)
    return plain(layer(at.from_numpy(x), at.from_numpy(y), at.from_numpy(y), attn_mask=given)[0])


def encoder_layer(layer: Any, x: Array, mask: Array | None, activation: str) -> Array:
    def forward(y: Array) -> Array:
        return linear(layer.linear2, ACTIVATIONS[activation](linear(layer.linear1, y)))

    if layer.norm_first:
        y = norm(layer.norm1, x)
        x = x + attend(layer.self_attn, y, y, mask)
        return x + forward(norm(layer.norm2, x))
    x = norm(layer.norm1, x + attend(layer.self_attn, x, x, mask))
    return norm(layer.norm2, x + forward(x))


def decoder_layer(layer: Any, x: Array, memory: Array, mask: Array | None, activation: str) -> Array:
    def forward(y: Array) -> Array:
        return linear(layer.linear2, ACTIVATIONS[activation](linear(layer.linear1, y)))

    if layer.norm_first:
        y = norm(layer.norm1, x)
        x = x + attend(layer.self_attn, y, y, mask)
        x = x + attend(layer.multihead_attn, norm(layer.norm2, x), memory, None)
        return x + forward(norm(layer.norm3, x))
    x = norm(layer.norm1, x + attend(layer.self_attn, x, x, mask))
    x = norm(layer.norm2, x + attend(layer.multihead_attn, x, memory, None))
    return norm(layer.norm3, x + forward(x))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_layers(norm_first: bool, activation: str, batch_first: bool, bias: bool) -> None:
    settings: dict[str, Any] = {
        "activation": activation, "batch_first": batch_first, "norm_first": norm_first, "bias": bias,
        "layer_norm_eps": 1e-3, "dtype": at.float64, "dropout": 0.0,
    }  # fmt: skip
    x, memory = draw(3, 3, 4), draw(3, 3, 4)
    mask = np.triu(np.ones((3, 3), bool), 1)
    encoder = randomised(nn.TransformerEncoderLayer(4, 2, 6, **settings))
    got = encoder(at.from_numpy(x), at.from_numpy(mask), is_causal=True)
    np.testing.assert_allclose(plain(got), encoder_layer(encoder, x, mask, activation), atol=1e-12)
    decoder = randomised(nn.TransformerDecoderLayer(4, 2, 6, **settings))
    got = decoder(at.from_numpy(x), at.from_numpy(memory), at.from_numpy(mask))
    np.testing.assert_allclose(plain(got), decoder_layer(decoder, x, memory, mask, activation), atol=1e-12)


@pytest.mark.parametrize("batched", [True, False])
def test_transformer(batched: bool) -> None:
    model = randomised(nn.Transformer(4, 2, 2, 2, 6, 0.0, norm_first=True, dtype=at.float64))
    lead = (2,) if batched else ()
    source, target = draw(5, *lead, 4), draw(3, *lead, 4)
    mask = np.triu(np.full((3, 3), -np.inf), 1)
    causal = nn.Transformer.generate_square_subsequent_mask(3, dtype=at.float64)
    np.testing.assert_array_equal(causal.numpy(), mask)
    memory, x = source, target
    for layer in model.encoder.layers:
        memory = encoder_layer(layer, memory, None, "relu")
    memory = norm(model.encoder.norm, memory)
    for layer in model.decoder.layers:
        x = decoder_layer(layer, x, memory, mask, "relu")
    got = model(at.from_numpy(source), at.from_numpy(target), tgt_mask=causal, tgt_is_causal=True)
    np.testing.assert_allclose(plain(got), norm(model.decoder.norm, x), atol=1e-11)


def test_padding_does_not_matter() -> None:
    model = nn.Transformer(4, 2, 1, 1, 6, batch_first=True, dtype=at.float64).eval()
    source, target = draw(2, 5, 4), draw(2, 3, 4)
    longer = np.concatenate([source, 9 * draw(2, 2, 4)], 1)
    padding = at.from_numpy(np.arange(7) >= 5).expand(2, 7)
    expected = model(at.from_numpy(source), at.from_numpy(target))
    got = model(
        at.from_numpy(longer), at.from_numpy(target), src_key_padding_mask=padding, memory_key_padding_mask=padding
    )
    np.testing.assert_allclose(plain(got), plain(expected), atol=1e-12)


def test_keys_copies_and_starting_values() -> None:
    layer = nn.TransformerDecoderLayer(4, 2, 6)
    parts = ["self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight"]
    parts += ["self_attn.out_proj.bias"]
    parts += [part.replace("self_attn", "multihead_attn") for part in parts]
    parts += [f"{name}.{kind}" for name in ("linear1", "linear2") for kind in ("weight", "bias")]
    parts += [f"norm{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")]
    assert list(layer.state_dict()) == parts
    stack = nn.TransformerDecoder(layer, 2)
    assert list(stack.state_dict()) == [f"layers.{i}.{part}" for i in range(2) for part in parts]
    first, second = stack.layers
    assert first is not layer and first.linear1.weight is not second.linear1.weight
    np.testing.assert_array_equal(plain(first.linear1.weight), plain(second.linear1.weight))
    model = nn.Transformer(4, 2, 1, 1, 8)
    assert np.abs(plain(model.encoder.layers[0].linear1.weight)).max() <= np.sqrt(6 / 12)
    assert "encoder.norm.weight" in model.state_dict() and "decoder.norm.bias" in model.state_dict()
    assert nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6), 1).norm is None
    assert copy.deepcopy(model).state_dict().keys() == model.state_dict().keys()


def test_custom_parts_and_activations() -> None:
    class Twice(nn.Module):
        def forward(self, x: at.Tensor, *_: Any, **__: Any) -> at.Tensor:
            return 2 * x

    model = nn.Transformer(4, custom_encoder=Twice(), custom_decoder=Twice())
    assert model(at.ones(3, 4), at.ones(2, 4)).tolist() == [[2] * 4] * 2
    layer = randomised(nn.TransformerEncoderLayer(4, 2, 6, 0.0, at.tanh, dtype=at.float64))
    x = draw(3, 4)
    ACTIVATIONS["tanh"] = np.tanh
    np.testing.assert_allclose(plain(layer(at.from_numpy(x))), encoder_layer(layer, x, None, "tanh"), atol=1e-12)


def test_all_parameters_learn() -> None:
    pytest.importorskip("atled.autograd")
    model = randomised(nn.Transformer(4, 2, 1, 1, 6, dtype=at.float64))
    model(at.from_numpy(draw(5, 2, 4)), at.from_numpy(draw(3, 2, 4))).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_bad_arguments() -> None:
    with pytest.raises(at.InvalidValueError, match="activation 'relu', 'gelu' or a function, got 'tanh'"):
        nn.TransformerEncoderLayer(4, 2, activation="tanh")
    model = nn.Transformer(4, 2, 1, 1, 6)
    for source, target in (((5, 2, 4), (3, 1, 4)), ((5, 4), (3, 1, 4)), ((5, 2, 3), (3, 2, 4))):
        with pytest.raises(at.ShapeError, match=r"src \(S, N, 4\) and tgt \(T, N, 4\)"):
            model(at.ones(*source), at.ones(*target))
