"""``python -m atled.core``: what it says, with and without plugins that fail."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributions import MakeDistribution

import atled.core as at
from atled.core import __main__ as main
from atled.core import _doctor, _selfbench


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
    for word in ("python", "atled-core", "threads", "cpu", "blas", "allocator", "shared memory", "devices", "wheels"):
        assert f"\n{word}" in f"\n{text}", word
    assert f"{at.get_num_threads()} (" in text


def test_doctor_explains_what_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLED_NUM_THREADS", "3")
    monkeypatch.setenv("ATLED_CPU_LEVEL", "baseline")
    _, text = run("doctor")
    assert "3 (ATLED_NUM_THREADS=3)" in text
    assert "baseline (ATLED_CPU_LEVEL=baseline)" in text


def test_doctor_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor.util, "find_spec", lambda name: None)
    rows = dict(_doctor.missing())
    assert rows["atled.nn"] == "not installed, needed for layers and losses: pip install atled-nn"


def test_a_wrong_command_says_which_there_are() -> None:
    code, _ = run("plug")
    assert code == 2


def test_doctor_as_data() -> None:
    code, text = run("doctor", "--json")
    found = json.loads(text)
    assert found["threads"]["count"] == at.get_num_threads()
    assert found["atled-core"]["version"] == at.__version__
    assert found["wheels"]["atled-core"] == at.__version__
    assert found["cpu"]["level"] in ("baseline", "avx2", "avx512")
    assert found["allocator"].keys() == at.memory_stats().keys()
    assert found["devices"]["cpu"] == "in use" and found["devices"]["cuda"]
    assert code == bool(found["problems"])


def test_doctor_names_settings_that_make_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLED_CPU_LEVEL", "avx1024")
    monkeypatch.setenv("ATLED_NUM_THREADS", "many")
    monkeypatch.setenv("ATLED_MEMORY_LIMIT", "64M")
    code, text = run("doctor")
    assert code == 1
    assert "ATLED_CPU_LEVEL=avx1024 is ignored: expected baseline|avx2|avx512" in text
    assert "ATLED_NUM_THREADS=many is ignored" in text
    assert "ATLED_MEMORY_LIMIT=64M is ignored" not in text and "limit 64.0 MiB" in text


def test_doctor_notices_wrong_results(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(_doctor._wrong_results()) == []
    exp = at.exp
    monkeypatch.setattr(at.Tensor, "exp", lambda x: exp(x) + 1)
    assert [text.split(" by ")[0] for text in _doctor._wrong_results()] == ["exp is wrong"]


def test_doctor_notices_a_library_of_products_that_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "libscipy_openblas.so").write_bytes(b"no library")
    monkeypatch.setattr(_doctor, "__file__", str(tmp_path / "_doctor.py"))
    blas = _doctor._blas()
    assert blas["failure"] and any(text.startswith("OpenBLAS: ") for text in _doctor._problems(blas))


def test_bench_compares_with_numpy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_selfbench, "_SECONDS", 0.001)
    monkeypatch.setattr(_selfbench, "_ROUNDS", 1)
    assert main.main(["bench"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["atled", "NumPy", "atled", "/", "NumPy"]
    assert lines[-1].startswith("geometric mean")
    results = [_selfbench.Result("a", 1e-9, 2e-9, 0.5), _selfbench.Result("b", 2.0, 1.0, 2.0)]
    assert _selfbench.mean_ratio(results) == pytest.approx(1.0)
    assert _selfbench.rows(results)[1:3] == [("a", "1 ns", "2 ns", "0.50"), ("b", "2 s", "1 s", "2.00")]


def test_what_bench_compares_computes_the_same() -> None:
    for name, ours, theirs in _selfbench.cases():
        result, expected = ours(), theirs()
        if "normal" not in name:
            # The same kind of result: NumPy's float32 sums of four million terms are off by that much themselves.
            np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-3, atol=0.1, err_msg=name)
