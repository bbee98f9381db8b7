"""Layers, losses and initialisers against NumPy and SciPy."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import signal, special

import atled.core as at
from atled import nn
from atled.nn import functional as F

RNG = np.random.default_rng(7)


def draw(*shape: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return RNG.standard_normal(shape)


def test_conv2d_agrees_with_scipy() -> None:
    x, w = draw(1, 2, 7, 6), draw(3, 2, 3, 2)
    expected = [sum(signal.correlate2d(x[0, c], w[k, c], "valid") for c in range(2)) for k in range(3)]
    for dtype, tolerance in ((at.float32, 1e-5), (at.float64, 1e-12)):
        result = F.conv2d(at.from_numpy(x).to(dtype), at.from_numpy(w).to(dtype))
        np.testing.assert_allclose(result.numpy()[0], np.array(expected), atol=tolerance)


@pytest.mark.parametrize("kernel", [2, 3, (4, 1)])
def test_same_padding_keeps_the_size(kernel: Any) -> None:
    layer = nn.Conv2d(1, 1, kernel, padding="same", bias=False, dtype=at.float64)
    x = draw(1, 1, 6, 5)
    kh, kw = layer.kernel_size
    around = ((kh - 1) // 2, kh - 1 - (kh - 1) // 2), ((kw - 1) // 2, kw - 1 - (kw - 1) // 2)
    expected = signal.correlate2d(np.pad(x[0, 0], around), at.Tensor(layer.weight).numpy()[0, 0], "valid")
    np.testing.assert_allclose(at.Tensor(layer(at.from_numpy(x))).numpy()[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("function", [F.conv1d, F.conv2d, F.conv3d])
def test_convolution_of_complex_numbers(function: Any) -> None:
    n = {F.conv1d: 1, F.conv2d: 2, F.conv3d: 3}[function]
    x, w = (draw(*shape) + 1j * draw(*shape) for shape in ((2, 2, 5, 4, 6)[: n + 2], (3, 2, 2, 3, 2)[: n + 2]))
    b = draw(3) + 1j * draw(3)
    expected = [
        [sum(signal.correlate(a[c], np.conj(w[k, c]), "valid") for c in range(2)) + b[k] for k in range(3)] for a in x
    ]
    for dtype, tolerance in ((at.complex64, 1e-5), (at.complex128, 1e-12)):
        given = [at.from_numpy(array).to(dtype) for array in (x, w, b)]
        result = function(*given)
        assert result.dtype is dtype
        np.testing.assert_allclose(result.numpy(), np.array(expected), rtol=0, atol=tolerance)
        np.testing.assert_allclose(function(given[0][1], *given[1:]).numpy(), expected[1], rtol=0, atol=tolerance)
    with pytest.raises(at.DTypeError, match=f"conv{n}d: expected weight of input's dtype complex128, got float64"):
        function(at.from_numpy(x), at.from_numpy(w.real.copy()))
    with pytest.raises(at.ShapeError, match=rf"conv{n}d: expected bias of shape \(1,\), got \(3,\)"):
        function(at.from_numpy(x), at.from_numpy(w[:1]), at.from_numpy(b))
    with pytest.raises(at.ShapeError, match=f"conv{n}d: expected input "):
        function(at.from_numpy(x[0, 0]), at.from_numpy(w))
    try:
        from atled.autograd import gradcheck
    except ImportError:
        return
    of_groups = (x[:, :, :3], w[:2, :1], b[:2])
    arguments = tuple(at.from_numpy(array.copy()).requires_grad_() for array in of_groups)
    assert gradcheck(lambda *t: function(*t, stride=2, padding=1, groups=2), arguments)


def test_layers_of_complex_numbers() -> None:
    at.manual_seed(0)
    layer = nn.Linear(200, 300, dtype=at.complex64)
    weight, bias = (at.Tensor(each).numpy() for each in (layer.weight, layer.bias))
    parts = np.stack([weight.real, weight.imag])
    assert abs(parts.std() / (1 / math.sqrt(3 * 200)) - 1) < 0.02 and abs(parts).max() <= 1 / math.sqrt(200)
    x = draw(5, 200) + 1j * draw(5, 200)
    result = at.Tensor(layer(at.from_numpy(x).to(at.complex64))).numpy()
    np.testing.assert_allclose(result, x @ weight.T + bias, rtol=1e-4, atol=1e-4)
    normal = nn.init.normal_(at.empty(200, 300, dtype=at.complex64), std=0.3).numpy()
    assert abs(normal.std() / 0.3 - 1) < 0.02 and abs(normal.real.std() / normal.imag.std() - 1) < 0.02
    assert nn.Conv2d(2, 3, 3, padding="same", dtype=at.complex128)(at.ones(1, 2, 4, 5, dtype=at.complex128)).shape == (
        (1, 3, 4, 5)
    )
    with pytest.raises(at.DTypeError, match="linear: expected input to be float16"):
        F.linear(at.from_numpy(x), at.from_numpy(x), activation="relu")


def test_conv1d_and_unbatched_input() -> None:
    x, w = draw(2, 9), draw(3, 2, 4)
    expected = np.array([sum(np.correlate(x[c], w[k, c], "valid") for c in range(2)) for k in range(3)])
    result = F.conv1d(at.from_numpy(x), at.from_numpy(w))
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)
    assert nn.Conv2d(2, 3, 3)(at.ones(2, 5, 5)).shape == (3, 3, 3)
    assert nn.Conv1d(2, 3, 3, stride=2)(at.ones(4, 2, 9)).shape == (4, 3, 4)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode: str) -> None:
    x = draw(1, 2, 4, 5)
    numpy_mode = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    expected = np.pad(x, ((0, 0), (0, 0), (2, 1), (1, 3)), mode=numpy_mode)  # type: ignore[call-overload]
    np.testing.assert_array_equal(F.pad(at.from_numpy(x), (1, 3, 2, 1), mode).numpy(), expected)
    for wrong in ((1,), (1,) * 10):
        with pytest.raises(at.InvalidValueError, match=f"at most 4 last dimensions, got {len(wrong)} sizes"):
            F.pad(at.from_numpy(x), wrong, mode)


def test_padding_by_parts_crops_too() -> None:
    x = draw(2, 6)
    padded = np.pad(x, ((0, 0), (0, 2)), mode="edge")
    np.testing.assert_array_equal(F.pad(at.from_numpy(x), (-1, 2), "replicate").numpy(), padded[:, 1:])
    for sizes, left in (((-1, 2), x[:, 1:]), ((3, -2), x[:, :-2])):  # what is left is repeated
        padded = np.pad(left, ((0, 0), (max(sizes[0], 0), max(sizes[1], 0))), mode="wrap")
        np.testing.assert_array_equal(F.pad(at.from_numpy(x), sizes, "circular").numpy(), padded)
    with pytest.raises(at.ShapeError, match="at most 0 for dimension 1 of size 0"):
        F.pad(at.from_numpy(x), (-7, 1), "circular")


def test_bilinear_refuses_a_weight_of_other_dimensions() -> None:
    with pytest.raises(at.ShapeError, match=r"weight .out, n1, n2., got .2, 2."):
        F.bilinear(at.ones(1, 2), at.ones(1, 2), at.ones(2, 2))


def test_prelu_and_its_slope_at_zero() -> None:
    """PyTorch's: at 0 the slope is the weight."""
    pytest.importorskip("atled.autograd")
    x = at.tensor([-2.0, 0.0, 3.0, math.inf, -math.inf]).requires_grad_()
    y = F.prelu(x, at.tensor([0.25]))
    y.sum().backward()
    assert y.tolist() == [-0.5, 0.0, 3.0, math.inf, -math.inf]
    assert x.grad is not None and x.grad.tolist() == [0.25, 0.25, 1.0, 1.0, 0.25]


