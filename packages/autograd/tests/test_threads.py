"""Recording and backward from several threads."""

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd.checkpoint import checkpoint


def together(n: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(n)

    def run(i: int) -> None:
        try:
            barrier.wait()
            work(i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_first_calls_find_the_rules_that_another_thread_is_loading() -> None:
    program = """
import threading
import atled.core as at, atled.autograd
done = []
def work():
    (at.ones(2, 2).requires_grad_() @ at.ones(2, 2)).sum().backward()
    done.append(1)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(done) == 4
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_threads_have_graphs_of_their_own() -> None:
    results: dict[int, float] = {}

    def work(i: int) -> None:
        for _ in range(50):
            x = at.tensor([float(i), 1.0], requires_grad=True)
            y = x
            for _ in range(20):
                y = y * 1.5
            (y * y).sum().backward()
            results[i] = x.grad[0].item()

    together(4, work)
    for i, value in results.items():
        assert value == pytest.approx(2 * i * 1.5**40, rel=1e-5)


def test_threads_share_leaves_and_a_graph() -> None:
    # Large enough that kernels let go of the GIL in between.
    x = at.ones(256, 256, requires_grad=True)
    shared = (x @ x).tanh() * 1e-3
    gradients: dict[int, float] = {}

    def work(i: int) -> None:
        for _ in range(5):
            (g,) = autograd.grad((shared * (i + 1)).sum(), x, retain_graph=True)
            gradients[i] = g.sum().item()

    together(4, work)
    for i, value in gradients.items():
        assert abs(value - gradients[0] * (i + 1)) <= 1e-3 * abs(value)


def test_threads_accumulate_into_one_leaf() -> None:
    x = at.ones(512, 512, requires_grad=True)

    def work(i: int) -> None:
        for _ in range(20):
            (x * 2.0).sum().backward()

    together(4, work)
    assert x.grad.eq(160).all().item()


def test_threads_unpack_what_one_graph_has_packed() -> None:
    x = at.ones(256, 256, requires_grad=True)
    with autograd.graph.saved_tensors_hooks(lambda t: [t], lambda packed: packed[0]):
        shared = (x @ x).tanh() * 1e-3 + checkpoint(lambda x: (x * 1e-3).sin(), x)
    expected = autograd.grad(shared.sum(), x, retain_graph=True)[0].sum().item()
    gradients: dict[int, float] = {}

    def work(i: int) -> None:
        for _ in range(5):
            (g,) = autograd.grad(shared.sum(), x, retain_graph=True)
            gradients[i] = g.sum().item()

    together(4, work)
    assert list(gradients.values()) == [pytest.approx(expected, rel=1e-5)] * 4


def test_a_graph_of_one_thread_runs_in_another() -> None:
    x = at.tensor(3.0, requires_grad=True)
    y = x * x
    together(1, lambda i: y.backward())
    assert x.grad.item() == 6
