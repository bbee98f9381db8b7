"""How the backend finds NVIDIA's libraries, with others in their place."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import atled.core as at
from atled.core import _cuda
from atled.core.cuda import _native

HERE = Path(__file__).parent
CORE = HERE.parents[1]
NAME = "libatled_test.so.13"


def _compiler() -> str:
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        pytest.skip("no C++ compiler on the path")
    return compiler


def _make(folder: Path, number: int, function: str = "which") -> Path:
    """A library whose function answers the number."""
    folder.mkdir(parents=True, exist_ok=True)
    source = f'extern "C" int {function}() {{ return {number}; }}'
    flags = ["-shared", "-fPIC", f"-Wl,-soname,{NAME}", "-xc++", "-", "-o", str(folder / NAME)]
    subprocess.run([_compiler(), *flags], input=source, text=True, check=True)
    return folder


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux":
        pytest.skip("CUDA's libraries are looked for on Linux")
    path = tmp_path_factory.mktemp("program") / "libraries"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{CORE / 'include'}", f"-I{CORE / 'csrc'}"]
    sources = [str(HERE / "libraries.cpp"), str(CORE / "csrc/cuda/libraries.cpp")]
    subprocess.run([_compiler(), *flags, *sources, "-o", str(path), "-ldl"], check=True)
    return path


def _find(program: Path, site: Path, *folders: Path, **environment: str) -> str:
    """What the program says where it lies in a folder of packages."""
    own = site / "atled" / "core"
    own.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, own)
    command = [str(own / program.name), NAME, ":".join(map(str, folders))]
    kept = {name: value for name, value in os.environ.items() if name not in ("CUDA_HOME", "LD_LIBRARY_PATH")}
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=True).stdout.strip()


def test_the_order_of_the_search(program: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    home = _make(tmp_path / "home" / "lib64", 1).parent
    assert _find(program, site, CUDA_HOME=str(home)) == "1"
    _make(site / "nvidia/cu13/lib", 2)
    assert _find(program, site, CUDA_HOME=str(home)) == "2"
    other = _make(tmp_path / "other", 3)
    assert _find(program, site, tmp_path / "none", other, CUDA_HOME=str(home)) == "3"
    system = _make(tmp_path / "system", 4)
    assert _find(program, site, other, LD_LIBRARY_PATH=str(system)) == "4"
    _make(site / "atled/core", 5)
    assert _find(program, site, other, LD_LIBRARY_PATH=str(system)) == "5"


def test_a_library_that_is_missing(program: Path, tmp_path: Path) -> None:
    said = _find(program, tmp_path / "site", tmp_path / "a", tmp_path / "b")
    assert said.startswith(
        f"4 cuda: expected {NAME}, looked for it in {tmp_path}/site/atled/core, the system's library"
    )
    for folder in ("a", "b", "site/nvidia/cu13/lib"):
        assert f", {tmp_path / folder}" in said
    assert said.endswith('; pip install "atled-core[cuda]" brings it') and "cannot be loaded" not in said


def test_a_library_that_cannot_be_loaded(program: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("no library")
    said = _find(program, tmp_path / "site", tmp_path)
    assert f"found one that cannot be loaded: {tmp_path / NAME}: " in said


def test_a_library_without_the_function(program: Path, tmp_path: Path) -> None:
    said = _find(program, tmp_path / "site", _make(tmp_path / "old", 1, "what"))
    assert said == f"4 cuda: expected the function which in {NAME}, which has none"


def test_the_wheels_of_the_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wheel in ("a/nvidia/cu13/lib", "b/nvidia/cublas/lib", "c/nvidia/cublas/include"):
        (tmp_path / wheel).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "b"), str(tmp_path / "a"), str(tmp_path / "none.zip")])
    found = [str(Path(folder).relative_to(tmp_path)) for folder in _cuda.library_folders()]
    assert found == ["b/nvidia/cublas/lib", "a/nvidia/cu13/lib"]


def test_the_values_of_nvidias_header() -> None:
    headers = [
        *(Path(folder).parent / "include" for folder in _cuda.library_folders()),
        Path("/usr/local/cuda/include"),
    ]
    blas = next((folder for folder in headers if (folder / "cublasLt.h").exists()), None)
    runtime = next((folder for folder in reversed(headers) if (folder / "crt/host_defines.h").exists()), None)
    if not blas or not runtime:
        pytest.skip("expected cublasLt.h and CUDA's headers, in NVIDIA's wheels or in /usr/local/cuda")
    folders = [f"-I{CORE / 'include'}", f"-I{CORE / 'csrc'}", "-isystem", str(runtime), "-isystem", str(blas)]
    subprocess.run(
        [_compiler(), "-std=c++17", "-fsyntax-only", *folders, str(HERE / "cublaslt_values.cpp")], check=True
    )


def test_a_backend_without_cublaslt(gpu: str, tmp_path: Path) -> None:
    if not _cuda.LIBRARY.with_name("libcublasLt.so.13").exists():
        pytest.skip("expected the emulated device, whose library can be moved away from its cuBLASLt")
    for library in (_cuda.LIBRARY, _cuda.LIBRARY.with_name("libatled_emulator.so")):
        shutil.copy(library, tmp_path)
    script = f"""
import pathlib, sys
from atled.core import _cuda
import atled.core as at
_cuda.LIBRARY = pathlib.Path({str(tmp_path)!r}) / _cuda.LIBRARY.name
_cuda.library_folders = lambda: ["/none"]
x = at.ones(3, 4, device={gpu!r})
print(at.mv(x, x[0]).tolist(), (x.int() @ x.int().T).sum().item())
for _ in range(2):
    try:
        x @ x.T
    except at.DeviceError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    said = done.stdout.splitlines()
    if len(said) == 1:
        pytest.skip("the system has cuBLASLt")
    assert said[0] == "[4.0, 4.0, 4.0] 36", done.stderr
    for line in said[1:3]:
        assert line.startswith(f"matmul: cuda: expected libcublasLt.so.13, looked for it in {tmp_path}, the system's")
        assert ", /none, " in line and line.endswith('pip install "atled-core[cuda]" brings it')


def test_other_wheels_open_libraries_as_the_backend_does(gpu: str) -> None:
    table = _native.native()
    handle = ctypes.c_void_p()
    with pytest.raises(at.DeviceError, match=r"expected libnone\.so, looked for it in .*; build it$"):
        table.open_library(b"libnone.so", b"build it", ctypes.byref(handle))
    table.open_library(b"libcublasLt.so.13", b"", ctypes.byref(handle))
    assert handle.value
