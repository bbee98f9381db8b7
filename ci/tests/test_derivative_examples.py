"""The examples that differentiate more than once, against analysis: their parts, and the scripts as they are run."""

import importlib.util
import math
import sys
from types import ModuleType

import numpy as np
import pytest

import atled.core as at
from atled.autograd import gradcheck, gradgradcheck
from workspace import ROOT


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


physics, meta = example("physics_informed"), example("meta_learning")


def test_derivatives_at_each_point() -> None:
    x = at.linspace(-1, 2, 7, dtype=at.float64).unsqueeze(1)
    value, first, second = (t.detach().numpy() for t in physics.derivatives(lambda x: (x * 2).sin() * x, x))
    p = x.numpy()
    np.testing.assert_allclose(value, np.sin(2 * p) * p, rtol=1e-14)
    np.testing.assert_allclose(first, 2 * np.cos(2 * p) * p + np.sin(2 * p), rtol=1e-14)
    np.testing.assert_allclose(second, -4 * np.sin(2 * p) * p + 4 * np.cos(2 * p), rtol=1e-13)


def test_derivatives_of_a_network() -> None:
    """Of w2 tanh(w1 x + b): w2 w1 (1 - t²) and -2 w2 w1² t (1 - t²)."""
    at.manual_seed(0)
    w1, b, w2 = (at.randn(1, 8, dtype=at.float64) for _ in range(3))
    x = at.linspace(0, 1, 5, dtype=at.float64).unsqueeze(1)
    _, first, second = physics.derivatives(lambda x: (x @ w1 + b).tanh() @ w2.T, x)
    t = np.tanh(x.numpy() @ w1.numpy() + b.numpy())
    np.testing.assert_allclose(first.detach().numpy(), ((1 - t * t) * w1.numpy()) @ w2.numpy().T, rtol=1e-12)
    curve = -2 * t * (1 - t * t) * w1.numpy() ** 2
    np.testing.assert_allclose(second.detach().numpy(), curve @ w2.numpy().T, rtol=1e-12)


def test_a_loss_with_second_derivatives_in_it_has_right_gradients() -> None:
    at.manual_seed(1)
    w1, b, w2 = ((at.randn(1, 3, dtype=at.float64)).requires_grad_() for _ in range(3))
    x = at.linspace(0, math.pi, 4, dtype=at.float64).unsqueeze(1)

    def loss(w1: at.Tensor, b: at.Tensor, w2: at.Tensor) -> at.Tensor:
        return physics.residual(lambda x: (x @ w1 + b).tanh() @ w2.T, x)  # type: ignore[no-any-return]

    assert gradcheck(loss, (w1, b, w2)) and gradgradcheck(loss, (w1, b, w2))


def test_the_equation_is_solved() -> None:
    assert physics.distance(physics.solve(400, 0.01, 0)) < physics.WANTED


def test_the_gradient_through_two_steps_of_descent() -> None:
    """Of ½(w - c)ᵀA(w - c), two steps give w2 - c = (1 - rA)²(w0 - c): linear in w0, and quadratic in the rate r."""
    rng = np.random.default_rng(0)
    root, c, w0, wanted = rng.standard_normal((3, 3)), *rng.standard_normal((3, 3))
    a, r = root @ root.T, 0.07
    start, rate = (at.asarray(v).requires_grad_() for v in (w0, np.array(r)))
    matrix, center = at.asarray(a), at.asarray(c)
    (w2,) = meta.adapt(lambda p: 0.5 * (p[0] - center) @ matrix @ (p[0] - center), [start], [rate])
    outer = 0.5 * ((w2 - at.asarray(wanted)) ** 2).sum()
    outer.backward()
    step = np.eye(3) - r * a
    end = c + step @ step @ (w0 - c)
    np.testing.assert_allclose(w2.detach().numpy(), end, rtol=1e-12)
    np.testing.assert_allclose(start.grad.numpy(), step @ step @ (end - wanted), rtol=1e-11)
    np.testing.assert_allclose(rate.grad.numpy(), (end - wanted) @ (-2 * a @ step @ (w0 - c)), rtol=1e-11)


def test_learning_to_learn() -> None:
    before, after = meta.learn(150, 4, 0)
    assert after < before / 2


@pytest.mark.parametrize("name", ["physics_informed", "meta_learning"])
def test_the_scripts_say_how_it_went(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--steps", "400"])
    with pytest.raises(SystemExit) as end:
        sys.modules[name].main()  # type: ignore[attr-defined]
    assert end.value.code == 0 and len(capsys.readouterr().out.splitlines()) == 11
