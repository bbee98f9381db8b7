"""Graphs go when they should: at once, without recursion, without cycles."""

import gc
import os
import resource
import sys
import threading
import weakref

import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import graph
from atled.autograd.checkpoint import checkpoint

unsanitized = pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer holds memory of its own"
)


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


@unsanitized
def test_many_small_steps_stay_flat() -> None:
    w, x = at.ones(4, requires_grad=True), at.ones(4)

    def steps(n: int) -> None:
        for _ in range(n):
            ((x * w) ** 2).sum().backward()
            w.grad = None

    steps(10_000)
    before = peak()
    steps(90_000)
    assert peak() - before < 1024, "kilobytes"


def test_nodes_let_go_of_the_code_that_called_them() -> None:
    x = at.ones(2, requires_grad=True)
    source = compile("y = (x * x).exp().sum()", "step.py", "exec")
    references = sys.getrefcount(source)
    for backward in (True, False):
        space = {"x": x}
        exec(source, space)
        assert sys.getrefcount(source) > references
        if backward:
            space["y"].backward()
        del space
        # The code of the last calls is remembered once.
        assert sys.getrefcount(source) <= references + 1


@unsanitized
def test_code_that_is_made_anew_each_time_does_not_pile_up() -> None:
    x = at.ones(2, requires_grad=True)
    padding = "  # " + "-" * 4000

    def steps(n: int) -> None:
        for i in range(n):
            exec(compile(f"y = x * {i}{padding}\n'{padding}'.strip()", "step.py", "exec"), {"x": x})

    steps(1000)
    before = peak()
    steps(3000)
    assert peak() - before < 2 * 1024, "kilobytes"


def test_hooks_and_checkpoints_stay_flat() -> None:
    x = at.ones(64, requires_grad=True)

    def step() -> None:
        with graph.saved_tensors_hooks(lambda t: (t, 1), lambda packed: packed[0]):
            y = x.exp() * x
        z = checkpoint(lambda x: (x * x).tanh(), y).sum()
        z.register_hook(lambda g: g)
        z.grad_fn.register_hook(lambda inputs, outputs: None)
        z.backward()
        x.grad = None

    for _ in range(200):
        step()
    before = peak()
    for _ in range(2000):
        step()
    assert peak() - before < 1024, "kilobytes"


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
