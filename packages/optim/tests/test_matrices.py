"""Adafactor and Muon against NumPy."""

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import optim

RNG = np.random.default_rng(0)


def adafactor(
    p: np.ndarray,
    grads: list[np.ndarray],
    lr: float = 1e-2,
    beta2_decay: float = -0.8,
    eps: tuple[float | None, float] = (None, 1e-3),
    d: float = 1.0,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> np.ndarray:
    """Shazeer & Stern 2018, algorithm 5, with the mean square whole."""
    least, smallest = eps
    least = float(np.finfo(np.float64).eps) if least is None else least
    row: Any = 0.0
    column: Any = 0.0
    for t, g in enumerate(grads, 1):
        g = -g if maximize else g
        fresh = t**beta2_decay
        size = min(lr, t**-0.5) * max(smallest, float(np.sqrt(np.mean(p**2))))
        if g.ndim > 1:
            row = (1 - fresh) * row + fresh * (g**2).mean(axis=-1, keepdims=True)
            column = (1 - fresh) * column + fresh * (g**2).mean(axis=-2, keepdims=True)
            square = row * column / np.maximum(row.mean(axis=-2, keepdims=True), least)
        else:
            row = (1 - fresh) * row + fresh * g**2
            square = row
        update = g / np.sqrt(np.maximum(square, least**2))
        p = p * (1 - lr * weight_decay) - size * update / max(1.0, float(np.sqrt(np.mean(update**2))) / d)
    return p


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize(
    "settings",
    [{}, {"lr": 0.9, "beta2_decay": -0.5, "eps": (0.3, 0.5), "d": 1.5, "weight_decay": 0.1, "maximize": True}],
)
def test_adafactor(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    start, grads = RNG.standard_normal(shape), [RNG.standard_normal(shape) * 2 for _ in range(6)]
    param = at.tensor(start, dtype=at.float64)
    optimizer = optim.Adafactor([param], **settings)
    for i, grad in enumerate(grads):
        optimizer.step(grads=[at.tensor(grad, dtype=at.float64)])
        if i == 2:
            state = optimizer.state_dict()
            optimizer = optim.Adafactor([param], **settings)
            optimizer.load_state_dict(state)
    np.testing.assert_allclose(param.numpy(), adafactor(start, grads, **settings), rtol=1e-12, atol=1e-14)
    keys = {"step", "row_var", "col_var"} if len(shape) > 1 else {"step", "variance"}
    assert set(optimizer.state_dict()["state"][0]) == keys


def test_adafactor_keeps_rows_and_columns_only() -> None:
    param = at.ones(2, 30, 40)
    optimizer = optim.Adafactor([param])
    optimizer.step(grads=[param])
    assert optimizer.state[param]["row_var"].shape == (2, 30, 1)
    assert optimizer.state[param]["col_var"].shape == (2, 1, 40)


def muon(p: np.ndarray, grads: list[np.ndarray], nesterov: bool, steps: int, rate: float) -> np.ndarray:
    """With lr 0.1, weight decay 0.1 and momentum 0.9, in float64."""
    b = np.zeros_like(p)
    for g in grads:
        b = 0.9 * b + 0.1 * g
        x = 0.9 * b + 0.1 * g if nesterov else b
        x = x / np.linalg.norm(x)
        for _ in range(steps):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        p = p * (1 - 0.1 * 0.1) - rate * x
    return p


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3)])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("adjust_lr_fn", [None, "original", "match_rms_adamw"])
def test_muon(shape: tuple[int, int], nesterov: bool, adjust_lr_fn: str | None) -> None:
    start, grads = RNG.standard_normal(shape), [RNG.standard_normal(shape) for _ in range(3)]
    param = at.tensor(start)
    optimizer = optim.Muon([param], 0.1, 0.1, 0.9, nesterov, ns_steps=2, adjust_lr_fn=adjust_lr_fn)
    for grad in grads:
        optimizer.step(grads=[at.tensor(grad)])
    rows, columns = shape
    factor = 0.2 * max(shape) ** 0.5 if adjust_lr_fn == "match_rms_adamw" else max(1.0, rows / columns) ** 0.5
    expected = muon(start, grads, nesterov, 2, 0.1 * factor)
    # The update is computed in bfloat16, of 8 bits.
    np.testing.assert_allclose(param.numpy(), expected, atol=3 * 0.1 * factor * 0.03)
    assert set(optimizer.state_dict()["state"][0]) == {"momentum_buffer"}


def test_muons_update_is_nearly_orthogonal() -> None:
    grad = RNG.standard_normal((20, 30)) @ np.diag(np.linspace(0.2, 5.0, 30))
    param = at.zeros(20, 30)
    optim.Muon([param], lr=1.0).step(grads=[at.tensor(grad, dtype=at.float32)])
    values = np.linalg.svd(param.numpy(), compute_uv=False)
    assert values.min() > 0.5 and values.max() < 1.4


@pytest.mark.parametrize("make", [optim.Adafactor, optim.Muon])
def test_bad_gradients_change_nothing(make: Any) -> None:
    param = at.ones(2, 3)
    optimizer = make([param])
    message = rf"{make.__name__}: expected a gradient of shape \(2, 3\) as its parameter, got \(1, 3\)"
    with pytest.raises(at.ShapeError, match=message):
        optimizer.step(grads=[at.ones(1, 3)])
    with pytest.raises(at.DTypeError, match="of dtype float32 as its parameter, got float64"):
        optimizer.step(grads=[at.ones(2, 3, dtype=at.float64)])
    assert param.tolist() == [[1.0] * 3] * 2 and not optimizer.state_dict()["state"]


@pytest.mark.parametrize("make", [optim.Adafactor, optim.Muon])
def test_matrices_without_elements(make: Any) -> None:
    for shape in ((0, 3), (3, 0)):
        make([at.zeros(shape)]).step(grads=[at.zeros(shape)])


def test_errors() -> None:
    matrix = at.zeros(2, 2)
    for make, message in [
        (lambda: optim.Adafactor([matrix], beta2_decay=0.5), "expected beta2_decay at most 0, got 0.5"),
        (lambda: optim.Adafactor([matrix], eps=(-1.0, 0.1)), r"expected eps at least 0, got \(-1.0, 0.1\)"),
        (lambda: optim.Adafactor([matrix], d=0.5), "expected d at least 1, got 0.5"),
        (lambda: optim.Muon([at.zeros(3)]), r"expected parameters that are matrices, got one of shape \(3,\)"),
        (lambda: optim.Muon([matrix], ns_steps=100), r"expected ns_steps in \[0, 100\), got 100"),
        (lambda: optim.Muon([matrix], ns_coefficients=(1.0, 2.0)), "expected ns_coefficients to be three numbers"),
        (lambda: optim.Muon([matrix], adjust_lr_fn="spectral"), "or 'match_rms_adamw', got 'spectral'"),
        (lambda: optim.Muon([matrix], momentum=-1.0), "expected momentum at least 0"),
    ]:
        with pytest.raises(at.InvalidValueError, match=message):
            make()


@pytest.mark.parametrize("name", ["Adafactor", "Muon"])
def test_complex_parameters_are_refused(name: str) -> None:
    optimizer = getattr(optim, name)([at.ones(2, 3, dtype=at.complex64)])
    with pytest.raises(at.DTypeError, match=f"{name}: expected real parameters, got complex64"):
        optimizer.step(grads=[at.ones(2, 3, dtype=at.complex64)])
