"""Puts the packages of this checkout on an interpreter's path, with the metadata that entry points are found by."""

import argparse
import shutil
import sysconfig
import tomllib
from pathlib import Path
from typing import Any


def project(package: Path) -> dict[str, Any]:
    """The ``[project]`` table of a package's pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    return table


def write_metadata(table: dict[str, Any], site: Path) -> None:
    """Writes a minimal ``.dist-info`` for one project, in place of any older one."""
    stem = table["name"].replace("-", "_")
    for old in site.glob(f"{stem}-*.dist-info"):
        shutil.rmtree(old)
    folder = site / f"{stem}-{table['version']}.dist-info"
    folder.mkdir()
    metadata = ["Metadata-Version: 2.1", f"Name: {table['name']}", f"Version: {table['version']}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in table.get("dependencies", [])]
    (folder / "METADATA").write_text("\n".join(metadata) + "\n")
    lines: list[str] = []
    for group, entries in table.get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""]
    if scripts := table.get("scripts"):
        lines += ["[console_scripts]", *(f"{name} = {value}" for name, value in scripts.items()), ""]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    (folder / "INSTALLER").write_text("ci/dev.sh\n")


def link(root: Path, site: Path) -> None:
    """Puts every package of ``root`` into the site-packages folder ``site``."""
    packages = sorted(file.parent for file in root.glob("packages/*/pyproject.toml"))
    (site / "atled-dev.pth").write_text("".join(f"{package / 'src'}\n" for package in packages))
    for package in packages:
        write_metadata(project(package), site)


def main() -> None:
    """Command line: a checkout to link, or ``--version-of`` a package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", help="the checkout")
    parser.add_argument("--version-of", type=Path, metavar="PACKAGE", help="print this package's version and stop")
    arguments = parser.parse_args()
    if arguments.version_of:
        print(project(arguments.version_of)["version"])
    elif arguments.root:
        link(arguments.root.resolve(), Path(sysconfig.get_path("purelib")))
    else:
        parser.error("expected a checkout or --version-of, got neither")


if __name__ == "__main__":
    main()
