"""Hooks for what calls save, and what is built on them."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import graph


def leaf(*values: float) -> at.Tensor:
    return at.tensor(list(values), dtype=at.float64, requires_grad=True)


def as_array() -> Any:
    return graph.saved_tensors_hooks(lambda t: t.numpy().copy(), lambda array: at.tensor(array, dtype=at.float64))


PROGRAMS: dict[str, Callable[[at.Tensor, at.Tensor], at.Tensor]] = {
    "arguments": lambda x, w: x * w,
    "results": lambda x, w: (x * w).exp().tanh(),
    "lists": lambda x, w: at.cat([x * w, w.exp()]) ** 2,
    "in place": lambda x, w: (x * 1).mul_(w).exp_(),
    "views in place": lambda x, w: (x * 1).unsqueeze_(0).mul_(w) ** 2,
    "assignment": lambda x, w: assigned(x * w, w),
    "einsum": lambda x, w: at.einsum("i,j->ij", x, w),
}


def assigned(y: at.Tensor, w: at.Tensor) -> at.Tensor:
    y[0] = w[1] * w[0]
    return y * y


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_of_two_orders_are_those_without_hooks(name: str) -> None:
    def run(hooks: bool) -> list[Any]:
        x, w = leaf(0.5, -1.5), leaf(1.25, 0.75)
        if hooks:
            with as_array():
                y = PROGRAMS[name](x, w)
        else:
            y = PROGRAMS[name](x, w)
        first = autograd.grad(y.sum(), (x, w), create_graph=True)
        second = autograd.grad(sum((g * g).sum() for g in first), (x, w), allow_unused=True)
        return [g if g is None else g.tolist() for g in (*first, *second)]

    assert run(True) == run(False)


def test_what_is_packed_and_when() -> None:
    log: list[Any] = []

    def pack(t: at.Tensor) -> at.Tensor:
        assert not t.requires_grad and not autograd.is_grad_enabled()
        log.append(("pack", t.tolist()))
        return t

    def unpack(t: at.Tensor) -> at.Tensor:
        log.append(("unpack", t.tolist()))
        return t

    x, w = leaf(2), leaf(3)
    with graph.saved_tensors_hooks(pack, unpack):
        y = (x * w).exp()
        x + w
    z = y * y
    assert log[:2] == [("pack", [2]), ("pack", [3])] or log[:2] == [("pack", [3]), ("pack", [2])]
    assert len(log) == 3
    del log[:]
    z.backward(retain_graph=True)
    assert [what for what, _ in log] == ["unpack"] * 3
    z.backward()
    assert len(log) == 6


def test_a_value_that_two_gradients_need_is_unpacked_once() -> None:
    packed: list[at.Tensor] = []
    unpacked: list[int] = []

    def pack(t: at.Tensor) -> int:
        packed.append(t)
        return len(packed) - 1

    def unpack(i: int) -> at.Tensor:
        unpacked.append(i)
        return packed[i]

    x, w = leaf(2), leaf(3)
    with graph.saved_tensors_hooks(pack, unpack):
        y = x**w  # the exponent is needed for both gradients
    y.backward()
    assert sorted(unpacked) == list(range(len(packed)))
    assert (x.grad.item(), w.grad.item()) == (12, pytest.approx(8 * 0.6931471805599453, rel=1e-14))


def test_packed_tensors_may_change_and_go() -> None:
    x = leaf(1, 2)
    middle = x * 3
    gone = weakref.ref(middle)
    with as_array():
        y = middle * middle
    with autograd.no_grad():
        middle.zero_()
    del middle
    gc.collect()
    assert gone() is None
    y.sum().backward()
    assert x.grad.tolist() == [18, 36]


def test_what_is_packed_goes_when_the_node_has_run() -> None:
    class Packed:
        def __init__(self, tensor: at.Tensor) -> None:
            self.tensor = tensor

    alive: list[weakref.ref[Packed]] = []

    def pack(t: at.Tensor) -> Packed:
        packed = Packed(t)
        alive.append(weakref.ref(packed))
        return packed

    x = leaf(1, 2)
    with graph.saved_tensors_hooks(pack, lambda packed: packed.tensor):
        y = (x.exp() * x).sum()
    y.backward(retain_graph=True)
    assert all(ref() is not None for ref in alive) and len(alive) == 3
    y.backward()
    assert all(ref() is None for ref in alive)


def test_of_nested_hooks_the_innermost_count() -> None:
    log: list[str] = []

    def named(name: str) -> Any:
        return graph.saved_tensors_hooks(lambda t: (log.append(name), t)[1], lambda t: t)

    x = leaf(1)
    with named("outer"):
        with named("inner"):
            x.exp()
        x.exp()
    x.exp()
    assert log == ["inner", "outer"]


def test_a_tensor_that_a_hook_does_not_take_goes_to_the_one_around_or_stays() -> None:
    taken: list[str] = []

    def taking(name: str, rows: int) -> Any:
        def pack(t: at.Tensor) -> Any:
            return (taken.append(name), t.numpy().copy())[1] if t.shape[0] == rows else NotImplemented

        return graph.saved_tensors_hooks(pack, lambda array: at.tensor(array))

    x, y = at.ones((2, 3), requires_grad=True), at.full((3, 4), 2.0, requires_grad=True)
    with taking("outer", 3), taking("inner", 2):
        out = x @ y
    with taking("outer", 7), taking("inner", 5):
        kept = (out * out).sum()
    kept.backward()
    assert sorted(taken) == ["inner", "outer"]
    np.testing.assert_array_equal(x.grad.numpy(), np.full((2, 3), 2 * 6.0 * 4 * 2.0))
    np.testing.assert_array_equal(y.grad.numpy(), np.full((3, 4), 2 * 6.0 * 2))


def test_hooks_are_the_threads_own() -> None:
    seen: list[int] = []
    x = leaf(1)
    with graph.saved_tensors_hooks(lambda t: (seen.append(1), t)[1], lambda t: t):
        thread = threading.Thread(target=x.exp)
        thread.start()
        thread.join()
    assert not seen


def test_a_function_saves_through_hooks() -> None:
    class Square(autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            ctx.save_for_backward(x, None)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
            x, nothing = ctx.saved_tensors
            assert nothing is None
            return 2 * g * x

    x = leaf(3)
    with as_array():
        y = Square.apply(x)
    (first,) = autograd.grad(y, x, create_graph=True)
    (second,) = autograd.grad(first, x)
    assert (first.item(), second.item()) == (6, 2)


def test_mistakes_of_hooks() -> None:
    x = leaf(1, 2)
    with graph.saved_tensors_hooks(lambda t: "text", lambda text: text):  # type: ignore[arg-type, return-value]
        y = x.exp()
    with pytest.raises(at.ArgumentError, match="exp: expected an unpack hook to answer a Tensor, got str"):
        y.sum().backward()
    with (
        graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t),
        pytest.raises(at.AutogradError, match="mul: a pack hook changed the tensor that it was given in place"),
    ):
        x * x
    with (
        graph.saved_tensors_hooks(lambda t: 1 // 0, lambda t: t),
        pytest.raises(ZeroDivisionError),
    ):
        x.exp()
    assert x.exp().requires_grad


def test_hooks_can_be_disabled() -> None:
    hooks = graph.saved_tensors_hooks(lambda t: t, lambda t: t)
    with graph.disable_saved_tensors_hooks("not here"):
        with pytest.raises(RuntimeError, match="^not here$"), hooks:
            pass
        with graph.disable_saved_tensors_hooks("nor here"), pytest.raises(RuntimeError, match="^nor here$"), hooks:
            pass
        with pytest.raises(RuntimeError, match="^not here$"), hooks:
            pass
    with hooks, pytest.raises(RuntimeError, match="^too late$"), graph.disable_saved_tensors_hooks("too late"):
        pass
    with hooks:
        leaf(1).exp()


def test_save_on_cpu() -> None:
    for pin in (False, True):
        x = leaf(1, 2)
        with graph.save_on_cpu(pin_memory=pin):
            y = x.exp() * x
        y.sum().backward()
        assert x.grad.tolist() == pytest.approx([2 * 2.718281828459045, 3 * 2.718281828459045**2], rel=1e-14)


CHANGES: dict[str, Callable[[at.Tensor], Any]] = {
    "in place": lambda y: y.zero_(),
    "through a view": lambda y: y[0].mul_(7),
    "out=": lambda y: at.add(at.ones(2, dtype=at.float64), 1.0, out=y),
    "without recording": lambda y: unrecorded(y),
    "assignment": lambda y: y.__setitem__(0, 5.0),
    "twice": lambda y: y.add_(1).mul_(3),
}


def unrecorded(y: at.Tensor) -> None:
    with autograd.no_grad():
        y.copy_(at.zeros(2, dtype=at.float64))


@pytest.mark.parametrize("name", CHANGES)
def test_saved_tensors_may_be_changed_where_that_is_allowed(name: str) -> None:
    x = leaf(1, 2)
    with graph.allow_mutation_on_saved_tensors():
        y = (x * 3).detach() if name == "out=" else x * 3
        z = y * (x * 2)
        u = y.exp()
        CHANGES[name](y)
        (z.sum() + u.sum() * 0).backward()
    wanted = [6, 12] if name == "out=" else [12, 24]
    assert x.grad.tolist() == wanted


def test_copies_are_made_of_what_is_needed_only() -> None:
    x = leaf(1, 2)
    with graph.allow_mutation_on_saved_tensors() as context:
        y = x * 1
        y.mul_(2)  # nobody needs it
        z = (y * y, y * y)
        y.mul_(2)
        y.mul_(2)
        (z[0] + z[1]).sum().backward(retain_graph=True)
        assert x.grad.tolist() == [16, 32]
        context.clear()
        with pytest.raises(at.AutogradError, match="expected backward to run inside the context"):
            z[0].sum().backward()
        w = (y * y).sum()
    with pytest.raises(at.AutogradError, match="expected backward to run inside the context"):
        w.backward()
    with (
        graph.allow_mutation_on_saved_tensors(),
        pytest.raises(at.AutogradError, match="expected no other of its kind around it"),
        graph.allow_mutation_on_saved_tensors(),
    ):
        pass


def test_increment_version() -> None:
    x = leaf(1, 2)
    hidden = x * 1
    y = hidden * hidden
    graph.increment_version([hidden])
    with pytest.raises(at.AutogradError, match=r"changed in place by increment_version at .*test_saved_hooks.py:\d+"):
        y.sum().backward()