def test_prelu_takes_one_weight_or_a_vector() -> None:
    x = at.ones(2, 8)
    for shape in ((2, 4), (1, 8), (1, 1)):
        with pytest.raises(at.ShapeError, match="weight of at most one dimension, got shape"):
            F.prelu(x, at.ones(shape))
    assert (F.prelu(-x, at.tensor(0.5)) == -0.5).all() and F.prelu(at.tensor(-2.0), at.tensor([0.5])).item() == -1


def test_batch_norm_tracks_and_uses_running_statistics() -> None:
    layer = nn.BatchNorm2d(3, momentum=0.3, dtype=at.float64)
    x = draw(4, 3, 2, 5)
    layer(at.from_numpy(x))
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.3 * mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.7 + 0.3 * var, rtol=1e-12)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    expected = (x - 0.3 * mean[:, None, None]) / np.sqrt(0.7 + 0.3 * var[:, None, None] + 1e-5)
    np.testing.assert_allclose(at.Tensor(layer(at.from_numpy(x))).numpy(), expected, rtol=1e-10)
    with pytest.raises(at.ShapeError, match="expected 4-d input"):
        layer(at.ones(2, 3))


@pytest.mark.parametrize("dtype", [at.float32, at.bfloat16])
def test_batch_norm_of_rows_far_from_zero(dtype: at.dtype) -> None:
    """Groups of rows, each about its own mean, in two blocks of channels; the first row is far from the others."""
    drawn = 300 + np.random.default_rng(7).standard_normal((37, 300))
    drawn[0] = -500
    x = at.from_numpy(drawn).to(dtype)
    exact = x.double().numpy()
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    got = nn.functional.batch_norm(x, None, None, training=True)
    np.testing.assert_allclose(got.double().numpy(), expected, rtol=at.finfo(dtype).eps, atol=3e-6)


def test_batch_norm_can_average_over_all_batches() -> None:
    layer = nn.BatchNorm1d(2, momentum=None, dtype=at.float64)
    batches = [draw(5, 2) for _ in range(3)]
    for batch in batches:
        layer(at.from_numpy(batch))
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([b.mean(0) for b in batches], 0), rtol=1e-10)


