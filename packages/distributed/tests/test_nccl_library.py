"""NCCL's functions and numbers as Python calls them, beside NCCL's header: a compiler compares them."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from atled.distributed._nccl_library import CONSTANTS, FUNCTIONS

HERE = Path(__file__).parent
# The stand-in's, and NVIDIA's where the wheel is installed.
HEADERS = [HERE.parents[1] / "core" / "tests" / "cuda" / "emulator"]
HEADERS += [folder for entry in sys.path if (folder := Path(entry, "nvidia", "nccl", "include")).is_dir()]
CHECK = """
#include <nccl.h>
template <class... Arguments>
constexpr bool has(ncclResult_t (*)(Arguments...), std::initializer_list<unsigned> sizes) {
  const unsigned own[] = {unsigned(sizeof(Arguments))..., 0};
  if (sizes.size() != sizeof...(Arguments)) return false;
  for (unsigned i = 0; i < sizes.size(); ++i)
    if (own[i] != sizes.begin()[i]) return false;
  return true;
}
"""


@pytest.mark.parametrize("folder", HEADERS, ids=["own", *["NVIDIA's"] * (len(HEADERS) - 1)])
def test_functions_and_numbers_are_those_of_the_header(tmp_path, folder):
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if not compiler or not folder.is_dir():
        pytest.skip("no C++ compiler on the path, or no header")
    # All that they take from CUDA's.
    types = "typedef struct CUstream_st* cudaStream_t;\ntypedef struct CUevent_st* cudaEvent_t;\n"
    for name in ("cuda_runtime.h", "cuda_runtime_api.h", "cuda_fp16.h"):
        (tmp_path / name).write_text(f"#pragma once\n#include <stddef.h>\n{types}")
    lines = ["#include <initializer_list>", CHECK]
    for name, arguments in FUNCTIONS.items():
        sizes = ", ".join(str(ctypes.sizeof(each)) for each in arguments)
        lines.append(f'static_assert(has({name}, {{{sizes}}}), "{name}");')
    lines += [f'static_assert({name} == {number}, "{name}");' for name, number in CONSTANTS.items()]
    command = [compiler, "-std=c++17", "-fsyntax-only", f"-I{folder}", f"-I{tmp_path}", "-xc++", "-"]
    done = subprocess.run(command, input="\n".join(lines), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
