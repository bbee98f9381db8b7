"""Plugins built here from the public headers: failing kernels, a toy device and a toy layer."""

import ctypes
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import atled.core as at
from atled.core import _core

Compile = Callable[..., Path]
OP_TESTS = Path(__file__).parents[1] / "test_ops.py"


@pytest.fixture(scope="module")
def throws(compile_plugin: Compile) -> None:
    _core.load_plugin(str(compile_plugin("throws.cpp")))


@pytest.mark.parametrize(
    ("op", "error", "message"),
    [
        ("standard", at.OperationError, "standard: thrown in a kernel"),
        ("memory", at.OutOfMemoryError, "memory: out of memory"),
        ("number", at.OperationError, r"number: an unknown C\+\+ exception"),
        ("typed", at.ShapeError, "typed: expected a square, got a circle"),
        ("inner", at.ShapeError, r"^inner: expected input.shape\[-1\] == other.shape\[-2\], got \(2, 3\) and \(2, 3\)"),
        ("bad_shape", at.OperationError, "bad_shape: thrown in a shape rule"),
        ("silent", at.OperationError, r"silent: its kernel left result 0 \(Tensor\) empty"),
        ("no_kernel", at.NotImplementedOpError, "no_kernel: expected a kernel for device cpu, but there is none"),
    ],
)
@pytest.mark.usefixtures("throws")
def test_a_plugin_that_throws(op: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        getattr(at.ops.throws, op)(at.zeros(2, 3))
    assert at.ones(2).sum().item() == 2  # nothing is left in the error state


def test_a_plugin_without_its_symbol_and_one_that_is_no_library(compile_plugin: Compile, tmp_path: Path) -> None:
    empty = tmp_path / "empty.so"
    empty.write_text("not a library")
    with pytest.raises(at.PluginError, match="cannot be loaded"):
        _core.load_plugin(str(empty))
    with pytest.raises(at.PluginError, match="exports no atled_plugin_init"):
        _core.load_plugin(str(compile_plugin("throws.cpp", "-Datled_plugin_init=another_name")))


def test_a_plugin_for_a_newer_core(compile_plugin: Compile) -> None:
    minor = _core.abi_version()[1] + 1
    with pytest.raises(
        at.ABIError, match=rf"atled-throws 0.1.0 needs ABI 0\.{minor} or later.*pip install -U atled-core"
    ):
        _core.load_plugin(str(compile_plugin("throws.cpp", f"-DATLED_ABI_TARGET_MINOR={minor}")))


@pytest.fixture(scope="module")
def layer(compile_plugin: Compile) -> ctypes.CDLL:
    path = compile_plugin("toy_layer.cpp")
    _core.load_plugin(str(path))
    library = ctypes.CDLL(str(path))
    library.record_calls.restype = ctypes.c_int64
    library.record_names.restype = ctypes.c_char_p
    return library


def test_layer_sees_calls_of_the_thread_that_includes_it(layer: ctypes.CDLL) -> None:
    x = at.ones(3)
    x + 1
    assert layer.record_calls() == 0
    layer.record_thread(1)
    try:
        (x + 1).exp().sum()
    finally:
        layer.record_thread(0)
    assert layer.record_names() == b"add exp sum "
    assert _core.layers()[40] == "record"
    x + 1
    assert layer.record_calls() == 3
    layer.record_clear()


# In a process of its own: a slot has one owner until the end, and a slot that another owner frees fails at exit only.
KEYED = """
import ctypes, importlib, sys
from atled.core import _core
importlib.import_module(sys.argv[2])
alone = sys.argv[2] == "atled.core"
_core.load_plugin(sys.argv[1])
library = ctypes.CDLL(sys.argv[1])
library.record_dropped.restype, library.record_names.restype = ctypes.c_int64, ctypes.c_char_p
assert (library.record_own_slot() == 0) == alone
assert library.record_own_slot() != 0  # one owner in a process
assert library.record_keyed_tensor() == 0
assert library.record_names() == b"mul ", library.record_names()
assert library.record_dropped() == alone
"""


@pytest.mark.parametrize("loaded", ["atled.core", "atled.autograd"])
def test_layer_sees_calls_on_tensors_with_its_key_and_their_death(compile_plugin: Compile, loaded: str) -> None:
    if not importlib.util.find_spec(loaded):
        pytest.skip(f"no {loaded}")
    command = [sys.executable, "-c", KEYED, str(compile_plugin("toy_layer.cpp")), loaded]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# The kernels are core's own, only the way to them is another: one dtype of each kind will do.
def run_op_tests(environment: dict[str, str], dtypes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(OP_TESTS), "-k", dtypes]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def test_core_op_tests_on_the_toy_device(compile_plugin: Compile) -> None:
    settings = {"ATLED_TEST_PLUGIN": str(compile_plugin("toy_device.cpp")), "ATLED_TEST_DEVICE": "toy"}
    done = run_op_tests(settings, "float32 or int64 or bool or complex64")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_core_op_tests_under_the_toy_layer(compile_plugin: Compile) -> None:
    settings = {"ATLED_TEST_PLUGIN": str(compile_plugin("toy_layer.cpp")), "ATLED_TEST_LAYER": "record_thread"}
    done = run_op_tests(settings, "float32 or int64")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