def test_a_synchronised_batch_norm_alone_is_batch_norm() -> None:
    model = nn.Sequential(
        nn.Linear(3, 2), nn.BatchNorm1d(2, momentum=0.3), nn.Sequential(nn.BatchNorm1d(2, affine=False))
    )
    model[2].eval()
    parameters, x = list(model.parameters()), at.randn(8, 3)
    twin = copy.deepcopy(model)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert converted is model
    assert [type(module).__name__ for module in (model[1], model[2][0])] == ["SyncBatchNorm"] * 2
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))
    assert (model[1].momentum, model[1].training, model[2][0].training) == (0.3, True, False)
    assert at.equal(model(x), twin(x))
    assert all(at.equal(one, other) for one, other in zip(model.buffers(), twin.buffers(), strict=True))
    assert at.equal(model.eval()(x), twin.eval()(x))
    twice = nn.Sequential(nn.Sequential(shared := nn.BatchNorm1d(2), shared), shared)
    nn.SyncBatchNorm.convert_sync_batchnorm(twice)
    assert twice[0][0] is twice[0][1] is twice[1] and isinstance(twice[1], nn.SyncBatchNorm)
    with pytest.raises(at.ShapeError, match="input .N, C, ...."):
        nn.SyncBatchNorm(3)(at.ones(3))
    with pytest.raises(at.OperationError, match="LazyBatchNorm1d"):
        nn.SyncBatchNorm.convert_sync_batchnorm(nn.LazyBatchNorm1d())


def test_layer_norm_and_rms_norm() -> None:
    x = draw(3, 8)
    normed = at.Tensor(nn.LayerNorm(8, dtype=at.float64)(at.from_numpy(x))).numpy()
    np.testing.assert_allclose(normed.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(normed.std(-1), 1, atol=1e-4)
    rms = at.Tensor(nn.RMSNorm(8, dtype=at.float64)(at.from_numpy(x))).numpy()
    np.testing.assert_allclose((rms**2).mean(-1), 1, rtol=1e-10)


def test_cross_entropy_is_stable_and_matches_scipy() -> None:
    x, y = draw(5, 4) * 1000, np.array([0, 3, 1, 2, 2])
    expected = -special.log_softmax(x, 1)[np.arange(5), y]
    for reduction, value in (("none", expected), ("sum", expected.sum()), ("mean", expected.mean())):
        loss = F.cross_entropy(at.from_numpy(x), at.from_numpy(y), reduction=reduction)
        np.testing.assert_allclose(loss.numpy(), value, rtol=1e-12)
    hard = np.eye(4)[y]
    soft = F.cross_entropy(at.from_numpy(x), at.from_numpy(hard), label_smoothing=0.1)
    classes = F.cross_entropy(at.from_numpy(x), at.from_numpy(y), label_smoothing=0.1)
    smooth = 0.9 * hard + 0.025
    np.testing.assert_allclose(soft.item(), -(special.log_softmax(x, 1) * smooth).sum(1).mean(), rtol=1e-12)
    np.testing.assert_allclose(classes.item(), soft.item(), rtol=1e-12)
    assert np.isnan(F.cross_entropy(at.ones(0, 4), at.ones(0, 4)).item())  # as of classes


def test_binary_cross_entropy_with_logits() -> None:
    x, y, w = draw(6) * 50, RNG.random(6), RNG.random(6) + 0.5
    expected = -(w * y * -np.logaddexp(0, -x) + (1 - y) * -np.logaddexp(0, x))
    loss = F.binary_cross_entropy_with_logits(
        *map(at.from_numpy, (x, y)), pos_weight=at.from_numpy(w), reduction="none"
    )
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-10)
    with pytest.raises(at.ShapeError, match="one shape"):
        F.binary_cross_entropy_with_logits(at.ones(2), at.ones(3))


def test_simple_losses() -> None:
    x, y = draw(3, 4), draw(3, 4)
    a, b = at.from_numpy(x), at.from_numpy(y)
    d = np.abs(x - y)
    np.testing.assert_allclose(F.l1_loss(a, b).item(), d.mean())
    np.testing.assert_allclose(F.mse_loss(a, b[0]).item(), ((x - y[0]) ** 2).mean())
    np.testing.assert_allclose(F.huber_loss(a, b, delta=0.7).item(), special.huber(0.7, d).mean())
    np.testing.assert_allclose(F.smooth_l1_loss(a, b, beta=0.7).item(), special.huber(0.7, d).mean() / 0.7)
    p, q = special.softmax(x, 1), special.softmax(y, 1)
    kl = F.kl_div(at.from_numpy(np.log(p)), at.from_numpy(q), reduction="batchmean")
    np.testing.assert_allclose(kl.item(), special.rel_entr(q, p).sum() / 3, rtol=1e-10)
    with pytest.raises(at.InvalidValueError, match="reduction"):
        F.l1_loss(a, b, reduction="average")
    with pytest.raises(at.InvalidValueError, match="label_smoothing in"):
        F.cross_entropy(a, b, label_smoothing=1.5)


