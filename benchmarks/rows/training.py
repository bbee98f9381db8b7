"""Recording, backward passes and small training steps: what differentiation costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import atled.core as at
from atled import nn, optim
from benchmarks.rows.row import Row

WIDTH, WIDE = 16, 512


def _chain(x: Any, scale: Any, shift: Any) -> Callable[[], object]:
    """Forward and backward through 20 multiplications, 20 additions and a sum."""

    def run() -> object:
        y = x
        for _ in range(20):
            y = y * scale + shift
        y.sum().backward()
        gradient, x.grad = x.grad, None
        return gradient

    return run


def _step(model: Any, loss: Any, optimizer: Any, data: Any, target: Any) -> Callable[[], object]:
    """One training step."""

    def run() -> object:
        optimizer.zero_grad()
        value = loss(model(data), target)
        value.backward()
        optimizer.step()
        return value

    return run


def _mlp(nn_: Any, width: int) -> Any:
    linear = nn_.Linear
    return nn_.Sequential(linear(width, width), nn_.ReLU(), linear(width, width), nn_.ReLU(), linear(width, width))


def _training(name: str, width: int, budget: float, **options: float) -> Row:
    rng = np.random.default_rng(0)
    batch = 16 if width == WIDTH else 128
    data = rng.standard_normal((batch, width), dtype=np.float32)
    target = rng.integers(0, width, batch)
    ours, theirs = _mlp(nn, width), _mlp(torch.nn, width)
    ours.load_state_dict({key: at.asarray(value.numpy()) for key, value in theirs.state_dict().items()})
    our_optimizer = getattr(optim, name)(ours.parameters(), **options)
    their_optimizer = getattr(torch.optim, name)(theirs.parameters(), **options)
    return Row(
        f"MLP training step, {width} wide, {name}",
        {
            "atled": _step(ours, nn.CrossEntropyLoss(), our_optimizer, at.asarray(data), at.asarray(target)),
            "torch": _step(
                theirs, torch.nn.CrossEntropyLoss(), their_optimizer, torch.from_numpy(data), torch.from_numpy(target)
            ),
        },
        {"torch": budget},
    )


def rows() -> list[Row]:
    """Add with recording, a chain of 41 ops forwards and backwards, MLP steps with SGD and AdamW."""
    vector = np.linspace(0.1, 0.8, 8, dtype=np.float32)
    a, t = at.asarray(vector).clone().requires_grad_(), torch.from_numpy(vector.copy()).requires_grad_()
    one, half = np.float32(1.01), np.float32(0.5)
    return [
        Row("tiny add, recorded", {"atled": lambda: a + a, "torch": lambda: t + t}, {"torch": 0.20}),
        Row(
            "chain of 41 ops, forward and backward",
            {
                "atled": _chain(a, at.asarray(one), at.asarray(half)),
                "torch": _chain(t, torch.tensor(one), torch.tensor(half)),
            },
            {"torch": 0.20},
        ),
        _training("SGD", WIDTH, 0.2, lr=1e-3, momentum=0.9),
        _training("AdamW", WIDTH, 0.2, lr=1e-3),
        _training("SGD", WIDE, 0.8, lr=1e-3, momentum=0.9),
    ]
