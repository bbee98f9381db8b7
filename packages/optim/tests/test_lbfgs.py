"""L-BFGS: PyTorch's numbers, what its line search promises, and problems with known ends."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import optim
from atled.core import Tensor
from atled.optim._lbfgs import _Point, strong_wolfe

pytest.importorskip("atled.autograd")

# After each of three calls of step, for the problem below, PyTorch 2.13 in float64: the loss that step gives, the
# parameters, and how often it called the closure.
GOLDEN: list[tuple[dict[str, Any], list[tuple[list[float], int]]]] = [
    (
        {},
        [
            ([1.203125, -2.02118e-07, 7.0211e-08, -7.75393e-07], 11),
            ([1e-12, -2.02118e-07, 7.0211e-08, -7.75393e-07], 1),
        ],
    ),
    (
        {"lr": 0.5, "max_iter": 3, "history_size": 2},
        [
            ([1.203125, 0.346738045764, -0.620503928522, 0.392002323829], 3),
            ([0.33692137877, 0.252383399521, -0.296121148937, 0.315221133874], 3),
            ([0.091431419315, 0.17203078182, -0.075832199589, 0.155523596637], 3),
        ],
    ),
    (
        {"line_search_fn": "strong_wolfe", "max_iter": 4},
        [
            ([1.203125, 0.296396006381, -0.154789327668, 0.318050607533], 5),
            ([0.069411104152, -8.6099657e-05, 0.000242759991, -9.4144407e-05], 5),
            ([4.5638e-08, -2.02118e-07, 7.0211e-08, -7.75393e-07], 3),
        ],
    ),
    (
        {"line_search_fn": "strong_wolfe", "max_eval": 3},
        [
            ([1.203125, 0.325809891651, -0.420832855438, 0.408760818997], 3),
            ([0.177441634413, 0.296396006381, -0.154789327668, 0.318050607533], 3),
            ([0.069411104152, 0.006755104932, 0.000673912946, 0.015235989677], 3),
        ],
    ),
]


def start() -> list[Tensor]:
    return [at.tensor(x, dtype=at.float64).requires_grad_() for x in ([0.5, -1.0], 0.25)]


def problem(params: list[Tensor], calls: list[int]) -> Callable[[], Tensor]:
    a, b = params

    def closure() -> Tensor:
        calls[0] += 1
        for param in params:
            param.grad = None
        loss: Tensor = (a**4).sum() / 4 + (a * a).sum() + a[0] * a[1] + (b - a[0]) ** 2 * 3
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize(("settings", "expected"), GOLDEN)
def test_golden(settings: dict[str, Any], expected: list[tuple[list[float], int]]) -> None:
    params = start()
    optimizer = optim.LBFGS(params, **settings)
    for numbers, count in expected:
        calls = [0]
        loss = optimizer.step(problem(params, calls))
        found = [loss.item(), *params[0].tolist(), params[1].item()]
        np.testing.assert_allclose(found, numbers, rtol=0, atol=2e-12)
        assert calls == [count]


def test_rosenbrocks_valley() -> None:
    x = at.tensor([-1.2, 1.0, -0.5, 2.0], dtype=at.float64).requires_grad_()
    optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=100)

    def closure() -> Tensor:
        x.grad = None
        loss: Tensor = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    np.testing.assert_allclose(x.detach().numpy(), 1, atol=1e-4)


def test_a_loss_without_a_minimum_ends_in_no_error() -> None:
    x = at.tensor([1.0, 2.0], dtype=at.float64).requires_grad_()
    optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=30)

    def closure() -> Tensor:
        x.grad = None
        loss: Tensor = -(x**4).sum()
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(3)]
    assert losses[0] == -17 and not losses[-1] > -1e300


def test_a_quadratic_is_solved() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((5, 5))
    matrix, goal = root @ root.T + np.eye(5), rng.standard_normal(5)
    x, a, b = at.zeros(5, dtype=at.float64).requires_grad_(), at.asarray(matrix), at.asarray(goal)
    optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=25, tolerance_change=1e-14)

    def closure() -> Tensor:
        x.grad = None
        loss: Tensor = x @ (a @ x) / 2 - b @ x
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(x.detach().numpy(), np.linalg.solve(matrix, goal), rtol=1e-6)


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_state_resumes(line_search_fn: str | None) -> None:
    """A copy of the state in a new optimizer goes on as the old one would have."""
    settings: dict[str, Any] = {"lr": 0.3, "max_iter": 2, "line_search_fn": line_search_fn}
    whole = start()
    optimizer = optim.LBFGS(whole, **settings)
    for _ in range(2):
        optimizer.step(problem(whole, [0]))
    resumed = [param.detach().clone().requires_grad_() for param in whole]
    other = optim.LBFGS(resumed, **settings)
    state = optimizer.state_dict()
    assert set(state["state"]) == {0}
    keys = {
        "func_evals",
        "n_iter",
        "al",
        "d",
        "t",
        "old_dirs",
        "old_stps",
        "ro",
        "H_diag",
        "prev_flat_grad",
        "prev_loss",
    }
    assert set(state["state"][0]) == keys
    other.load_state_dict(state)
    for params, each in ((whole, optimizer), (resumed, other)):
        for _ in range(3):
            each.step(problem(params, [0]))
    assert [p.tolist() for p in resumed] == [p.tolist() for p in whole]


def test_parameters_without_gradients_and_several_dtypes() -> None:
    used, unused = at.tensor([2.0]).requires_grad_(), at.tensor([1.0]).requires_grad_()
    optimizer = optim.LBFGS([used, unused], lr=0.5)

    def closure() -> Tensor:
        used.grad = None
        loss: Tensor = (used**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert abs(used.item()) < 1e-3 and unused.item() == 1.0


@pytest.mark.parametrize("t", [0.01, 1.0, 30.0])
@pytest.mark.parametrize(
    "curve",
    [
        (lambda x: (x - 2) ** 2, lambda x: 2 * (x - 2)),
        (lambda x: x**4 / 4 - x**3 - x, lambda x: x**3 - 3 * x**2 - 1),
        (lambda x: -x / (x**2 + 2), lambda x: (x**2 - 2) / (x**2 + 2) ** 2),  # Moré & Thuente 1994, function 1
    ],
)
def test_strong_wolfe_conditions(curve: tuple[Callable[[float], float], Callable[[float], float]], t: float) -> None:
    loss, slope = curve
    tried: list[float] = []

    def at_distance(x: float) -> _Point:
        tried.append(x)
        return _Point(x, loss(x), at.tensor(slope(x)), slope(x))

    origin = _Point(0.0, loss(0.0), at.tensor(slope(0.0)), slope(0.0))
    found = strong_wolfe(at_distance, origin, t, 25, 1e-9)
    assert found.loss <= origin.loss + 1e-4 * found.t * origin.slope
    assert abs(found.slope) <= 0.9 * abs(origin.slope)
    assert found.t in tried and len(tried) <= 10


def test_a_search_that_may_not_try_again() -> None:
    origin = _Point(0.0, 1.0, at.tensor(-1.0), -1.0)
    assert strong_wolfe(lambda t: _Point(t, 5.0, at.tensor(9.0), 9.0), origin, 1.0, 0, 1e-9) is origin
    flat = strong_wolfe(lambda t: _Point(t, 1.0, at.tensor(-1.0), -1.0), origin, 1.0, 3, 1e-9)
    assert flat.loss == 1.0


def test_errors() -> None:
    x, y = at.zeros(1), at.zeros(1)
    with pytest.raises(at.InvalidValueError, match="expected one group of parameters, got another"):
        optim.LBFGS([{"params": [x]}, {"params": [y]}])
    with pytest.raises(at.InvalidValueError, match="expected line_search_fn None or 'strong_wolfe', got 'armijo'"):
        optim.LBFGS([x], line_search_fn="armijo")
    with pytest.raises(at.InvalidValueError, match="expected lr at least 0"):
        optim.LBFGS([x], lr=-1)
    with pytest.raises(at.InvalidValueError, match="expected history_size at least 1, got 0"):
        optim.LBFGS([x], history_size=0)
