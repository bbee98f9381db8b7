"""Dual tensors: tangents against analysis, with the tape and the transforms around them, and what is refused."""

import threading
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.autograd import Function, forward_ad, grad, no_grad
from atled.autograd.forward_ad import dual_level, enter_dual_level, exit_dual_level, make_dual, unpack_dual
from atled.autograd.func import jvp, vmap

RNG = np.random.default_rng(7)
A, X, V = RNG.standard_normal((3, 4)), RNG.standard_normal(4), RNG.standard_normal(4)


def f64(values: Any) -> at.Tensor:
    return at.tensor(values, dtype=at.float64)


def same(tensor: Any, expected: Any) -> None:
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=1e-12)


def test_a_tangent_goes_along() -> None:
    x, v = f64(X), f64(V)
    with dual_level():
        dual = make_dual(x, v)
        assert dual.shape == (4,) and unpack_dual(dual).tangent.tolist() == V.tolist()
        y = at.tanh(f64(A) @ dual)
        primal, tangent = unpack_dual(y)
        assert unpack_dual(x) == (x, None)
    same(primal, np.tanh(A @ X))
    same(tangent, (1 - np.tanh(A @ X) ** 2) * (A @ V))
    assert not primal.requires_grad and unpack_dual(x).primal is x


def test_changes_in_place_and_views_carry_it() -> None:
    with dual_level():
        x = make_dual(f64(X), f64(V)).clone()
        x[1:3].mul_(x[:2])
        same(unpack_dual(x).tangent, [V[0], V[1] * X[0] + X[1] * V[0], V[2] * X[1] + X[2] * V[1], V[3]])
        out = f64(np.zeros(4))
        with pytest.raises(at.NotImplementedOpError, match="out= cannot be used"):
            at.add(x, x, out=out)


def test_tangents_are_differentiated_backward() -> None:
    x, v = f64(X).requires_grad_(), f64(V).requires_grad_()
    with dual_level():
        tangent: Any = unpack_dual((make_dual(x, v) ** 3).sum()).tangent
    same(tangent, (3 * X**2 * V).sum())
    tangent.backward()
    same(x.grad, 6 * X * V)
    same(v.grad, 3 * X**2)


def test_a_gradient_has_a_tangent() -> None:
    with dual_level():
        x = make_dual(f64(X), f64(V)).requires_grad_()
        (gradient,) = grad(((f64(A) @ x) ** 3).sum(), [x])
        value, tangent = unpack_dual(gradient)
    same(value, 3 * (A @ X) ** 2 @ A)
    same(tangent, A.T @ (6 * (A @ X) * (A @ V)))


def test_levels_nest_with_each_other_and_with_transforms() -> None:
    with dual_level() as outer:
        x = make_dual(f64(X), f64(V))
        with dual_level() as inner:
            y = make_dual(x, f64(np.ones(4))) ** 4
            assert unpack_dual(unpack_dual(y).primal, level=outer).tangent is not None
            same(unpack_dual(unpack_dual(y, level=inner).tangent, level=outer).tangent, 12 * X**2 * V)
        _, slope = jvp(lambda t: t**4, (x,), (f64(np.ones(4)),))
        same(unpack_dual(slope).tangent, 12 * X**2 * V)
        rows = vmap(lambda row: (row * x).sum())(f64(A))
        same(unpack_dual(rows).tangent, A @ V)

    def inside(row: at.Tensor) -> at.Tensor:
        with dual_level():
            found = unpack_dual((make_dual(row, f64(V)) ** 2).sum()).tangent
        assert found is not None
        return found

    same(vmap(inside)(f64(A)), 2 * A @ V)


def test_no_grad_leaves_tangents_alone() -> None:
    with no_grad(), dual_level():
        same(unpack_dual(at.sin(make_dual(f64(X), f64(V)))).tangent, np.cos(X) * V)


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
        ctx.save_for_forward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
        raise AssertionError("its own jvp is there")

    @staticmethod
    def jvp(ctx: Any, t: at.Tensor) -> at.Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x * x * t


def test_a_function_of_ones_own() -> None:
    with dual_level():
        same(unpack_dual(Cube.apply(make_dual(f64(X), f64(V)))).tangent, 3 * X**2 * V)


def test_parameters_of_a_module() -> None:
    nn = pytest.importorskip("atled.nn")
    layer = nn.Linear(4, 3).double()
    weight, move = layer.weight.detach().clone(), f64(A)
    with dual_level():
        del layer.weight
        layer.weight = make_dual(weight, move)
        same(unpack_dual(layer(f64(X))).tangent, A @ X)


def test_a_level_that_has_ended() -> None:
    @dual_level()
    def run() -> at.Tensor:
        return make_dual(f64(X), f64(V)) * 2

    for _ in range(2):
        kept = run()
        primal, tangent = unpack_dual(kept)
        assert tangent is None
        same(primal + 1, 2 * X + 1)
        with dual_level():
            assert unpack_dual(kept).tangent is None
        with pytest.raises(at.AutogradError, match="kept from one that has ended"):
            kept + 1
    with pytest.raises(ZeroDivisionError), dual_level():
        _ = 1 / 0
    with pytest.raises(
        at.OperationError, match="make_dual: expected a level that was entered on this thread, got none"
    ):
        make_dual(f64(X), f64(V))


def test_levels_are_a_threads_own() -> None:
    errors: list[Exception] = []

    def other() -> None:
        try:
            make_dual(f64(X), f64(V))
        except at.OperationError as error:
            errors.append(error)

    with dual_level():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(errors) == 1


def test_what_is_refused() -> None:
    x, v = f64(X), f64(V)
    with pytest.raises(at.OperationError, match="exit_dual_level: expected a level that was entered"):
        exit_dual_level()
    with dual_level() as level:
        for call, error, message in [
            (lambda: make_dual(x, f64(A)), at.ShapeError, r"make_dual: expected a tangent of shape \(4,\)"),
            (lambda: make_dual(x, v.float()), at.ShapeError, "got .* and atled.float32"),
            (
                lambda: make_dual(at.arange(4), v),
                at.DTypeError,
                "a tensor to be floating-point or complex, got atled.int64",
            ),
            (lambda: make_dual(x, at.arange(4)), at.DTypeError, "a tangent to be floating-point or complex"),
            (lambda: make_dual(make_dual(x, v), v), at.InvalidValueError, "a tensor without a tangent of level 1"),
            (lambda: make_dual(x, make_dual(x, v)), at.InvalidValueError, "a tangent without a tangent of level 1"),
            (
                lambda: vmap(lambda t: make_dual(t, t))(x),
                at.InvalidValueError,
                "got one of level 2; .* inside of a vmap",
            ),
            (lambda: make_dual(x, v, level=7), at.InvalidValueError, "that enter_dual_level.. answered, got 7"),
            (lambda: unpack_dual(x, level=7), at.InvalidValueError, "got 7"),
            (lambda: make_dual(x, 1.0), at.ArgumentError, "expected tangent to be Tensor, got 1.0"),  # type: ignore[arg-type]
            (
                lambda: vmap(lambda t: exit_dual_level())(x),
                at.OperationError,
                "outside of vmap and jvp that began in it",
            ),
        ]:
            with pytest.raises(error, match=message):
                call()
        inner = enter_dual_level()
        with pytest.raises(at.OperationError, match="expected the level that was entered last"):
            exit_dual_level(level=level)
        exit_dual_level(level=inner)
        same(unpack_dual(make_dual(x, v) * 2).tangent, 2 * V)
    assert forward_ad._entered.levels == []
