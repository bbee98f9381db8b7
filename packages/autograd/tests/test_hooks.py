"""Hooks on tensors."""

import gc
import weakref
from typing import Any

import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import graph


def test_a_hook_sees_the_whole_gradient_once() -> None:
    x = at.tensor(2.0, requires_grad=True)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 3 + x * 4).backward()
    assert seen == [7]


def test_a_hook_may_replace_the_gradient() -> None:
    x = at.tensor(2.0, requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    y.backward()
    assert x.grad.item() == 33


def test_a_removed_hook_is_silent() -> None:
    x = at.tensor(2.0, requires_grad=True)
    handle = x.register_hook(lambda g: g * 100)
    with x.register_hook(lambda g: g * 1000):
        handle.remove()
        handle.remove()
    (x * 3).backward()
    assert x.grad.item() == 3


def test_a_hook_outlives_its_tensor() -> None:
    seen = []
    x = at.tensor(2.0, requires_grad=True)
    y = x * 3
    y.register_hook(lambda g: seen.append(g.item()))
    z = y * 5
    del y
    z.backward()
    assert seen == [5]


def test_a_hook_of_a_leaf_that_only_the_graph_holds() -> None:
    seen = []

    def build() -> at.Tensor:
        x = at.tensor(2.0, requires_grad=True)
        x.register_hook(lambda g: seen.append(g.item()))
        return x + 1

    build().backward()
    assert seen == [1]


def test_an_error_in_a_hook_reaches_the_caller_and_leaves_the_graph_usable() -> None:
    x = at.tensor(2.0, requires_grad=True)
    y = x * x

    def fail(g: at.Tensor) -> None:
        raise KeyError("mine")

    handle = y.register_hook(fail)
    with pytest.raises(KeyError, match="mine"):
        y.backward(retain_graph=True)
    handle.remove()
    y.backward()
    assert x.grad.item() == 4


def test_what_a_hook_answers_is_checked() -> None:
    x = at.tensor(2.0, requires_grad=True)
    x.register_hook(lambda g: 3)
    with pytest.raises(at.AutogradError, match="expected a gradient hook to answer a Tensor or None, got int"):
        (x * 1).backward()


def test_hooks_after_accumulation() -> None:
    x = at.tensor(2.0, requires_grad=True)
    seen = []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))
    (x * 3).backward()
    (x * 3).backward()
    assert seen == [3, 6]
    with pytest.raises(
        at.AutogradError, match="register_post_accumulate_grad_hook: expected a leaf, got the result of mul"
    ):
        (x * 1).register_post_accumulate_grad_hook(print)


def test_hooks_need_a_gradient() -> None:
    with pytest.raises(at.AutogradError, match="register_hook: expected a tensor that requires grad"):
        at.ones(1).register_hook(print)


def test_backward_within_a_hook() -> None:
    x = at.tensor(2.0, requires_grad=True)
    shared = x * x
    inner = []

    def again(g: at.Tensor) -> None:
        if not inner:
            inner.append(True)
            shared.backward(retain_graph=True)

    y = shared * 3
    y.register_hook(again)
    y.backward()
    assert x.grad.item() == 4 + 12


def test_leaves_accumulate_as_soon_as_they_can() -> None:
    """What overlaps communication with backward counts on the order."""
    order = []
    weights = [at.ones(2, requires_grad=True) for _ in range(4)]
    for i, w in enumerate(weights):
        w.register_post_accumulate_grad_hook(lambda t, i=i: order.append(i))
    h = at.ones(2, requires_grad=True)
    h.register_hook(lambda g: order.append("h"))
    y = h
    for w in weights:
        y = y * w
    y.sum().backward()
    assert order == [3, 2, 1, 0, "h"]


