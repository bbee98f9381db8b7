"""Inference mode: what is made inside is marked, and nothing is recorded."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import func, functional, inference_mode, no_grad


def test_what_is_made_inside_is_marked() -> None:
    w = at.ones(2, requires_grad=True)
    plain = at.ones(2)
    with inference_mode():
        made = [w * 2, at.zeros(3), at.tensor([1.0]), at.from_numpy(np.ones(2)), w.clone(), at.cat([w, w]), plain.exp()]
        views = [w[0], plain.reshape(2, 1), plain.detach()]
        plain.add_(1)
        assert all(not t.requires_grad for t in made) and not autograd.is_grad_enabled()
    assert [t.is_inference() for t in made] == [True] * len(made)
    assert [t.is_inference() for t in (*views, plain, w)] == [False] * 5
    assert all(t[:1].is_inference() and t.detach().is_inference() for t in made)
    assert not (made[0] * 2).is_inference() and not made[0].clone().is_inference()
    assert plain.tolist() == [2, 2]


def test_outside_it_may_be_used_where_nothing_is_recorded_of_it() -> None:
    w = at.ones(2, requires_grad=True)
    with inference_mode():
        y = w * 2
    y.add_(1)
    assert y.tolist() == [3, 3]
    (w + y).sum().backward()  # an addition saves nothing
    assert w.grad.tolist() == [1, 1]
    with pytest.raises(at.AutogradError, match="^mul: expected a tensor that was made outside inference_mode"):
        w * y
    (w * y.clone()).sum().backward()
    assert w.grad.tolist() == [4, 4]


def test_leaves() -> None:
    with inference_mode():
        leaf = at.ones(2, requires_grad=True)
        assert leaf.requires_grad and not (leaf * 2).requires_grad
    with pytest.raises(at.AutogradError, match="^backward: expected a tensor that was made outside inference_mode"):
        leaf * 2
    with pytest.raises(at.AutogradError, match="^requires_grad_: expected a tensor that was made outside"):
        leaf.requires_grad_(False).requires_grad_()


def test_positions() -> None:
    w = at.ones(2, requires_grad=True)
    with inference_mode():
        assert autograd.is_inference_mode_enabled()
        with autograd.enable_grad():
            assert not (w * 2).requires_grad
        with inference_mode(False):
            assert not autograd.is_inference_mode_enabled()
            y = w * 2
            assert y.requires_grad and not y.is_inference()
        with autograd.no_grad(), inference_mode(mode=False):
            assert autograd.is_grad_enabled()
        assert (w * 2).is_inference()
    assert not autograd.is_inference_mode_enabled() and (w * 2).requires_grad


def test_decorators() -> None:
    w = at.ones(2, requires_grad=True)

    @inference_mode
    def bare() -> bool:
        return (w * 2).is_inference()

    @inference_mode()
    def called() -> bool:
        return (w * 2).is_inference()

    @inference_mode(mode=False)
    def off() -> bool:
        return (w * 2).requires_grad

    assert bare() and called() and off()
    with pytest.raises(ZeroDivisionError), inference_mode():
        1 // 0  # noqa: B018
    assert not autograd.is_inference_mode_enabled()


def test_it_belongs_to_the_thread() -> None:
    seen = []
    with inference_mode():
        thread = threading.Thread(target=lambda: seen.append(autograd.is_inference_mode_enabled()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_backward_of_a_graph_from_outside() -> None:
    w = at.ones(2, requires_grad=True)
    y = (w * w).sum()
    with inference_mode():
        y.backward()
    assert w.grad.tolist() == [2, 2]


def test_derivatives_in_inference_mode_are_refused_and_forward_mode_works() -> None:
    x = at.tensor([1.0, 2.0])

    def f(z: at.Tensor) -> at.Tensor:
        return (z * z).sum()

    calls: list[Callable[[], Any]] = [
        lambda: func.grad(f)(x),
        lambda: func.vmap(func.grad(f))(at.ones(2, 2)),
        lambda: func.linearize(f, x),
        lambda: functional.vjp(f, x),
        lambda: functional.jvp(f, x, x),
        lambda: functional.vhp(f, x, x),
        lambda: functional.hvp(f, x, x),
        lambda: functional.jacobian(f, x),
        lambda: functional.hessian(f, x),
        lambda: autograd.gradcheck(f, x.double().requires_grad_()),
        lambda: autograd.gradgradcheck(f, x.double().requires_grad_()),
    ]
    with inference_mode():
        for call in calls:
            with pytest.raises(at.AutogradError, match="outside inference_mode"):
                call()
        assert func.jvp(f, (x,), (x,))[1].item() == 10.0
    with no_grad():
        assert func.grad(f)(x).tolist() == [2.0, 4.0]
