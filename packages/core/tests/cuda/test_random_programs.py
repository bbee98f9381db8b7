"""Random programs beside NumPy, and calls that make no sense; ``atled.testing.fuzz --device cuda`` runs more."""

import warnings
from types import ModuleType

import pytest

from atled.testing.fuzz import run_gradients, run_program, run_wild


@pytest.mark.parametrize("seed", range(0, 400, 40))
def test_programs(gpu: str, seed: int) -> None:
    for program in range(seed, seed + 40):
        assert run_program(program, device=gpu) == 40


@pytest.mark.parametrize("seed", range(0, 100, 20))
def test_wild_calls(gpu: str, seed: int) -> None:
    for program in range(seed, seed + 20):
        assert run_wild(program, device=gpu) == 40


@pytest.mark.parametrize("seed", range(0, 100, 20))
def test_gradients(gpu: str, cupy: ModuleType, seed: int) -> None:
    pytest.importorskip("atled.autograd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tallies = [run_gradients(program, device=gpu) for program in range(seed, seed + 20)]
    assert sum(tally.compared for tally in tallies) >= 20
