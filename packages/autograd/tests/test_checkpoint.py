"""checkpoint: the gradients of a plain call, and nothing saved."""

import contextlib
import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import func
from atled.autograd.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def leaf(*values: float) -> at.Tensor:
    return at.tensor(list(values), dtype=at.float64, requires_grad=True)


def wave(x: at.Tensor, w: at.Tensor) -> at.Tensor:
    return ((x * w).sin() * x.exp()).tanh()


def gradients(run: Callable[..., at.Tensor], *inputs: at.Tensor) -> list[Any]:
    y = run(*inputs)
    first = autograd.grad(y.sum(), inputs, create_graph=True)
    second = autograd.grad(sum((g * g).sum() for g in first), inputs)
    return [g.tolist() for g in (y, *first, *second)]


def test_results_and_gradients_of_two_orders_are_those_of_a_plain_call() -> None:
    inputs = leaf(0.3, -1.2), leaf(0.7, 0.4)
    assert gradients(lambda x, w: checkpoint(wave, x, w), *inputs) == gradients(wave, *inputs)


def test_nested() -> None:
    inputs = leaf(0.3, -1.2), leaf(0.7, 0.4)

    def outer(x: at.Tensor, w: at.Tensor) -> at.Tensor:
        y = checkpoint(wave, x * 2, w)
        return checkpoint(lambda y: checkpoint(wave, y, w).exp(), y) * y

    def plain(x: at.Tensor, w: at.Tensor) -> at.Tensor:
        y = wave(x * 2, w)
        return wave(y, w).exp() * y

    assert gradients(lambda x, w: checkpoint(outer, x, w), *inputs) == gradients(plain, *inputs)


def test_nothing_is_kept_but_the_arguments() -> None:
    inside: list[weakref.ref[at.Tensor]] = []

    def function(x: at.Tensor) -> at.Tensor:
        middle = x * x
        inside.append(weakref.ref(middle))
        return middle.exp().sum()

    x = leaf(1, 2)
    y = checkpoint(function, x)
    gc.collect()
    assert inside[0]() is None
    y.backward(retain_graph=True)
    gc.collect()
    assert len(inside) == 2 and inside[1]() is None
    y.backward()
    assert len(inside) == 3
    assert x.grad.tolist() == pytest.approx([4 * 2.718281828459045, 8 * 2.718281828459045**4], rel=1e-14)
    with pytest.raises(at.AutogradError, match="saved tensors were freed by an earlier backward"):
        y.backward()


def test_the_graph_of_an_inner_checkpoint_holds_no_arguments_of_its_own() -> None:
    arguments: list[weakref.ref[at.Tensor]] = []

    def outer(x: at.Tensor) -> at.Tensor:
        middle = x * 2
        arguments.append(weakref.ref(middle))
        return checkpoint(at.exp, middle)

    y = checkpoint(outer, leaf(1, 2))
    gc.collect()
    assert arguments[0]() is None
    y.sum().backward()


def test_each_call_runs_twice_and_no_more_than_is_needed() -> None:
    calls: list[str] = []

    def function(x: at.Tensor) -> at.Tensor:
        calls.append("begin")
        y = x.exp()
        calls.append("end")
        return y

    x = leaf(1)
    checkpoint(function, x).sum().backward()
    assert calls == ["begin", "end", "begin"]
    calls.clear()
    checkpoint(function, x, early_stop=False).sum().backward()
    assert calls == ["begin", "end", "begin", "end"]


@pytest.mark.parametrize("preserve", [True, False])
def test_random_numbers(preserve: bool) -> None:
    x = at.ones(1000, dtype=at.float64, requires_grad=True)
    at.manual_seed(3)
    y = checkpoint(lambda x: x * at.rand(1000, dtype=at.float64), x, preserve_rng_state=preserve)
    at.rand(7)
    before = at.get_rng_state().tolist()
    y.sum().backward()
    assert (x.grad.tolist() == y.tolist()) is preserve
    assert (at.get_rng_state().tolist() == before) is preserve


def test_keywords_and_arguments_that_are_no_tensors() -> None:
    x, w = leaf(0.3, -1.2), leaf(0.7, 0.4)

    def function(x: at.Tensor, power: int, *, w: at.Tensor, names: dict[str, int]) -> tuple[at.Tensor, int]:
        return x**power * w * names["a"], power

    y, power = checkpoint(function, x, 3, w=w, names={"a": 2})
    assert power == 3
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([6 * 0.09 * 0.7, 6 * 1.44 * 0.4], rel=1e-14)
    assert w.grad.tolist() == pytest.approx([2 * 0.027, 2 * -1.728], rel=1e-14)


def test_backward_inside() -> None:
    def slope(x: at.Tensor) -> at.Tensor:
        (g,) = autograd.grad((x**3).sum(), x, create_graph=True)
        return g * g

    x = leaf(2.0)
    checkpoint(slope, x).sum().backward()
    assert x.grad.item() == pytest.approx(36 * 8, rel=1e-14)


