"""Builds packages with AddressSanitizer and UndefinedBehaviorSanitizer, installs them here, and runs their tests."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from wheels import build, environment, pip, wheel_of
from workspace import ROOT, discover, requirement_name

FOLDER = ROOT / "build" / "sanitized"
# A module's own type information differs from another's, which the vptr check takes for an error.
FLAGS = (
    "-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined "
    "-fno-omit-frame-pointer -O1 -g -shared-libasan"
)


def runtimes(compiler: str) -> str:
    """The libraries to load before Python, which itself is not sanitized; libstdc++ for its exceptions."""
    found = []
    for name in ("libasan.so", "libubsan.so", "libstdc++.so"):
        command = [compiler, f"-print-file-name={name}"]
        path = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        if not path.is_absolute():
            raise FileNotFoundError(f"expected {name} beside {compiler}, got none; install the compiler's sanitizers")
        found.append(str(path.resolve()))
    return " ".join(found)


def main() -> None:
    """Command line: packages, then words for pytest; needs GCC and what the packages' tests need."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="+")
    arguments, options = parser.parse_known_args()
    packages = discover()
    python = environment(packages)
    FOLDER.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CXX", "g++")
    flags = FLAGS.replace(" -shared-libasan", "") if "clang" not in compiler else FLAGS
    settings = ["build-dir=build/sanitized-{wheel_tag}", "cmake.build-type=Debug", "install.strip=false"]
    # The stubs are written by loading the library, for which its Python would have to be sanitized.
    settings += ["cmake.define.ATLED_STUBS=OFF"]
    chosen = [package for package in packages if package.name in arguments.packages]
    wanted = {name for package in chosen for name in map(requirement_name, package.build_requirements)}
    for package in chosen:
        words = [f"--config-settings={setting}" for setting in settings]
        build(package, python, FOLDER, *words, CXX=compiler, CXXFLAGS=flags, LDFLAGS=flags)
        wheel = str(wheel_of(package, FOLDER))
        pip(Path(sys.executable), "install", "--quiet", "--force-reinstall", "--no-deps", wheel)
        if package.distribution in wanted:
            # A sanitized library cannot be loaded by the builds' Python, which needs the headers alone.
            pip(python, "install", "--quiet", "--force-reinstall", "--no-deps", str(wheel_of(package)))
    env = dict(
        os.environ,
        LD_PRELOAD=runtimes(compiler),
        ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1",
        UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
    )
    reports = ROOT / "build" / "reports"
    failed = []
    for package in chosen:
        command = [sys.executable, "-m", "pytest", f"--junit-xml={reports / f'sanitizers-{package.name}.xml'}"]
        if subprocess.run([*command, *options, str(package.tests)], cwd=ROOT, env=env, check=False).returncode:
            failed.append(package.name)
    sys.exit(f"failed under the sanitizers: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
