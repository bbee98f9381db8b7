"""Recording, backward passes and small training steps: what differentiation costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import atled.core as at
from atled import nn, optim
from benchmarks.rows.row import Row

WIDTH = 16


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


def _mlp(nn_: Any) -> Any:
    linear = nn_.Linear
    return nn_.Sequential(linear(WIDTH, WIDTH), nn_.ReLU(), linear(WIDTH, WIDTH), nn_.ReLU(), linear(WIDTH, WIDTH))


def _training(name: str, **options: float) -> Row:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((WIDTH, WIDTH), dtype=np.float32)
    target = rng.integers(0, WIDTH, WIDTH)
    ours, theirs = _mlp(nn), _mlp(torch.nn)
    ours.load_state_dict({key: at.asarray(value.numpy()) for key, value in theirs.state_dict().items()})
    our_optimizer = getattr(optim, name)(ours.parameters(), **options)
    their_optimizer = getattr(torch.optim, name)(theirs.parameters(), **options)
    return Row(
        f"MLP training step, 16 wide, {name}",
        {
            "atled": _step(ours, nn.CrossEntropyLoss(), our_optimizer, at.asarray(data), at.asarray(target)),
            "torch": _step(
                theirs, torch.nn.CrossEntropyLoss(), their_optimizer, torch.from_numpy(data), torch.from_numpy(target)
            ),
        },
        {"torch": 0.25},
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
        _training("SGD", lr=1e-3, momentum=0.9),
        _training("AdamW", lr=1e-3),
    ]