def test_parameters_that_the_function_reaches_by_itself() -> None:
    w = leaf(2.0)
    x = at.ones(1, dtype=at.float64)
    checkpoint(lambda x: (x * w).exp(), x).sum().backward()
    assert w.grad.item() == pytest.approx(7.38905609893065, rel=1e-14)


def test_contexts() -> None:
    entered: list[str] = []

    @contextlib.contextmanager
    def note(name: str) -> Any:
        entered.append(name)
        yield

    y = checkpoint(at.exp, leaf(1.0), context_fn=lambda: (note("first"), note("second")))
    assert entered == ["first"]
    y.sum().backward()
    assert entered == ["first", "second"]


def test_without_recording_it_is_a_plain_call() -> None:
    with autograd.no_grad():
        assert not checkpoint(at.exp, leaf(1.0)).requires_grad


def varying(shapes: list[int]) -> Callable[[at.Tensor], at.Tensor]:
    return lambda x: (x.expand(shapes.pop(0)) * x).exp().sum()


def test_a_second_run_that_saves_other_shapes() -> None:
    y = checkpoint(varying([2, 3]), leaf(1.0))
    with pytest.raises(CheckpointError) as caught:
        y.backward()
    assert str(caught.value) == (
        "checkpoint: expected saved tensor 1 as shape (2,), float64, cpu when the function runs a second time, "
        "got shape (3,), float64, cpu; its calls must not depend on anything that changes meanwhile "
        "(debug=True lists them)"
    )


def test_debug_lists_the_calls() -> None:
    flags = [True, False]

    def function(x: at.Tensor) -> at.Tensor:
        return x.exp() * x if flags.pop(0) else x.sin()

    y = checkpoint(function, leaf(1.0), debug=True)
    with pytest.raises(CheckpointError, match=r"expected 3 saved tensors again .* got 1; .*\n  saved in run 1: .*"):
        y.sum().backward()


def test_the_comparison_may_be_left_out() -> None:
    y = checkpoint(varying([2, 1]), leaf(1.0), determinism_check="none")
    y.backward()
    with pytest.raises(at.InvalidValueError, match='expected determinism_check "default" or "none", got \'strict\''):
        checkpoint(at.exp, leaf(1.0), determinism_check="strict")


def test_an_argument_that_was_changed_in_place() -> None:
    x = leaf(1, 2) * 1
    y = checkpoint(at.exp, x)
    with autograd.no_grad():
        x.add_(1)
    with pytest.raises(at.AutogradError, match=r"Checkpoint: its gradient needs .* changed in place by add_ at .*:\d+"):
        y.sum().backward()


@pytest.mark.parametrize("segments", [1, 2, 3, 4])
def test_sequential(segments: int) -> None:
    functions = [at.sin, lambda x: x * x, at.exp, at.tanh]
    x, same = leaf(0.3, -0.8), leaf(0.3, -0.8)
    y = checkpoint_sequential(functions, segments, x)
    y.sum().backward()
    (same.sin() ** 2).exp().tanh().sum().backward()
    assert x.grad.tolist() == pytest.approx(same.grad.tolist(), rel=1e-14)


def test_sequential_segments() -> None:
    with pytest.raises(at.InvalidValueError, match="expected segments from 1 to the 2 functions, got 3"):
        checkpoint_sequential([at.sin, at.cos], 3, leaf(1.0))


def test_inside_transforms_the_derivatives_are_those_of_a_plain_call() -> None:
    x = at.tensor(0.7, dtype=at.float64, requires_grad=True)
    k = at.tensor(1.3, dtype=at.float64)
    weights = at.tensor([0.5, -2.0], dtype=at.float64)

    def slopes(x: at.Tensor) -> at.Tensor:
        # Of sin(x q) b by q, for each b: x b cos(x k).
        def slope(b: at.Tensor) -> at.Tensor:
            return func.grad(lambda q: checkpoint(lambda q: at.sin(x * q) * b, q))(k)

        return func.vmap(slope)(weights)

    phase = 0.7 * 1.3
    assert slopes(x).tolist() == pytest.approx([0.7 * b * math.cos(phase) for b in (0.5, -2.0)])
    by_x = -1.5 * (math.cos(phase) - phase * math.sin(phase))
    assert func.grad(lambda x: slopes(x).sum())(x).item() == pytest.approx(by_x)
    slopes(x).sum().backward()
    assert x.grad is not None and x.grad.item() == pytest.approx(by_x)
    plain = x.detach()
    assert func.jvp(slopes, (plain,), (at.ones_like(plain),))[1].sum().item() == pytest.approx(by_x)
    second = func.grad(func.grad(lambda x: checkpoint(lambda x: at.sin(x * k), x)))(plain)
    assert second.item() == pytest.approx(-1.3 * 1.3 * math.sin(phase))
