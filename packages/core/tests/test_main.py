"""``python -m atled.core``: what it says, with and without plugins that fail."""

import os
import subprocess
import sys

import pytest
from distributions import MakeDistribution

import atled.core as at
from atled.core import __main__ as main


def run(*arguments: str, path: str = "") -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "atled.core", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == "" or done.returncode == 2, done.stderr
    return done.returncode, done.stdout


def test_plugins_lists_what_plugs_in_where(make_distribution: MakeDistribution) -> None:
    folder = make_distribution(
        "zz-good",
        {"atled.formats": {".zz": "json:loads"}, "atled.data.priority_3": {"zz": "json:dumps"}},
        version="4.2",
    )
    _, text = run("plugins", path=str(folder))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert ".zz zz-good 4.2 loaded" in lines
    assert "zz zz-good 4.2 priority 3 loaded" in lines
    assert "zz-good 4.2" in lines
    major, minor = at.abi_version()
    assert lines[0] == f"ABI {major}.{minor}, spoken by"
    assert any(line.startswith(f"atled-core {at.__version__} {major}.{minor}") for line in lines)


def test_plugins_names_failures_and_answers_1(make_distribution: MakeDistribution) -> None:
    folder = make_distribution(
        "zz-bad", {"atled.formats": {".zz": "zz_bad:x"}}, {"zz_bad": "raise OSError('no such thing')"}
    )
    for command in ("plugins", "doctor"):
        code, text = run(command, path=str(folder))
        assert code == 1
        assert "failed: OSError: no such thing" in text


def test_plugins_says_what_metadata_is_of_no_use(make_distribution: MakeDistribution) -> None:
    folder = make_distribution("zz-odd", {"atled.formates": {".zz": "json:loads"}})
    assert "zz-odd 1.0: 'atled.formates' is no extension point" in run("plugins", path=str(folder))[1]


def test_doctor_tells_what_is_used_and_why() -> None:
    _, text = run("doctor")
    for word in ("python", "atled-core", "threads", "cpu", "allocator", "shared memory", "devices", "wheels"):
        assert f"\n{word}" in f"\n{text}", word
    assert f"{at.get_num_threads()} (" in text


def test_doctor_explains_what_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLED_NUM_THREADS", "3")
    monkeypatch.setenv("ATLED_CPU_LEVEL", "baseline")
    _, text = run("doctor")
    assert "3 (ATLED_NUM_THREADS=3)" in text
    assert "baseline (ATLED_CPU_LEVEL=baseline)" in text


def test_doctor_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main.util, "find_spec", lambda name: None)
    rows = dict(main._missing())
    assert rows["atled.nn"] == "not installed, needed for layers and losses: pip install atled-nn"


def test_a_wrong_command_says_which_there_are() -> None:
    code, _ = run("plug")
    assert code == 2
