"""What the tests of device "cuda" need: a GPU, or the parts of its code that run on the host."""

import ctypes
import importlib
import os
import shutil
import subprocess
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

from atled.testing.fixtures import gpu as gpu

HERE = Path(__file__).parent
CORE = HERE.parents[1]


@pytest.fixture
def cupy(gpu: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """CuPy where it is installed, else the stand-in for it; loaded by the first op that needs it."""
    if util.find_spec("cupy") is None:
        monkeypatch.syspath_prepend(str(HERE / "emulator" / "fake_cupy"))
    importlib.import_module("cupyx")
    return importlib.import_module("cupy")


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The library of geometry.cpp, compiled from the same headers as the device's kernels."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        pytest.skip("no C++ compiler on the path")
    library = tmp_path_factory.mktemp("cuda") / "geometry.so"
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    folders = [f"-I{CORE / 'include'}", f"-I{CORE / 'csrc'}"]
    subprocess.run([compiler, *flags, *folders, str(HERE / "geometry.cpp"), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.walk.restype = loaded.places.restype = loaded.argmax.restype = loaded.blas_ld.restype = ctypes.c_int64
    loaded.quotient.restype = ctypes.c_uint32
    loaded.variance.restype = loaded.logsumexp.restype = ctypes.c_double
    return loaded
