"""Checks what built wheels ship: no ``atled/__init__.py``, one owner for each child of ``atled``, licence and types.

And what their libraries ask of a process that loads them late: glibc keeps 1664 bytes for the thread-local variables
of all libraries, whosever, that want them where they are found quickest (initial-exec).
"""

import argparse
import re
import struct
import sys
import zipfile
from pathlib import Path, PurePosixPath


def _names(wheel: Path) -> list[PurePosixPath]:
    with zipfile.ZipFile(wheel) as archive:
        return [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]


# What one library may take of that, in bytes.
MOST_STATIC = 400


def static_tls(image: bytes) -> int:
    """How much of it a library takes, 0 for a file that is no 64-bit ELF library."""
    if image[:6] != b"\x7fELF\x02\x01":
        return 0
    (at,), (size, count) = struct.unpack_from("<Q", image, 32), struct.unpack_from("<HH", image, 54)
    segments = [struct.unpack_from("<IIQQQQQ", image, at + i * size) for i in range(count)]
    flags = 0
    for kind, _, offset, _, _, length, _ in segments:
        if kind == 2:  # PT_DYNAMIC
            flags |= sum(v for tag, v in struct.iter_unpack("<QQ", image[offset : offset + length]) if tag == 30)
    is_static = flags & 0x10  # DT_FLAGS, DF_STATIC_TLS
    return sum(segment[6] for segment in segments if segment[0] == 7) if is_static else 0  # PT_TLS


def _greedy_libraries(wheel: Path, names: list[PurePosixPath]) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {n.name: static_tls(archive.read(str(n))) for n in names if re.search(r"\.so(\.\d+)*$", n.name)}
    return [
        f"{wheel.name}: expected {name} to take at most {MOST_STATIC} bytes of static thread-local storage, got "
        f"{size}; keep what is large on the heap"
        for name, size in sizes.items()
        if size > MOST_STATIC
    ]


def check(wheels: list[Path]) -> list[str]:
    """All complaints about a set of wheels that should be installable side by side."""
    found = []
    owners: dict[str, str] = {}
    for wheel in wheels:
        distribution = wheel.name.split("-")[0]
        names = _names(wheel)
        found += _greedy_libraries(wheel, names)
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
