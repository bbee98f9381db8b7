"""Jacobians, Hessians and their products against what analysis says."""

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.autograd import gradcheck
from atled.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp

STRATEGIES = ["reverse-mode", "forward-mode"]


def tensor(values: Any, dtype: at.dtype = at.float64) -> at.Tensor:
    return at.tensor(values, dtype=dtype)


def same(got: at.Tensor, expected: Any) -> None:
    assert not got.requires_grad
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-13, atol=1e-13)


A = np.array([[1.0, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("vectorize", [False, True])
def test_jacobian(strategy: str, vectorize: bool) -> None:
    x = tensor([0.3, 0.7, -1.1])
    f = lambda x: (tensor(A) @ x).sin()  # noqa: E731
    expected = np.cos(A @ x.numpy())[:, None] * A
    same(jacobian(f, x, vectorize=vectorize, strategy=strategy), expected)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_of_several(strategy: str) -> None:
    x, y = tensor([[1.0, 2], [3, 4]]), tensor([0.5, 0.25])
    first, second = jacobian(lambda x, y: (x @ y, (x * x).sum()), (x, y), strategy=strategy)
    eye = np.eye(2)
    same(first[0], np.einsum("ai,b->aib", eye, y.numpy()))
    same(first[1], x.numpy())
    same(second[0], 2 * x.numpy())
    same(second[1], np.zeros(2))
    ((only,),) = jacobian(lambda x: (x.sum(),), (x,), strategy=strategy)
    same(only, np.ones((2, 2)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_of_complex_functions(strategy: str) -> None:
    z = tensor([1 + 2j, 3 - 1j], at.complex128)
    same(jacobian(lambda z: z * z * 1j, z, strategy=strategy), np.diag(2j * z.numpy()))
    x = tensor([1.0, 2])
    same(jacobian(lambda x: x * x * (1 + 2j), x, strategy=strategy), np.diag(2 * x.numpy() * (1 + 2j)))
    # d|z|² = Re⟨2z, dz⟩
    same(jacobian(lambda z: (z * z.conj()).real, z, strategy=strategy), np.diag(2 * z.numpy()))
    mixed, real = jacobian(lambda z, x: z * x, (z, x), strategy=strategy)
    same(mixed, np.diag(x.numpy()))
    same(real, np.diag(z.numpy()))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_where_nothing_depends(strategy: str) -> None:
    x = tensor([1.0, 2])
    same(jacobian(lambda x: at.ones(3, dtype=at.float64), x, strategy=strategy), np.zeros((3, 2)))
    same(jacobian(lambda x: x[:0], x, strategy=strategy), np.zeros((0, 2)))
    for name, f in (("output 0 of func", lambda x, y: at.ones(3)), ("input 1", lambda x, y: x.sin())):
        with pytest.raises(at.AutogradError, match=f"jacobian: expected .*{name}"):
            jacobian(f, (x, x), strict=True, strategy=strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobians_can_be_differentiated(strategy: str) -> None:
    x = tensor([0.3, 0.7]).requires_grad_()
    assert gradcheck(lambda x: jacobian(lambda y: (y * y.sin()).cumsum(0), x, create_graph=True, strategy=strategy), x)
    assert not jacobian(at.sin, x, strategy=strategy).requires_grad and x.grad is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hessian(strategy: str) -> None:
    x, y = tensor([1.0, 2]), tensor([3.0])
    f = lambda x, y: (x**3).sum() * y.sum() + (y**2).sum()  # noqa: E731
    (xx, xy), (yx, yy) = hessian(f, (x, y), outer_jacobian_strategy=strategy)
    same(xx, np.diag(6 * 3 * x.numpy()))
    same(xy, 3 * x.numpy()[:, None] ** 2)
    same(yx, 3 * x.numpy()[None] ** 2)
    same(yy, [[2.0]])
    same(hessian(lambda x: x.sum(), x, outer_jacobian_strategy=strategy), np.zeros((2, 2)))
    with pytest.raises(at.AutogradError, match="expected func's derivative to depend on input 0"):
        hessian(lambda x: x.sum(), x, strict=True)


def test_products() -> None:
    x, v, w = tensor([0.3, 0.7, -1.1]), tensor([1.0, -2, 3]), tensor([0.5, 2.0])
    f = lambda x: (tensor(A) @ x).sin()  # noqa: E731
    j = np.cos(A @ x.numpy())[:, None] * A
    output, product = vjp(f, x, w)
    same(output, np.sin(A @ x.numpy()))
    same(product, w.numpy() @ j)
    same(jvp(f, x, v)[1], j @ v.numpy())
    q = A.T @ A
    energy = lambda x: (x @ tensor(q) @ x) ** 2  # noqa: E731
    e, gradient = x.numpy() @ q @ x.numpy(), 2 * q @ x.numpy()
    h = 2 * np.outer(gradient, gradient) + 4 * e * q
    for function in (vhp, hvp):
        value, product = function(energy, x, v)
        same(value, e**2)
        np.testing.assert_allclose(product.numpy(), h @ v.numpy(), rtol=1e-12)


def test_products_of_tuples() -> None:
    x, y = tensor([1.0, 2]), tensor(3.0)
    (_first, _second), tangents = jvp(lambda x, y: (x * y, y * y), (x, y), (x * 0 + 1, y * 0 + 10))
    same(tangents[0], 3 + 10 * x.numpy())
    same(tangents[1], 60)
    _, (gx, gy) = vjp(lambda x, y: (x * y, y * y), (x, y), (x * 0 + 1, y * 0 + 10))
    same(gx, [3, 3])
    same(gy, 3 + 60)
    _, (hx, hy) = hvp(lambda x, y: (x * x).sum() * y, (x, y), (x * 0 + 1, y * 0 + 1))
    same(hx, 2 * 3 + 2 * x.numpy())
    same(hy, 6)


def test_products_of_complex_functions() -> None:
    z, v = tensor([1 + 2j, 3 - 1j], at.complex128), tensor([1 - 1j, 2j], at.complex128)
    f = lambda z: z * z * 1j  # noqa: E731
    same(jvp(f, z, v)[1], 2j * z.numpy() * v.numpy())
    same(vjp(f, z, v)[1], np.conj(2j * z.numpy()) * v.numpy())
    norm = lambda z: (z * z.conj()).real.sum()  # noqa: E731
    same(hvp(norm, z, v)[1], 2 * v.numpy())
    same(vhp(norm, z, v)[1], 2 * v.numpy())
    # Along v, |z|⁴ has the gradient 4|z|²z, which changes by 4(2 Re(conj(z)v) z + |z|²v).
    quartic = lambda z: ((z * z.conj()).real ** 2).sum()  # noqa: E731
    a, b = z.numpy(), v.numpy()
    expected = 4 * (2 * (a.conj() * b).real * a + abs(a) ** 2 * b)
    same(hvp(quartic, z, v)[1], expected)
    same(vhp(quartic, z, v)[1], expected)


@pytest.mark.parametrize("function", [vjp, jvp, vhp, hvp])
def test_products_can_be_differentiated(function: Any) -> None:
    x = tensor([0.3]).requires_grad_()
    assert gradcheck(lambda x: function(lambda y: (y**3).sum(), x, create_graph=True)[1], x)
    assert not function(lambda y: (y**3).sum(), x)[1].requires_grad


@pytest.mark.parametrize(("function", "name"), [(vjp, "output"), (jvp, "output"), (vhp, "output"), (hvp, "output")])
def test_strict_products(function: Any, name: str) -> None:
    x = tensor([0.3])
    with pytest.raises(at.AutogradError, match=f"{function.__name__}: expected {name} 0 of func to depend"):
        function(lambda y: at.ones((), dtype=at.float64), x, strict=True)
    same(function(lambda y: at.ones((1,), dtype=at.float64), x)[1], [0.0])


def test_what_is_refused() -> None:
    x = tensor([1.0, 2])
    z = tensor([1j], at.complex128)
    for error, match, call in (
        (at.ArgumentError, "jacobian: expected inputs to be a Tensor or a tuple", lambda: jacobian(at.sin, [x])),
        (at.ArgumentError, "expected the result of func to be a Tensor", lambda: jacobian(lambda x: 1.0, x)),
        (at.ArgumentError, "expected inputs 1 to be a Tensor, got float", lambda: vjp(at.add, (x, 1.0))),
        (at.InvalidValueError, "expected strategy to be one of", lambda: jacobian(at.sin, x, strategy="sideways")),
        (at.InvalidValueError, "got both", lambda: jacobian(at.sin, x, strict=True, vectorize=True)),
        (at.InvalidValueError, "vjp: expected v, got None", lambda: vjp(at.sin, x)),
        (at.InvalidValueError, "jvp: expected v, got None", lambda: jvp(at.sin, x)),
        (at.ShapeError, r"expected v 0 of shape \(2,\), got \(3,\)", lambda: vjp(at.sin, x, at.ones(3))),
        (at.InvalidValueError, "expected 1 tensors in v, got 2", lambda: jvp(at.sin, x, (x, x))),
        (at.ShapeError, "expected func to answer one real element", lambda: hessian(at.sin, x)),
        (at.ShapeError, "expected func to answer one real element", lambda: vhp(at.sin, z, z)),
        (at.DTypeError, "expected real inputs, got complex128", lambda: hessian(lambda z: z.real.sum(), z)),
    ):
        with pytest.raises(error, match=match):
            call()
