"""Losses with margins, of several labels and over alignments, by their definitions."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import atled.core as at
from atled import nn
from atled.nn import functional as F

RNG = np.random.default_rng(3)
Array = np.ndarray[Any, np.dtype[Any]]
REDUCTIONS: dict[str, Callable[[Array], Any]] = {"none": np.asarray, "mean": np.mean, "sum": np.sum}


def draw(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def check_gradients(function: Callable[..., Any], *arrays: Array) -> None:
    try:
        from atled.autograd import gradcheck
    except ImportError:
        return
    assert gradcheck(function, tuple(at.from_numpy(a.copy()).requires_grad_() for a in arrays))


@pytest.mark.parametrize(
    "loss",
    [
        F.l1_loss,
        F.smooth_l1_loss,
        F.huber_loss,
        F.mse_loss,
        F.binary_cross_entropy,
        F.binary_cross_entropy_with_logits,
        F.kl_div,
        lambda x, y: F.kl_div(x, y, log_target=True),
    ],
)
def test_gradients_of_batches_of_losses(loss: Any) -> None:
    func = pytest.importorskip("atled.autograd.func")
    x, y = (at.from_numpy(RNG.random((3, 5)) * 0.9 + 0.05) for _ in range(2))
    expected = np.stack([func.grad(loss)(*row).numpy() for row in zip(x, y, strict=True)])
    np.testing.assert_allclose(func.vmap(func.grad(loss))(x, y).numpy(), expected, rtol=1e-12)
    of_all = func.grad(lambda x: func.vmap(loss)(x, y).sum())(x)
    np.testing.assert_allclose(of_all.numpy(), expected, rtol=1e-12)
    # What promotes and broadcasts gives the same.
    np.testing.assert_allclose(loss(x, y[:1].expand(3, 5)).numpy(), loss(x, y[:1].expand(3, 5).clone()).numpy())
    small, large = x.float().requires_grad_(), y.clone().requires_grad_()
    mixed = loss(small, large)
    np.testing.assert_allclose(mixed.item(), loss(x.float().double(), y).item())
    mixed.backward()
    assert mixed.dtype == large.grad.dtype == at.float64 and small.grad.dtype == at.float32
    expected = func.grad(loss)(x.float().double(), y).numpy()
    np.testing.assert_allclose(small.grad.numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margin_losses(reduction: str) -> None:
    reduce = REDUCTIONS[reduction]
    x, sign = draw(4, 5), RNG.choice([-1, 1], (4, 5))
    a, labels, w = at.from_numpy(x), RNG.integers(0, 5, 4), RNG.random(5)
    loss = nn.HingeEmbeddingLoss(0.7, reduction=reduction)
    expected = np.where(sign == 1, x, np.maximum(0, 0.7 - x))
    np.testing.assert_allclose(loss(a, at.from_numpy(sign)).numpy(), reduce(expected), rtol=1e-12)
    check_gradients(lambda t: loss(t, at.from_numpy(sign)), x)
    for p in (1, 2):
        rows = [
            w[y] * sum(max(0.0, 0.6 - r[y] + r[i]) ** p for i in range(5) if i != y) / 5
            for r, y in zip(x, labels, strict=True)
        ]
        margins = nn.MultiMarginLoss(p, 0.6, at.from_numpy(w), reduction=reduction)
        np.testing.assert_allclose(margins(a, at.from_numpy(labels)).numpy(), reduce(np.array(rows)), rtol=1e-12)
        check_gradients(lambda t, m=margins: m(t, at.from_numpy(labels)), x)  # type: ignore[misc]
    soft = nn.MultiLabelSoftMarginLoss(at.from_numpy(w), reduction=reduction)
    hot = (sign > 0).astype(float)
    expected = (-w * (hot * special.log_expit(x) + (1 - hot) * special.log_expit(-x))).mean(1)
    np.testing.assert_allclose(soft(a, at.from_numpy(hot)).numpy(), reduce(expected), rtol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multilabel_margin_loss(reduction: str) -> None:
    x = draw(4, 5)
    target = np.array([[3, 0, -1, 1, 2], [-1, 1, 1, 1, 1], [4, 3, 2, 1, 0], [2, 2, -1, 0, 0]])
    rows = []
    for r, row in zip(x, target, strict=True):
        labels = list(itertools.takewhile(lambda y: y >= 0, row))
        others = [i for i in range(5) if i not in labels]
        rows.append(sum(max(0.0, 1 - r[y] + r[i]) for y in labels for i in others) / 5)
    loss = nn.MultiLabelMarginLoss(reduction=reduction)
    expected = REDUCTIONS[reduction](np.array(rows))
    np.testing.assert_allclose(loss(at.from_numpy(x), at.from_numpy(target)).numpy(), expected, rtol=1e-12)
    assert loss(at.from_numpy(x[0]), at.from_numpy(target[0])).item() == pytest.approx(rows[0])
    check_gradients(lambda t: loss(t, at.from_numpy(target)), x)


@pytest.mark.parametrize("swap", [False, True])
def test_triplets_with_a_distance(swap: bool) -> None:
    anchor, positive, negative = draw(4, 3), draw(4, 3), draw(4, 3)

    def distance(x: Any, y: Any) -> Any:
        return abs(x - y).sum(1)

    far = distance(anchor, negative)
    if swap:
        far = np.minimum(far, distance(positive, negative))
    expected = np.maximum(0, distance(anchor, positive) - far + 0.5).mean()
    loss = nn.TripletMarginWithDistanceLoss(distance_function=distance, margin=0.5, swap=swap)
    given = [at.from_numpy(v) for v in (anchor, positive, negative)]
    assert loss(*given).item() == pytest.approx(expected)
    plain = nn.TripletMarginWithDistanceLoss(swap=swap)(*given).item()
    far = np.linalg.norm(anchor - negative + 1e-6, axis=1)
    if swap:
        far = np.minimum(far, np.linalg.norm(positive - negative + 1e-6, axis=1))
    expected = np.maximum(0, np.linalg.norm(anchor - positive + 1e-6, axis=1) - far + 1).mean()
    assert plain == pytest.approx(expected) == nn.TripletMarginLoss(swap=swap)(*given).item()


def alignments(log_probs: Array, labels: list[int], blank: int) -> float:
    """By its definition: all paths, with repetitions and then blanks taken out."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=log_probs.shape[0]):
        read = [k for k, _ in itertools.groupby(path) if k != blank]
        if read == labels:
            total += math.exp(sum(log_probs[t, k] for t, k in enumerate(path)))
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_loss_counts_all_paths(blank: int) -> None:
    classes = [k for k in range(4) if k != blank]
    a, b, c = classes
    rows, times = [[a, b, c], [a, a], [b], []], [5, 4, 5, 3]
    x = special.log_softmax(draw(5, 4, 4), 2)
    expected = np.array([alignments(x[:t, i], row, blank) for i, (t, row) in enumerate(zip(times, rows, strict=True))])
    targets = at.tensor([row + [a] * (3 - len(row)) for row in rows])
    counts = [len(row) for row in rows]

    def call(t: at.Tensor, **settings: Any) -> at.Tensor:
        return F.ctc_loss(t, targets, times, counts, blank, **settings)

    given = at.from_numpy(x)
    np.testing.assert_allclose(call(given, reduction="none").numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(call(given, reduction="sum").item(), expected.sum(), rtol=1e-10)
    np.testing.assert_allclose(call(given).item(), (expected / np.maximum(counts, 1)).mean(), rtol=1e-10)
    flat = at.tensor([k for row in rows for k in row])
    as_tensors = at.tensor(times), at.tensor(counts)
    loss = nn.CTCLoss(blank, "none")
    np.testing.assert_allclose(loss(given, flat, *as_tensors).numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(loss(given[:, 0], flat[:3], at.tensor(5), at.tensor(3)).item(), expected[0], rtol=1e-10)
    check_gradients(call, x)


def test_adaptive_log_softmax() -> None:
    layer = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True).requires_grad_(False)
    x, targets = draw(30, 8), np.arange(30) % 20
    W = {name: weight.numpy().astype(np.float64) for name, weight in layer.state_dict().items()}
    assert [w.shape for w in W.values()] == [(6, 8), (6,), (4, 8), (6, 4), (2, 8), (10, 2)]
    layer.to(at.float64)
    head = special.log_softmax(x @ W["head.weight"].T + W["head.bias"], 1)
    tails = [special.log_softmax(x @ W[f"tail.{i}.0.weight"].T @ W[f"tail.{i}.1.weight"].T, 1) for i in (0, 1)]
    expected = np.concatenate([head[:, :4], tails[0] + head[:, 4:5], tails[1] + head[:, 5:]], 1)
    np.testing.assert_allclose(np.exp(expected).sum(1), 1)
    output, loss = layer(at.tensor(x), at.tensor(targets))
    np.testing.assert_allclose(output.numpy(), expected[np.arange(30), targets], rtol=1e-10)
    np.testing.assert_allclose(loss.item(), -expected[np.arange(30), targets].mean(), rtol=1e-10)
    np.testing.assert_allclose(layer.log_prob(at.tensor(x)).numpy(), expected, rtol=1e-10)
    assert layer.predict(at.tensor(x)).tolist() == expected.argmax(1).tolist()
    one = layer(at.tensor(x[5]), at.tensor(12))
    assert one.output.shape == () and abs(one.loss.item() + expected[5, 12]) < 1e-10


def test_ctc_loss_where_no_path_fits() -> None:
    x = at.from_numpy(special.log_softmax(draw(2, 2, 3), 2).astype(np.float32))
    targets = at.tensor([[1, 1], [1, 2]])  # the first takes a blank between
    losses = F.ctc_loss(x, targets, [2, 2], [2, 2], reduction="none")
    assert losses.dtype == at.float32 and math.isinf(losses[0].item()) and math.isfinite(losses[1].item())
    finite = F.ctc_loss(x, targets, [2, 2], [2, 2], reduction="none", zero_infinity=True)
    assert finite.tolist() == [0.0, losses[1].item()]
    autograd = pytest.importorskip("atled.autograd")
    assert autograd
    x = x.detach().requires_grad_()
    F.ctc_loss(x, targets, [2, 2], [2, 2], reduction="sum", zero_infinity=True).backward()
    assert x.grad is not None and x.grad.isfinite().all() and not x.grad[:, 0].any() and x.grad[:, 1].any()


def test_ctc_loss_looks_at_no_labels_beyond_the_lengths() -> None:
    x = special.log_softmax(draw(4, 2, 3), 2)
    expected = [alignments(x[:, 0], [2, 1], 0), alignments(x[:, 1], [1], 0)]
    targets = at.tensor([[2, 1], [1, -100]])
    for labels in (targets, targets.to(at.float32)):
        losses = F.ctc_loss(at.from_numpy(x), labels, [4, 4], [2, 1], reduction="none")
        np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-10)


