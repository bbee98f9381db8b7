"""The profiler itself: when it records, and what it hands out."""

from __future__ import annotations

import gc
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from atled.core import _core
from atled.core._core import ArgumentError
from atled.core._explained import explained

from . import _trace
from ._events import EventList, FunctionEvent, events_of
from ._schedule import ProfilerAction


class ProfilerActivity(Enum):
    """What is timed."""

    CPU = 0
    CUDA = 1


# As in csrc/dispatch/recorder.h.
_CALLS, _SHAPES, _MEMORY, _SITES, _DEVICES = (1 << i for i in range(5))


def supported_activities() -> set[ProfilerActivity]:
    """What can be timed here: the CPU, and CUDA where a GPU can be used."""
    from atled.core import cuda

    return {ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda.is_available() else [])}


@contextmanager
def _without_collector() -> Iterator[None]:
    """Many objects are made that all stay, so that looking for garbage among them would take most of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


class profile:
    """Records the calls of ops in all threads, while it is entered or between ``start`` and ``stop``.

    ``activities``: what is timed, by default all that can be. The host always is; with ``ProfilerActivity.CUDA``, calls
    on a GPU are also timed there, between two events, which costs some microseconds a call.
    ``schedule``: a function from the number of a step to a `ProfilerAction`, for loops that call ``step()``; see
    `atled.core.profiler.schedule`.
    ``on_trace_ready``: is called with the profile each time that records are complete.
    ``record_shapes``: notes shapes and dtypes of tensor arguments.
    ``profile_memory``: notes the bytes of tensors that each call allocates and frees.
    ``with_stack``: notes file and line of the user's code that made the call.
    ``with_flops``: counts floating-point operations of products of matrices, convolutions and attention, by formula.
    ``with_modules``: changes nothing; PyTorch names modules of TorchScript with it, which there are none of.

    RuntimeError when another profile is recording, or records are asked for before there are any. A process that a
    fork makes records nothing.

    >>> import atled.core as at
    >>> with at.profiler.profile(record_shapes=True) as prof:
    ...     y = at.ones(2, 3).exp()
    >>> prof.events()[-1].name, prof.events()[-1].input_shapes
    ('exp', [[2, 3]])
    """

    @explained
    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
    ) -> None:
        self.activities = supported_activities() if activities is None else set(activities)
        if not self.activities or not all(isinstance(one, ProfilerActivity) for one in self.activities):
            raise ArgumentError(f"profile: expected activities of ProfilerActivity, got {activities!r}")
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_flops = with_flops
        self.with_modules = with_modules
        self.step_num = 0
        self.current_action = ProfilerAction.NONE
        self._events: EventList | None = None
        self._names: dict[int, str] = {}
        self._began = 0
        self._started = False
        self._recording = False
        self._range = 0
        self._metadata: dict[str, Any] = {}

    def start(self) -> None:
        """Begins; with a schedule, with what that says of step 0."""
        if self._started:
            raise RuntimeError("profile: it has been started already; stop() it first")
        self.step_num = 0
        self._turn_to(self._planned())
        self._started = True

    def stop(self) -> None:
        """Ends, and calls ``on_trace_ready`` when something was recorded."""
        self._started = False
        self._turn_to(ProfilerAction.NONE)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def step(self) -> None:
        """Says that the next step of a loop begins."""
        _core._end_range(self._range)
        self.step_num += 1
        if self._started and self.schedule is not None:
            self._turn_to(self._planned())

    def _planned(self) -> ProfilerAction:
        return ProfilerAction.RECORD if self.schedule is None else self.schedule(self.step_num)

    def _turn_to(self, action: ProfilerAction) -> None:
        before, self.current_action = self.current_action, action
        kept = before in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        keeps = action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        ends = before is ProfilerAction.RECORD_AND_SAVE or (kept and not keeps)
        if ends or (self._recording and not (kept and keeps) and action is not before):
            self._end(keep=ends)
        if action is not ProfilerAction.NONE and not self._recording:
            try:
                self._begin()
            except BaseException:
                self.current_action = ProfilerAction.NONE
                raise
        if self._recording and self.schedule is not None:
            self._range = _core._begin_range(f"ProfilerStep#{self.step_num}")

    def _begin(self) -> None:
        what = _CALLS
        for wanted, bit in (
            (self.record_shapes or self.with_flops, _SHAPES),
            (self.profile_memory, _MEMORY),
            (self.with_stack, _SITES),
            (ProfilerActivity.CUDA in self.activities, _DEVICES),
        ):
            what |= bit if wanted else 0
        self._began = _core._start_recording(what)
        self._recording = True

    def _end(self, *, keep: bool) -> None:
        self._recording = False
        with _without_collector():
            tracks = _core._stop_recording()
        if not keep:
            return
        if lost := sum(track[1] for track in tracks):
            warnings.warn(f"profile: {lost} records are lost, for want of memory", RuntimeWarning, stacklevel=4)
        self._names = _trace.thread_names()
        shown = {
            "shapes": self.record_shapes,
            "memory": self.profile_memory,
            "stack": self.with_stack,
            "flops": self.with_flops,
        }
        with _without_collector():
            events = events_of(tracks, self._began, with_flops=self.with_flops)
        self._events = EventList(events, shown=frozenset(name for name, on in shown.items() if on))
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def events(self) -> EventList:
        """The events of the last recording (`FunctionEvent`), in order of their begin."""
        if self._events is None:
            raise RuntimeError("profile: nothing has been recorded yet; end the profile first, or its active steps")
        return self._events

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False
    ) -> EventList:
        """Sums by name; see `EventList.key_averages`."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def add_metadata(self, key: str, value: str) -> None:
        """Adds a text to what `export_chrome_trace` writes."""
        self._metadata[key] = value

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes a trace that Perfetto (https://ui.perfetto.dev) and ``chrome://tracing`` open; ``.gz`` compresses it.

        The file is written whole or not at all.
        """
        found: list[FunctionEvent] = self.events()
        _trace.write_chrome_trace(path, _trace.chrome_trace(found, self._names), self._metadata)

    def export_stacks(self, path: str | os.PathLike[str], metric: str = "self_cpu_time_total") -> None:
        """Writes microseconds by stack, for flame graph tools; ``metric`` may be ``self_cuda_time_total``.

        A stack is ranges and ops inside each other, with the user's line where ``with_stack`` noted it.
        """
        _trace.write_stacks(path, self.events(), metric)


def tensorboard_trace_handler(
    dir_name: str | os.PathLike[str], worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """An ``on_trace_ready`` that writes each trace into a folder, under the names that TensorBoard's plugin looks for.

    ``worker_name`` is the host's name and the process's number by default.
    """
    worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"

    def write(prof: profile) -> None:
        folder = Path(dir_name)
        folder.mkdir(parents=True, exist_ok=True)
        prof.export_chrome_trace(folder / f"{worker}.{time.time_ns()}.pt.trace.json{'.gz' if use_gzip else ''}")

    return write
