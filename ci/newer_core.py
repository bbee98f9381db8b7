"""Builds a core that claims the next ABI minor and installs it here, in the place of today's, for plugins to meet."""

import argparse
import re
import sys
from pathlib import Path

from wheels import build, environment, pip, wheel_of
from workspace import ROOT, discover

FOLDER = ROOT / "build" / "newer-core"


def minor(header: str) -> int:
    """The ABI minor that ``atled/abi.h`` declares."""
    match = re.search(r"#define ATLED_ABI_MINOR (\d+)", header)
    if match is None:
        raise ValueError("abi.h: expected #define ATLED_ABI_MINOR <number>, got none")
    return int(match[1])


def main() -> None:
    """Command line without options."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    packages = discover()
    core = next(package for package in packages if package.name == "core")
    newer = minor((core.folder / "include" / "atled" / "abi.h").read_text()) + 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = ("build-dir=build/newer-{wheel_tag}", f"cmake.define.ATLED_CORE_MINOR={newer}")
    build(core, environment(packages), FOLDER, *(f"--config-settings={setting}" for setting in settings))
    pip(Path(sys.executable), "install", "--quiet", "--force-reinstall", "--no-deps", str(wheel_of(core, FOLDER)))
    print(f"installed a core that claims ABI minor {newer}")


if __name__ == "__main__":
    main()
