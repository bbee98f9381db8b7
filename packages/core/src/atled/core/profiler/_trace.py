"""Files that other tools read: Chrome's trace format, for Perfetto too, and stacks for flame graphs."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from atled.core._core import InvalidValueError

from ._events import BACKWARD, MEMORY, RANGE, FunctionEvent

#: Numbers of "processes" that are devices; above those that systems give to processes.
_FIRST_DEVICE = 1 << 23

_CATEGORIES = {RANGE: "user_annotation", BACKWARD: "backward"}


def thread_names() -> dict[int, str]:
    """Names of this process's Python threads, by the system's numbers."""
    return {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id is not None}


def _complete(event: FunctionEvent, pid: int) -> dict[str, Any]:
    args: dict[str, Any] = {}
    if event.input_shapes:
        args |= {"Input Dims": event.input_shapes, "Input type": event.input_dtypes}
    if event.sequence_nr >= 0:
        args["Sequence number"] = event.sequence_nr
    if event.stack:
        args["Call stack"] = ";".join(event.stack)
    if event.flops:
        args["flops"] = event.flops
    for name in ("self_cpu_memory_usage", "self_device_memory_usage"):
        if getattr(event, name):
            args[name] = getattr(event, name)
    if event.failed:
        args["failed"] = True
    return {
        "ph": "X",
        "cat": _CATEGORIES.get(event.kind, "cpu_op"),
        "name": event.name,
        "pid": pid,
        "tid": event.thread,
        "ts": event.time_range.start,
        "dur": event.time_range.elapsed_us(),
        "args": args,
    }


def _flows(events: list[FunctionEvent], pid: int) -> Iterator[dict[str, Any]]:
    """Arrows from a call to the node that is its gradient."""
    forward = {e.sequence_nr: e for e in events if e.sequence_nr >= 0 and e.kind != BACKWARD}
    for event in events:
        source = forward.get(event.sequence_nr) if event.kind == BACKWARD else None
        for phase, end in (("s", source), ("f", event)) if source else ():
            assert end is not None
            place = {"pid": pid, "tid": end.thread, "ts": end.time_range.start}
            yield {"ph": phase, "bp": "e", "cat": "fwdbwd", "name": "fwdbwd", "id": event.sequence_nr, **place}


def _memory(events: list[FunctionEvent], pid: int) -> Iterator[dict[str, Any]]:
    """How much there is of what was allocated since the recording began."""
    here = {"CPU": 0, "device": 0}
    changes: list[tuple[float, int, int]] = []
    for event in events:
        own = (event.time_range.end, event.self_cpu_memory_usage, event.self_device_memory_usage)
        changes += event._changes or [own]
    for when, host, device in sorted(changes):
        if host or device:
            here["CPU"] += host
            here["device"] += device
            yield {"ph": "C", "name": "memory", "pid": pid, "tid": 0, "ts": when, "args": dict(here)}


def _named(pid: int, tid: int, kind: str, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}}


def chrome_trace(events: list[FunctionEvent], names: dict[int, str]) -> Iterator[dict[str, Any]]:
    """The entries of ``traceEvents``; ``names`` are those of threads."""
    pid = os.getpid()
    yield _named(pid, 0, "process_name", "atled")
    for thread in sorted({event.thread for event in events}):
        yield _named(pid, thread, "thread_name", names.get(thread, f"thread {thread}"))
    devices: dict[str, int] = {}
    for event in events:
        if event.kind == MEMORY:
            continue
        yield _complete(event, pid)
        if event.device is None:
            continue
        if event.device.device not in devices:
            devices[event.device.device] = _FIRST_DEVICE + len(devices)
            yield _named(devices[event.device.device], 0, "process_name", event.device.device)
        yield {
            "ph": "X",
            "cat": "device",
            "name": event.name,
            "pid": devices[event.device.device],
            "tid": event.device.stream & 0x7FFFFFFF,
            "ts": event.device.time_range.start,
            "dur": event.device.time_range.elapsed_us(),
            "args": {"stream": event.device.stream},
        }
    yield from _flows(events, pid)
    yield from _memory(events, pid)


@contextmanager
def _writing(path: Path) -> Iterator[IO[str]]:
    """A text file, compressed when its name ends in .gz, that is there whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(part, "wt", encoding="utf-8") as file:
            yield cast("IO[str]", file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_chrome_trace(path: str | os.PathLike[str], entries: Iterable[dict[str, Any]], more: dict[str, Any]) -> None:
    """Writes the entries, and ``more`` beside them."""
    with _writing(Path(path)) as file:
        file.write(json.dumps({"schemaVersion": 1, "displayTimeUnit": "ms", **more})[:-1] + ', "traceEvents": [\n')
        for i, entry in enumerate(entries):
            file.write((",\n" if i else "") + json.dumps(entry))
        file.write("\n]}\n")


def write_stacks(path: str | os.PathLike[str], events: list[FunctionEvent], metric: str) -> None:
    """Writes ``outermost;...;innermost number`` lines, as flame graph tools read them; the number is whole."""
    attribute = metric.replace("cuda", "device")
    if attribute not in ("self_cpu_time_total", "self_device_time_total"):
        raise InvalidValueError(
            f"export_stacks: expected metric to be self_cpu_time_total or self_cuda_time_total, got {metric!r}"
        )
    sums: dict[str, float] = {}
    for event in events:
        frames: list[str] = []
        at: FunctionEvent | None = event
        while at is not None:
            frames.append(at.name)
            if at.stack and (at.cpu_parent is None or at.cpu_parent.stack != at.stack):
                frames.append(at.stack[0])
            at = at.cpu_parent
        line = ";".join(frame.replace(";", ",").replace("\n", " ") for frame in reversed(frames))
        sums[line] = sums.get(line, 0.0) + getattr(event, attribute)
    with _writing(Path(path)) as file:
        file.writelines(f"{line} {round(number)}\n" for line, number in sums.items() if round(number) > 0)
