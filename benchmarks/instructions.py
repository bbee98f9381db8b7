"""Command line: ``python -m benchmarks.instructions`` counts and times what a call costs, with the ABI and without it.

Needs valgrind and a C++ compiler. Instructions are counted by callgrind for two numbers of calls, so that what is
outside the calls falls away; times are the best of several rounds, all functions in turn, in one process.
"""

import argparse
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import atled.core as at
from atled.core import _core

SOURCE = Path(__file__).resolve().parents[1] / "packages/core/tests/abi/plugins/overhead.cpp"
FUNCTIONS = {
    "nothing": "a call whose kernel does nothing",
    "boxed": "a call whose kernel gives its input back, through the ABI",
    "typed": "the same through a typed dispatcher by hand, without the ABI",
    "crossing": "boxes, a call through a pointer, status and result alone",
    "direct": "an addition of four floats: output, kernel and release alone",
    "call": "the same through the dispatcher, with its shape rule",
}
FEW, MANY = 1_000, 101_000


def build(folder: Path) -> Path:
    """Compiles the plugin that holds the functions from the public headers."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
    library = folder / "overhead.so"
    flags = ["-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", f"-I{at.get_include()}"]
    subprocess.run([compiler, *flags, str(SOURCE), "-o", str(library)], check=True)
    return library


def load(library: Path) -> ctypes.CDLL:
    """Registers the plugin's ops and opens it for direct calls."""
    _core.load_plugin(str(library))
    opened = ctypes.CDLL(str(library))
    for name in FUNCTIONS:
        getattr(opened, f"overhead_{name}").argtypes = [ctypes.c_int64]
    return opened


def instructions(library: Path, name: str) -> float:
    """Instructions per call of one function."""
    counts = []
    for calls in (FEW, MANY):
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        command += [sys.executable, "-m", "benchmarks.instructions", "--run", str(library), name, str(calls)]
        # Equal hashes, or Python's own work differs from run to run.
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        counts.append(int(re.findall(r"Collected : (\d+)", done.stderr)[0]))
    return (counts[1] - counts[0]) / (MANY - FEW)


def nanoseconds(library: Path, rounds: int = 25, calls: int = 200_000) -> dict[str, float]:
    """The best time per call of every function."""
    opened = load(library)
    best = dict.fromkeys(FUNCTIONS, float("inf"))
    for _ in range(rounds):
        for name in FUNCTIONS:
            begin = time.perf_counter_ns()
            getattr(opened, f"overhead_{name}")(calls)
            best[name] = min(best[name], (time.perf_counter_ns() - begin) / calls)
    return best


def main() -> None:
    """Prints a table, and what the ABI adds to a call."""
    parser = argparse.ArgumentParser(prog="benchmarks.instructions", description=__doc__)
    parser.add_argument("--run", nargs=3, metavar=("LIBRARY", "FUNCTION", "CALLS"), help="what is run under callgrind")
    run = parser.parse_args().run
    if run:
        sys.exit(getattr(load(Path(run[0])), f"overhead_{run[1]}")(int(run[2])))
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        times = nanoseconds(library)
        counts = {name: instructions(library, name) for name in FUNCTIONS}
    print("| function | instructions | ns | what it does |\n|---|---|---|---|")
    for name, text in FUNCTIONS.items():
        print(f"| `overhead_{name}` | {counts[name]:.0f} | {times[name]:.1f} | {text} |")
    added = counts["boxed"] - counts["typed"], times["boxed"] - times["typed"]
    print(f"\nthe ABI adds {added[0]:.0f} instructions and {added[1]:.1f} ns to a call")


if __name__ == "__main__":
    main()
