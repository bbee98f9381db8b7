"""Gradients where a function has a kink, a bound or a pole: PyTorch's, which are finite, and kept so by hand here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.nn import functional as F

pytest.importorskip("atled.autograd")


def slope(function: Callable[[at.Tensor], Any], *x: Any) -> Any:
    leaf = at.tensor(list(x), requires_grad=True)
    function(leaf).sum().backward()
    return leaf.grad.numpy()


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (F.hardtanh, (-1.0, 1.0, 0.5, 2.0), [0, 0, 1, 0]),
        (F.relu6, (0.0, 6.0, 3.0, -1.0), [0, 0, 1, 0]),
        (F.hardsigmoid, (-3.0, 3.0, 0.0), [0, 0, 1 / 6]),
        (F.hardswish, (-3.0, 3.0, 0.0), [0, 1, 0.5]),
        (lambda x: F.prelu(x, at.tensor([0.25])), (0.0, 1.0, -1.0), [0.25, 1, 0.25]),
        (lambda x: F.margin_ranking_loss(x, at.zeros(2), at.ones(2), reduction="sum"), (0.0, 1.0), [-1, 0]),
        (lambda x: F.gaussian_nll_loss(at.ones(2), at.zeros(2), x, eps=0.5, reduction="sum"), (0.25, 2.0), [-1, 0.125]),
    ],
)
def test_kinks(function: Any, x: Any, expected: Any) -> None:
    np.testing.assert_allclose(slope(function, *x), expected, rtol=1e-6)


def test_hardtanh_in_place_and_of_integers() -> None:
    x = at.tensor([-2.0, 0.5, 2.0])
    assert F.hardtanh(x, inplace=True) is x and x.tolist() == [-1.0, 0.5, 1.0]
    whole = F.relu6(at.tensor([-1, 3, 9]))
    assert whole.dtype is at.int64 and whole.tolist() == [0, 3, 6]
    with pytest.raises(at.InvalidValueError, match="min_val <= max_val, got 1 and -1"):
        F.hardtanh(x, 1.0, -1.0)


def test_binary_cross_entropy_of_certainties() -> None:
    p, y = at.tensor([0.0, 1.0, 0.5, 1e-40], requires_grad=True), at.tensor([1.0, 0.0, 1.0, 0.0])
    loss = F.binary_cross_entropy(p, y, reduction="none")
    np.testing.assert_allclose(loss.numpy(force=True), [100, 100, np.log(2), 0], rtol=1e-6, atol=1e-12)
    loss.sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), [-1e12, 1e12, -2, 0], rtol=1e-5, atol=1e-20)
    # Behind a sigmoid that has rounded to 0 or 1, training goes on.
    saturated = slope(lambda x: F.binary_cross_entropy(at.sigmoid(x), at.tensor([1.0, 0.0])), 200.0, 200.0)
    assert saturated.tolist() == [0, 0]
    # Targets have gradients, too, and half precision has room for them.
    np.testing.assert_allclose(
        slope(lambda y: F.binary_cross_entropy(at.tensor([0.25, 1.0]), y, reduction="sum"), 0.5, 0.5),
        [np.log(3), -100],
        rtol=1e-6,
    )
    half = at.tensor([0.0, 1.0, 0.5], dtype=at.float16, requires_grad=True)
    F.binary_cross_entropy(half, at.tensor([1.0, 1.0, 1.0], dtype=at.float16), reduction="sum").backward()
    assert half.grad.isfinite().all() and half.grad.tolist()[1:] == [0, -2]


def test_second_derivatives_of_binary_cross_entropy() -> None:
    func = pytest.importorskip("atled.autograd.func")
    p, y = at.tensor([0.25, 0.75]), at.tensor([1.0, 0.0])
    hessian = func.hessian(lambda p: F.binary_cross_entropy(p, y, reduction="sum"))(p)
    np.testing.assert_allclose(hessian.numpy(), [[16, 0], [0, 16]], rtol=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
def test_vectors_of_zeros(p: float) -> None:
    x = at.zeros(2, 3, requires_grad=True)
    F.normalize(x, p).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((2, 3), 1e12), rtol=1e-6)
    rows = np.array([[3.0, -4.0], [0.0, 0.0]])
    length = np.linalg.norm(rows, p, axis=1, keepdims=True)
    np.testing.assert_allclose(F.normalize(at.asarray(rows), p).numpy(), rows / np.maximum(length, 1e-12))
    far = F.pairwise_distance(at.asarray(rows), at.zeros(2, 2, dtype=at.float64), p, eps=0.0)
    np.testing.assert_allclose(far.numpy(), length[:, 0])


def test_cosines_of_zeros() -> None:
    x = at.zeros(1, 3, requires_grad=True)
    F.cosine_similarity(x, at.ones(1, 3)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((1, 3), 1e8 / np.sqrt(3)), rtol=1e-6)
    x.grad = None
    F.cosine_embedding_loss(x, at.ones(1, 3), at.tensor([1])).backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((1, 3), -1e6 / np.sqrt(3)), rtol=1e-6)


def test_bounds_of_losses() -> None:
    x = at.ones(2)
    with pytest.raises(at.InvalidValueError, match="huber_loss: expected delta > 0, got 0"):
        F.huber_loss(x, x, delta=0)
    with pytest.raises(at.InvalidValueError, match="smooth_l1_loss: expected beta >= 0, got -1"):
        F.smooth_l1_loss(x, x, beta=-1)


def test_one_hot() -> None:
    assert F.one_hot(at.tensor([[0, 2]])).tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert F.one_hot(at.zeros(0, dtype=at.int64), 3).shape == (0, 3)
    for wrong, classes, message in [
        ([0, 2], 2, "classes from 0 to 1, got 2"),
        ([-1], 3, "classes from 0 to 2, got -1"),
        ([-1], -1, "got -1"),
    ]:
        with pytest.raises(at.InvalidValueError, match=message):
            F.one_hot(at.tensor(wrong), classes)
    with pytest.raises(at.InvalidValueError, match="expected num_classes"):
        F.one_hot(at.zeros(0, dtype=at.int64))
    with pytest.raises(at.DTypeError, match="expected integers, got float32"):
        F.one_hot(at.ones(2))
    vmap = pytest.importorskip("atled.autograd.func").vmap
    assert vmap(lambda x: F.one_hot(x, 3))(at.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
