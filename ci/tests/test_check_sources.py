"""Every rule of ci/check_sources.py catches a checkout that breaks it, and passes one that does not."""

from pathlib import Path

import pytest

from check_sources import check, long_files
from workspace import ROOT, discover

PYPROJECT = """
[build-system]
requires = ["scikit-build-core>=0.11"{build}]

[project]
name = "atled-{name}"
version = "0.1.0"
dependencies = [{dependencies}]
"""


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def package(root: Path, name: str, dependencies: str = '"numpy>=2.0"', build: str = "") -> Path:
    folder = root / "packages" / name
    write(folder / "pyproject.toml", PYPROJECT.format(name=name, dependencies=dependencies, build=build))
    write(folder / "src" / "atled" / name / "__init__.py")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout of core, nn and optim that keeps every rule."""
    core = package(tmp_path, "core")
    write(core / "include" / "atled" / "abi.h", "#include <stdint.h>\n")
    write(core / "csrc" / "tensor" / "tensor.h", '#include "atled/abi.h"\n')
    for name in ("nn", "optim"):
        folder = package(tmp_path, name, '"atled-core>=0.1.0"')
        write(folder / "src" / "atled" / name / "layers.py", f"import atled.core as at\nfrom atled import {name}\n")
        write(folder / "csrc" / "own.h", '#include <atled/abi.h>\n#include "own.h"\n')
        write(folder / "CMakeLists.txt", "add_library(x csrc/x.cpp)\n")
    return tmp_path


def test_a_good_checkout_passes(root: Path) -> None:
    assert check(root, []) == []


def test_this_checkout_has_packages_in_build_order() -> None:
    names = [package.name for package in discover(ROOT)]
    assert names[0] == "core"
    assert {"autograd", "nn", "optim", "data", "distributed", "testing", "all"} <= set(names)
    assert names.index("all") > names.index("optim")


@pytest.mark.parametrize(
    "source",
    [
        "import atled.optim",
        "import atled.optim.sgd as s",
        "from atled import optim",
        "from atled.optim import SGD",
        "from ..optim import SGD",
        "from .. import optim",
        "def f():\n    from atled.optim import SGD",
        "import importlib\nimportlib.import_module('atled.optim')",
        "__import__('atled.optim')",
        "import atled\natled.optim.SGD",
    ],
)
def test_sibling_imports_are_caught(root: Path, source: str) -> None:
    write(root / "packages/nn/src/atled/nn/bad.py", source)
    (complaint,) = {c for c in check(root, []) if "bad.py" in c}
    assert "expected imports of atled.core alone, got atled.optim" in complaint


def test_core_may_import_no_package(root: Path) -> None:
    write(root / "packages/core/src/atled/core/bad.py", "from atled import nn")
    assert any("got atled.nn" in complaint for complaint in check(root, []))


@pytest.mark.parametrize(
    "line",
    [
        '#include "tensor/tensor.h"',
        '#include "tensor.h"',
        "#include <atled/private.h>",
        '#include "../../core/csrc/tensor/tensor.h"',
        '#include "../../optim/csrc/own.h"',
    ],
)
def test_private_headers_are_caught(root: Path, line: str) -> None:
    write(root / "packages/nn/csrc/bad.cpp", f"{line}\n")
    assert [complaint for complaint in check(root, []) if "bad.cpp:1:" in complaint]


def test_cmake_reaching_outside_is_caught(root: Path) -> None:
    write(root / "packages/nn/CMakeLists.txt", "include_directories(../core/csrc)\n")
    assert any("expected paths within the package" in complaint for complaint in check(root, []))


def test_init_in_the_namespace_is_caught(root: Path) -> None:
    write(root / "packages/nn/src/atled/__init__.py")
    assert any("__init__.py: expected src/atled/nn alone" in complaint for complaint in check(root, []))


@pytest.mark.parametrize(
    ("dependency", "complaint"),
    [
        ("numpy", "expected a floor"),
        ("numpy<3", "expected a floor"),
        ("numpy==2.1.0", "expected a range"),
        ("atled-core==0.1.0", "expected a range"),
        ("atled-core>=0.1,<1", "expected no upper limit"),
        ("atled-core~=0.1", "expected no upper limit"),
    ],
)
def test_version_ranges_are_checked(root: Path, dependency: str, complaint: str) -> None:
    package(root, "optim", f'"{dependency}"')
    assert any(complaint in found for found in check(root, []))


def test_build_requirements_are_checked_too(root: Path) -> None:
    package(root, "optim", build=', "atled-core==0.1.0"')
    assert any("expected a range" in complaint for complaint in check(root, []))


def test_long_files_are_caught(tmp_path: Path) -> None:
    good = write(tmp_path / "good.py", "x = 1\n" * 800)
    bad = write(tmp_path / "bad.cpp", "x;\n" * 801)
    data = write(tmp_path / "table.csv", "1\n" * 900)
    assert long_files([good, bad, data]) == [f"{bad}: expected at most 800 lines, got 801"]
