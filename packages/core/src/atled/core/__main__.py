"""``python -m atled.core plugins``, ``... doctor`` and ``... bench``: what is installed, what is used, and how fast."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from atled.core import _core, _doctor, _registry
from atled.core._doctor import table


def plugins_report() -> Iterator[str]:
    """What is installed and what plugs in where."""
    _doctor.load_everything()
    major, minor = _core.abi_version()
    yield f"ABI {major}.{minor}, spoken by"
    yield table([("atled-core", _core.__version__, f"{major}.{minor}", ""), *_peers(major)])
    yield "\ninstalled"
    yield table(list(_doctor.distributions().items()) or [("nothing", "")])
    for group in _registry.GROUPS:
        rows = [
            (p.name, str(p), f"priority {p.priority}" if p.priority else "", _doctor.state(p))
            for p in _registry.plugins()
            if p.group == group
        ]
        yield f"\n{group}" + ("" if rows else "\n  none")
        if rows:
            yield table(rows)
    if _registry.broken_metadata():
        yield "\nmetadata that could not be used"
        yield "\n".join(f"  {line}" for line in _registry.broken_metadata())


def _peers(major: int) -> list[tuple[str, str, str, str]]:
    rows = {
        (name, version, f"{major}.{minor}", f"accepts {major}.{target} and later")
        for name, version, minor, target in _core.peers()
    }
    return sorted(rows)


def _plugins() -> int:
    print("\n".join(plugins_report()))
    return int(any(plugin.broken for plugin in _registry.plugins()))


def _diagnose(as_json: bool) -> int:
    found = _doctor.facts()
    print(json.dumps(found, indent=2) if as_json else "\n".join(_doctor.report(found)))
    return int(bool(found["problems"]))


def _bench(as_json: bool) -> int:
    from atled.core import _selfbench

    results = list(_selfbench.run())
    if as_json:
        print(json.dumps([result._asdict() for result in results], indent=2))
    else:
        print(f"{_core.cpu_level()}, {_core.get_num_threads()} threads; below 1 atled is faster\n")
        print(table(_selfbench.rows(results), indent=""))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 when a plugin failed or something else is broken."""
    parser = argparse.ArgumentParser(prog="python -m atled.core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("plugins", help="what is installed, what plugs in where, versions and failures")
    doctor = commands.add_parser("doctor", help="what this machine offers, what is used, what is missing or broken")
    bench = commands.add_parser("bench", help="atled beside NumPy on this machine, in about ten seconds")
    for command in (doctor, bench):
        command.add_argument("--json", action="store_true", help="print plain data for programs")
    chosen = parser.parse_args(arguments)
    if chosen.command == "plugins":
        return _plugins()
    return (_diagnose if chosen.command == "doctor" else _bench)(chosen.json)


if __name__ == "__main__":
    sys.exit(main())
