"""Training needs atled-autograd; inference does not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn

WITHOUT_AUTOGRAD = """
from importlib import metadata


found = metadata.distributions
metadata.distributions = lambda **kw: (d for d in found(**kw) if d.metadata["Name"] != "atled-autograd")
import sys
sys.modules["atled.autograd"] = None
import atled.core as at
from atled import nn

model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3))
assert model.eval()(at.ones(2, 1, 8, 8)).shape == (2, 3)
model.requires_grad_(False).zero_grad()
assert "(0 trainable" in str(nn.summary(model, at.ones(1, 1, 8, 8)))
x = at.ones(3, 2, 4)
assert nn.Transformer(4, 2, 1, 1, 6)(x, x).shape == nn.GRU(4, 4)(nn.LSTM(4, 4)(x)[0])[0].shape == x.shape
assert nn.functional.gumbel_softmax(x, hard=True).sum().item() == 6
assert nn.utils.clip_grad_norm_(model.parameters(), 1.0).item() == 0
try:
    model(at.ones(2, 1, 8, 8)).sum().backward()
except AttributeError as error:
    assert "pip install atled-autograd" in str(error), error
else:
    raise AssertionError("backward without atled-autograd")
"""


def test_inference_without_autograd() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_AUTOGRAD], check=True)


def test_parameters_require_gradients_and_learn() -> None:
    pytest.importorskip("atled.autograd")
    at.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())
    x = at.from_numpy(np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32))
    y = (x[:, :1] * x[:, 1:]).clone()
    losses = []
    for _ in range(300):
        loss = nn.functional.mse_loss(model(x), y)
        model.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            at.Tensor(parameter).sub_(parameter.grad, alpha=0.1)
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_clipping() -> None:
    pytest.importorskip("atled.autograd")
    layer = nn.Linear(3, 4)
    (layer(at.ones(2, 3)).sum() * 10).backward()
    grads = np.concatenate([p.grad.numpy().ravel() for p in layer.parameters()])
    total = nn.utils.clip_grad_norm_(layer.parameters(), 1.5)
    np.testing.assert_allclose(total.item(), np.linalg.norm(grads), rtol=1e-6)
    clipped = np.concatenate([p.grad.numpy().ravel() for p in layer.parameters()])
    np.testing.assert_allclose(clipped, grads * 1.5 / np.linalg.norm(grads), rtol=1e-5)
    nn.utils.clip_grad_value_(layer.parameters(), 0.1)
    assert max(p.grad.numpy().max() for p in layer.parameters()) <= 0.1 + 1e-7
    assert nn.utils.get_total_norm([at.tensor([3.0, -7.0])], float("inf")).item() == 7
    half = at.tensor([300.0, 400.0], dtype=at.float16)  # whose squares are none
    assert nn.utils.get_total_norm([half]).item() == 500 and nn.utils.get_total_norm([half, half], 0).item() == 2


def test_frozen_parameters_have_no_gradient() -> None:
    pytest.importorskip("atled.autograd")
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    model(at.ones(1, 2)).sum().backward()
    assert model[0].weight.grad is None
    assert model[1].weight.grad is not None


def test_backward_hooks() -> None:
    pytest.importorskip("atled.autograd")
    rows = np.random.default_rng(0).standard_normal((4, 3)).astype("f")
    layer, seen = nn.Linear(3, 2), list[Any]()
    before = layer.register_full_backward_pre_hook(lambda module, out: (out[0] * 2,))

    def after(module: nn.Module, into: Any, out: Any) -> Any:
        seen.append((into, out))
        return None if into[0] is None else (into[0] * 3,)

    layer.register_full_backward_hook(after)
    x = at.tensor(rows, requires_grad=True)
    layer(x).sum().backward()
    ((into, out),) = seen
    W = layer.weight.detach().numpy()
    np.testing.assert_array_equal(out[0].numpy(), np.full((4, 2), 2))
    np.testing.assert_allclose(into[0].numpy(), np.full((4, 2), 2) @ W, rtol=1e-5)
    np.testing.assert_allclose(x.grad.numpy(), np.full((4, 2), 6) @ W, rtol=1e-5)
    np.testing.assert_allclose(layer.weight.grad.numpy(), np.tile(2 * rows.sum(0), (2, 1)), rtol=1e-5)
    before.remove()
    layer(x.detach()).sum().backward()  # nothing before the module is learnt
    assert seen[1][0] == (None,) and seen[1][1][0].sum().item() == 8
    with at.no_grad():
        layer(x)
    layer.register_full_backward_hook(lambda module, into, out: (None, None))
    with pytest.raises(at.ArgumentError, match="backward hook: expected None or 1 gradients, got 2"):
        layer(x).sum().backward()


def test_what_follows_a_hook_may_work_in_place() -> None:
    pytest.importorskip("atled.autograd")
    model, shapes = nn.Sequential(nn.Linear(3, 2), nn.ReLU(inplace=True)), list[object]()
    model[0].register_full_backward_hook(lambda module, into, out: shapes.append(out[0].shape))
    model(at.ones(4, 3)).sum().backward()
    assert shapes == [(4, 2)]
