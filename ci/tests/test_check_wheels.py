"""ci/check_wheels.py refuses wheels that could not live side by side."""

import zipfile
from pathlib import Path

import pytest

from atled.core import _core
from check_wheels import check, static_tls


def wheel(folder: Path, distribution: str, *files: str, licence: bool = True) -> Path:
    path = folder / f"{distribution}-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files:
            archive.writestr(name, "")
        archive.writestr(f"{distribution}-0.1.0.dist-info/METADATA", "")
        if licence:
            archive.writestr(f"{distribution}-0.1.0.dist-info/licenses/LICENSE", "")
    return path


def good(folder: Path, child: str) -> Path:
    return wheel(folder, f"atled_{child}", f"atled/{child}/__init__.py", f"atled/{child}/py.typed")


def test_good_wheels_pass(tmp_path: Path) -> None:
    assert check([good(tmp_path, "core"), good(tmp_path, "nn"), wheel(tmp_path, "atled")]) == []


def test_init_in_the_namespace_is_caught(tmp_path: Path) -> None:
    bad = wheel(tmp_path, "atled_nn", "atled/__init__.py", "atled/nn/__init__.py", "atled/nn/py.typed")
    assert check([bad]) == [f"{bad.name}: expected no file directly in the namespace atled, got atled/__init__.py"]


def test_two_owners_are_caught(tmp_path: Path) -> None:
    thief = wheel(tmp_path, "atled_optim", "atled/nn/extra.py", "atled/nn/py.typed")
    found = check([good(tmp_path, "nn"), thief])
    assert any("expected one owner of atled.nn" in complaint for complaint in found)
    assert any("expected the child atled.optim, got atled.nn" in complaint for complaint in found)


def test_files_outside_the_namespace_are_caught(tmp_path: Path) -> None:
    assert check([wheel(tmp_path, "atled_nn", "tests/test_x.py")])


def test_missing_licence_and_types_are_caught(tmp_path: Path) -> None:
    found = check([wheel(tmp_path, "atled_nn", "atled/nn/__init__.py", licence=False)])
    assert any("licence" in complaint for complaint in found)
    assert any("py.typed" in complaint for complaint in found)


def test_a_library_that_takes_much_static_storage_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Path(_core.__file__).read_bytes()
    assert static_tls(library) > 0 and static_tls(b"no library") == 0
    core = good(tmp_path, "core")
    with zipfile.ZipFile(core, "a") as archive:
        archive.writestr("atled/core/_core.so", library)
    assert check([core]) == []
    monkeypatch.setattr("check_wheels.MOST_STATIC", static_tls(library) - 1)
    assert "expected _core.so to take at most" in check([core])[0]
