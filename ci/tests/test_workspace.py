"""Discovery of packages, requirement names, fingerprints, and the closing line."""

from pathlib import Path

import pytest

from newer_core import minor
from summary import add_up
from wheels import wheel_of
from workspace import ROOT, Package, discover, fingerprint, requirement_name, with_needed


@pytest.mark.parametrize(
    ("requirement", "name"),
    [("numpy", "numpy"), ("atled_core[cuda]>=0.1", "atled-core"), ("Ml-Dtypes >= 0.5", "ml-dtypes"), ("a.b;x", "a-b")],
)
def test_requirement_name(requirement: str, name: str) -> None:
    assert requirement_name(requirement) == name


def test_requirement_without_a_name() -> None:
    with pytest.raises(ValueError, match="expected a requirement that begins with a name"):
        requirement_name(">=1.0")


def test_order_follows_build_requirements(tmp_path: Path) -> None:
    for name, needs in {"aa": '"atled-zz>=0"', "zz": ""}.items():
        folder = tmp_path / "packages" / name
        folder.mkdir(parents=True)
        text = f'[build-system]\nrequires = [{needs}]\n[project]\nname = "atled-{name}"\nversion = "1"\n'
        (folder / "pyproject.toml").write_text(text)
    assert [package.name for package in discover(tmp_path)] == ["zz", "aa"]


def test_fingerprint_sees_sources_and_not_builds(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "build").mkdir()
    (tmp_path / "src" / "a.py").write_text("x = 1\n")
    package = Package(tmp_path)
    first = fingerprint(package.files())
    (tmp_path / "build" / "junk.o").write_text("1")
    (tmp_path / "src" / "lib.so.3").write_text("1")
    assert fingerprint(package.files()) == first
    (tmp_path / "src" / "a.py").write_text("x = 2\n")
    assert fingerprint(package.files()) != first


def test_reports_are_added_up(tmp_path: Path) -> None:
    report = tmp_path / "tests-core.xml"
    suite = '<testsuite tests="7" failures="1" errors="1" skipped="2" time="3.4"/>'
    report.write_text(f"<testsuites>{suite}</testsuites>")
    assert add_up([report, report]) == {"passed": 6, "failed": 4, "skipped": 4, "seconds": 6}


def test_the_one_wheel_of_a_package_is_found(tmp_path: Path) -> None:
    core = discover(ROOT)[0]
    with pytest.raises(FileNotFoundError, match="expected one wheel of atled-core, got 0; run nox -s wheels"):
        wheel_of(core, tmp_path)
    wheel = tmp_path / f"atled_core-{core.project['version']}-cp311-cp311-linux_x86_64.whl"
    wheel.touch()
    assert wheel_of(core, tmp_path) == wheel


def test_the_abi_minor_is_read_from_the_header() -> None:
    assert minor("#define ATLED_ABI_MAJOR 0\n#define ATLED_ABI_MINOR 12\n") == 12
    assert minor((ROOT / "packages" / "core" / "include" / "atled" / "abi.h").read_text()) >= 1
    with pytest.raises(ValueError, match="expected #define ATLED_ABI_MINOR"):
        minor("")


def test_what_a_package_needs_comes_with_it() -> None:
    packages = discover(ROOT)
    assert [package.name for package in with_needed({"testing"}, packages)] == ["core", "testing"]
    assert {"core", "autograd", "nn", "optim", "data"} <= {p.name for p in with_needed({"all"}, packages)}
