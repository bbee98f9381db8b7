"""What packages this checkout holds, read from packages/*/pyproject.toml and from nowhere else."""

import graphlib
import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# What builds leave in a package's folder is no source of it.
_BUILT_FOLDERS = {"build", "dist", "__pycache__"}
_BUILT_SUFFIXES = {".so", ".pyd", ".dll", ".dylib", ".pyc"}


def requirement_name(requirement: str) -> str:
    """The normalised name of the distribution that is required: ``"atled_core[cuda]>=1"`` → ``"atled-core"``."""
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
    if match is None:
        raise ValueError(f"expected a requirement that begins with a name, got {requirement!r}")
    return re.sub(r"[-_.]+", "-", match.group()).rstrip("-").lower()


@dataclass(frozen=True)
class Package:
    """One folder of packages/, the source of one wheel."""

    folder: Path

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        """The parsed pyproject.toml."""
        return tomllib.loads((self.folder / "pyproject.toml").read_text())

    @property
    def name(self) -> str:
        """The folder's name, and the child of ``atled`` that the wheel owns."""
        return self.folder.name

    @property
    def project(self) -> dict[str, Any]:
        """The ``[project]`` table."""
        table: dict[str, Any] = self.pyproject["project"]
        return table

    @property
    def distribution(self) -> str:
        """The wheel's name: ``atled-core``."""
        return str(self.project["name"])

    @property
    def dependencies(self) -> list[str]:
        """What the wheel requires where it is installed."""
        return list(self.project.get("dependencies", []))

    @property
    def build_requirements(self) -> list[str]:
        """What the wheel requires where it is built."""
        return list(self.pyproject["build-system"]["requires"])

    @property
    def test_requirements(self) -> list[str]:
        """What the tests require beside the wheel: the dependency group ``test``."""
        return list(self.pyproject.get("dependency-groups", {}).get("test", []))

    @property
    def compiles(self) -> bool:
        """Whether the wheel holds native code."""
        return (self.folder / "CMakeLists.txt").exists()

    @property
    def source(self) -> Path:
        """The folder that holds the package's Python: ``src/atled/<name>``."""
        return self.folder / "src" / "atled" / self.name

    @property
    def tests(self) -> Path:
        """The folder of the tests; a package without code has none."""
        return self.folder / "tests"

    def files(self) -> Iterator[Path]:
        """Every source file, in a fixed order; what builds left behind is passed over."""
        for path in sorted(self.folder.rglob("*")):
            parts = path.relative_to(self.folder).parts
            built = _BUILT_FOLDERS.intersection(parts) or _BUILT_SUFFIXES.intersection(path.suffixes)
            hidden = any(part.startswith(".") for part in parts)
            if path.is_file() and not built and not hidden:
                yield path


def fingerprint(paths: Iterator[Path]) -> str:
    """A digest of the names and contents of files below the checkout."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def discover(root: Path = ROOT) -> list[Package]:
    """All packages, each after those that it needs to be built or installed; otherwise by name."""
    found = {file.parent.name: Package(file.parent) for file in sorted(root.glob("packages/*/pyproject.toml"))}
    by_distribution = {package.distribution: name for name, package in found.items()}
    graph = {
        name: {
            by_distribution[needed]
            for needed in map(requirement_name, package.build_requirements + package.dependencies)
            if needed in by_distribution
        }
        for name, package in found.items()
    }
    return [found[name] for name in graphlib.TopologicalSorter(graph).static_order()]


def with_needed(names: set[str], packages: list[Package]) -> list[Package]:
    """The named packages and those that they need to be built, installed and tested, in the order of ``packages``."""
    by_distribution = {package.distribution: package.name for package in packages}
    wanted, waiting = set[str](), set(names)
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        (package,) = (p for p in packages if p.name == name)
        tests = package.test_requirements if name in names else []
        required = package.build_requirements + package.dependencies + tests
        ours = {by_distribution.get(requirement_name(requirement)) for requirement in required}
        waiting |= {found for found in ours if found is not None} - wanted
    return [package for package in packages if package.name in wanted]
