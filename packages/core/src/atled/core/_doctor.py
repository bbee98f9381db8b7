"""What the machine offers, what atled uses of it, what is missing or broken: ``python -m atled.core doctor``."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

from atled.core import _core, _registry

# What each optional wheel or library is for.
_OPTIONAL = {
    "atled.autograd": ("atled-autograd", "gradients"),
    "atled.nn": ("atled-nn", "layers and losses"),
    "atled.optim": ("atled-optim", "optimizers"),
    "atled.data": ("atled-data", "datasets and loaders"),
    "atled.distributions": ("atled-distributions", "probability distributions"),
    "atled.distributed": ("atled-distributed", "several processes"),
    "nvidia.nccl": ("'atled-distributed[cuda]'", "training on several GPUs"),
    "cupy": ("'atled-core[cuda]'", 'the device "cuda"'),
    "ml_dtypes": ("ml_dtypes", "bfloat16 and float8 tensors as NumPy arrays"),
    "tensorboardX": ("'atled-core[tensorboard]'", "curves for TensorBoard"),
    "tqdm": ("tqdm", "progress of the bench command"),
}
_LEVELS = {
    "baseline": set[str](),
    "avx2": {"avx2", "fma", "f16c"},
    "avx512": {"avx512f", "avx512vl", "avx512dq", "avx512bw", "avx512cd"},
}
_FEATURES = ("sse4_2", "avx", *sorted(_LEVELS["avx2"]), *sorted(_LEVELS["avx512"]), "avx512_bf16", "amx_bf16", "asimd")
_SETTINGS = {
    "ATLED_CPU_LEVEL": re.compile("|".join(_LEVELS)),
    "ATLED_NUM_THREADS": re.compile(r"[1-9]\d*"),
    "ATLED_MEMORY_LIMIT": re.compile(r"\d+(\.\d+)?[KMGT]?"),
    "ATLED_CUDA_SITES": re.compile(r"[01]"),
    "ATLED_FALLBACK_TO_CPU": re.compile(r"[a-z_]+(,[a-z_]+)*"),
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


def distributions() -> dict[str, str]:
    """Name and version of each installed wheel of atled's or that plugs into it."""
    plugging = {plugin.distribution for plugin in _registry.plugins()}
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and (name == "atled" or name.startswith("atled-") or name in plugging):
            found.setdefault(name, distribution.version)
    return dict(sorted(found.items()))


def state(plugin: _registry.Plugin) -> str:
    """What became of a plugin."""
    if plugin.failure is None:
        return plugin.state if plugin.state != "not loaded" else "not loaded: another one has priority, or a conflict"
    return f"failed: {type(plugin.failure).__name__}: {plugin.failure}"


def facts() -> dict[str, Any]:
    """Everything that the report says, as plain data; `problems` are what is broken."""
    load_everything()
    stats = _core.memory_stats()
    found: dict[str, Any] = {
        "python": f"{platform.python_version()} {platform.machine()} {sys.platform}",
        "atled-core": {"version": _core.__version__, "folder": str(Path(__file__).parent)},
        "abi": "{}.{}".format(*_core.abi_version()),
        "ops": len(_core.ops()),
        "cpu": _cpu(),
        "blas": _blas(),
        "threads": _threads(),
        "allocator": stats,
        "shared memory": _shared_memory(),
        "wheels": distributions(),
        "devices": dict(_devices()),
        "plugins": [
            {"group": p.group, "name": p.name, "distribution": p.distribution, "version": p.version, "state": state(p)}
            for p in _registry.plugins()
        ],
        "missing": dict(missing()),
    }
    found["problems"] = list(_problems(found["blas"]))
    return found


def report(found: dict[str, Any]) -> Iterator[str]:
    """The text of what `facts` found."""
    core, cpu, blas, threads = found["atled-core"], found["cpu"], found["blas"], found["threads"]
    memory, stats = found["shared memory"], found["allocator"]
    limit = f"limit {_size(stats['limit_bytes'])}" if stats["limit_bytes"] else "no limit"
    shm = f", /dev/shm {_size(memory['free'])} of {_size(memory['total'])} free" if "total" in memory else ""
    yield table(
        [
            ("python", found["python"]),
            ("atled-core", f"{core['version']}, ABI {found['abi']}, in {core['folder']}"),
            ("ops", f"{found['ops']} registered"),
            ("cpu", f"{cpu['level']} ({cpu['why']})" if cpu["why"] else cpu["level"]),
            ("", f"{cpu['model']}: {' '.join(cpu['features'])}"),
            ("blas", f"{blas['library']}, kernels for {blas['kernel']}" if blas["kernel"] else blas["library"]),
            ("threads", f"{threads['count']} ({threads['why']})"),
            (
                "allocator",
                f"{_size(stats['held_bytes'])} held, {_size(stats['live_bytes'])} of it live, "
                f"{_size(stats['cached_bytes'])} (at most {_size(stats['cache_limit_bytes'])}) kept for reuse, {limit}",
            ),
            ("shared memory", memory["kind"] + shm),
        ],
        indent="",
    )
    for title in ("wheels", "devices"):
        yield f"\n{title}"
        yield table(list(found[title].items()) or [("nothing", "")])
    for title, rows in (
        ("optional parts that are missing", list(found["missing"].items())),
        ("problems", [(problem,) for problem in found["problems"]]),
    ):
        yield f"\n{title}" + ("" if rows else "\n  none")
        if rows:
            yield table(rows)


