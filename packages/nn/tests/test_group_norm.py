"""Group normalisation and Gumbel's softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.nn import functional as F

RNG = np.random.default_rng(3)


def draw(*shape: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return RNG.standard_normal(shape)


def reference(x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Any:
    result = np.empty_like(x)
    size = x.shape[1] // groups
    for n in range(x.shape[0]):
        for start in range(0, x.shape[1], size):
            part = x[n, start : start + size]
            result[n, start : start + size] = (part - part.mean()) / np.sqrt(part.var() + eps)
    column = (-1, *[1] * (x.ndim - 2))
    return result * weight.reshape(column) + bias.reshape(column)


@pytest.mark.parametrize("shape", [(3, 6), (2, 6, 5), (2, 6, 4, 3), (1, 6, 2, 3, 2)])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_group_norm(shape: tuple[int, ...], groups: int) -> None:
    x, w, b = draw(*shape) * 3 + 1, draw(6), draw(6)
    for dtype, tolerance in ((at.float64, 1e-12), (at.float32, 1e-5), (at.bfloat16, 0.1)):
        input, weight, bias = (at.from_numpy(v).to(dtype) for v in (x, w, b))
        got = F.group_norm(input, groups, weight, bias, 1e-3)
        assert got.dtype == dtype
        np.testing.assert_allclose(got.double().numpy(), reference(x, groups, w, b, 1e-3), atol=tolerance)
    plain = F.group_norm(at.from_numpy(x), groups)
    np.testing.assert_allclose(plain.numpy(), reference(x, groups, np.ones(6), np.zeros(6), 1e-5), atol=1e-12)


def test_groups_of_one_element_or_none() -> None:
    bias = at.from_numpy(draw(4))
    ones = F.group_norm(at.from_numpy(draw(2, 4)), 4, None, bias)
    np.testing.assert_array_equal(ones.numpy(), np.broadcast_to(bias.numpy(), (2, 4)))
    assert F.group_norm(at.ones(0, 4, 3), 2).shape == (0, 4, 3)
    assert F.group_norm(at.ones(2, 4, 0), 2).shape == (2, 4, 0)


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16])
@pytest.mark.parametrize("groups", [2, 4])
def test_half_precision_is_rounded_once(dtype: at.dtype, groups: int) -> None:
    input, weight, bias = (at.from_numpy(v).to(dtype) for v in (draw(2, 4, 50), draw(4), draw(4)))
    exact = [t.double().numpy() for t in (input, weight, bias)]
    got = F.group_norm(input, groups, weight, bias)
    assert got.dtype == dtype
    expected = reference(exact[0], groups, *exact[1:], 1e-5)
    np.testing.assert_allclose(got.double().numpy(), expected, rtol=at.finfo(dtype).eps / 2, atol=1e-5)


def test_group_norm_layer() -> None:
    layer = nn.GroupNorm(2, 4)
    assert {name: v.tolist() for name, v in layer.state_dict().items()} == {"weight": [1] * 4, "bias": [0] * 4}
    assert repr(layer) == "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)"
    assert list(nn.GroupNorm(2, 4, bias=False).state_dict()) == ["weight"]
    assert not nn.GroupNorm(2, 4, affine=False).state_dict()
    with pytest.raises(at.ShapeError, match="num_channels to be a multiple of num_groups, got 5 and 2"):
        nn.GroupNorm(2, 5)
    with pytest.raises(at.ShapeError, match=r"C a multiple of 2 groups, got \(2, 5\)"):
        F.group_norm(at.ones(2, 5), 2)
    with pytest.raises(at.ShapeError, match=r"bias of shape \(4,\), got \(3,\)"):
        F.group_norm(at.ones(2, 4), 2, None, at.ones(3))
    with pytest.raises(at.DTypeError, match="input of a floating dtype, got int64"):
        F.group_norm(at.tensor([[1, 2]]), 2)
    with pytest.raises(at.DTypeError, match="weight of dtype float32, got float64"):
        F.group_norm(at.ones(2, 4), 2, at.ones(4).double())
    with pytest.raises(at.InvalidValueError, match="num_groups of at least 1, got 0"):
        F.group_norm(at.ones(2, 4), 0)


def test_gradients_of_group_norm() -> None:
    autograd = pytest.importorskip("atled.autograd")
    inputs = [at.from_numpy(v).requires_grad_() for v in (draw(2, 4, 3), draw(4), draw(4))]
    assert autograd.gradcheck(lambda x, w, b: F.group_norm(x, 2, w, b), inputs)
    assert autograd.gradgradcheck(lambda x, w, b: F.group_norm(x, 2, w, b), inputs)
    none = at.zeros(0, 4, 3, requires_grad=True)
    (first,) = autograd.grad(F.group_norm(none, 2).sum(), none, create_graph=True)
    assert autograd.grad(first.sum(), none)[0].shape == (0, 4, 3)


def test_gumbel_softmax_draws_from_the_distribution() -> None:
    at.manual_seed(0)
    logits = np.array([0.5, -1.0, 1.0])
    shares = np.exp(logits) / np.exp(logits).sum()
    wide = at.from_numpy(logits).expand(40000, 3)
    hard = F.gumbel_softmax(wide, hard=True)
    assert set(np.unique(hard.numpy())) == {0.0, 1.0} and (hard.sum(-1) == 1).all()
    np.testing.assert_allclose(hard.mean(0).numpy(), shares, atol=0.012)
    soft = F.gumbel_softmax(wide.mT, tau=0.2, dim=0).numpy()
    np.testing.assert_allclose(soft.sum(0), 1, rtol=1e-12)
    np.testing.assert_allclose(np.eye(3)[soft.argmax(0)].mean(0), shares, atol=0.012)
    with pytest.raises(at.InvalidValueError, match="tau > 0, got 0"):
        F.gumbel_softmax(wide, 0)


def test_gumbel_softmax_draws_for_each_entry_of_vmap() -> None:
    vmap = pytest.importorskip("atled.autograd.func").vmap
    for randomness, numbers in (("different", 12), ("same", 4)):
        drawn = vmap(F.gumbel_softmax, randomness=randomness)(at.zeros(3, 4)).numpy()
        np.testing.assert_allclose(drawn.sum(1), 1, rtol=1e-5)
        assert len(np.unique(drawn)) == numbers


def test_gumbel_softmax_is_finite_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = at.zeros(100000, 2, dtype=at.float16)
    assert F.gumbel_softmax(logits).dtype == at.float16
    # One of 2^24 draws is 0.
    monkeypatch.setattr(at, "rand", at.zeros)
    assert F.gumbel_softmax(logits.float()).isfinite().all() and F.gumbel_softmax(logits).isfinite().all()
    with pytest.raises(at.DTypeError, match="floating dtype, got int64"):
        F.gumbel_softmax(logits.long())


def test_hard_answers_have_soft_gradients() -> None:
    pytest.importorskip("atled.autograd")
    gradients = []
    for hard in (False, True):
        at.manual_seed(5)
        x = at.from_numpy(np.arange(6.0).reshape(2, 3)).requires_grad_()
        (F.gumbel_softmax(x, 0.7, hard) * at.tensor([1.0, 2.0, 4.0])).sum().backward()
        assert x.grad is not None
        gradients.append(x.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-12)
    assert np.abs(gradients[0]).max() > 1e-3