def test_a_variance_of_each_vector_and_targets_that_count_nothing() -> None:
    x, y, var = draw(3, 3), draw(3, 3), RNG.random(3) + 0.5
    nll = F.gaussian_nll_loss(*map(at.from_numpy, (x, y, var)))
    np.testing.assert_allclose(nll.item(), (np.log(var) + ((x - y) ** 2).T / var).mean() / 2, rtol=1e-12)
    cos = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    loss = F.cosine_embedding_loss(at.from_numpy(x), at.from_numpy(y), at.tensor([1, -1, 0]), reduction="none")
    np.testing.assert_allclose(loss.numpy(), [1 - cos[0], max(0, cos[1]), 0], rtol=1e-6)


def test_embedding_and_padding_row() -> None:
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    assert layer(at.tensor([4])).tolist() == [[0.0, 0.0, 0.0]]
    with pytest.raises(at.BoundsError, match="position 1"):
        layer(at.tensor([0, 5]))


def test_dropout_follows_the_generator_and_the_mode() -> None:
    layer = nn.Dropout(0.4)
    x = at.ones(1000)
    at.manual_seed(3)
    first = layer(x)
    at.manual_seed(3)
    assert first.tolist() == layer(x).tolist()
    np.testing.assert_allclose(np.unique(first.numpy()), [0, 1 / 0.6], rtol=1e-6)
    assert layer.eval()(x) is x
    with pytest.raises(at.InvalidValueError, match="p in"):
        nn.Dropout(1.5)


def test_dropout_does_not_depend_on_the_number_of_threads() -> None:
    x = at.ones(300_001)
    threads = at.get_num_threads()
    results = []
    try:
        for n in (1, 2, 4):
            at.set_num_threads(n)
            at.manual_seed(5)
            results.append(F.dropout(x, 0.3).numpy().copy())
    finally:
        at.set_num_threads(threads)
    assert all((r == results[0]).all() for r in results)


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda t: nn.init.xavier_normal_(t, 2.0), 2 * math.sqrt(2 / (300 + 200))),
        (lambda t: nn.init.xavier_uniform_(t), math.sqrt(2 / (300 + 200))),
        (lambda t: nn.init.kaiming_normal_(t, nonlinearity="relu"), math.sqrt(2 / 300)),
        (lambda t: nn.init.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 200)),
        (lambda t: nn.init.normal_(t, 0.0, 0.3), 0.3),
    ],
)
def test_random_initialisers_have_the_right_spread(fill: Any, std: float) -> None:
    at.manual_seed(0)
    values = fill(at.empty(200, 300)).numpy()
    assert abs(values.std() / std - 1) < 0.02
    assert abs(values.mean()) < 0.02 * std * 5


