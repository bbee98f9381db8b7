"""nn's kernels for CUDA: sizes that take several blocks, odd alignments, and what is told of bad indices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.core import _core
from atled.testing import specs

os.environ.setdefault("ATLED_CUDA_LAUNCH_BLOCKING", "1")  # a bad index is its own call's error
ops = at.ops.nn
# A few roundings of the largest element: the order of additions is another.
TOLERANCE = {at.float16: 4e-3, at.bfloat16: 3e-2, at.float32: 2e-6, at.float64: 1e-13}
DTYPES = [pytest.param(dtype, id=dtype.name) for dtype in TOLERANCE]
Call = Callable[..., Any]


pytestmark = pytest.mark.usefixtures("gpu")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def offset(tensor: at.Tensor, device: str) -> at.Tensor:
    """The same values one element behind the start of an allocation, where vectors of 16 bytes do not fit."""
    room = at.empty((tensor.numel() + 1,), dtype=tensor.dtype, device=device)
    view = room[1:].reshape(tensor.shape)
    view.copy_(tensor.to(device))
    return view


def check(call: Call, *arrays: np.ndarray, dtype: at.dtype, move: Call = at.Tensor.to, factor: float = 1) -> None:
    """Compares the results of tensors of `dtype` on both devices; integers stay as they are."""
    host = [at.from_numpy(np.ascontiguousarray(a)) for a in arrays]
    host = [t.to(dtype) if t.is_floating_point() else t for t in host]
    wanted, got = call(*host), call(*(move(t, "cuda") for t in host))
    for a, b in zip(several(got), several(wanted), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        x, y = (t.cpu().to(at.float64).numpy() for t in (a, b))
        size = np.max(np.abs(y), initial=1.0, where=np.isfinite(y))
        np.testing.assert_allclose(x, y, rtol=0, atol=TOLERANCE.get(b.dtype, 0) * size * factor)


def several(results: Any) -> list[at.Tensor]:
    return list(results) if isinstance(results, tuple) else [results]


def test_each_op_has_a_kernel() -> None:
    ops.dropout(at.ones(1, device="cuda"))
    missing = {op.name for op in _core.ops() if op.ns == "nn" and not _core.has_kernel(op, "cuda")}
    assert missing == {name for name, spec in specs.find("nn").items() if spec.cpu_alone}


MOVES = [pytest.param(at.Tensor.to, id="aligned"), pytest.param(offset, id="odd")]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("shape", [(40, 3, 33, 16), (2, 5, 7, 9), (700, 40), (3, 70), (1, 2, 30000), (5, 1, 4)])
def test_batch_norm(shape: tuple[int, ...], dtype: at.dtype, move: Call) -> None:
    c = shape[1]
    x, g, w, b = 5 * normal(*shape) + 3, normal(*shape, seed=1), normal(c, seed=2), normal(c, seed=3)

    def forward(x: at.Tensor, w: at.Tensor, b: at.Tensor) -> Any:
        return *ops.batch_norm(x, w, b, 1e-5), ops.batch_norm(x)[0]

    check(forward, x, w, b, dtype=dtype, move=move, factor=4)

    def backward(g: at.Tensor, x: at.Tensor, w: at.Tensor) -> Any:
        _, mean, var = ops.batch_norm(x)
        plain = ops.batch_norm_backward(g, x, mean, var)
        return *ops.batch_norm_backward(g, x, mean, var, w), *plain, ops.batch_norm_inference(x, mean, var, w)

    check(backward, g, x, w, dtype=dtype, move=move, factor=16)


def test_batch_norm_far_from_zero() -> None:
    check(ops.batch_norm, 1e4 + normal(64, 4, 20, 20), dtype=at.float32, factor=100)
    x = np.zeros((64, 2, 20, 20))
    x[0, :, 0, 0] = 1
    check(ops.batch_norm, x, dtype=at.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("shape", [(300, 40), (3, 2000), (2, 5, 768), (1500, 7), (2, 4095), (3, 20000), (1, 1)])
def test_layer_norm(shape: tuple[int, ...], dtype: at.dtype, move: Call) -> None:
    n = shape[-1]
    x, g, w, b = 2 * normal(*shape) + 1, normal(*shape, seed=1), normal(n, seed=2), normal(n, seed=3)
    check(lambda x, w, b: ops.layer_norm(x, (n,), w, b), x, w, b, dtype=dtype, move=move, factor=4)

    def backward(g: at.Tensor, x: at.Tensor, w: at.Tensor) -> Any:
        _, mean, rstd = ops.layer_norm(x, (n,))
        plain = ops.layer_norm_backward(g, x, (n,), mean, rstd)
        return *ops.layer_norm_backward(g, x, (n,), mean, rstd, w), *plain

    check(backward, g, x, w, dtype=dtype, move=move, factor=16)


@pytest.mark.parametrize("n", [64, 1024, 4095, 20000])
def test_layer_norm_far_from_zero(n: int) -> None:
    x = (normal(3, n) + np.array([[1e4], [-1e5], [0]])).astype(np.float32)
    x[2, n // 2] = 1e6
    y, mean, rstd = ops.layer_norm(at.from_numpy(x).to("cuda"), (n,))
    exact = x.astype(np.float64)
    expected_mean, variance = exact.mean(1, keepdims=True), exact.var(1, keepdims=True)
    np.testing.assert_allclose(mean.cpu().numpy(), expected_mean, rtol=1e-7)
    np.testing.assert_allclose(rstd.cpu().numpy(), 1 / np.sqrt(variance + 1e-5), rtol=2e-6)
    # As far as float32 tells the mean.
    expected = (exact - expected_mean) / np.sqrt(variance + 1e-5)
    slack = 2 * np.spacing(np.abs(expected_mean).astype(np.float32)) / np.sqrt(variance) + 1e-5
    assert (np.abs(y.cpu().numpy() - expected) <= slack * (1 + np.abs(expected))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("n", "classes", "inner"), [(5000, 3, ()), (70, 1000, ()), (3, 5, (40, 30)), (1, 4, ())])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_nll_loss(
    n: int, classes: int, inner: tuple[int, ...], reduction: str, smoothing: float, dtype: at.dtype
) -> None:
    rng = np.random.default_rng(0)
    x, w = normal(n, classes, *inner), rng.random(classes) + 0.5
    y = rng.integers(0, classes, (n, *inner)).astype(np.int32)
    y[y == 1] = -100
    if n == 1:
        y[:] = 2

    def call(x: at.Tensor, y: at.Tensor, w: at.Tensor) -> Any:
        loss, total = ops.nll_loss(x, y, w, reduction, -100, smoothing)
        grad = at.ones_like(loss)
        return loss, total, ops.nll_loss_backward(grad, y, w, total, x.shape, reduction, -100, smoothing)

    check(call, x, y, w, dtype=dtype, factor=32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_mse_loss(reduction: str, move: Call, dtype: at.dtype) -> None:
    for n in (1, 7, 4099, 50000 if reduction == "mean" else 333):

        def call(x: at.Tensor, y: at.Tensor) -> Any:
            loss = ops.mse_loss(x, y, reduction)
            return loss, ops.mse_loss_backward(at.ones_like(loss), x, y, reduction)

        check(call, normal(n), normal(n, seed=1), dtype=dtype, move=move, factor=4)


# Of widths that are a multiple of one or several numbers of neighbours that a thread may take.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [30, 27, 28, 32])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        (2, 2, 0, 1),
        (2, 2, 1, 1),
        (1, 2, 0, 1),
        (3, 3, 1, 1),
        (3, 2, 1, 1),
        (3, 1, 1, 1),
        ((2, 5), (3, 1), (1, 2), (2, 1)),
        (3, 5, 0, 1),
    ],
)
def test_max_pool(kernel: Any, stride: Any, padding: Any, dilation: Any, width: int, dtype: at.dtype) -> None:
    x = np.round(normal(3, 4, 27, width), 1)
    x[0, 0, 3, 4] = np.nan

    def call(x: at.Tensor) -> Any:
        y, indices = ops.max_pool2d_with_indices(x, kernel, stride, padding, dilation, True)
        g = at.arange(y.numel(), device=y.device).reshape(y.shape).to(x.dtype) / 1024
        gathered = ops.max_pool2d_backward(g, indices, x.shape, kernel, stride, padding, dilation)
        return y, indices, gathered, ops.max_pool2d_backward(g, indices, x.shape)

    check(call, x, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "settings", [(2,), (3, 2, 1, True), (3, 1, 1, False, False), ((5, 2), (1, 3), 1, True, True, 7)]
)
def test_avg_pool(settings: Any, dtype: at.dtype) -> None:
    def call(x: at.Tensor) -> Any:
        y = ops.avg_pool2d(x, *settings)
        g = at.arange(y.numel(), device=y.device).reshape(y.shape).to(x.dtype) / 1024
        return y, ops.avg_pool2d_backward(g, x.shape, *settings)

    check(call, normal(3, 4, 27, 30), dtype=dtype, factor=4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (3, 30), (40, 2), (27, 1)])
def test_adaptive_avg_pool(size: tuple[int, int], dtype: at.dtype) -> None:
    def call(x: at.Tensor) -> Any:
        y = ops.adaptive_avg_pool2d(x, size)
        g = at.arange(y.numel(), device=y.device).reshape(y.shape).to(x.dtype) / 1024
        return y, ops.adaptive_avg_pool2d_backward(g, x.shape)

    check(call, normal(3, 4, 27, 30), dtype=dtype, factor=4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (8, 8), (56, 56), (131, 128)])
def test_means_of_planes(size: tuple[int, int], move: Call, dtype: at.dtype) -> None:
    check(lambda x: ops.adaptive_avg_pool2d(x, 1), normal(3, 35, *size), dtype=dtype, move=move, factor=4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", ["elu", "gelu", "hardtanh", "leaky_relu", "silu", "softplus"])
def test_activations(name: str, move: Call, dtype: at.dtype) -> None:
    x = 5 * normal(2053)
    x[:4] = np.inf, -np.inf, np.nan, 0.0
    op, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    check(op, x, dtype=dtype, move=move, factor=2)
    check(backward, normal(2053, seed=1), np.nan_to_num(x, posinf=30, neginf=-30), dtype=dtype, move=move, factor=2)


def test_activations_write_where_they_are_told() -> None:
    x = at.randn(6, 10, device="cuda")
    wanted = ops.silu(x).cpu().numpy()
    wide = at.zeros(6, 10, dtype=at.float64, device="cuda")
    np.testing.assert_array_equal(ops.silu(x, out=wide).cpu().numpy(), wanted)
    columns = at.zeros(10, 6, device="cuda").t()
    np.testing.assert_array_equal(ops.silu(x, out=columns).cpu().numpy(), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("n", [1, 3, 4, 5003])
def test_dropout_keeps_the_same_elements_on_both_devices(n: int, move: Call, dtype: at.dtype) -> None:
    def call(x: at.Tensor) -> Any:
        at.manual_seed(3)
        y, mask = ops.dropout(x, 0.3)
        return y, mask, ops.dropout_backward(x, mask, 0.3), *ops.dropout(x, 1.0), *ops.dropout(x, 0.0)

    check(call, normal(n), dtype=dtype, move=move)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("dim", [1, 8, 700])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_embedding(dim: int, by_frequency: bool, move: Call, dtype: at.dtype) -> None:
    index = np.random.default_rng(0).integers(0, 11, (30, 3))

    def call(index: at.Tensor, weight: at.Tensor, g: at.Tensor) -> Any:
        y = ops.embedding(index, weight)
        plain = ops.embedding_backward(g, index, 11, None, by_frequency)
        return y, plain, ops.embedding_backward(g, index.to(at.int32), 11, -2, by_frequency)

    check(call, index, normal(11, dim), normal(30, 3, dim, seed=1), dtype=dtype, move=move, factor=4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (7, 5), (2, 3, 5), (0, 5), (1, 5)])
def test_linear(shape: tuple[int, ...], dtype: at.dtype) -> None:
    def call(x: at.Tensor, w: at.Tensor, b: at.Tensor) -> Any:
        turned = w.t().contiguous().t()
        strided = x.unsqueeze(-1).expand(*x.shape, 2).contiguous()[..., 1]
        plain = ops.linear(x, w, b), ops.linear(x, turned), ops.linear(strided, turned, b)
        relu = ops.linear_relu(x, w, b), ops.linear_relu(x, turned), ops.linear_relu(strided, turned, b)
        return *plain, *relu, *ops.linear_gelu(x, w, b), *ops.linear_gelu(x, turned)

    check(call, normal(*shape), normal(8, 5, seed=1), normal(8, seed=2), dtype=dtype, factor=4)


def test_a_captured_graph_computes_what_the_calls_do() -> None:
    x, y = at.randn(16, 3, 8, 8).to("cuda"), (at.arange(16) % 3).to("cuda")
    w = at.randn(3, 48).to("cuda")

    def step() -> list[at.Tensor]:
        normal, mean, var = ops.batch_norm(x)
        pooled, indices = ops.max_pool2d_with_indices(ops.silu(normal), 2)
        kept, mask = ops.dropout(pooled.reshape(16, 48), 0.25)
        rows, *_ = ops.layer_norm(kept, (48,))
        loss, total = ops.nll_loss(at.log_softmax(ops.linear(rows, w), 1), y)
        slope = ops.nll_loss_backward(at.ones_like(loss), y, None, total, (16, 3))
        grad = ops.dropout_backward(at.matmul(slope, w), mask, 0.25).reshape(pooled.shape)
        grad = ops.max_pool2d_backward(grad, indices, x.shape, 2)
        return [loss, *ops.batch_norm_backward(ops.silu_backward(grad, normal), x, mean, var)]

    step()
    graph = at.cuda.CUDAGraph()
    with at.cuda.graph(graph):
        captured = step()
    for seed in range(3):
        x.copy_(at.from_numpy(normal(16, 3, 8, 8, seed=seed)))
        at.manual_seed(seed)
        graph.replay()
        got = [t.cpu().numpy() for t in captured]
        at.manual_seed(seed)
        for a, b in zip(got, step(), strict=True):
            np.testing.assert_array_equal(a, b.cpu().numpy())


def test_nothing_to_compute() -> None:
    dtype, one = at.float32, np.ones(2)
    for shape in ((3, 2, 0), (0, 2, 4)):
        empty = np.zeros(shape)
        check(ops.batch_norm_inference, empty, one, one, dtype=dtype)
        check(lambda x, v: ops.batch_norm_backward(x, x, v, v), empty, one, dtype=dtype)
    check(lambda x: ops.layer_norm(x, (0,)), np.zeros((3, 0)), dtype=dtype)
    check(lambda x: ops.layer_norm_backward(x, x, (4,), x[:, :1], x[:, :1]), np.zeros((0, 4)), dtype=dtype)
    check(
        lambda x: ops.avg_pool2d_backward(ops.avg_pool2d(x, 2, 2, 1), x.shape, 2, 2, 1),
        np.zeros((2, 3, 0)),
        dtype=dtype,
    )
    check(lambda x: ops.avg_pool2d(x, 1, 2, 0, True), np.zeros((2, 0, 3)), dtype=dtype)
    check(lambda x: ops.adaptive_avg_pool2d(x, 2), np.zeros((0, 4, 3)), dtype=dtype)
    check(lambda x: ops.max_pool2d_backward(x, x.to(at.int64), (2, 4, 3), 2), np.zeros((2, 0, 3)), dtype=dtype)
    check(lambda x: ops.mse_loss(x, x), np.zeros(0), dtype=dtype)
    check(ops.nll_loss, np.zeros((0, 3)), np.zeros(0, np.int64), dtype=dtype)
    check(lambda x: ops.embedding(x.to(at.int64), x.reshape(0, 3)), np.zeros((2, 0)), dtype=dtype)
    check(lambda x: ops.linear(x, x.reshape(4, 0), at.ones(4, device=x.device)), np.zeros((4, 0)), dtype=dtype)


def test_bad_indices_are_told() -> None:
    x, y = at.zeros(4, 3, device="cuda"), at.tensor([0, 1, 3, -1], device="cuda")
    with pytest.raises(at.BoundsError, match=r"nll_loss: expected target in \[0, 3\), got (3|-1) at position"):
        ops.nll_loss(x, y)
    with pytest.raises(at.BoundsError, match="nll_loss_backward: expected target in"):
        ops.nll_loss_backward(x[0, 0], y, None, at.tensor(4.0, device="cuda"), x.shape)
    with pytest.raises(at.BoundsError, match="nll_loss_backward: expected target in"):
        ops.nll_loss_backward(x[0, 0], y, None, at.tensor(4.0, device="cuda"), (4, 0))
    with pytest.raises(at.BoundsError, match="embedding: expected input in"):
        ops.embedding(y, at.ones(3, 2, device="cuda"))
    with pytest.raises(at.BoundsError, match="embedding_backward: expected input in"):
        ops.embedding_backward(at.ones(4, 2, device="cuda"), y, 3)
    with pytest.raises(at.BoundsError, match="max_pool2d_backward: expected indices in"):
        ops.max_pool2d_backward(at.ones(1, 1, 1, device="cuda"), at.tensor([[[4]]], device="cuda"), (1, 2, 2))
    assert float(ops.nll_loss(x, at.tensor([0, 1, 2, 0], device="cuda"))[0]) == 0


def test_training_on_cuda_is_as_on_the_cpu() -> None:
    pytest.importorskip("atled.autograd")
    from atled import nn

    def losses(device: str) -> list[float]:
        at.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.LayerNorm(6),
            nn.Linear(6, 3),
        ).to(device)
        x, y = at.randn(8, 2, 8, 8).to(device), (at.arange(8) % 3).to(device)
        found = []
        for _ in range(3):
            loss = nn.functional.cross_entropy(model(x), y, label_smoothing=0.1)
            model.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                at.Tensor(parameter).sub_(parameter.grad, alpha=0.1)
            found.append(loss.item())
        return found

    with nn.backends.cudnn.flags(allow_tf32=False):
        assert losses("cuda") == pytest.approx(losses("cpu"), rel=1e-4)


LATER = """
import atled.core as at
from atled import nn

x, y = at.zeros(4, 3, device="cuda"), at.tensor([0, 1, 5, 2], device="cuda")
loss, total = at.ops.nn.nll_loss(x, y)
try:
    at.cuda.synchronize()
except at.BoundsError as error:
    assert "nll_loss: expected target in [0, 3), got 5 at position 2; this was call" in str(error), error
else:
    raise SystemExit("expected a BoundsError")
at.ops.nn.nll_loss(x, y % 3)
at.cuda.synchronize()
"""


def test_bad_indices_are_told_where_the_host_waits() -> None:
    settings = {name: value for name, value in os.environ.items() if name != "CUDA_LAUNCH_BLOCKING"}
    settings["ATLED_CUDA_LAUNCH_BLOCKING"] = "0"
    subprocess.run([sys.executable, "-c", LATER], env=settings, check=True, timeout=120)
