"""Builds the test plugins from the public headers alone, each once per run."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import atled.core as at

HERE = Path(__file__).parent / "plugins"
Compile = Callable[..., Path]


@pytest.fixture(scope="session")
def compiler() -> str:
    """The C++ compiler; the tests skip without one."""
    found = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if not found:
        pytest.skip("no C++ compiler on the path")
    return found


@pytest.fixture(scope="session")
def compile_plugin(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """`compile_plugin(source, *flags)` gives the path of the library."""
    built: dict[tuple[str, ...], Path] = {}
    folder = tmp_path_factory.mktemp("plugins")

    def compile_one(source: str, *flags: str) -> Path:
        key = (source, *flags)
        if key not in built:
            library = folder / f"{len(built)}_{Path(source).stem}.so"
            command = [
                compiler,
                "-std=c++17",
                "-O1",
                "-fPIC",
                "-shared",
                "-fvisibility=hidden",
                "-Wall",
                "-Wextra",
                "-Werror",
                *flags,
            ]
            command += [f"-I{at.get_include()}", str(HERE / source), "-o", str(library)]
            subprocess.run(command, check=True)
            built[key] = library
        return built[key]

    return compile_one
