"""A forked child works with tensors, threads and random numbers of its own, whatever its parent was doing."""

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import atled.core as at

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(work: Callable[[], Any]) -> Any:
    """The result of `work` in a forked child that must end within 20 seconds."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=lambda: send.send(work()))
    child.start()
    child.join(20)
    if child.is_alive():
        child.kill()
        pytest.fail("the child hangs")
    assert child.exitcode == 0
    return receive.recv()


def work() -> float:
    x = at.ones(1000, 1000)
    return float((x + x).sum().item() + (x @ x)[0, 0].item())


def test_ops_run_in_a_child() -> None:
    assert work() == in_child(work) == work()


def test_the_parent_goes_on_while_children_work() -> None:
    for _ in range(3):
        assert in_child(work) == 2_001_000.0
        assert work() == 2_001_000.0


def test_a_fork_while_other_threads_compute() -> None:
    stop = threading.Event()

    def busy() -> None:
        x = at.ones(500, 500)
        while not stop.is_set():
            x = (x + x).mul_(0.5)

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert in_child(work) == 2_001_000.0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_memory_of_the_parent_is_not_shared_for_writing() -> None:
    x = at.zeros(1000)
    in_child(lambda: x.fill_(1).sum().item())
    assert x.sum().item() == 0.0


def test_a_child_of_a_child() -> None:
    assert in_child(lambda: in_child(work)) == 2_001_000.0


def test_errors_in_a_child_are_its_own() -> None:
    def fail() -> str:
        try:
            at.ones(2) + at.ones(3)
        except at.ShapeError as error:
            return str(error)
        return "no error"

    assert in_child(fail).startswith("add: expected input and other to broadcast")


def test_a_spawned_process_ends_quietly() -> None:
    code = "import atled.core as at; x = at.ones(2000, 1000); y = x + x; keep = [y]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
