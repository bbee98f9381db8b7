"""What it costs to have atled at all: seconds to import it, megabytes to install it."""

import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks.rows.row import Row

STACK = ("atled-core", "atled-autograd", "atled-nn", "atled-optim", "atled-data", "atled-distributed")


def _start(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
    return time.perf_counter() - start


def import_milliseconds(code: str, rounds: int = 15) -> float:
    """Milliseconds that ``code`` adds to the start of an interpreter: a median, with files in the page cache."""
    _start(code)
    return 1e3 * statistics.median(_start(code) - _start("pass") for _ in range(rounds))


def installed_megabytes(distribution: str) -> float:
    """Size of a distribution's installed files in MB (10^6 bytes), compiled Python included."""
    files = metadata.files(distribution)
    if files is None:
        raise FileNotFoundError(f"expected {distribution} installed from a wheel, got no list of its files")
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def _imports() -> list[Row]:
    everything = "import atled.core; from atled import autograd, nn, optim"
    ours = {"import atled.core": ("import atled.core", 50.0), "import core, autograd, nn, optim": (everything, 100.0)}
    peers = {name: import_milliseconds(f"import {name}") for name in ("numpy", "torch")}
    return [
        Row(name, measured={"atled": import_milliseconds(code), **peers}, budgets={"absolute": budget}, unit="ms")
        for name, (code, budget) in ours.items()
    ]


def _sizes() -> list[Row]:
    sizes = {name: installed_megabytes(name) for name in STACK}
    numpy = installed_megabytes("numpy")
    budgets = {"atled-core": {"absolute": 45.0}}
    rows = [
        Row(f"installed {name}", measured={"atled": size}, budgets=budgets.get(name, {}), unit="MB")
        for name, size in sizes.items()
    ]
    core = sizes["atled-core"] + numpy
    whole = sum(sizes[name] for name in STACK if name != "atled-distributed") + numpy
    torch = installed_megabytes("torch")
    rows.append(
        Row("installed atled-core with NumPy", measured={"atled": core}, budgets={"absolute": 120.0}, unit="MB")
    )
    rows.append(
        Row(
            "installed atled (the CPU stack) with NumPy",
            measured={"atled": whole, "numpy": numpy, "torch": torch},
            budgets={"absolute": 220.0},
            unit="MB",
        )
    )
    return rows


def rows() -> list[Row]:
    """Import times, and installed sizes of each wheel."""
    return _imports() + _sizes()
