"""Compares the installed packages with the surfaces that they aim at, and prints what is missing, section by section.

``ci/surface/<package>.txt`` holds the names. A name that is missing on purpose stands in ``docs/missing.md`` with its
reason; with ``--check``, any other missing name of the packages that are given is an error.
"""

import argparse
import pkgutil
import re
import sys

from workspace import ROOT

SURFACES = ROOT / "ci" / "surface"
REASONS = ROOT / "docs" / "missing.md"

# Where a section's names are looked for, by how its title begins: {} is the package, .Tensor a tensor.
_PLACES = {
    "Tensor methods": (".Tensor",),
    "in-place methods": (".Tensor",),
    "functions": ("{}",),
    "Python array API": ("{}",),
    "autograd": ("{}", "{}.graph", "{}.functional", "{}.forward_ad"),
    "modules": ("{}",),
    "optimizers": ("{}",),
    "checkpoint": ("{}.checkpoint", "{}"),
    "state dicts": ("{}.checkpoint.state_dict",),
    "utils.data": ("{}",),
    "multiprocessing": ("atled.core.multiprocessing",),
    "amp": ("atled.core.amp", "atled.autograd"),
}


def sections(text: str) -> dict[str, list[str]]:
    """The names of a surface by section."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in text.splitlines():
        if match := re.fullmatch(r"\[(.+)\] \d+", line):
            names = found.setdefault(match[1], [])
        elif not line.startswith("#"):
            names.extend(line.split())
    return found


def explained(text: str) -> set[str]:
    """The names that docs/missing.md gives reasons for: the code in the first column of its tables."""
    rows = (line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def places(section: str, package: str) -> list[object]:
    """The objects that a section's names are attributes of; those that exist."""
    title = next((key for key in sorted(_PLACES, key=len, reverse=True) if section.startswith(key)), None)
    patterns = _PLACES[title] if title else ("{}." + section.split()[0].removeprefix("autograd."),)
    found: list[object] = []
    for pattern in patterns:
        name = "atled.core" if pattern == ".Tensor" else pattern.format(f"atled.{package}")
        try:
            module = pkgutil.resolve_name(name)
        except (ModuleNotFoundError, AttributeError):
            continue
        found.append(module.ones(2, 2) if pattern == ".Tensor" else module)
    return found


def has(owner: object, name: str) -> bool:
    """Whether an object has an attribute, though it may have no value for this one."""
    try:
        return hasattr(type(owner), name) or bool([getattr(owner, name)])
    except AttributeError:
        return False
    except Exception:
        return True


def main() -> None:
    """Command line: packages to report on, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", nargs="*")
    parser.add_argument(
        "--check", action="store_true", help="end with status 1 when a name is missing without a reason"
    )
    arguments = parser.parse_args()
    reasons = explained(REASONS.read_text())
    unexplained = 0
    for package in arguments.package or sorted(path.stem for path in SURFACES.glob("*.txt")):
        for section, names in sections((SURFACES / f"{package}.txt").read_text()).items():
            owners = places(section, package)
            missing = [name for name in names if not any(has(owner, name) for owner in owners)]
            known = [name for name in missing if name in reasons]
            unexplained += len(missing) - len(known)
            share = f"{len(names) - len(missing)} of {len(names)}"
            print(f"{package}, {section}: {share}" + (f", {len(known)} left out for a reason" if known else ""))
            if len(missing) > len(known):
                print("    missing:", *(name for name in missing if name not in known))
    if arguments.check and unexplained:
        sys.exit(f"{unexplained} names are missing without a reason in {REASONS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
