"""Hooks on tensors."""

import pytest

import atled.core as at


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
