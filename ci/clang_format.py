"""Checks the format of all C++ and CUDA sources that git tracks; with ``--fix``, mends it."""

import argparse
import subprocess
import sys

from workspace import ROOT

_SUFFIXES = ("*.c", "*.cc", "*.cpp", "*.cu", "*.cuh", "*.h", "*.hpp")


def main() -> None:
    """Command line: ``--fix`` to rewrite files; otherwise ends with status 1 if one needs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fix", action="store_true")
    action = ["-i"] if parser.parse_args().fix else ["--dry-run", "--Werror"]
    command = ["git", "ls-files", "--", *_SUFFIXES]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    if listed:
        sys.exit(subprocess.run(["clang-format", *action, *listed], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
