"""A short run of the fuzzer of gradients, and proof that it sees a wrong rule and shows the part that matters."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.testing.fuzz import Mismatch, run_gradients
from atled.testing.fuzz._gradient_check import Tally, compare, differences
from atled.testing.fuzz._gradient_program import Leaf, Program, Step
from atled.testing.fuzz._gradient_steps import draw_program

autograd = pytest.importorskip("atled.autograd")


@contextmanager
def wrong_rule(op: str, **functions: Callable[..., Any]) -> Iterator[None]:
    from atled.autograd._rule import find

    right = {part.targets[0]: part.function for part in find("core", op).parts}  # type: ignore[union-attr]
    autograd.rule(op, **functions)
    try:
        yield
    finally:
        autograd.rule(op, **{name: right[name] for name in functions})


def until_caught() -> str:
    with pytest.raises(Mismatch) as caught:
        for seed in range(300):
            run_gradients(seed)
    return str(caught.value)


@pytest.mark.parametrize("seed", range(0, 200, 40))
def test_programs(seed: int) -> None:
    tally = Tally()
    for program in range(seed, seed + 40):
        tally += run_gradients(program)
    assert tally.compared > 40 and tally.second > 10 and tally.skipped < 5


def test_a_seed_gives_the_same_program() -> None:
    assert str(draw_program(5, 6)) == str(draw_program(5, 6)) != str(draw_program(6, 6))


def test_a_wrong_rule_is_caught_and_shown_alone() -> None:
    with wrong_rule("cumprod", input=lambda g, input: g * input):
        text = until_caught()
    assert "cumprod" in text and "run again: python -m atled.testing.fuzz --gradients --seed" in text
    lines = text.splitlines()
    steps = [line for line in lines if " = " in line]
    assert "the tape's derivative is" in lines[0] and len(steps) <= 3, text


def test_a_rule_that_is_wrong_at_second_order_is_caught() -> None:
    with wrong_rule("tanh", input=lambda g, out: g * (1 - out.detach() * out.detach()).conj()):
        assert "the tape's second derivative is" in until_caught()


def test_a_wrong_conjugate_is_caught() -> None:
    with wrong_rule("mul", input=lambda g, other: g * other):
        assert "the tape's derivative is" in until_caught()


def test_a_write_that_forgets_its_target_is_caught() -> None:
    with wrong_rule("index_put", input=lambda g: g):
        text = until_caught()
    assert "put" in text or "setitem" in text or "scatter" in text, text


def program(run: Callable[..., Any], *values: float) -> Program:
    return Program(0, (Leaf(0, np.array(values)),), (Step("f({0})", (0,), run, slot=1),), only=1)


def test_kinks_are_skipped_and_smooth_points_near_them_are_not() -> None:
    kink = program(lambda w, x: abs(x), 0.0, 1.0)
    assert compare(kink, second=False) == (Tally(skipped=1), "")
    near = program(lambda w, x: abs(x), 1e-6, 1.0)  # within the steps of the differences
    assert compare(near, second=False) == (Tally(skipped=1), "")
    assert compare(program(lambda w, x: abs(x), 0.01, 1.0), second=False) == (Tally(compared=1), "")
    jump = program(lambda w, x: at.floor(x), 1.0, 2.5)
    assert compare(jump, second=False) == (Tally(skipped=1), "")


def test_the_error_of_differences_is_estimated() -> None:
    def cubic(arrays: list[Any]) -> float:
        return float((arrays[0] ** 3).sum())

    slope, error = differences(cubic, [np.array([2.0])], [np.array([1.0])])
    assert abs(slope - 12) < 1e-9 and abs(slope - 12) <= error < 1e-6


def test_the_command_line() -> None:
    options = ["--gradients", "--seed", "3", "--programs", "2", "--steps", "4"]
    run = subprocess.run(
        [sys.executable, "-m", "atled.testing.fuzz", *options], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("2 programs, ") and run.stdout.endswith(" 0 wrong; next seed 5\n")
