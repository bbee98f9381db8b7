"""What was recorded, as objects, and its sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ._flops import flops_of

#: Tuples of a record, in the order of csrc/python/recording.cpp.
Record = tuple[Any, ...]

CALL, RANGE, BACKWARD, MEMORY = range(4)


@dataclass
class Interval:
    """Begin and end, in microseconds since the recording began."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        """How long it is, in microseconds."""
        return self.end - self.start


@dataclass
class DeviceTime:
    """When a device worked on a call: from an event before it to an event behind it, on one stream."""

    device: str
    stream: int
    time_range: Interval


class _Times:
    """Averages of what is counted."""

    count: int
    cpu_time_total: float
    device_time_total: float

    @property
    def cpu_time(self) -> float:
        """Microseconds of the host per call, with what is called inside."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def device_time(self) -> float:
        """Microseconds of devices per call."""
        return self.device_time_total / self.count if self.count else 0.0


@dataclass(eq=False)
class FunctionEvent(_Times):
    """One call of an op, one range, or one backward node.

    Times are microseconds, memory is bytes of tensors: allocated less freed, within the event. ``self_`` leaves out
    what lies in events inside it. The time of a device is that between its events around the call; where there are
    none, what is inside together.
    """

    id: int
    name: str
    kind: int
    thread: int
    time_range: Interval
    sequence_nr: int
    input_shapes: list[Any]
    input_dtypes: list[Any]
    stack: list[str]
    failed: bool
    device: DeviceTime | None
    self_cpu_memory_usage: int
    self_device_memory_usage: int
    cpu_parent: FunctionEvent | None = field(default=None, repr=False)
    cpu_children: list[FunctionEvent] = field(default_factory=list, repr=False)
    flops: int = 0
    self_cpu_time_total: float = 0.0
    device_time_total: float = 0.0
    self_device_time_total: float = 0.0
    cpu_memory_usage: int = 0
    device_memory_usage: int = 0
    count: int = 1
    _changes: list[tuple[float, int, int]] = field(default_factory=list, repr=False)  # of a range: when, and bytes
    _counted: bool = field(default=False, repr=False)

    @property
    def key(self) -> str:
        """What `EventList.key_averages` groups by."""
        return self.name

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        """Microseconds from begin to end on the host."""
        return self.time_range.elapsed_us()

    @property
    def is_user_annotation(self) -> bool:
        """Whether it is a range of `record_function`."""
        return self.kind == RANGE

    def _change(self, when: float, host: int, device: int) -> None:
        self.self_cpu_memory_usage += host
        self.self_device_memory_usage += device
        self._changes.append((when, host, device))

    def _finish(self, own_flops: int) -> None:
        host = device = 0.0
        self.cpu_memory_usage, self.device_memory_usage = self.self_cpu_memory_usage, self.self_device_memory_usage
        for child in self.cpu_children:
            host += child.cpu_time_total
            device += child.device_time_total
            self.cpu_memory_usage += child.cpu_memory_usage
            self.device_memory_usage += child.device_memory_usage
            self._counted = self._counted or child._counted
        self.device_time_total = device if self.device is None else self.device.time_range.elapsed_us()
        self.self_cpu_time_total = max(self.cpu_time_total - host, 0.0)
        self.self_device_time_total = max(self.device_time_total - device, 0.0)
        if own_flops and not self._counted:  # of a call that others do, those are counted
            self.flops, self._counted = own_flops, True


