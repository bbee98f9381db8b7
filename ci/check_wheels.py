"""Checks what built wheels ship: no ``atled/__init__.py``, one owner for each child of ``atled``, licence and types."""

import argparse
import sys
import zipfile
from pathlib import Path, PurePosixPath


def _names(wheel: Path) -> list[PurePosixPath]:
    with zipfile.ZipFile(wheel) as archive:
        return [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]


def check(wheels: list[Path]) -> list[str]:
    """All complaints about a set of wheels that should be installable side by side."""
    found = []
    owners: dict[str, str] = {}
    for wheel in wheels:
        distribution = wheel.name.split("-")[0]
        names = _names(wheel)
        info = [name for name in names if name.parts[0].endswith((".dist-info", ".libs"))]
        if not any(name.parts[0].endswith(".dist-info") and "licenses" in name.parts for name in info):
            found.append(f"{wheel.name}: expected a licence in .dist-info/licenses, got none")
        children = set()
        for name in names:
            if name in info:
                continue
            if name.parts[0] != "atled":
                found.append(f"{wheel.name}: expected files below atled/, got {name}")
            elif len(name.parts) == 2:
                found.append(f"{wheel.name}: expected no file directly in the namespace atled, got {name}")
            else:
                children.add(name.parts[1])
        for child in sorted(children):
            own = distribution.removeprefix("atled_")
            if child != own:
                found.append(f"{wheel.name}: expected the child atled.{own}, got atled.{child}")
            if child in owners:
                found.append(f"{wheel.name}: expected one owner of atled.{child}, which {owners[child]} ships as well")
            owners.setdefault(child, wheel.name)
            if PurePosixPath("atled", child, "py.typed") not in names:
                found.append(f"{wheel.name}: expected atled/{child}/py.typed, got none")
    return found


def main() -> None:
    """Command line: a folder of wheels; ends with status 1 if a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    wheels = sorted(parser.parse_args().folder.glob("*.whl"))
    found = check(wheels) if wheels else ["expected wheels, got none; run nox -s wheels"]
    print("\n".join(found) if found else f"{len(wheels)} wheels: every rule holds")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
