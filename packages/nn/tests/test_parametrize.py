"""Parametrized tensors, the parametrizations that are there, and layers fused with batch normalisation."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.nn.utils import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    parametrizations,
    parametrize,
    skip_init,
)

RNG = np.random.default_rng(21)


def drawn(*shape: int) -> at.Tensor:
    return at.tensor(RNG.standard_normal(shape))


def array(tensor: at.Tensor) -> Any:
    return at.Tensor(tensor).numpy()


class Symmetric(nn.Module):
    def forward(self, x: at.Tensor) -> at.Tensor:
        return x.triu() + x.triu(1).mT

    def right_inverse(self, x: at.Tensor) -> at.Tensor:
        return x.triu()


class Twice(nn.Module):
    calls = 0

    def forward(self, x: at.Tensor) -> at.Tensor:
        self.calls += 1
        return x * 2


class Wider(nn.Module):
    def forward(self, x: at.Tensor) -> at.Tensor:
        return at.cat([x, x])


def test_a_parametrized_tensor_is_computed_and_assigned() -> None:
    layer: Any = nn.Linear(4, 4).double()
    original, before = layer.weight, array(layer.weight).copy()
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    expected = np.triu(before) + np.triu(before, 1).T
    np.testing.assert_array_equal(array(layer.weight), expected)
    assert layer.parametrizations.weight.original is original
    assert [name for name, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    x = drawn(3, 4)
    np.testing.assert_allclose(array(layer(x)), array(x) @ expected.T + array(layer.bias), rtol=1e-12)

    layer.weight = at.ones(4, 4, dtype=at.float64)
    np.testing.assert_array_equal(array(layer.weight), np.ones((4, 4)))
    np.testing.assert_array_equal(array(original), np.triu(np.ones((4, 4))))

    twice = Twice()
    parametrize.register_parametrization(layer, "weight", twice)
    np.testing.assert_array_equal(array(layer.weight), np.full((4, 4), 2.0))
    with parametrize.cached():
        calls = twice.calls
        assert layer.weight is layer.weight and twice.calls == calls + 1
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert repr(layer).startswith("ParametrizedLinear(")


def test_removing_leaves_the_value_or_the_original() -> None:
    layer: Any = nn.Linear(3, 3)
    original = layer.weight
    parametrize.register_parametrization(layer, "weight", Symmetric())
    value = array(layer.weight).copy()
    other = copy.deepcopy(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight is original and not hasattr(layer, "parametrizations")
    np.testing.assert_array_equal(array(layer.weight), value)
    # A copy has a class of its own.
    np.testing.assert_array_equal(array(other.weight), value)
    parametrize.remove_parametrizations(other, "weight", leave_parametrized=False)
    np.testing.assert_array_equal(array(other.weight), np.triu(value))
    with pytest.raises(at.ArgumentError, match="no parametrization of 'weight'"):
        parametrize.remove_parametrizations(other, "weight")


def test_buffers_transfers_and_states() -> None:
    norm: Any = nn.BatchNorm1d(3)
    parametrize.register_parametrization(norm, "running_mean", Twice())
    assert "parametrizations.running_mean.original" in norm.state_dict() and norm.running_mean.tolist() == [0.0] * 3
    layer: Any = nn.Linear(3, 3)
    other: Any = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.transfer_parametrizations_and_params(layer, other)
    np.testing.assert_array_equal(array(other.weight), array(layer.weight))
    other.weight = at.zeros(3, 3)
    assert array(layer.weight).any()
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(array(other.weight), array(layer.weight))
    with pytest.raises(at.AtledError, match="save its state_dict"):
        pickle.dumps(layer)


def test_what_does_not_fit_changes_nothing() -> None:
    layer: Any = nn.Linear(3, 3)
    weight, value = layer.weight, array(layer.weight).copy()
    with pytest.raises(at.ShapeError, match=r"shape \(3, 3\), got \(6, 3\); unsafe=True"):
        parametrize.register_parametrization(layer, "weight", Wider())
    assert layer.weight is weight and type(layer) is nn.Linear
    np.testing.assert_array_equal(array(weight), value)
    with pytest.raises(at.ArgumentError, match="no parameter or buffer 'nothing'"):
        parametrize.register_parametrization(layer, "nothing", Wider())
    parametrize.register_parametrization(layer, "weight", Wider(), unsafe=True)
    assert layer.weight.shape == (6, 3)


@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weight_norm(dim: int | None) -> None:
    layer: Any = nn.Conv2d(3, 4, 2).double()
    before = array(layer.weight).copy()
    parametrizations.weight_norm(layer, dim=dim)
    np.testing.assert_allclose(array(layer.weight), before, rtol=1e-12)
    g, v = layer.parametrizations.weight.originals()
    others = tuple(d for d in range(4) if d != dim) if dim in (0, 1) else None
    np.testing.assert_allclose(array(g), np.sqrt((before**2).sum(others, keepdims=others is not None)))
    g.data = at.Tensor(g) * 3
    np.testing.assert_allclose(array(layer.weight), before * 3, rtol=1e-12)
    np.testing.assert_allclose(array(v), before)
    with pytest.raises(at.BoundsError, match="expected dim in"):
        parametrizations.weight_norm(nn.Linear(2, 2), dim=2)


def test_weight_norm_takes_the_older_keys() -> None:
    model: Any = nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 1)))
    model.load_state_dict(
        {"0.weight_g": at.tensor([[10.0]]), "0.weight_v": at.tensor([[3.0, 4.0]]), "0.bias": at.zeros(1)}
    )
    np.testing.assert_allclose(array(model[0].weight), [[6.0, 8.0]])
    with pytest.raises(nn.StateDictError, match="missing keys: 0.bias, 0.parametrizations.weight.original0"):
        model.load_state_dict({"0.weight_v": at.tensor([[3.0, 4.0]])})


@pytest.mark.parametrize(
    ("kind", "args", "rows"), [("Linear", (5, 7), 0), ("Conv1d", (3, 4, 2), 0), ("ConvTranspose1d", (3, 4, 2), 1)]
)
def test_spectral_norm(kind: str, args: tuple[int, ...], rows: int) -> None:
    layer = getattr(nn, kind)(*args).double()
    before = array(layer.weight).copy()
    parametrizations.spectral_norm(layer)
    for _ in range(200):
        weight = layer.weight
    largest = np.linalg.svd(np.moveaxis(before, rows, 0).reshape(before.shape[rows], -1), compute_uv=False)[0]
    np.testing.assert_allclose(array(weight), before / largest, rtol=1e-9)
    layer.eval()
    state = {name: array(value).copy() for name, value in layer.state_dict().items()}
    assert array(layer.weight).tolist() == array(layer.weight).tolist()
    assert all((array(value) == state[name]).all() for name, value in layer.state_dict().items())


@pytest.mark.parametrize("trivialized", [True, False])
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_orthogonal(shape: tuple[int, int], kind: str, trivialized: bool) -> None:
    layer: Any = nn.Linear(shape[1], shape[0], bias=False).double()
    parametrizations.orthogonal(layer, orthogonal_map=kind, use_trivialization=trivialized)
    original = layer.parametrizations.weight.original
    for _ in range(2):
        w = array(layer.weight)
        small = w @ w.T if shape[0] < shape[1] else w.T @ w
        np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-12)
        original.data = at.Tensor(original) + 0.1 * drawn(*shape)  # a step
    if kind == "householder" or trivialized:
        wanted = np.linalg.qr(RNG.standard_normal((max(shape), min(shape))))[0]
        wanted = wanted if shape[0] >= shape[1] else wanted.T
        layer.weight = at.tensor(wanted)
        np.testing.assert_allclose(array(layer.weight), wanted, atol=1e-12)
    else:
        with pytest.raises(at.NotImplementedOpError, match="use_trivialization"):
            layer.weight = at.tensor(np.eye(*shape))


def test_orthogonal_takes_matrices_and_known_maps() -> None:
    with pytest.raises(at.ShapeError, match="at least two dimensions"):
        parametrizations.orthogonal(nn.Linear(2, 2), "bias")
    with pytest.raises(at.InvalidValueError, match="orthogonal_map in"):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr")


def test_originals_are_learnt() -> None:
    pytest.importorskip("atled.autograd")
    layer: Any = parametrizations.weight_norm(nn.Linear(3, 2).double())
    x, target = drawn(5, 3), drawn(5, 2)

    def loss() -> at.Tensor:
        return nn.functional.mse_loss(layer(x), target)

    loss().backward()
    g, v = layer.parametrizations.weight.originals()
    for tensor in (g, v):
        assert tensor.grad is not None
        slope, step = array(tensor.grad), 1e-6
        for place in np.ndindex(*tensor.shape):
            ends = []
            for sign in (1, -1):
                moved = array(tensor).copy()
                moved[place] += sign * step
                kept = at.Tensor(tensor).clone()
                tensor.data = at.tensor(moved)
                ends.append(loss().item())
                tensor.data = kept
            assert abs((ends[0] - ends[1]) / (2 * step) - slope[place]) < 1e-7


@pytest.mark.parametrize("transpose", [False, True])
def test_fused_convolutions(transpose: bool) -> None:
    conv: Any = (nn.ConvTranspose2d if transpose else nn.Conv2d)(4, 6, 3, bias=not transpose).double()
    norm: Any = nn.BatchNorm2d(6).double()
    norm(drawn(5, 6, 4, 4) * 3 + 1)
    with pytest.raises(at.InvalidValueError, match="evaluation mode"):
        fuse_conv_bn_eval(conv, norm, transpose)
    conv.eval(), norm.eval()
    x = drawn(2, 4, 7, 7)
    fused = fuse_conv_bn_eval(conv, norm, transpose)
    np.testing.assert_allclose(array(fused(x)), array(norm(conv(x))), rtol=1e-9, atol=1e-9)
    assert fused is not conv and isinstance(fused, type(conv))
    with pytest.raises(at.ShapeError, match="of 6 features"):
        fuse_conv_bn_eval(conv, nn.BatchNorm2d(5).eval(), transpose)
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, None, None, transpose
    )
    assert weight.shape == conv.weight.shape and bias.shape == (6,)


def test_fused_linear_layers() -> None:
    linear, norm = nn.Linear(4, 6).double(), nn.BatchNorm1d(6, affine=False).double()
    norm(drawn(8, 6) * 2 - 1)
    linear.eval(), norm.eval()
    x = drawn(3, 4)
    np.testing.assert_allclose(array(fuse_linear_bn_eval(linear, norm)(x)), array(norm(linear(x))), rtol=1e-9)


def test_skip_init_makes_memory() -> None:
    layer: Any = skip_init(nn.Conv2d, 3, 4, 2, dtype=at.float64)
    assert layer.weight.shape == (4, 3, 2, 2) and layer.weight.dtype == at.float64 and layer.weight.device.type == "cpu"
    assert list(layer.state_dict()) == ["weight", "bias"]
