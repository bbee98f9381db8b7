"""A boxed call allocates nothing on the heap but its output, which the allocator has in its lists."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys
from atled.core import _core
_core.load_plugin(sys.argv[1])
library = ctypes.CDLL(sys.argv[1])
for name in ("overhead_heap_calls", "overhead_heap_calls_of_one_malloc"):
    getattr(library, name).restype = ctypes.c_int64
print(library.overhead_heap_calls_of_one_malloc(), library.overhead_heap_calls(ctypes.c_int64(1000)))
"""


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer has an allocator of its own")
def test_no_heap_allocation_in_a_boxed_call(compile_plugin: Callable[..., Path]) -> None:
    path = str(compile_plugin("overhead.cpp"))
    command = [sys.executable, "-c", PROGRAM, path]
    done = subprocess.run(command, env=os.environ | {"LD_PRELOAD": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0"]