def test_other_initialisers() -> None:
    q = nn.init.orthogonal_(at.empty(3, 5, dtype=at.float64)).numpy()
    np.testing.assert_allclose(q @ q.T, np.eye(3), atol=1e-12)
    assert nn.init.eye_(at.empty(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    truncated = nn.init.trunc_normal_(at.empty(10_000), a=-0.5, b=1.0).numpy()
    assert truncated.min() >= -0.5 and truncated.max() <= 1
    x = draw(1, 3, 4, 4)
    weight = nn.init.dirac_(at.empty(3, 3, 3, 3, dtype=at.float64))
    np.testing.assert_allclose(F.conv2d(at.from_numpy(x), weight, padding=1).numpy(), x)
    assert (nn.init.sparse_(at.empty(10, 4), 0.5).numpy() == 0).sum(0).tolist() == [5, 5, 5, 5]
    assert nn.init.calculate_gain("tanh") == 5 / 3
    with pytest.raises(at.InvalidValueError, match="nonlinearity"):
        nn.init.calculate_gain("cosine")


def test_fans_by_their_private_names() -> None:
    weight = at.empty(6, 2, 3, 5)
    assert nn.init._calculate_fan_in_and_fan_out(weight) == (2 * 15, 6 * 15)
    assert nn.init._calculate_correct_fan(weight, "fan_out") == 6 * 15
    with pytest.raises(at.ShapeError, match="_calculate_fan_in_and_fan_out: expected at least two dimensions"):
        nn.init._calculate_fan_in_and_fan_out(at.empty(3))


def test_parameters_as_a_vector() -> None:
    layer = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    nn.utils.vector_to_parameters(at.arange(9.0), layer.parameters())
    assert layer.bias.tolist() == [6.0, 7.0, 8.0]
    with pytest.raises(at.ShapeError, match="expected 9 elements, got 8"):
        nn.utils.vector_to_parameters(at.arange(8.0), layer.parameters())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_convolution_works_in_a_forked_child() -> None:
    x, w = at.ones(8, 16, 32, 32), at.ones(16, 16, 3, 3)
    before = F.conv2d(x, w).numpy().copy()
    pid = os.fork()
    if pid == 0:
        same = bool((F.conv2d(x, w).numpy() == before).all())
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_third_derivatives_of_norms(norm: str) -> None:
    func = pytest.importorskip("atled.autograd.func")
    x, dim = (at.asarray(draw(2, 4)), -1) if norm == "layer" else (at.asarray(draw(5, 3)), 0)

    def fused(v: at.Tensor) -> at.Tensor:
        y = F.layer_norm(v, (4,)) if norm == "layer" else F.batch_norm(v, None, None, training=True)
        return (y**3).sum()

    def composed(v: at.Tensor) -> at.Tensor:
        centered = v - v.mean(dim, keepdim=True)
        return ((centered / ((centered**2).mean(dim, keepdim=True) + 1e-5).sqrt()) ** 3).sum()

    def third(f: Any) -> Any:
        def squared(g: Any) -> Any:
            return lambda v: (func.grad(g)(v) ** 2).sum()

        return func.grad(squared(squared(f)))(x).numpy()

    expected = third(composed)
    np.testing.assert_allclose(third(fused), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_pooling_of_an_empty_plane_that_leaves_no_window() -> None:
    x = at.zeros(2, 3, 0)
    y = at.ops.nn.avg_pool2d(x, 1, 2, 0, True)
    assert (y.shape, at.ops.nn.avg_pool2d_backward(y, x.shape, 1, 2, 0, True).shape) == ((2, 2, 0), x.shape)
    assert at.ops.nn.max_pool2d_with_indices(x, 1, 2, 0, 1, True)[0].shape == (2, 2, 0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 2, 3)])
@pytest.mark.parametrize("activation", ["relu", "gelu_tanh"])
def test_linear_with_an_activation(activation: str, shape: tuple[int, ...], bias: bool) -> None:
    """Third derivatives too: the second ones go through a value that is kept as a constant."""
    func = pytest.importorskip("atled.autograd.func")
    x, w, b = at.asarray(draw(*shape)), at.asarray(draw(5, 3)), at.asarray(draw(5)) if bias else None

    def fused(x: at.Tensor, w: at.Tensor) -> at.Tensor:
        return (F.linear(x, w, b, activation=activation) ** 3).sum()  # type: ignore[arg-type]

    def composed(x: at.Tensor, w: at.Tensor) -> at.Tensor:
        y = F.linear(x, w, b)
        return ((F.relu(y) if activation == "relu" else F.gelu(y, approximate="tanh")) ** 3).sum()

    def third(f: Any, argnum: int) -> Any:
        def squared(g: Any) -> Any:
            return lambda *args: (func.grad(g, argnum)(*args) ** 2).sum()

        return func.grad(squared(squared(f)), argnum)(x, w).numpy()

    for argnum in (0, 1):
        np.testing.assert_allclose(third(fused, argnum), third(composed, argnum), rtol=1e-9, atol=1e-9)
    with pytest.raises(at.InvalidValueError, match="expected activation None, 'relu' or 'gelu_tanh', got 'gelu'"):
        F.linear(x, w, activation="gelu")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new"),
    [((None, None), "mean"), ((True, None), "mean"), ((False, None), "sum"), ((None, False), "none")],
    ids=str,
)
def test_losses_take_the_names_before_reduction_in_their_places(old: tuple[Any, Any], new: str) -> None:
    size_average, reduce = old
    x, y, w = (at.from_numpy(draw(3, 4)) for _ in range(3))
    logs, c = at.log_softmax(x, 1), at.tensor([1, 3, 0])
    name: dict[str, Any] = {"reduction": new}
    p, sign = at.sigmoid(y), at.tensor([1, -1, 1])
    pairs = [
        (
            F.cross_entropy(x, c, w[0].abs(), size_average, 3, reduce, "mean", 0.1),
            F.cross_entropy(x, c, w[0].abs(), ignore_index=3, label_smoothing=0.1, **name),
        ),
        (
            F.nll_loss(logs, c, w[0].abs(), size_average, 3, reduce),
            F.nll_loss(logs, c, w[0].abs(), ignore_index=3, **name),
        ),
        (F.mse_loss(x, y, size_average, reduce), F.mse_loss(x, y, **name)),
        (F.l1_loss(x, y, size_average, reduce), F.l1_loss(x, y, **name)),
        (F.smooth_l1_loss(x, y, size_average, reduce, "mean", 0.5), F.smooth_l1_loss(x, y, beta=0.5, **name)),
        (F.binary_cross_entropy(p, p, w, size_average, reduce), F.binary_cross_entropy(p, p, w, **name)),
        (
            F.binary_cross_entropy_with_logits(x, p, w, size_average, reduce, "mean", p),
            F.binary_cross_entropy_with_logits(x, p, w, pos_weight=p, **name),
        ),
        (F.kl_div(logs, p, size_average, reduce, "mean", True), F.kl_div(logs, p, log_target=True, **name)),
        (
            F.cosine_embedding_loss(x, y, sign, 0.1, size_average, reduce),
            F.cosine_embedding_loss(x, y, sign, 0.1, **name),
        ),
        (
            F.margin_ranking_loss(x[0], y[0], w[0].sign(), 0.1, size_average, reduce),
            F.margin_ranking_loss(x[0], y[0], w[0].sign(), 0.1, **name),
        ),
        (
            F.triplet_margin_loss(x, y, w, 1.0, 1.0, 1e-6, True, size_average, reduce),
            F.triplet_margin_loss(x, y, w, 1.0, 1.0, 1e-6, True, **name),
        ),
        (F.soft_margin_loss(x, y.sign(), size_average, reduce), F.soft_margin_loss(x, y.sign(), **name)),
        (
            F.poisson_nll_loss(p, p, False, True, size_average, 1e-3, reduce),
            F.poisson_nll_loss(p, p, False, True, eps=1e-3, **name),
        ),
        (nn.CrossEntropyLoss(None, size_average, 3, reduce)(x, c), nn.CrossEntropyLoss(ignore_index=3, **name)(x, c)),
        (nn.NLLLoss(None, size_average, 3, reduce)(logs, c), nn.NLLLoss(ignore_index=3, **name)(logs, c)),
        (nn.MSELoss(size_average, reduce)(x, y), nn.MSELoss(**name)(x, y)),
        (nn.SmoothL1Loss(size_average, reduce, "mean", 0.5)(x, y), nn.SmoothL1Loss(beta=0.5, **name)(x, y)),
        (nn.BCELoss(w, size_average, reduce)(p, p), nn.BCELoss(w, **name)(p, p)),
        (
            nn.BCEWithLogitsLoss(w, size_average, reduce, "mean", p)(x, p),
            nn.BCEWithLogitsLoss(w, pos_weight=p, **name)(x, p),
        ),
        (nn.KLDivLoss(size_average, reduce, "mean", True)(logs, p), nn.KLDivLoss(log_target=True, **name)(logs, p)),
        (
            nn.TripletMarginLoss(1.0, 1.0, 1e-6, True, size_average, reduce)(x, y, w),
            nn.TripletMarginLoss(1.0, 1.0, 1e-6, True, **name)(x, y, w),
        ),
        (
            nn.PoissonNLLLoss(True, True, size_average, 1e-3, reduce)(x, p),
            nn.PoissonNLLLoss(True, True, eps=1e-3, **name)(x, p),
        ),
    ]
    for got, expected in pairs:
        np.testing.assert_array_equal(got.numpy(), expected.numpy())


