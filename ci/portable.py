"""Compiles the C++ below the bindings with other compilers and for other processors; a warning is an error.

Clang for this machine, and GCC for 64-bit Arm where its cross compiler is installed (Debian's
``g++-aarch64-linux-gnu``). Nothing is optimised, linked or run: that would take three times as long, and Clang's
warnings do not depend on it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workspace import ROOT, Package, discover

FLAGS = [
    "-std=c++17",
    "-O0",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fopenmp-simd",
    "-c",
]
# Loops that it leaves scalar are no fault, and `a | b` of two bools, where both are to be looked at, is meant.
COMPILERS = {
    "clang++": ["-Wno-pass-failed", "-Wno-bitwise-instead-of-logical", "-fsyntax-only"],
    "aarch64-linux-gnu-g++": [],
}
_INCLUDE = re.compile(r'#include (?:<(cuda)|"([^"]+)")')


def include_folders(package: Package) -> list[Path]:
    """Where a package's own headers and core's public ones are."""
    return [package.folder / "csrc", package.folder / "include", ROOT / "packages" / "core" / "include"]


def needs_cuda(path: Path, folders: list[Path]) -> bool:
    """Whether a file includes CUDA's headers, itself or by headers of ours."""
    for cuda, name in _INCLUDE.findall(path.read_text()):
        header = next((room / name for room in (path.parent, *folders) if (room / name).is_file()), None)
        if cuda or (header and needs_cuda(header, folders)):
            return True
    return False


def sources(package: Package) -> list[Path]:
    """The C++ files of a package, but for bindings and what includes a library of a build's own."""
    rooms, folders = {"python", "onednn"}, include_folders(package)
    files = sorted((package.folder / "csrc").rglob("*.cpp"))
    return [path for path in files if rooms.isdisjoint(path.parts) and not needs_cuda(path, folders)]


def compile_one(compiler: str, package: Package, source: Path, folder: Path) -> str:
    """What the compiler had to say, empty when it was content."""
    includes = [f"-I{room}" for room in [*include_folders(package), sysconfig.get_path("include"), folder]]
    given = [f'-DATLED_{package.name.upper()}_VERSION="0"', '-DATLED_OPENBLAS_FILE="libopenblas.so"']
    output = folder / f"{package.name}-{'-'.join(source.relative_to(package.folder).parts)}.o"
    command = [compiler, *FLAGS, *COMPILERS.get(compiler, []), *includes, *given, str(source), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def lend_configuration(folder: Path) -> None:
    """Debian's Python looks for its configuration by the processor's name: another 64-bit one may have this one's."""
    include = Path(sysconfig.get_path("include"))
    own = include.parent / str(sysconfig.get_config_var("MULTIARCH")) / include.name / "pyconfig.h"
    if own.exists():
        for name in (name for name in COMPILERS if name.endswith("-g++")):
            place = folder / name.removesuffix("-g++") / include.name
            place.mkdir(parents=True)
            (place / "pyconfig.h").write_text(own.read_text())


def main() -> None:
    """Command line: compilers, by default those of COMPILERS that are installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("compiler", nargs="*", help=f"by default {' and '.join(COMPILERS)}")
    chosen = parser.parse_args().compiler
    missing = [name for name in COMPILERS if not shutil.which(name)]
    compilers = chosen or [name for name in COMPILERS if name not in missing]
    for name in missing if not chosen else ():
        print(f"portable: {name} is not installed, so nothing is compiled with it")
    failed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        lend_configuration(Path(folder))
        for compiler in compilers:
            work = [(package, source) for package in discover() for source in sources(package)]
            jobs = [pool.submit(compile_one, compiler, package, source, Path(folder)) for package, source in work]
            for (_, source), job in zip(work, jobs, strict=True):
                if text := job.result():
                    failed += 1
                    print(f"{compiler} {source.relative_to(ROOT)}:\n{text}", flush=True)
            print(f"portable: {len(work)} files compiled with {compiler}", flush=True)
    sys.exit(f"{failed} files were not compiled without a warning" if failed else 0)


if __name__ == "__main__":
    main()