def test_ctc_loss_without_steps_has_a_gradient_of_zeros() -> None:
    pytest.importorskip("atled.autograd")
    x = at.full((2, 1, 3), -math.inf, requires_grad=True)
    loss = F.ctc_loss(x, at.tensor([[1]]), [0], [0])
    loss.backward()
    assert loss.item() == 0 and x.grad is not None and x.grad.tolist() == [[[0, 0, 0]], [[0, 0, 0]]]


def test_ctc_loss_of_no_samples() -> None:
    losses = F.ctc_loss(at.zeros(2, 0, 3), at.zeros(0, 0, dtype=at.int64), [], [], reduction="none")
    assert losses.shape == (0,)


def test_margin_losses_refuse_other_classes() -> None:
    x = at.tensor([[1.0, 2.0, 3.0]])
    for label in (-1, 3):
        with pytest.raises(at.BoundsError):
            F.multi_margin_loss(x, at.tensor([label]))
    for labels in ([0, -2, 1], [0, 3, -1]):
        with pytest.raises(at.BoundsError):
            F.multilabel_margin_loss(x, at.tensor([labels]))
    after = at.tensor([[2, -1, -2]], dtype=at.int8)  # which does not count
    assert F.multilabel_margin_loss(x, after).item() == 0
    assert F.multi_margin_loss(x[0], at.tensor([2]), reduction="none").shape == (1,)


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, nn.HuberLoss()], ids=["mse", "l1", "huber"])
def test_a_column_against_a_row_is_warned_of_where_it_is_written(loss: Any) -> None:
    with pytest.warns(UserWarning, match=r"input \(3, 1\) and target \(3,\) broadcast to \(3, 3\)") as caught:
        loss(at.ones(3, 1), at.ones(3))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(at.ones(3, 2), at.ones(2))
        loss(at.ones(()), at.ones(3, 1))


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (at.ShapeError, "log_probs .T, N, C.", lambda x, t: F.ctc_loss(x[0, 0], t, [2], [1])),
        (at.DTypeError, "targets of integers", lambda x, t: F.ctc_loss(x, t.to(at.bool), [2], [1])),
        (at.ShapeError, "input_lengths of 1 ints, got 2", lambda x, t: F.ctc_loss(x, t, [2, 2], [1])),
        (at.InvalidValueError, "input_lengths of 0 to 2", lambda x, t: F.ctc_loss(x, t, [3], [1])),
        (at.InvalidValueError, "blank in .0, 3.", lambda x, t: F.ctc_loss(x, t, [2], [1], blank=3)),
        (at.ShapeError, "targets", lambda x, t: F.ctc_loss(x, t, [2], [2])),
        (at.InvalidValueError, "targets from 0 to 2, got -1", lambda x, t: F.ctc_loss(x, t - 2, [2], [1])),
        (at.InvalidValueError, "targets from 0 to 2, got 3", lambda x, t: F.ctc_loss(x, t + 2, [2], [1])),
        (at.InvalidValueError, "reduction", lambda x, t: F.ctc_loss(x, t, [2], [1], reduction="all")),
        (at.ShapeError, "input .N, C. and target .N,.", lambda x, t: F.multi_margin_loss(x[0], t[:, 0].repeat(2))),
        (at.DTypeError, "integers, got float32", lambda x, t: F.multi_margin_loss(x[0], t[0].to(at.float32))),
        (at.DTypeError, "integers, got float32", lambda x, t: F.multilabel_margin_loss(x[0], at.zeros(1, 3))),
        (at.InvalidValueError, "p of 1 or 2", lambda x, t: F.multi_margin_loss(x[0], t[0], 3)),
        (at.ShapeError, "one shape", lambda x, t: F.multilabel_margin_loss(x[0], t)),
        (at.InvalidValueError, "cutoffs that increase", lambda x, t: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4, 4])),
        (at.InvalidValueError, "0 to 8, got 9", lambda x, t: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4])(x[0], t[0] + 8)),
        (at.ShapeError, r"target .N,.", lambda x, t: nn.AdaptiveLogSoftmaxWithLoss(3, 9, [4])(x[0], at.tensor(1))),
        (at.InvalidValueError, "margin > 0", lambda x, t: nn.TripletMarginWithDistanceLoss(margin=0)),
    ],
)
def test_errors_of_losses(error: type[Exception], match: str, call: Any) -> None:
    with pytest.raises(error, match=match):
        call(at.zeros(2, 1, 3), at.tensor([[1]]))
