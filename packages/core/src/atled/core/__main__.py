"""``python -m atled.core plugins`` and ``... doctor``: what is installed, what is used, and why not."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata, util
from pathlib import Path

from atled.core import _core, _registry

# What each optional wheel or library is for.
_OPTIONAL = {
    "atled.autograd": ("atled-autograd", "gradients"),
    "atled.nn": ("atled-nn", "layers and losses"),
    "atled.optim": ("atled-optim", "optimizers"),
    "atled.data": ("atled-data", "datasets and loaders"),
    "atled.distributed": ("atled-distributed", "several processes"),
    "cupy": ("'atled-core[cuda]'", 'the device "cuda"'),
    "ml_dtypes": ("ml_dtypes", "bfloat16 tensors as NumPy arrays"),
    "tqdm": ("tqdm", "progress bars"),
}


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Rows of text in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "\n".join(lines)


def load_everything() -> None:
    """Loads each plugin, so that its failure and its ABI version are known; the registry keeps what went wrong."""
    for group in _registry.GROUPS:
        for name in _registry.names(group):
            try:
                _registry.load(group, name)
            except _core.AtledError:
                continue


def distributions() -> list[tuple[str, str]]:
    """Name and version of each installed wheel of atled's or that plugs into it."""
    plugging = {plugin.distribution for plugin in _registry.plugins()}
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and (name == "atled" or name.startswith("atled-") or name in plugging):
            found.setdefault(name, distribution.version)
    return sorted(found.items())


def plugins_report() -> Iterator[str]:
    """What is installed and what plugs in where."""
    load_everything()
    major, minor = _core.abi_version()
    yield f"ABI {major}.{minor}, spoken by"
    yield table([("atled-core", _core.__version__, f"{major}.{minor}", ""), *_peers(major)])
    yield "\ninstalled"
    yield table(distributions() or [("nothing", "")])
    for group in _registry.GROUPS:
        rows = [
            (p.name, str(p), f"priority {p.priority}" if p.priority else "", _state(p))
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


def _state(plugin: _registry.Plugin) -> str:
    if plugin.failure is None:
        return plugin.state if plugin.state != "not loaded" else "not loaded: another one has priority, or a conflict"
    return f"failed: {type(plugin.failure).__name__}: {plugin.failure}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _threads() -> str:
    """How many threads one op may use, and what decided it."""
    number = _core.get_num_threads()
    if asked := os.environ.get("ATLED_NUM_THREADS"):
        return f"{number} (ATLED_NUM_THREADS={asked})"
    reasons = [f"{os.cpu_count()} CPUs"]
    if hasattr(os, "sched_getaffinity"):
        reasons.append(f"affinity {len(os.sched_getaffinity(0))}")
    quota = _read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        reasons.append(f"cgroup quota {int(quota[0]) / int(quota[1]):.1f}")
    return f"{number} ({', '.join(reasons)})"


def _cpu() -> str:
    """The instruction set in use, and why not a wider one."""
    level = _core.cpu_level()
    if asked := os.environ.get("ATLED_CPU_LEVEL"):
        return f"{level} (ATLED_CPU_LEVEL={asked})"
    if level == "avx512":
        return level
    flags = set(next((line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("flags")), "").split())
    missing = sorted({"avx512f", "avx512vl", "avx512dq", "avx512bw", "avx512cd"} - flags)
    return f"{level} (the CPU lacks {', '.join(missing)})" if flags and missing else level


def _shared_memory() -> str:
    if not os.path.isdir("/dev/shm"):
        return "no /dev/shm: workers hand tensors over in files"
    usage = shutil.disk_usage("/dev/shm")
    return f"/dev/shm, {usage.free / 2**20:.0f} of {usage.total / 2**20:.0f} MiB free"


def _devices() -> Iterator[tuple[str, str]]:
    yield "cpu", "in use"
    for name in sorted({*_registry.names("atled.devices"), "cuda"}):
        try:
            _core.device(name)
            yield name, "usable"
        except _core.AtledError as error:
            yield name, str(error)


def _missing() -> Iterator[tuple[str, str]]:
    for module, (requirement, purpose) in _OPTIONAL.items():
        parent = module.partition(".")[0]
        if util.find_spec(parent) is None or util.find_spec(module) is None:
            yield module, f"not installed, needed for {purpose}: pip install {requirement}"


def doctor_report() -> Iterator[str]:
    """What the machine offers, what is used, and what is missing."""
    stats = _core.memory_stats()
    yield table(
        [
            ("python", f"{platform.python_version()} {platform.machine()} {sys.platform}"),
            ("atled-core", f"{_core.__version__} in {Path(__file__).parent}"),
            ("ops", f"{len(_core.ops())} registered"),
            ("cpu", _cpu()),
            ("threads", _threads()),
            ("allocator", f"{stats['live_bytes']} bytes live, {stats['cached_bytes']} kept for reuse"),
            ("shared memory", _shared_memory()),
        ],
        indent="",
    )
    yield "\nwheels"
    yield table(distributions() or [("nothing", "")])
    yield "\ndevices"
    yield table(list(_devices()))
    load_everything()
    failed = [(f"{p.group} {p.name}", _state(p)) for p in _registry.plugins() if p.failure is not None]
    yield "\nplugins that failed" + ("" if failed else "\n  none")
    if failed:
        yield table(failed)
    missing = list(_missing())
    yield "\noptional parts that are missing" + ("" if missing else "\n  none")
    if missing:
        yield table(missing)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 when a plugin failed."""
    parser = argparse.ArgumentParser(prog="python -m atled.core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("plugins", help="what is installed, what plugs in where, versions and failures")
    commands.add_parser("doctor", help="what this machine offers, what is used, what is missing and why")
    command = parser.parse_args(arguments).command
    print("\n".join(plugins_report() if command == "plugins" else doctor_report()))
    return int(any(plugin.failure is not None for plugin in _registry.plugins()))


if __name__ == "__main__":
    sys.exit(main())
