"""Sums and events as a table of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from atled.core._core import InvalidValueError

from ._events import SUMS

_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}


def duration(us: float, unit: str | None = None) -> str:
    """Microseconds as text: ``12.500ms``."""
    unit = unit or next((name for name, scale in _UNITS.items() if us >= scale), "us")
    return f"{us / _UNITS[unit]:.3f}{unit}"


def memory(nbytes: int) -> str:
    """Bytes as text: ``1.50 MB``."""
    for name, scale in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if abs(nbytes) >= scale:
            return f"{nbytes / scale:.2f} {name}"
    return f"{nbytes} B"


def _cut(text: str, width: int | None, *, end: bool = False) -> str:
    if width is None or len(text) <= width:
        return text
    return "..." + text[3 - width :] if end else text[: width - 3] + "..."


def _ordered(events: list[Any], sort_by: str | None) -> list[Any]:
    if sort_by is None:
        return events
    name = sort_by.replace("cuda", "device")
    if name not in ("count", "cpu_time", "device_time", *SUMS):
        raise InvalidValueError(f"table: expected sort_by to be count or one of {', '.join(SUMS)}, got {sort_by!r}")
    return sorted(events, key=lambda event: -getattr(event, name))


def table(
    events: list[Any],
    total: tuple[float, float],
    shown: frozenset[str],
    sort_by: str | None,
    row_limit: int,
    widths: tuple[int | None, int | None, int | None],
    header: str | None,
    unit: str | None,
) -> str:
    """The table of `EventList.table`; ``total`` is microseconds of the host and of devices, ``shown`` the columns."""
    if unit is not None and unit not in _UNITS:
        raise InvalidValueError(f"table: expected time_unit to be s, ms, us or None, got {unit!r}")
    host, device = total

    def share(us: float, of: float) -> str:
        return f"{100 * us / of:.2f}%" if of else "--"

    columns: list[tuple[str, Callable[[Any], str]]] = [
        ("Name", lambda e: _cut(e.key, widths[0])),
        ("Self CPU %", lambda e: share(e.self_cpu_time_total, host)),
        ("Self CPU", lambda e: duration(e.self_cpu_time_total, unit)),
        ("CPU total %", lambda e: share(e.cpu_time_total, host)),
        ("CPU total", lambda e: duration(e.cpu_time_total, unit)),
        ("CPU time avg", lambda e: duration(e.cpu_time, unit)),
    ]
    if device or "device" in shown:
        columns += [
            ("Self CUDA", lambda e: duration(e.self_device_time_total, unit)),
            ("Self CUDA %", lambda e: share(e.self_device_time_total, device)),
            ("CUDA total", lambda e: duration(e.device_time_total, unit)),
            ("CUDA time avg", lambda e: duration(e.device_time, unit)),
        ]
    if "memory" in shown:
        columns += [
            ("CPU Mem", lambda e: memory(e.cpu_memory_usage)),
            ("Self CPU Mem", lambda e: memory(e.self_cpu_memory_usage)),
        ]
        if any(e.device_memory_usage or e.self_device_memory_usage for e in events):
            columns += [
                ("CUDA Mem", lambda e: memory(e.device_memory_usage)),
                ("Self CUDA Mem", lambda e: memory(e.self_device_memory_usage)),
            ]
    columns.append(("# of Calls", lambda e: str(e.count)))
    if "flops" in shown:
        columns.append(("Total MFLOPs", lambda e: f"{e.flops / 1e6:.3f}" if e.flops else "--"))
    if "shapes" in shown:
        columns.append(("Input Shapes", lambda e: _cut(str(e.input_shapes), widths[1])))
    if "stack" in shown:
        columns.append(("Source Location", lambda e: _cut(e.stack[0] if e.stack else "", widths[2], end=True)))

    chosen = _ordered(events, sort_by)
    if row_limit >= 0:
        chosen = chosen[:row_limit]
    rows = [[text(event) for _, text in columns] for event in chosen]
    width = [max(len(title), *(len(row[i]) for row in rows), 0) for i, (title, _) in enumerate(columns)]
    # What names something is read from its left.
    left = {"Name", "Input Shapes", "Source Location"}

    def line(cells: list[str]) -> str:
        pairs = zip(cells, width, columns, strict=True)
        return "  ".join(f"{cell:<{w}}" if title in left else f"{cell:>{w}}" for cell, w, (title, _) in pairs).rstrip()

    rule = "  ".join("-" * w for w in width)
    lines = [rule, line([title for title, _ in columns]), rule, *map(line, rows), rule]
    if header is not None:
        lines = ["=" * len(rule), header, *lines]
    lines.append(f"Self CPU time total: {duration(host, unit)}")
    if device:
        lines.append(f"Self CUDA time total: {duration(device, unit)}")
    return "\n".join(lines) + "\n"
