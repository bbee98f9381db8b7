"""The frozen layout: compiled, not run, as C11 and as C++17."""

import shutil
import subprocess
from pathlib import Path

import pytest

import atled.core as at

LAYOUT = Path(__file__).parent / "plugins" / "layout.c"


def test_c11(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler on the path")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{at.get_include()}"]
    subprocess.run([compiler, *flags, "-c", str(LAYOUT), "-o", str(tmp_path / "layout.o")], check=True)


def test_cxx17(compiler: str, tmp_path: Path) -> None:
    flags = ["-std=c++17", "-x", "c++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{at.get_include()}"]
    subprocess.run([compiler, *flags, "-c", str(LAYOUT), "-o", str(tmp_path / "layout.o")], check=True)


def test_the_check_can_fail(compiler: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.cpp"
    wrong.write_text(LAYOUT.read_text().replace("CHECK(sizeof(atled_frame) == 40)", "CHECK(sizeof(atled_frame) == 48)"))
    done = subprocess.run(
        [compiler, "-std=c++17", f"-I{at.get_include()}", "-c", str(wrong), "-o", str(tmp_path / "x.o")],
        capture_output=True,
    )
    assert done.returncode != 0
    assert b"sizeof(atled_frame) == 48" in done.stderr