def test_a_reduction_in_the_place_of_size_average_is_refused() -> None:
    with pytest.raises(
        at.ArgumentError, match="mse_loss: expected size_average and reduce to be bools; name reduction"
    ):
        F.mse_loss(at.ones(2), at.ones(2), "sum")  # type: ignore[arg-type]
    with pytest.raises(at.ArgumentError, match="L1Loss: expected size_average"):
        nn.L1Loss("sum")  # type: ignore[arg-type]


def test_embedding_from_pretrained_takes_pytorchs_arguments_in_place() -> None:
    table = at.from_numpy(draw(4, 3) * 5)
    layer = nn.Embedding.from_pretrained(table.clone(), True, None, 1.5, 1.0, True)
    assert (layer.max_norm, layer.norm_type, layer.scale_grad_by_freq, layer.sparse) == (1.5, 1.0, True, False)


def test_linear_with_one_row() -> None:
    x, w = draw(2, 3), draw(3)
    a, b = at.from_numpy(x), at.from_numpy(w)
    np.testing.assert_allclose(F.linear(a, b).numpy(), x @ w, rtol=1e-12)
    np.testing.assert_allclose(F.linear(a, b, at.tensor(2.0, dtype=at.float64)).numpy(), x @ w + 2, rtol=1e-12)
    np.testing.assert_allclose(F.linear(a, b, activation="relu").numpy(), np.maximum(x @ w, 0), rtol=1e-12)


def test_activations_with_cases_keep_nan() -> None:
    x = at.tensor([math.nan, 0.2, -0.5, 3.0])
    np.testing.assert_array_equal(F.hardshrink(x).numpy(), [math.nan, 0, 0, 3])
    np.testing.assert_array_equal(F.threshold(x, 0.5, 9.0).numpy(), [math.nan, 9, 9, 3])


def test_cosine_similarity_broadcasts_along_the_vectors() -> None:
    x, y = draw(3, 4), draw(3, 1)
    wide = np.broadcast_to(y, x.shape)
    expected = (x * wide).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(wide, axis=1)
    np.testing.assert_allclose(F.cosine_similarity(at.from_numpy(x), at.from_numpy(y), 1).numpy(), expected, rtol=1e-12)
    whole = F.cosine_similarity(at.from_numpy(x).float(), at.ones(x.shape, dtype=at.int64))
    assert whole.dtype == at.float32 and whole.shape == (x.shape[0], *x.shape[2:])


def test_hardtanh_takes_old_names() -> None:
    assert nn.Hardtanh(min_value=-0.5, max_value=2.0)(at.tensor([-1.0, 3.0])).tolist() == [-0.5, 2]


def test_batch_norm_without_bias() -> None:
    layer = nn.BatchNorm2d(3, bias=False)
    assert layer.bias is None and list(layer.state_dict())[:2] == ["weight", "running_mean"]
    x = at.from_numpy(draw(2, 3, 4, 4)).float()
    np.testing.assert_allclose(at.Tensor(layer(x)).numpy(), at.Tensor(nn.BatchNorm2d(3)(x)).numpy(), atol=1e-6)


