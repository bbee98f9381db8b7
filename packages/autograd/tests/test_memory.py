"""Graphs go when they should: at once, without recursion, without cycles."""

import gc
import resource
import threading
import weakref

import pytest

import atled.autograd as autograd
import atled.core as at


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_million_nodes_need_no_stack() -> None:
    x = at.ones(1, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(1_000_000):
            y = y * 1.0
        y.backward()
        del y  # and the graph with it

    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            run()
        except BaseException as error:
            failures.append(error)

    size = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=guarded)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert not failures
    assert x.grad.item() == 1


def test_a_graph_that_nobody_ran_goes_with_its_result() -> None:
    gc.disable()
    try:
        x = at.ones(3, requires_grad=True)
        middle = x.exp()
        last = (middle * middle).sum()
        gone = [weakref.ref(middle), weakref.ref(last)]
        del middle, last
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_nodes_go_with_the_graph() -> None:
    gc.disable()
    try:
        x = at.ones(3, requires_grad=True)
        y = (x * 2).exp()
        node = y.grad_fn
        product = node.next_functions[0][0]
        assert product.next_functions[0][0].variable is x
        del y, node
        assert product.name() == "MulBackward"
    finally:
        gc.enable()


def test_backward_frees_what_was_saved() -> None:
    x = at.ones(3, requires_grad=True)
    middle = x * 2
    result = (middle * middle).sum()
    gone = weakref.ref(middle)
    del middle
    result.backward()
    gc.collect()
    assert gone() is None


def test_create_graph_leaves_no_cycle() -> None:
    gc.disable()
    try:
        x = at.ones(3, requires_grad=True)
        y = x.exp().tanh().sum()
        (g,) = autograd.grad(y, x, create_graph=True)
        gone = [weakref.ref(y), weakref.ref(g)]
        del y, g
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("second_order", [False, True])
def test_memory_stays_flat(second_order: bool) -> None:
    w = at.ones(64, 64, requires_grad=True)
    x = at.ones(16, 64)

    def step() -> None:
        loss = ((x @ w).tanh() ** 2).mean()
        if second_order:
            (g,) = autograd.grad(loss, w, create_graph=True)
            (g * g).sum().backward()
        else:
            loss.backward()
        w.grad = None

    for _ in range(200):
        step()
    before = peak()
    for _ in range(2000):
        step()
    assert peak() - before < 4 * 1024, "kilobytes"


def test_graphs_dropped_without_backward_leak_nothing() -> None:
    w = at.ones(64, 64, requires_grad=True)
    for _ in range(200):
        (w @ w).tanh().sum()
    before = peak()
    for _ in range(2000):
        (w @ w).tanh().sum()
    assert peak() - before < 4 * 1024, "kilobytes"


def test_an_error_in_backward_leaks_nothing() -> None:
    x = at.ones(3, requires_grad=True)
    y = x.exp()
    z = y * y
    with autograd.no_grad():
        y.add_(1)
    gone = weakref.ref(z)
    with pytest.raises(at.AutogradError):
        z.sum().backward()
    del z
    gc.collect()
    assert gone() is None
