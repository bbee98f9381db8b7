"""Gradients beside another library's: what is compared, what counts as wrong, and a run where PyTorch is installed."""

import numpy as np
import pytest

from atled.testing.fuzz import _gradient_torch as torch_check
from atled.testing.fuzz import run_gradients
from atled.testing.fuzz._gradient_check import Arrays, Tally
from atled.testing.fuzz._gradient_program import Leaf, Program, Step

pytest.importorskip("atled.autograd")

SQUARES = Program(
    0, (Leaf(0, np.array([1.0, 2.0])),), (Step("at.square({0})", (0,), lambda w, x: w.call("square", x), slot=1),)
)


@pytest.mark.parametrize(
    ("loss_off", "gradient_off", "text"),
    [(0.0, 0.0, ""), (1e-4, 0.0, "the loss is"), (0.0, 1e-4, "the gradient of v0 is")],
)
def test_what_differs_is_told(monkeypatch: pytest.MonkeyPatch, loss_off: float, gradient_off: float, text: str) -> None:
    def answer(program: Program, arrays: Arrays) -> tuple[float, Arrays]:
        loss, found = torch_check.gradients(program, arrays)
        return loss + loss_off, [g + gradient_off for g in found]

    monkeypatch.setattr(torch_check, "torch_gradients", answer)
    ran, wrong = torch_check.compare_with_torch(SQUARES)
    assert ran and wrong.startswith(text) and bool(wrong) == bool(text)


def test_explained_steps_and_what_pytorch_cannot_run_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise torch_check.NotThereError("square")

    monkeypatch.setattr(torch_check, "torch_gradients", refuse)
    assert torch_check.compare_with_torch(SQUARES) == (False, "")
    explained = Program(0, SQUARES.leaves, (Step("at.hypot({0}, {0})", (0,), lambda w, x: x, slot=1),))
    monkeypatch.setattr(torch_check, "torch_gradients", lambda *_: pytest.fail("compared"))
    assert torch_check.compare_with_torch(explained) == (False, "")


def test_programs_have_pytorchs_gradients() -> None:
    pytest.importorskip("torch")
    tally = Tally()
    for seed in range(200):
        tally += run_gradients(seed, peer=torch_check.compare_with_torch)
    assert tally.peer > 50