def missing() -> Iterator[tuple[str, str]]:
    """The optional parts that are not installed, and how to get them."""
    for module, (requirement, purpose) in _OPTIONAL.items():
        parent = module.partition(".")[0]
        if util.find_spec(parent) is None or util.find_spec(module) is None:
            yield module, f"not installed, needed for {purpose}: pip install {requirement}"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _threads() -> dict[str, Any]:
    """How many threads one op may use, and what decided it."""
    number = _core.get_num_threads()
    if asked := os.environ.get("ATLED_NUM_THREADS"):
        return {"count": number, "why": f"ATLED_NUM_THREADS={asked}"}
    reasons = [f"{os.cpu_count()} CPUs"]
    if hasattr(os, "sched_getaffinity"):
        reasons.append(f"affinity {len(os.sched_getaffinity(0))}")
    quota = _read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        reasons.append(f"cgroup quota {int(quota[0]) / int(quota[1]):.1f}")
    return {"count": number, "why": ", ".join(reasons)}


def _cpu() -> dict[str, Any]:
    """The instruction set in use, why not a wider one, and what the CPU has."""
    level = _core.cpu_level()
    lines = dict(line.partition(":")[::2] for line in _read("/proc/cpuinfo").splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    why = ""
    if asked := os.environ.get("ATLED_CPU_LEVEL"):
        why = f"ATLED_CPU_LEVEL={asked}"
    elif level != "avx512" and flags and (lacking := sorted(_LEVELS["avx512"] - flags)):
        why = f"the CPU lacks {', '.join(lacking)}"
    model = fields.get("model name") or platform.processor() or platform.machine()
    return {"level": level, "why": why, "model": model, "features": [name for name in _FEATURES if name in flags]}


def _blas() -> dict[str, Any]:
    """The library of matrix products beside the module, and the kernels that it chose for this CPU."""
    files = sorted(Path(__file__).parent.glob("*openblas*.*"))
    if not files:
        return {"library": "atled's own kernels; OpenBLAS was not bundled", "kernel": "", "failure": ""}
    try:
        library = ctypes.CDLL(str(files[0]))
        said = []
        for function in (library.scipy_openblas_get_config, library.scipy_openblas_get_corename):
            function.restype = ctypes.c_char_p
            said.append(function().decode())
    except (OSError, AttributeError) as error:
        return {"library": f"{files[0].name}, which cannot be used", "kernel": "", "failure": str(error)}
    return {"library": " ".join(said[0].split()[:2]), "kernel": said[1], "failure": ""}


def _shared_memory() -> dict[str, Any]:
    anonymous = hasattr(os, "memfd_create")
    found: dict[str, Any] = {"kind": "without files (memfd)" if anonymous else "unlinked temporary files"}
    if os.path.isdir("/dev/shm"):
        usage = shutil.disk_usage("/dev/shm")
        found |= {"free": usage.free, "total": usage.total}
    return found


def _devices() -> Iterator[tuple[str, str]]:
    yield "cpu", "in use"
    for name in sorted({*_registry.names("atled.devices"), "cuda"}):
        try:
            _core.device(name)
            yield name, f"usable: {', '.join(_gpus())}" if name == "cuda" else "usable"
        except _core.AtledError as error:
            yield name, str(error)
    driver = _read("/proc/driver/nvidia/version").partition("\n")[0]
    yield "NVIDIA driver", driver or "none found"


def _gpus() -> Iterator[str]:
    from atled.core import cuda

    for index in range(cuda.device_count()):
        found = cuda.get_device_properties(index)
        yield f"{found.name} ({found.major}.{found.minor}, {_size(found.total_memory)})"


def _problems(blas: dict[str, Any]) -> Iterator[str]:
    for plugin in _registry.plugins():
        if plugin.broken:
            yield f"{plugin} provides {plugin.name!r} of {plugin.group} and {state(plugin)}"
    yield from _registry.broken_metadata()
    for name, expected in _SETTINGS.items():
        value = os.environ.get(name)
        if value and not expected.fullmatch(value):
            yield f"{name}={value} is ignored: expected {expected.pattern}"
    if blas["failure"]:
        yield f"OpenBLAS: {blas['failure']}"
    try:
        import_module("numpy")
    except ImportError as error:
        yield f"NumPy, which atled-core needs: {error}"
        return
    yield from _wrong_results()


def _wrong_results() -> Iterator[str]:
    """A few computations, beside NumPy's."""
    import numpy as np

    import atled.core as at

    a = np.random.default_rng(0).standard_normal((257, 129)).astype(np.float32)
    for name, ours, theirs in (
        ("matmul", at.asarray(a) @ at.asarray(a.T), a @ a.T),
        ("exp", at.asarray(a).exp(), np.exp(a)),
        ("sum", at.asarray(a).sum(0), a.sum(0, dtype=np.float64)),
    ):
        error = float(np.abs(ours.numpy() - theirs).max())
        if not error < 1e-3:
            yield f"{name} is wrong by {error} on this machine"
