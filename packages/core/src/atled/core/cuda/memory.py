"""What a GPU's memory is used for: statistics, limits, and pictures of it (docs/cuda-memory.md tells how it works)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from atled.core._core import InvalidValueError
from atled.core._core import OutOfMemoryError as OutOfMemoryError

from ._devices import Device, index_of
from ._native import loaded, native, tell

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def memory_stats(device: Device = None) -> dict[str, int]:
    """The allocator's numbers, with PyTorch's names: ``"allocated_bytes.all.current"`` and its like.

    >>> import atled.core as at
    >>> if at.cuda.is_available():
    ...     x = at.ones(1000, device="cuda")
    ...     assert at.cuda.memory_stats()["allocated_bytes.all.current"] >= 4000
    """
    return dict(sorted(tell("memory_stats", index_of(device, "memory_stats")).items()))


def _stat(name: str, device: Device) -> int:
    if device is None and not loaded():
        return 0
    return int(tell("memory_stats", index_of(device))[name])


def memory_allocated(device: Device = None) -> int:
    """Bytes of live tensors on a GPU, in the blocks that they have; 0 before it is used.

    >>> before = at.cuda.memory_allocated()
    >>> x = at.zeros(1 << 20, device="cuda")
    >>> at.cuda.memory_allocated() - before
    4194304
    """
    return _stat("allocated_bytes.all.current", device)


def max_memory_allocated(device: Device = None) -> int:
    """The most bytes of live tensors since the start or `reset_peak_memory_stats`.

    >>> x = at.zeros(1 << 20, device="cuda")
    >>> at.cuda.max_memory_allocated() >= x.nbytes
    True
    """
    return _stat("allocated_bytes.all.peak", device)


def memory_reserved(device: Device = None) -> int:
    """Bytes that the allocator has got from the driver, unused ones too.

    >>> x = at.zeros(1 << 20, device="cuda")
    >>> at.cuda.memory_reserved() >= at.cuda.memory_allocated() >= x.nbytes
    True
    """
    return _stat("reserved_bytes.all.current", device)


def max_memory_reserved(device: Device = None) -> int:
    """The most bytes that the allocator had from the driver since the start or `reset_peak_memory_stats`.

    >>> at.cuda.max_memory_reserved() >= at.cuda.memory_reserved()
    True
    """
    return _stat("reserved_bytes.all.peak", device)


def reset_peak_memory_stats(device: Device = None) -> None:
    """Makes the peaks start from what is used now.

    >>> at.cuda.reset_peak_memory_stats()
    >>> at.cuda.max_memory_allocated() == at.cuda.memory_allocated()
    True
    """
    native().reset_peak_stats(index_of(device, "reset_peak_memory_stats"))


def reset_accumulated_memory_stats(device: Device = None) -> None:
    """Makes the sums (``allocated``, ``freed``) and counters start from 0.

    >>> at.cuda.reset_accumulated_memory_stats()
    >>> at.cuda.memory_stats()["num_ooms"]
    0
    """
    native().reset_accumulated_stats(index_of(device, "reset_accumulated_memory_stats"))


def host_memory_stats() -> dict[str, int]:
    """The numbers of the cache of pinned host memory, from which `Tensor.pin_memory` takes.

    >>> all(isinstance(number, int) for number in at.cuda.host_memory_stats().values())
    True
    """
    return dict(tell("host_stats"))


def empty_cache(device: Device = None) -> None:
    """Gives unused memory of a GPU back to the driver; waits for the GPU.

    Tensors keep theirs, and other programs can use what is given back.

    >>> at.cuda.empty_cache()
    >>> at.cuda.memory_reserved() >= at.cuda.memory_allocated()
    True
    """
    if device is not None or loaded():
        native().empty_cache(index_of(device, "empty_cache"))


def host_empty_cache() -> None:
    """Gives unused pinned memory of the host back to the system.

    >>> at.cuda.host_empty_cache()
    """
    if loaded():
        native().host_empty_cache()


def set_per_process_memory_fraction(fraction: float, device: Device = None) -> None:
    """Limits how much of a GPU's memory this process may reserve, in (0, 1]; OutOfMemoryError beyond.

    >>> at.cuda.set_per_process_memory_fraction(1.0)
    """
    if not 0 < fraction <= 1:
        raise InvalidValueError(f"set_per_process_memory_fraction: expected a fraction in (0, 1], got {fraction}")
    native().set_memory_fraction(index_of(device, "set_per_process_memory_fraction"), fraction)


def memory_snapshot(device: Device = None) -> list[dict[str, Any]]:
    """The allocator's segments with their blocks, each with the line of the program that made it as ``site``.

    >>> x = at.zeros(1000, device="cuda")
    >>> any(segment["blocks"] for segment in at.cuda.memory_snapshot())
    True
    """
    segments: list[dict[str, Any]] = _snapshot(device)["segments"]
    return segments


def _snapshot(device: Device = None) -> dict[str, Any]:
    """The segments, and the history as ``device_traces``: what `atled.core.cuda.snapshot` draws."""
    found: dict[str, Any] = tell("memory_snapshot", index_of(device, "memory_snapshot"))
    return found


def _record_memory_history(enabled: str | None = "all", max_entries: int = 100_000, device: Device = None) -> None:
    """Keeps the last events of the allocator for snapshots; None ends it and drops them."""
    native().record_history(index_of(device, "record_memory_history"), max_entries if enabled is not None else 0)


def _dump_snapshot(filename: str | Path = "dump_snapshot.json", device: Device = None) -> None:
    """Writes `_snapshot` as JSON: ``python -m atled.core.cuda.snapshot file.json > view.html`` draws it."""
    Path(filename).write_text(json.dumps(_snapshot(device)))


def readable(count: int) -> str:
    """Such as "1.5 GiB"."""
    value, unit = float(count), 0
    while abs(value) >= 1024 and unit + 1 < len(_UNITS):
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} B"


_ROWS = (
    ("Allocated memory", "allocated_bytes", True),
    ("Active memory", "active_bytes", True),
    ("Requested memory", "requested_bytes", True),
    ("GPU reserved memory", "reserved_bytes", True),
    ("Non-releasable memory", "inactive_split_bytes", True),
    ("Allocations", "allocation", False),
    ("Active allocs", "active", False),
    ("GPU reserved segments", "segment", False),
    ("Non-releasable allocs", "inactive_split", False),
)


def memory_summary(device: Device = None, abbreviated: bool = False) -> str:
    """The statistics as a table.

    abbreviated: without the rows for small and large blocks.

    >>> print(at.cuda.memory_summary(0, abbreviated=True).splitlines()[0].partition(";")[0])
    atled CUDA memory summary, device 0
    """
    index = index_of(device, "memory_summary")
    stats = memory_stats(index)
    pools = (
        [("", "all")]
        if abbreviated
        else [("", "all"), ("      from large pool", "large_pool"), ("      from small pool", "small_pool")]
    )
    columns = ("current", "peak", "allocated", "freed")
    lines = [["Metric", "Cur Usage", "Peak Usage", "Tot Alloc", "Tot Freed"]]
    for title, name, bytes_ in _ROWS:
        for label, pool in pools:
            numbers = [stats[f"{name}.{pool}.{column}"] for column in columns]
            lines.append([label or title, *((readable if bytes_ else str)(n) for n in numbers)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    rows = [_row(line, widths) for line in lines]
    happened = f"{stats['num_ooms']} times out of memory, {stats['num_alloc_retries']} retries"
    head = f"atled CUDA memory summary, device {index}; {happened}"
    return "\n".join([head, rule, rows[0], rule, *rows[1:], rule])


def _row(cells: list[str], widths: list[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([cells[0].ljust(widths[0]), *numbers])} |"