def test_hooks_of_a_node() -> None:
    x, w = at.tensor([1.0, 2.0], requires_grad=True), at.tensor(3.0, requires_grad=True)
    y = x * w
    log: list[Any] = []

    def before(outputs: Any) -> Any:
        log.append(("before", [g.tolist() for g in outputs]))
        return (outputs[0] * 2,)

    def after(inputs: Any, outputs: Any) -> Any:
        log.append(("after", [g.tolist() for g in inputs], [g.tolist() for g in outputs]))
        return inputs[0] * 10, inputs[1]

    first, second = y.grad_fn.register_prehook(before), y.grad_fn.register_hook(after)
    y.sum().backward(retain_graph=True)
    assert log == [("before", [[1, 1]]), ("after", [[6, 6], 6], [[2, 2]])]
    assert x.grad.tolist() == [60, 60] and w.grad.item() == 6
    first.remove()
    second.remove()
    y.sum().backward()
    assert len(log) == 2 and x.grad.tolist() == [63, 63]


def test_hooks_of_an_accumulator() -> None:
    x = at.tensor(2.0, requires_grad=True)
    y = x * 3
    node = y.grad_fn.next_functions[0][0]
    log: list[Any] = []
    node.register_prehook(lambda outputs: (outputs[0] + 1,))
    node.register_hook(lambda inputs, outputs: log.append((inputs, outputs[0].item(), x.grad.item())))
    y.backward()
    assert log == [((), 4, 4)]


def test_what_the_hooks_of_a_node_answer_is_checked() -> None:
    x = at.tensor(2.0, requires_grad=True)
    y = x * x
    with (
        y.grad_fn.register_prehook(lambda outputs: (1, 2)),
        pytest.raises(at.AutogradError, match="expected a hook of a node to answer None or a tuple of 1 gradients"),
    ):
        y.backward(retain_graph=True)
    y.grad_fn.register_hook(lambda inputs, outputs: (None, None))
    y.backward()
    assert x.grad is None


def test_a_hook_on_all_of_several_gradients() -> None:
    a, b = at.ones(2, requires_grad=True), at.ones(2, requires_grad=True)
    c, d = a * b, a * b
    log: list[Any] = []
    handle = graph.register_multi_grad_hook((a, b, c, d), lambda grads: log.append([g is not None for g in grads]))
    c.sum().backward(retain_graph=True)
    c.sum().backward(inputs=(a,), retain_graph=True)
    (c + d).sum().backward(retain_graph=True)
    assert log == [[True, True, True, False], [True, False, True, False], [True] * 4]
    handle.remove()
    c.sum().backward()
    assert len(log) == 3


def test_a_hook_on_any_of_several_gradients() -> None:
    a, b = at.tensor(2.0, requires_grad=True), at.tensor(3.0, requires_grad=True)
    c = a * b
    log: list[float] = []
    with graph.register_multi_grad_hook((a, b, c, at.ones(1)), lambda g: log.append(g.item()), mode="any"):
        (c * 5).backward(retain_graph=True)
        (c * 7).backward(retain_graph=True)
    assert log == [5, 7]
    with pytest.raises(at.InvalidValueError, match='expected mode "all" or "any", got \'some\''):
        graph.register_multi_grad_hook((a,), print, mode="some")


def test_runs_within_a_hook_on_several_count_apart() -> None:
    a = at.tensor(2.0, requires_grad=True)
    b = at.tensor(3.0, requires_grad=True)
    c = a * b
    tenfold = c * 10
    log: list[Any] = []

    def hook(grads: Any) -> None:
        log.append([g.item() for g in grads])
        if len(log) == 1:
            autograd.grad(tenfold, (a, b), retain_graph=True)

    graph.register_multi_grad_hook((a, b), hook)
    c.backward(retain_graph=True)
    assert log == [[3, 2], [30, 20]]


def test_hooks_on_several_tensors_keep_no_graph_alive() -> None:
    x = at.ones(2, requires_grad=True)
    y = x * 2
    gone = weakref.ref(y)
    graph.register_multi_grad_hook((x, y), lambda grads: None)
    del y
    gc.collect()
    assert gone() is None
