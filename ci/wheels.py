"""Builds the packages' wheels into dist/, each once: a wheel whose sources did not change is kept.

Run it with any Python; it builds with that Python, in a virtual environment of its own below build/.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

from workspace import ROOT, Package, discover, fingerprint, requirement_name, with_needed

DIST = ROOT / "dist"


def wheel_of(package: Package, folder: Path = DIST) -> Path:
    """The one wheel of a package in ``folder``; a FileNotFoundError says how to build it."""
    wheels = sorted(folder.glob(f"{package.distribution.replace('-', '_')}-{package.project['version']}-*.whl"))
    if len(wheels) != 1:
        raise FileNotFoundError(f"expected one wheel of {package.distribution}, got {len(wheels)}; run nox -s wheels")
    return wheels[0]


def pip(python: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Runs pip of the given Python."""
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *arguments], check=True, env=env)


def environment(packages: list[Package]) -> Path:
    """A virtual environment with everything that the builds need but the checkout's own wheels; returns its Python."""
    folder = ROOT / "build" / f"wheel-env-{sysconfig.get_python_version()}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True, clear=True)
    ours = {package.distribution for package in packages}
    needed = {r for package in packages for r in package.build_requirements if requirement_name(r) not in ours}
    pip(python, "install", "--quiet", "cmake>=3.26", "ninja>=1.11", *sorted(needed))
    return python


def _stamp(package: Package, packages: list[Package]) -> str:
    """What the wheel was built from: Python, the package's files and those of the packages it is built against."""
    needed = set(map(requirement_name, package.build_requirements))
    against = [other for other in packages if other.distribution in needed]
    headers = [path for other in against for room in ("include", "cmake") for path in (other.folder / room).rglob("*")]
    files = [*package.files(), *sorted(path for path in headers if path.is_file())]
    return f"{sysconfig.get_platform()}-{sys.version_info[0]}.{sys.version_info[1]}-{fingerprint(iter(files))}"


def build(package: Package, python: Path, folder: Path = DIST, *options: str, **variables: str) -> None:
    """Builds one wheel into ``folder`` with the Python of `environment`, in place of any older one.

    ``options`` go to pip and ``variables`` into the build's environment.
    """
    for old in folder.glob(f"{package.distribution.replace('-', '_')}-*.whl"):
        old.unlink()
    env = dict(os.environ, PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}", **variables)
    if shutil.which("ccache"):
        env.setdefault("CMAKE_CXX_COMPILER_LAUNCHER", "ccache")
    fixed = ("--quiet", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder))
    pip(python, "wheel", *fixed, *options, str(package.folder), env=env)


def build_all(packages: list[Package], folder: Path = DIST) -> None:
    """Builds every wheel that is missing or stale, each after those it is built against."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "stamps.json"
    stamps: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    stale = [p for p in packages if stamps.get(p.name) != _stamp(p, packages) or not _present(p, folder)]
    if not stale:
        return
    python = environment(packages)
    wanted = {name for package in packages for name in map(requirement_name, package.build_requirements)}
    for package in packages:
        if package in stale:
            start = time.perf_counter()
            stamp = _stamp(package, packages)
            build(package, python, folder)
            stamps[package.name] = stamp
            kept.write_text(json.dumps(stamps, indent=1))
            print(f"{wheel_of(package, folder).name}: built in {time.perf_counter() - start:.0f} s", flush=True)
        if package.distribution in wanted:
            pip(python, "install", "--quiet", "--force-reinstall", "--no-deps", str(wheel_of(package, folder)))


def _present(package: Package, folder: Path) -> bool:
    try:
        return wheel_of(package, folder).is_file()
    except FileNotFoundError:
        return False


def main() -> None:
    """Command line: packages to build, with what they need; all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", nargs="*")
    parser.add_argument("--folder", type=Path, default=DIST, help="where the wheels go (default dist/)")
    arguments = parser.parse_args()
    names = set(arguments.package)
    packages = discover()
    if unknown := names - {package.name for package in packages}:
        parser.error(f"expected folders of packages/, got {', '.join(sorted(unknown))}")
    build_all(with_needed(names, packages) if names else packages, arguments.folder)


if __name__ == "__main__":
    main()
