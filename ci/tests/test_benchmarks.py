"""The frame of the benchmarks: timing side by side, verdicts, and what is saved."""

import json
import time
from pathlib import Path

import pytest
from benchmarks.report import Result, save_json, spread, table
from benchmarks.timing import compare, median_ratio, repeats_for


def test_compare_finds_the_ratio_of_two_calls() -> None:
    peers = {"atled": lambda: time.sleep(0.001), "torch": lambda: time.sleep(0.004)}
    seconds = compare(peers, rounds=3, target=0.01)
    assert {name: len(times) for name, times in seconds.items()} == {"atled": 3, "torch": 3}
    assert 0.1 < median_ratio(seconds, "atled", "torch") < 0.6


def test_a_long_call_is_made_once_a_round() -> None:
    assert repeats_for(lambda: time.sleep(0.02), target=0.005) == 1


@pytest.mark.parametrize(("limit", "verdict"), [(0.2, "ok"), (0.05, "MISSED")])
def test_the_table_says_which_budget_is_missed(limit: float, verdict: str) -> None:
    result = Result("tiny add", "s", {"atled": 1e-7, "torch": 1e-6}, {"torch": 0.1}, {"torch": limit})
    assert result.within == (verdict == "ok")
    line = table([result]).splitlines()[1]
    assert line.split()[:6] == ["tiny", "add", "100", "ns", "-", "1"]
    assert line.endswith(verdict)


def test_absolute_budgets_limit_the_value_itself() -> None:
    result = Result("import", "ms", {"atled": 60.0, "torch": 900.0}, {"torch": 0.07}, {"absolute": 50.0})
    assert not result.within
    assert "50 ms" in table([result])


def test_results_are_saved_with_the_machine(tmp_path: Path) -> None:
    result = Result("tiny add", "s", {"atled": 1e-7}, {}, {})
    save_json([result], {"numpy": "2.0"}, tmp_path / "results" / "latest.json")
    saved = json.loads((tmp_path / "results" / "latest.json").read_text())
    assert saved["machine"]["numpy"] == "2.0"
    assert saved["results"][0]["name"] == "tiny add" and saved["results"][0]["within"]


def test_spread_is_relative_to_the_median() -> None:
    assert spread([1.0, 1.0, 1.0, 1.0]) == 0
    assert spread([1.0, 2.0, 3.0, 4.0]) == pytest.approx(0.5)