@dataclass(eq=False)
class FunctionEventAvg(_Times):
    """Sums over the events of one name (and, when asked for, of the same shapes and lines)."""

    key: str
    input_shapes: list[Any] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    device_time_total: float = 0.0
    self_device_time_total: float = 0.0
    cpu_memory_usage: int = 0
    self_cpu_memory_usage: int = 0
    device_memory_usage: int = 0
    self_device_memory_usage: int = 0
    flops: int = 0
    is_user_annotation: bool = False

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Adds an event, or other sums; answers itself."""
        self.is_user_annotation = self.is_user_annotation or other.is_user_annotation
        for name in ("count", *SUMS):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


#: What a table can be sorted by and sums add up.
SUMS = (
    *("cpu_time_total", "self_cpu_time_total", "device_time_total", "self_device_time_total"),
    *("cpu_memory_usage", "self_cpu_memory_usage", "device_memory_usage", "self_device_memory_usage", "flops"),
)


class EventList(list[Any]):
    """Events of a recording (`FunctionEvent`), or sums of them (`FunctionEventAvg`)."""

    def __init__(self, events: Iterable[Any] = (), *, shown: frozenset[str] = frozenset()) -> None:
        super().__init__(events)
        self._shown = shown  # "shapes", "memory", "stack", "flops", "device"

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of the host in all of them together."""
        return float(sum(event.self_cpu_time_total for event in self))

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False
    ) -> EventList:
        """Sums by name: an EventList of FunctionEventAvg, those with most time of their own first.

        ``group_by_input_shapes`` and ``group_by_stack_n`` keep calls with other shapes, or from other lines, apart. Ops
        have no overloads, so ``group_by_overload_name`` changes nothing.
        """
        groups: dict[Any, FunctionEventAvg] = {}
        for event in self:
            shapes = event.input_shapes if group_by_input_shapes else []
            stack = event.stack[:group_by_stack_n]
            key = (event.key, str(shapes), tuple(stack))
            if key not in groups:
                groups[key] = FunctionEventAvg(event.key, shapes, stack)
            groups[key].add(event)
        shown = self._shown - {"shapes", "stack"}
        shown |= {name for name, on in (("shapes", group_by_input_shapes), ("stack", group_by_stack_n)) if on}
        return EventList(sorted(groups.values(), key=lambda g: -g.self_cpu_time_total), shown=frozenset(shown))

    def total_average(self) -> FunctionEventAvg:
        """The sums over all of them."""
        total = FunctionEventAvg("Total")
        for event in self:
            total.add(event)
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int | None = 75,
        max_name_column_width: int | None = 55,
        max_shapes_column_width: int | None = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """A table as text, of at most ``row_limit`` rows (-1: all) and columns of those widths (None: any).

        ``sort_by`` is ``"count"`` or one of the sums, such as ``"cpu_time_total"``, ``"self_cpu_memory_usage"`` or
        ``"device_time_total"`` (also with ``cuda`` for ``device``), greatest first; else the order stays. Times are in
        ``time_unit``, ``"s"``, ``"ms"`` or ``"us"``, or each in the one that suits it. InvalidValueError for another
        name.
        """
        from ._table import table

        widths = (max_name_column_width, max_shapes_column_width, max_src_column_width)
        events = [e for e in self if not top_level_events_only or getattr(e, "cpu_parent", None) is None]
        total = self.self_cpu_time_total, float(sum(event.self_device_time_total for event in self))
        return table(events, total, self._shown, sort_by, row_limit, widths, header, time_unit)

    def __str__(self) -> str:
        return self.table()


def _shapes(arguments: Any) -> tuple[list[Any], list[Any]]:
    """Shapes and dtypes of arguments; [] and "" for what is no tensor."""
    shapes: list[Any] = []
    dtypes: list[Any] = []
    for argument in arguments or ():
        if isinstance(argument, list):
            shapes.append([list(one[1:]) if one else [] for one in argument])
            dtypes.append([one[0] if one else "" for one in argument])
        else:
            shapes.append(list(argument[1:]) if argument else [])
            dtypes.append(argument[0] if argument else "")
    return shapes, dtypes


def events_of(tracks: Iterable[tuple[int, int, list[Record]]], zero: int, *, with_flops: bool) -> list[FunctionEvent]:
    """Events of the tracks that ``_stop_recording`` answers, in order of their begin; times from ``zero`` on."""
    events: list[FunctionEvent] = []
    for thread, _, records in tracks:
        made: list[FunctionEvent | None] = []  # of each record
        for record in records:
            name, kind, begin, end, parent, sequence, got, freed, device_got, device_freed = record[:10]
            site, arguments, _, device, failed = record[10:]
            around = made[parent] if parent >= 0 else None
            if kind == MEMORY and around is not None:  # what a range itself does, and when
                around._change((begin - zero) / 1e3, got - freed, device_got - device_freed)
                made.append(None)
                continue
            shapes, dtypes = _shapes(arguments)
            event = FunctionEvent(
                id=len(events),
                name=name,
                kind=kind,
                thread=thread,
                time_range=Interval((begin - zero) / 1e3, (end - zero) / 1e3),
                sequence_nr=sequence or -1,
                input_shapes=shapes,
                input_dtypes=dtypes,
                stack=[site] if site else [],
                failed=bool(failed),
                device=None
                if device is None
                else DeviceTime(device[0], device[1], Interval((device[2] - zero) / 1e3, (device[3] - zero) / 1e3)),
                self_cpu_memory_usage=got - freed,
                self_device_memory_usage=device_got - device_freed,
            )
            if around is not None:
                event.cpu_parent = around
                around.cpu_children.append(event)
            made.append(event)
            events.append(event)
        # What is inside of an event stands behind it.
        for done, record in zip(reversed(made), reversed(records), strict=True):
            if done is not None:
                done._finish(flops_of(done.name, record[11], record[12]) if with_flops else 0)
    return sorted(events, key=lambda event: (event.time_range.start, event.id))
