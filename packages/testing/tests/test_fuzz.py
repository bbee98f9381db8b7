"""A short run of the fuzzer, the same one each time, and proof that it sees what is wrong."""

from typing import Any

import pytest

import atled.core as at
from atled.testing.fuzz import Mismatch, run_program, run_wild
from atled.testing.fuzz._pool import Pool


@pytest.mark.parametrize("seed", range(0, 200, 20))
def test_programs(seed: int) -> None:
    for program in range(seed, seed + 20):
        assert run_program(program) == 40


@pytest.mark.parametrize("seed", range(5))
def test_wild_calls(seed: int) -> None:
    assert run_wild(seed) == 40


def until_caught() -> str:
    with pytest.raises(Mismatch) as caught:
        for seed in range(100):
            run_program(seed)
    return str(caught.value)


def test_a_wrong_value_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = at.maximum
    monkeypatch.setattr(at, "maximum", lambda a, b, **out: right(a, b, **out) if out else right(a, b) + 1)
    text = until_caught()
    assert "at.maximum(" in text and "run again: python -m atled.testing.fuzz --seed" in text


def test_a_wrong_dtype_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = at.argsort
    monkeypatch.setattr(at, "argsort", lambda *args, **kwargs: right(*args, **kwargs).int())
    assert "expected int64, got int32" in until_caught()


def test_a_change_that_reaches_too_far_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What NumPy has as a copy, and this as a view, shows when either is changed."""
    stacked: list[Any] = []

    def one_in_all(tensors: list[at.Tensor], dim: int) -> at.Tensor:
        stacked.append(tensors)
        return tensors[0].unsqueeze(dim) if len(tensors) == 1 else at.ops.core.stack(tensors, dim)

    monkeypatch.setattr(at, "stack", one_in_all)
    assert "changed too, or did not" in until_caught()
    assert stacked


def test_an_exception_of_another_kind_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(self: Pool) -> Any:
        raise ZeroDivisionError("not atled's own")

    broken = type("Broken", (), {"__call__": explode, "qualified_name": "core::broken", "ns": "core", "args": ()})
    monkeypatch.setattr("atled.testing.fuzz._wild._core.ops", lambda: [broken()])
    with pytest.raises(Mismatch, match=r"core::broken\(\): ZeroDivisionError"):
        run_wild(0)