def test_weighted_huber_loss() -> None:
    x, y, w = draw(3, 4), draw(3, 4), RNG.random((3, 4))
    a, b = map(at.from_numpy, (x, y))
    loss = F.huber_loss(a, b, "mean", 0.7, at.from_numpy(w))
    np.testing.assert_allclose(loss.item(), (special.huber(0.7, np.abs(x - y)) * w).mean(), rtol=1e-12)


def test_softmax_over_channels() -> None:
    x = draw(2, 3, 4, 5)
    expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(nn.Softmax2d()(at.from_numpy(x)).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(nn.Softmax2d()(at.from_numpy(x[0])).numpy(), expected[0], rtol=1e-12)
    with pytest.raises(at.ShapeError, match=r"Softmax2d: expected \(N, C, H, W\) or \(C, H, W\), got \(3, 4\)"):
        nn.Softmax2d()(at.ones(3, 4))


def test_a_divergence_from_a_negative_probability_is_nan() -> None:
    loss = F.kl_div(at.log(at.tensor([0.5, 0.5, 0.5])), at.tensor([0.5, 0.0, -0.5]), reduction="none")
    assert loss.isnan().tolist() == [False, False, True] and loss[1].item() == 0


def test_lists_without_entries() -> None:
    assert len(nn.ModuleList(None)) == len(nn.ParameterList(None)) == 0


def test_batch_norm_of_an_empty_batch_moves_nothing() -> None:
    layer = nn.BatchNorm1d(3)
    result = layer(at.zeros(0, 3, 5))
    assert result.shape == (0, 3, 5)
    assert (layer.running_mean == 0).all().item() and (layer.running_var == 1).all().item()
    with pytest.raises(at.ShapeError, match=r"batch_norm: expected mean of shape \(3,\), got \(7,\)"):
        F.batch_norm(at.zeros(0, 3), at.zeros(7), at.ones(7), training=True)
    if hasattr(result, "backward"):
        result.sum().backward()
        assert layer.weight.grad.tolist() == layer.bias.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("rows", "weight"), [((2, 5, 0), (4, 0)), ((2, 5, 3), (0, 3)), ((0,), (4, 0))])
def test_gradients_of_linear_without_elements(rows: tuple[int, ...], weight: tuple[int, ...]) -> None:
    grad = pytest.importorskip("atled.autograd").grad
    x, w = at.zeros(*rows).requires_grad_(), at.ones(*weight).requires_grad_()
    for given, slope in zip((x, w), grad(F.linear(x, w).sum(), (x, w)), strict=True):
        assert slope.shape == given.shape and (slope == 0).all().item()


def test_convolutions_of_complex_numbers_stay_so_in_autocast() -> None:
    pytest.importorskip("atled.autograd")
    x, w = at.ones(1, 2, 5, 5, dtype=at.complex64), at.ones(2, 2, 3, 3, dtype=at.complex64)
    with at.autocast("cpu", dtype=at.bfloat16):
        assert F.conv2d(x, w).dtype == F.conv_transpose2d(x, w).dtype == at.complex64


def test_batch_norm_of_no_channels() -> None:
    mean, var = at.zeros(0), at.ones(0)
    assert F.batch_norm(at.zeros(2, 0), mean, var, training=True).shape == (2, 0)


def test_gates_of_a_dimension_that_is_not_there() -> None:
    for x in (at.ones(2), at.tensor(1.0)):
        with pytest.raises(at.BoundsError):
            F.glu(x, 3)


def test_functions_of_integers_answer_floats() -> None:
    zero, one = at.tensor([[0, 0]]), at.tensor([[1, 2]])
    assert F.pairwise_distance(zero, one).item() == pytest.approx(5**0.5, rel=1e-5)
    assert F.triplet_margin_loss(zero, one, at.tensor([[1, 1]])).item() == pytest.approx(1 + 5**0.5 - 2**0.5, rel=1e-5)
    assert F.lp_pool2d(at.tensor([[[[1, 2], [3, 4]]]]), 2.0, 2).item() == pytest.approx(30**0.5)


def test_layer_norm_of_half_precision_with_float32_beside_it() -> None:
    x, w, b = RNG.standard_normal((3, 8)), RNG.standard_normal(8).astype(np.float32), RNG.standard_normal(8)
    for dtype, ulp in ((at.float16, 2**-11), (at.bfloat16, 2**-8)):
        half = at.from_numpy(x).to(dtype)
        kept = half.to(at.float64).numpy()
        normed = (kept - kept.mean(-1, keepdims=True)) / np.sqrt(kept.var(-1, keepdims=True) + 1e-5)
        bias = at.from_numpy(b).to(dtype)
        for weight, given in ((at.from_numpy(w), bias), (None, bias.to(at.float32)), (at.from_numpy(w), None)):
            result = F.layer_norm(half, (8,), weight, given)
            assert result.dtype is dtype
            expected = normed * (1 if weight is None else w) + (0 if given is None else given.to(at.float64).numpy())
            np.testing.assert_allclose(result.to(at.float64).numpy(), expected, rtol=ulp, atol=1e-6)
    for input, weight in ((half, at.ones(8, dtype=at.float64)), (half.to(at.float32), at.ones(8, dtype=at.float16))):
        with pytest.raises(at.DTypeError, match="weight"):
            F.layer_norm(input, (8,), weight)


