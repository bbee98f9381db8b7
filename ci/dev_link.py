"""Puts the packages of this checkout on an interpreter's path, with the metadata that entry points are found by."""

import argparse
import shutil
import sysconfig
from pathlib import Path

from workspace import Package, discover


def write_metadata(package: Package, site: Path) -> None:
    """Writes a minimal ``.dist-info`` for one package, in place of any older one."""
    table = package.project
    stem = package.distribution.replace("-", "_")
    for old in site.glob(f"{stem}-*.dist-info"):
        shutil.rmtree(old)
    folder = site / f"{stem}-{table['version']}.dist-info"
    folder.mkdir()
    metadata = ["Metadata-Version: 2.1", f"Name: {package.distribution}", f"Version: {table['version']}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in package.dependencies]
    (folder / "METADATA").write_text("\n".join(metadata) + "\n")
    groups = dict(table.get("entry-points", {}))
    if scripts := table.get("scripts"):
        groups["console_scripts"] = scripts
    lines: list[str] = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    (folder / "INSTALLER").write_text("ci/dev.sh\n")


def link(packages: list[Package], site: Path) -> None:
    """Puts every package's src folder on the path of the interpreter that owns ``site``."""
    (site / "atled-dev.pth").write_text("".join(f"{package.folder / 'src'}\n" for package in packages))
    for package in packages:
        write_metadata(package, site)


def main() -> None:
    """Command line: link everything, or with ``--order`` only print the packages, each after those it needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--order", action="store_true", help="print 'name version' of each package and link nothing")
    arguments = parser.parse_args()
    packages = discover()
    if arguments.order:
        print("\n".join(f"{package.name} {package.project['version']}" for package in packages))
    else:
        link(packages, Path(sysconfig.get_path("purelib")))


if __name__ == "__main__":
    main()
