"""Lazy layers become what they would have been, at their first input or state dict."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn

RNG = np.random.default_rng(9)

# A lazy layer's name, its arguments, and the shape of an input of three features.
LAYERS: list[tuple[str, tuple[Any, ...], tuple[int, ...]]] = [
    ("Linear", (4,), (2, 3)),
    ("Conv1d", (4, 3), (2, 3, 8)),
    ("Conv2d", (6, 3, 2, "valid", 1, 3), (2, 3, 8, 8)),
    ("Conv3d", (4, 2), (3, 4, 4, 4)),
    ("ConvTranspose1d", (4, 3), (2, 3, 8)),
    ("ConvTranspose2d", (6, 3, 2, 1, 1, 3), (2, 3, 4, 4)),
    ("ConvTranspose3d", (4, 2), (1, 3, 2, 2, 2)),
    ("BatchNorm1d", (), (4, 3)),
    ("BatchNorm2d", (1e-3,), (2, 3, 4, 4)),
    ("BatchNorm3d", (), (2, 3, 2, 2, 2)),
    ("InstanceNorm1d", (), (2, 3, 4)),
    ("InstanceNorm2d", (), (3, 4, 4)),
    ("InstanceNorm3d", (), (2, 3, 2, 2, 2)),
]


@pytest.mark.parametrize(("name", "args", "shape"), LAYERS, ids=[name for name, *_ in LAYERS])
def test_lazy_layers(name: str, args: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    kind = getattr(nn, name)
    lazy, eager = getattr(nn, f"Lazy{name}")(*args), kind(3, *args)
    if "Instance" in name:
        eager = kind(3, affine=True, track_running_stats=True)
    assert isinstance(lazy, kind) and list(lazy.state_dict()) == list(eager.state_dict())
    assert lazy.has_uninitialized_params()
    before = list(lazy.parameters())
    assert all(isinstance(p, nn.UninitializedParameter) for p in before)
    x = at.from_numpy(RNG.standard_normal(shape).astype(np.float32))
    # From a state dict, before there was any input.
    loaded = copy.deepcopy(lazy)
    loaded.load_state_dict(eager.state_dict())
    np.testing.assert_array_equal(loaded(x).numpy(force=True), eager(x).numpy(force=True))
    assert type(loaded) is kind and repr(loaded) == repr(eager)
    # From the input.
    lazy(x)
    assert type(lazy) is kind and repr(lazy) == repr(eager)
    assert all(type(p) is nn.Parameter and p is q for p, q in zip(lazy.parameters(), before, strict=True))
    for key, value in eager.state_dict().items():
        assert lazy.state_dict()[key].shape == value.shape
    if "Norm" not in name:
        assert at.Tensor(lazy.weight).abs().amax().item() > 0
    lazy.load_state_dict(eager.state_dict())
    lazy.eval(), eager.eval()
    np.testing.assert_array_equal(lazy(x).numpy(force=True), eager(x).numpy(force=True))


def test_lazy_layers_move_copy_and_travel_before_their_first_input() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2)).double()
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        again.load_state_dict(model.state_dict())  # of no shapes: nothing comes of it
        y = again(at.ones(2, 3, 5, 5, dtype=at.float64))
        assert y.shape == (2, 2) and y.dtype == at.float64
        assert again[1].running_mean.shape == (4,) and again[1].running_mean.dtype == at.float64
    assert model[0].has_uninitialized_params()


def test_an_optimizer_may_have_the_parameters_before() -> None:
    optim = pytest.importorskip("atled.optim")
    pytest.importorskip("atled.autograd")
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = at.from_numpy(RNG.standard_normal((8, 3)).astype(np.float32))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = ((model(x) - 1) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_errors_of_lazy_layers() -> None:
    with pytest.raises(at.ShapeError, match="LazyConv2d: expected input with channels"):
        nn.LazyConv2d(4, 3)(at.ones(3))
    with pytest.raises(at.ShapeError, match="LazyConv2d: expected input with channels, got .2, 3."):
        nn.LazyConv2d(4, 3)(at.ones(2, 3))
    with pytest.raises(at.ShapeError, match="LazyLinear: expected input with features, got ().."):
        nn.LazyLinear(4)(at.ones(()))
    loaded = nn.LazyLinear(4)
    loaded.load_state_dict(nn.Linear(3, 4).state_dict())
    with pytest.raises(at.ShapeError, match="fits weight of shape .4, 3., got .2, 5."):
        loaded(at.ones(2, 5))
    assert loaded(at.ones(2, 3)).shape == (2, 4) and loaded.in_features == 3
    for fill in (nn.init.ones_, nn.init.normal_, nn.init.uniform_, nn.init.trunc_normal_, nn.init.xavier_normal_):
        with pytest.raises(at.ArgumentError, match="got an UninitializedParameter; run the lazy layer"):
            fill(nn.LazyLinear(4).weight)
    with pytest.raises(at.InvalidValueError, match="groups to divide"):
        nn.LazyConv2d(4, 1, groups=2)(at.ones(1, 3, 2, 2))
    with pytest.raises(nn.StateDictError, match="size mismatch for weight"):
        nn.Linear(3, 4).load_state_dict(nn.LazyLinear(4).state_dict())
