"""Checks the rules that keep the wheels apart and the files small; prints what breaks one, by file and line."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from workspace import ROOT, Package, discover

LONGEST = 800
_HAND_WRITTEN = {".c", ".cc", ".cmake", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".md", ".py", ".pyi", ".sh", ".toml"}
_CPP = {".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"}
_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def _imported(tree: ast.AST, module: list[str]) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that a module's source imports or reaches through ``atled``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = module[: len(module) - node.level] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "atled":
            yield node.lineno, f"atled.{node.attr}"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def sibling_imports(package: Package, siblings: set[str]) -> list[str]:
    """Imports of ``atled`` packages other than core and the package itself, lazy ones included."""
    allowed = {"core", package.name}
    found = []
    for path in sorted((package.folder / "src").rglob("*.py")):
        module = list(path.relative_to(package.folder / "src").with_suffix("").parts)
        if module[-1] == "__init__":
            module[-1:] = [""]
        for line, name in _imported(ast.parse(path.read_text(), str(path)), module):
            top, _, rest = name.partition(".")
            child = rest.partition(".")[0]
            if top == "atled" and child in siblings - allowed:
                found.append(f"{path}:{line}: expected imports of atled.core alone, got {name}")
    return found


def foreign_includes(package: Package, core: Package) -> list[str]:
    """``#include`` lines that reach another package's sources, or a header of core's that is not public."""
    private = {path.name for path in (core.folder / "csrc").rglob("*.h*")} if package.name != core.name else set()
    found = []
    for path in package.files():
        if path.suffix not in _CPP:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = _INCLUDE.match(line)
            if match is None:
                continue
            header = match.group(1)
            beside = (path.parent / header).resolve()
            rooms = (path.parent, package.folder / "csrc", package.folder / "include")
            own = any((room / header).exists() for room in rooms)
            escapes = ".." in Path(header).parts and not beside.is_relative_to(package.folder.resolve())
            unpublished = header.startswith("atled/") and not own and not (core.folder / "include" / header).exists()
            in_core = any((core.folder / room / header).exists() for room in ("", "csrc"))
            reaches_private = not own and "/" in header and in_core
            by_name = not own and '"' in line and "/" not in header and header in private
            if escapes or unpublished or reaches_private or by_name:
                found.append(f"{path}:{number}: expected own headers or core's public ones, got {header}")
    cmake = package.folder / "CMakeLists.txt"
    if cmake.exists():
        for number, line in enumerate(cmake.read_text().splitlines(), 1):
            if re.search(r"\.\./[\w.]+|packages/", line):
                found.append(f"{cmake}:{number}: expected paths within the package, got {line.strip()}")
    return found


def namespace(package: Package) -> list[str]:
    """What a package keeps under src/ besides its own child of the namespace package ``atled``."""
    source = package.folder / "src"
    stray = [path for path in source.glob("[!._]*") if path.name != "atled"]
    stray += [path for path in (source / "atled").glob("*") if path.name not in {package.name, "__pycache__"}]
    return [f"{path}: expected src/atled/{package.name} alone (PEP 420 allows nothing beside it)" for path in stray]


def version_ranges(package: Package) -> list[str]:
    """Requirements without a floor, pinned with ``==``, or capped although they name one of our wheels."""
    lists = [package.build_requirements, package.dependencies, package.test_requirements]
    lists += package.project.get("optional-dependencies", {}).values()
    file = package.folder / "pyproject.toml"
    found = []
    for text in (text for requirements in lists for text in requirements):
        requirement = Requirement(text)
        operators = {specifier.operator for specifier in requirement.specifier}
        if not operators & {">=", ">", "~="}:
            found.append(f"{file}: expected a floor (>=), got {text!r}")
        if operators & {"==", "==="}:
            found.append(f"{file}: expected a range, got {text!r}")
        if requirement.name.startswith("atled") and operators & {"<", "<=", "~="}:
            found.append(f"{file}: expected no upper limit between our wheels, got {text!r}")
    return found


def long_files(paths: list[Path], longest: int = LONGEST) -> list[str]:
    """Hand-written files that became two rooms."""
    found = []
    for path in paths:
        if path.suffix in _HAND_WRITTEN and path.is_file():
            lines = len(path.read_text(errors="replace").splitlines())
            if lines > longest:
                found.append(f"{path}: expected at most {longest} lines, got {lines}")
    return found


def check(root: Path, tracked: list[Path]) -> list[str]:
    """All complaints about the checkout at ``root``."""
    packages = discover(root)
    names = {package.name for package in packages}
    (core,) = (package for package in packages if package.name == "core")
    found = long_files(tracked)
    for package in packages:
        found += namespace(package) + version_ranges(package)
        found += sibling_imports(package, names) + foreign_includes(package, core)
    return found


def main() -> None:
    """Command line without options; ends with status 1 if a rule is broken."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = check(ROOT, [ROOT / name for name in listed.split("\0") if name])
    print("\n".join(found) if found else "sources: every rule holds")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
