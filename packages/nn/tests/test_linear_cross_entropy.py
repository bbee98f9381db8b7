"""linear_cross_entropy: by its definition in NumPy, in little memory, and beside transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

import atled.core as at
from atled import nn
from atled.core import _core
from atled.nn import functional as F

ROWS, FEATURES, CLASSES = 13, 5, 7
Array = np.ndarray[Any, np.dtype[Any]]
CHUNKS = nn.LinearCrossEntropyOptions(batch_chunk_size=4)


class Problem:
    """Operands in float64, and the loss of them by its definition."""

    def __init__(self, soft: bool, inner: tuple[int, ...]) -> None:
        rng = np.random.default_rng(5)
        self.input = rng.standard_normal((ROWS, FEATURES))
        self.weight = rng.standard_normal((CLASSES, *inner, FEATURES))
        self.bias = rng.standard_normal((CLASSES, *inner))
        self.classes = rng.integers(0, CLASSES, (ROWS, *inner))
        self.target = special.softmax(rng.standard_normal((ROWS, CLASSES, *inner)), 1) if soft else self.classes
        self.share = rng.random(CLASSES)
        self.soft = soft

    def loss(self, reduction: str, smoothing: float, ignored: int | None) -> Any:
        logits = np.einsum("nf,c...f->nc...", self.input, self.weight)
        log_p = special.log_softmax(logits + self.bias, 1)
        hard = np.moveaxis(np.eye(CLASSES)[self.classes], -1, 1)
        target = (self.target if self.soft else hard) * (1 - smoothing) + smoothing / CLASSES
        share = self.share.reshape(-1, *[1] * (log_p.ndim - 2))
        losses = -(target * share * log_p).sum(1)
        counts = np.ones_like(losses) if self.soft else self.share[self.classes]
        if ignored is not None:
            losses, counts = (np.where(self.classes == ignored, 0, each) for each in (losses, counts))
        return losses if reduction == "none" else losses.sum() / (counts.sum() if reduction == "mean" else 1)

    def tensors(self) -> list[at.Tensor]:
        return [at.from_numpy(a.copy()) for a in (self.input, self.weight, self.bias)]

    def call(self, reduction: str, smoothing: float, ignored: int | None, *tensors: at.Tensor) -> at.Tensor:
        input, weight, bias = tensors
        return F.linear_cross_entropy(
            input,
            weight,
            at.from_numpy(self.target),
            linear_bias=bias,
            weight=at.from_numpy(self.share),
            reduction=reduction,
            ignore_index=ignored,
            label_smoothing=smoothing,
            options=CHUNKS,
        )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    ("soft", "inner", "smoothing", "ignored"),
    [(False, (), 0.0, 2), (False, (), 0.1, 2), (False, (2, 3), 0.1, 2), (True, (), 0.1, None), (True, (2,), 0.0, None)],
)
def test_values_and_gradients(
    reduction: str, soft: bool, inner: tuple[int, ...], smoothing: float, ignored: int | None
) -> None:
    problem = Problem(soft, inner)
    settings = (reduction, smoothing, ignored)
    found = problem.call(*settings, *problem.tensors())
    np.testing.assert_allclose(found.numpy(), problem.loss(*settings), rtol=1e-12)
    autograd = pytest.importorskip("atled.autograd")
    tensors = [t.requires_grad_() for t in problem.tensors()]
    np.testing.assert_allclose(problem.call(*settings, *tensors).detach().numpy(), found.numpy(), rtol=1e-12)
    assert autograd.gradcheck(lambda *t: problem.call(*settings, *t), tensors)
    assert autograd.gradgradcheck(lambda *t: problem.call(*settings, *t), tensors)


def test_transforms_see_the_definition() -> None:
    func = pytest.importorskip("atled.autograd.func")
    problem = Problem(False, ())
    input, weight, bias = problem.tensors()

    def chunks(x: at.Tensor) -> at.Tensor:
        return problem.call("mean", 0.0, 2, x, weight, bias)

    def whole(x: at.Tensor) -> at.Tensor:
        logits, share = F.linear(x, weight, bias), at.from_numpy(problem.share)
        return F.cross_entropy(logits, at.from_numpy(problem.target), share, ignore_index=2)

    both = at.stack([input, 2 * input])
    for transform in (func.grad, func.hessian, func.jacfwd, func.jacrev):
        np.testing.assert_allclose(transform(chunks)(input).numpy(), transform(whole)(input).numpy(), rtol=1e-9)
    of_both = func.vmap(func.grad(chunks))(both)
    np.testing.assert_allclose(of_both.numpy(), func.vmap(func.grad(whole))(both).numpy(), rtol=1e-9)


@pytest.mark.parametrize("keep", [False, True])
def test_a_graph_may_be_gone_through_again(keep: bool) -> None:
    autograd = pytest.importorskip("atled.autograd")
    problem = Problem(False, ())
    input, weight, _ = (t.requires_grad_() for t in problem.tensors())
    options = nn.LinearCrossEntropyOptions(keep, batch_chunk_size=4)
    loss = F.linear_cross_entropy(input, weight, at.from_numpy(problem.target), options=options)
    first, second = (autograd.grad(loss, (input, weight), retain_graph=True) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_nothing_but_ignored_rows() -> None:
    input, weight, _ = Problem(False, ()).tensors()
    target = at.full((ROWS,), -100, dtype=at.int64)
    assert np.isnan(F.linear_cross_entropy(input, weight, target, options=CHUNKS).item())
    autograd = pytest.importorskip("atled.autograd")
    input.requires_grad_()
    (gradient,) = autograd.grad(F.linear_cross_entropy(input, weight, target, options=CHUNKS), input)
    assert not gradient.numpy().any()


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("learn", [False, True])
def test_memory_holds_the_logits_of_a_chunk(reduction: str, learn: bool) -> None:
    rows, features, classes, chunk = 1024, 8, 2000, 16
    input, weight = at.ones(rows, features), at.ones(classes, features)
    target = at.zeros(rows, dtype=at.int64)
    if learn:
        pytest.importorskip("atled.autograd")
        input, weight = input.requires_grad_(), weight.requires_grad_()
    options = nn.LinearCrossEntropyOptions(batch_chunk_size=chunk)
    before = _core.memory_stats()["live_bytes"]
    _core.reset_peak_memory()
    loss = F.linear_cross_entropy(input, weight, target, reduction=reduction, options=options)
    if learn:
        loss.sum().backward()
    used = _core.memory_stats()["peak_bytes"] - before
    # Beside six times a chunk's logits: three times the operands, for the gradients, and the rows' losses.
    assert used < 4 * (6 * chunk * classes + 3 * (rows + classes) * features + 8 * rows)
    assert used < 4 * rows * classes / 8


@pytest.mark.parametrize(
    ("dtype", "policy", "tolerance"),
    [
        (at.float16, "balanced", 2e-3),
        (at.float16, "accurate", 1e-3),
        (at.bfloat16, "balanced", 1.2e-2),
        (at.bfloat16, "accurate", 1.2e-2),
        (at.bfloat16, "compact", 3e-2),
    ],
)
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision(dtype: at.dtype, policy: Any, tolerance: float, autocast: bool) -> None:
    autograd = pytest.importorskip("atled.autograd")
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal((300, 32)), rng.standard_normal((999, 32)) * 0.3]
    target = at.from_numpy(rng.integers(0, 999, 300))
    options = nn.LinearCrossEntropyOptions(batch_chunk_size=64, acc_policy=policy)
    given = at.float32 if autocast else dtype
    tensors = [at.from_numpy(a).to(given).requires_grad_() for a in arrays]
    with autograd.autocast("cpu", dtype=dtype, enabled=autocast):
        loss = F.linear_cross_entropy(*tensors, target, options=options)
    assert loss.dtype is given
    wide = [at.from_numpy(a).requires_grad_() for a in arrays]
    expected = F.cross_entropy(F.linear(*wide), target)
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=2**-8 if dtype is at.bfloat16 else 1e-3)
    # The loss counts as it would beside a scaler: what is small in half precision is not lost.
    pairs = zip(autograd.grad(loss * 64, tensors), autograd.grad(expected * 64, wide), strict=True)
    for found, right in pairs:
        assert found.dtype is given
        assert (found.double() - right).abs().max() < tolerance * right.abs().max()


def test_the_module_has_a_linear_map() -> None:
    loss = nn.LinearCrossEntropyLoss(4, 6, out_features=(2,), bias=True, reduction="none", label_smoothing=0.1)
    input, target = at.randn(3, 4), at.tensor([[0, 5], [1, 2], [3, 4]])
    expected = F.cross_entropy(loss.linear(input).reshape(3, 6, 2), target, reduction="none", label_smoothing=0.1)
    assert at.allclose(loss(input, target), expected)
    assert list(loss.state_dict()) == ["linear.weight", "linear.bias"]
    # One row, by the definition; and rows in chunks of 128.
    assert nn.LinearCrossEntropyLoss(4, 6)(input[0], at.tensor(2)).shape == ()
    _core.reset_peak_memory()
    before = _core.memory_stats()["live_bytes"]
    found = F.linear_cross_entropy(at.ones(600, 1), at.zeros(1 << 16, 1), at.arange(600))
    assert found.item() == pytest.approx(np.log(1 << 16))
    assert _core.memory_stats()["peak_bytes"] - before < 4 * 3 * 128 * (1 << 16)


def test_no_features_and_the_dtype_of_probabilities() -> None:
    target = at.tensor([0, 1, 2])
    for options in (None, CHUNKS):
        assert F.linear_cross_entropy(at.zeros(3, 0), at.zeros(4, 0), target, options=options).item() == np.log(
            np.float32(4)
        )
        soft = at.full((3, 4), 0.25, dtype=at.float64)
        assert F.linear_cross_entropy(at.zeros(3, 2), at.zeros(4, 2), soft, options=options).dtype is at.float64


def test_rows_of_a_chunk_are_pytorchs() -> None:
    # As torch.nn.LinearCrossEntropyOptions()._adjust(...) of PyTorch 2.13 has them.
    cases = [(8192, 1024, 32000, 128, 256), (1000, 64, 1000, 32, 64), (100, 512, 10, 64, 100), (7, 3, 1000, 1, 1)]
    cpu = at.device("cpu")
    for rows, features, classes, single, half in cases:
        options = nn.LinearCrossEntropyOptions()
        assert options.rows(rows, features, classes, at.float32, cpu) == single
        assert options.rows(rows, features, classes, at.bfloat16, cpu) == half


@pytest.mark.parametrize(
    ("error", "match", "change"),
    [
        (at.ShapeError, "input .N, features.", {"input": at.ones(2, 3, 5)}),
        (at.ShapeError, "linear_weight .C, ..., 5.", {"linear_weight": at.ones(7, 4)}),
        (at.ShapeError, r"linear_bias .7,.", {"linear_bias": at.ones(6)}),
        (at.ShapeError, "a batch of input", {"input": at.ones(5), "linear_weight": at.ones(7, 2, 5)}),
        (at.ShapeError, r"classes .13,.", {"target": at.zeros(12, dtype=at.int64)}),
        (at.ShapeError, r"probabilities .13, 7.", {"target": at.zeros(13, 6)}),
        (at.ShapeError, r"weight .7,.", {"weight": at.ones(6)}),
        (at.DTypeError, "^linear_cross_entropy: ", {"linear_weight": at.ones(7, 5, dtype=at.float64)}),
        (at.DTypeError, "^linear_cross_entropy: ", {"weight": at.ones(7, dtype=at.float64)}),
        (at.InvalidValueError, "reduction", {"reduction": "all"}),
        (at.InvalidValueError, "label_smoothing", {"label_smoothing": 1.5}),
        (at.InvalidValueError, "ignore_index=None", {"target": at.zeros(13, 7), "ignore_index": 1}),
        (IndexError, r"target in .0, 7.", {"target": at.full((13,), 7, dtype=at.int64)}),
        (at.ArgumentError, "options of LinearCrossEntropyOptions, got dict", {"options": {}}),
        (at.DTypeError, "acc_dtype", {"options": nn.LinearCrossEntropyOptions(acc_dtype=at.float16)}),
        (
            at.InvalidValueError,
            "batch_chunk_size or chunking_method alone",
            {"options": nn.LinearCrossEntropyOptions(False, 3, "aspect_ratio")},
        ),
    ],
)
def test_errors(error: type[Exception], match: str, change: dict[str, Any]) -> None:
    given = {"input": at.ones(13, 5), "linear_weight": at.ones(7, 5), "target": at.zeros(13, dtype=at.int64)}
    with pytest.raises(error, match=match):
        F.linear_cross_entropy(**{"options": CHUNKS, **given, **change})


@pytest.mark.parametrize(
    ("match", "settings"),
    [
        ("acc_policy", {"acc_policy": "exact"}),
        ("batch_chunk_size", {"batch_chunk_size": 0}),
        ("chunking_method", {"chunking_method": "aspect_ratio:0"}),
        ("acc_dtype", {"acc_dtype": at.int32}),
    ],
)
def test_errors_of_options(match: str, settings: dict[str, Any]) -> None:
    with pytest.raises(at.InvalidValueError, match=match):
        nn.LinearCrossEntropyOptions(**settings)