def test_rms_norm_with_a_weight_of_float32() -> None:
    x, weight = at.tensor([[3.0, 4.0]], dtype=at.bfloat16), at.tensor([1.001, 1.0])
    result = F.rms_norm(x, (2,), weight)
    assert result.dtype is at.bfloat16
    np.testing.assert_allclose(result.float().numpy(), [[3.003 / 12.5**0.5, 4 / 12.5**0.5]], rtol=2**-8)
    with pytest.raises(at.ShapeError, match="weight of shape"):
        F.rms_norm(at.ones(2, 3), (3,), at.ones(5, 2, 3, dtype=at.float64))


@pytest.mark.parametrize(
    ("match", "call"),
    [
        ("max_pool1d: ", lambda: F.max_pool1d(at.ones(1, 2, 8, dtype=at.int64), 2)),
        ("max_pool1d_with_indices: ", lambda: F.max_pool1d_with_indices(at.ones(2, 8), (1, 2))),
        ("conv1d: ", lambda: F.conv1d(at.ones(1, 2, 8), at.ones(2, 2, 3), padding="full")),
        ("bilinear: ", lambda: F.bilinear(at.ones(2, 3), at.ones(2, 4), at.ones(5, 2, 4))),
        ("dropout2d: ", lambda: F.dropout2d(at.ones(2, 3), 1.5)),
        ("rrelu_: ", lambda: F.rrelu_(at.ones(3), 1.0, 0.5)),
        ("embedding_bag: ", lambda: F.embedding_bag(at.ones(2, dtype=at.int64), at.ones(3, 2), at.tensor([1]))),
        ("pairwise_distance: ", lambda: F.pairwise_distance(at.ones(3), at.ones(4))),
        ("kaiming_normal_: ", lambda: nn.init.kaiming_normal_(at.ones(3))),
        # A layer's function is the outermost, not the containers that it is in.
        ("linear: ", lambda: nn.Sequential(nn.Sequential(nn.Linear(3, 4)))(at.ones(2, 5))),
        # ... nor what calls what it is given.
        ("softplus: ", lambda: pytest.importorskip("atled.autograd.checkpoint").checkpoint(F.softplus, at.ones(2) > 0)),
        # What has a result, but hardly the one that was meant.
        ("avg_pool2d: .* got bool", lambda: F.avg_pool2d(at.ones(2, 8, 8), True)),
        ("max_pool1d: kernel_size: .* got True", lambda: F.max_pool1d(at.ones(2, 8), True)),
        ("avg_pool3d: .*divisor_override", lambda: F.avg_pool3d(at.ones(2, 4, 4, 4), 2, divisor_override=2.5)),
        ("one_hot: expected num_classes to be an int, got 2.5", lambda: F.one_hot(at.tensor([1]), 2.5)),
        ("batch_norm: .* None for running_var", lambda: F.batch_norm(at.ones(4, 3), at.ones(3), None, training=True)),
        ("batch_norm: .* got -1", lambda: F.batch_norm(at.ones(4, 3), None, None, training=True, eps=-1)),
        ("Bilinear: .* got 0", lambda: nn.Bilinear(0, 2, 3)),
        ("instance_norm: .* None for running_mean", lambda: F.instance_norm(at.ones(4, 3, 2), None, at.ones(3))),
        ("bilinear: expected inputs", lambda: F.bilinear(at.ones(1, 2, 3), at.ones(2, 4), at.ones(5, 3, 4))),
        ("bilinear: expected bias", lambda: F.bilinear(at.ones(3), at.ones(4), at.ones(5, 3, 4), at.ones(1))),
        ("rrelu: expected finite", lambda: F.rrelu(at.ones(3), 0.1, math.inf)),
        ("huber_loss: .* got nan", lambda: F.huber_loss(at.ones(3), at.ones(3), delta=math.nan)),
        ("smooth_l1_loss: .* got nan", lambda: F.smooth_l1_loss(at.ones(3), at.ones(3), beta=math.nan)),
        ("triplet_margin_loss: .* margin > 0, got 0", lambda: F.triplet_margin_loss(*[at.ones(2, 3)] * 3, 0)),
        ("triplet_margin_loss: .* one number of", lambda: F.triplet_margin_loss(*[at.ones(2, 3)] * 2, at.ones(3))),
        ("margin_ranking_loss: .* one number of", lambda: F.margin_ranking_loss(*[at.ones(3, 1)] * 2, at.ones(3))),
        ("cosine_embedding_loss: .* inputs", lambda: F.cosine_embedding_loss(*[at.ones(3, 4)] * 2, at.ones(1, 3))),
        ("soft_margin_loss: .* target to", lambda: F.soft_margin_loss(at.ones(3), at.ones(3, 1))),
        ("binary_cross_entropy: .* weight to", lambda: F.binary_cross_entropy(*[at.ones(3)] * 2, at.ones(3, 1))),
    ],
)
def test_errors_name_the_function_that_was_called(match: str, call: Callable[[], Any]) -> None:
    with pytest.raises(at.AtledError, match=f"^{match}"):
        call()
