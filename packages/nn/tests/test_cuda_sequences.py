"""Attention, transformers and recurrent layers on CUDA as on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.nn.utils import rnn

TOLERANCE = {at.float16: 4e-3, at.bfloat16: 3e-2, at.float32: 2e-6, at.float64: 1e-13}


pytestmark = pytest.mark.usefixtures("gpu")


@pytest.mark.parametrize("dtype", [pytest.param(dtype, id=dtype.name) for dtype in TOLERANCE])
@pytest.mark.parametrize("shape", [(1,), (7, 5), (3, 5, 130), (0, 4), (4, 0)])
def test_recurrent_cells(shape: tuple[int, ...], dtype: at.dtype) -> None:
    def draw(gates: int = 1) -> at.Tensor:
        return at.randn(*shape[:-1], gates * shape[-1], dtype=at.float64).to(dtype)

    ops = at.ops.nn
    calls: list[tuple[Callable[..., Any], list[at.Tensor]]] = [
        (ops.lstm_cell, [draw(4), draw()]),
        (ops.lstm_cell_backward, [draw(), draw(), draw(4), draw()]),
        (ops.gru_cell, [draw(3), draw(3), draw()]),
        (ops.gru_cell_backward, [draw(), draw(3), draw(3), draw()]),
    ]
    for call, tensors in calls:
        wanted, got = call(*tensors), call(*(t.to("cuda") for t in tensors))
        pairs = zip(got, wanted, strict=True) if isinstance(wanted, tuple) else [(got, wanted)]
        for a, b in pairs:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a.cpu().double().numpy(), b.double().numpy(), rtol=0, atol=4 * TOLERANCE[dtype])


def results(model: Any, device: str, arrays: list[Any], arguments: Callable[..., Any]) -> list[Any]:
    """The output and, where atled-autograd is installed, all gradients."""
    model.to(device)
    inputs, kwargs = arguments(*(at.from_numpy(a).to(device) for a in arrays))
    output = model(*inputs, **kwargs)
    output = output[0] if isinstance(output, tuple) and not isinstance(output, rnn.PackedSequence) else output
    output = output.data if isinstance(output, rnn.PackedSequence) else output
    found = [at.Tensor(output).cpu().numpy()]
    if hasattr(at.Tensor, "backward"):
        model.zero_grad()
        (output * output).sum().backward()
        found += [p.grad.cpu().numpy() for p in model.parameters()]
    return found


def masked(x: at.Tensor) -> Any:
    causal = at.ones(x.shape[0], x.shape[0], device=x.device).triu(1).bool()
    padding = at.arange(x.shape[0], device=x.device) >= 4
    return (x, x, x), {"attn_mask": causal, "key_padding_mask": padding.expand(x.shape[1], -1)}


def packed(x: at.Tensor) -> Any:
    return (rnn.pack_padded_sequence(x, [3, 5, 2], enforce_sorted=False),), {}


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        pytest.param(lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True), masked, id="attention"),
        pytest.param(lambda: nn.Transformer(4, 2, 1, 1, 6, 0.0), lambda x: ((x, x[:3]), {}), id="transformer"),
        pytest.param(lambda: nn.RNN(4, 3, 2, bidirectional=True), lambda x: ((x,), {}), id="rnn"),
        pytest.param(lambda: nn.LSTM(4, 3, proj_size=2, bidirectional=True), packed, id="lstm"),
        pytest.param(lambda: nn.GRU(4, 3, batch_first=True), lambda x: ((x,), {}), id="gru"),
        pytest.param(lambda: nn.GroupNorm(3, 3), lambda x: ((x,), {}), id="group_norm"),
    ],
)
def test_layers(make: Callable[[], Any], arguments: Callable[..., Any]) -> None:
    at.manual_seed(0)
    model = make().double()
    arrays = [np.random.default_rng(0).standard_normal((5, 3, 4))]
    wanted, got = (results(model, device, arrays, arguments) for device in ("cpu", "cuda"))
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * max(1.0, np.abs(b).max()))
