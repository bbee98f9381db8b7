"""Streams, which do their work in order and beside each other, and events, which mark places in them."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_double, c_void_p
from itertools import cycle
from threading import Lock
from typing import Any

from atled.core import _core

from ._devices import Device, current_device, device, index_of
from ._native import ask, handle, loaded, native

# As many as PyTorch has of each priority; more share these. They live as long as the process.
_POOL = 32
_pools: dict[tuple[int, int], Any] = {}
_lock = Lock()


class Stream:
    """A queue of a GPU's work, one of 32 of each priority, which are reused in turn.

    priority: lower numbers come first; what is beyond the device's range is taken as its end.

    >>> import atled.core as at
    >>> if at.cuda.is_available():
    ...     side = Stream()
    ...     with at.cuda.stream(side):
    ...         x = at.ones(3, device="cuda") + 1
    ...     at.cuda.current_stream().wait_stream(side)
    """

    __slots__ = ("__weakref__", "cuda_stream", "device_index")

    cuda_stream: int  # the address of CUDA's own; 0 is the default stream
    device_index: int

    def __init__(self, device: Device = None, priority: int = 0) -> None:
        self.device_index = index_of(device, "Stream")
        self.cuda_stream = _pooled(self.device_index, priority)

    @property
    def device(self) -> _core.device:
        """The GPU whose work it does."""
        return _core.device("cuda", self.device_index)

    @property
    def priority(self) -> int:
        """Lower numbers come first."""
        return ask("stream_priority", self.device_index, self.cuda_stream)

    @staticmethod
    def priority_range() -> tuple[int, int]:
        """The least and the greatest priority: (0, -5)."""
        least, greatest = ctypes.c_int32(), ctypes.c_int32()
        native().stream_priorities(current_device(), byref(least), byref(greatest))
        return least.value, greatest.value

    def wait_event(self, event: Event) -> None:
        """What the stream is given from now on comes after the event."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """What the stream is given from now on comes after all that the other has been given."""
        self.wait_event(stream.record_event())

    def record_event(self, event: Event | None = None) -> Event:
        """Marks this place of the stream, in a new event unless one is given; returns the event."""
        event = event or Event()
        event.record(self)
        return event

    def query(self) -> bool:
        """Whether all its work is done."""
        return bool(ask("stream_query", self.device_index, self.cuda_stream))

    def synchronize(self) -> None:
        """Waits for all its work."""
        native().stream_synchronize(self.device_index, self.cuda_stream)

    @property
    def _as_parameter_(self) -> c_void_p:
        """For functions of ctypes."""
        return c_void_p(self.cuda_stream)

    def __cuda_stream__(self) -> tuple[int, int]:
        """NVIDIA's protocol between libraries: its version and the stream's address."""
        return 0, self.cuda_stream

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Stream) and self.device_index == other.device_index
        return same and self.cuda_stream == other.cuda_stream  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.device_index, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<atled.cuda.Stream device=cuda:{self.device_index} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A stream that another library made, by its address; it must outlive this object and all work that it is given.

    >>> stream = at.cuda.ExternalStream(at.cuda.Stream().cuda_stream)
    >>> with at.cuda.stream(stream):
    ...     (at.ones(2, device="cuda") + 1).tolist()
    [2.0, 2.0]
    """

    __slots__ = ()

    def __init__(self, stream_ptr: int, device: Device = None) -> None:
        self.device_index = index_of(device, "ExternalStream")
        self.cuda_stream = stream_ptr


def _pooled(index: int, priority: int) -> int:
    least, greatest = Stream.priority_range()
    priority = max(greatest, min(priority, least))
    with _lock:
        pool = _pools.get((index, priority))
        if pool is None:
            made = [handle("stream_create", index, priority) for _ in range(_POOL)]
            pool = _pools[index, priority] = cycle(made)
        return int(next(pool))


def _existing(index: int, address: int) -> Stream:
    found = Stream.__new__(Stream)
    found.device_index, found.cuda_stream = index, address
    return found


def current_stream(device: Device = None) -> Stream:
    """The stream that this thread gives a GPU's work to: the default one unless another was set.

    >>> at.cuda.current_stream() == at.cuda.default_stream()
    True
    """
    index = index_of(device, "current_stream")
    return _existing(index, handle("current_stream", index))


def default_stream(device: Device = None) -> Stream:
    """The stream that is current where no other was set.

    >>> at.cuda.default_stream().cuda_stream
    0
    """
    return _existing(index_of(device, "default_stream"), 0)


def set_stream(stream: Stream | None) -> None:
    """Makes a stream this thread's current one, and its GPU the current one; None changes nothing.

    ``with at.cuda.stream(...)`` goes back at its end by itself.

    >>> before, side = at.cuda.current_stream(), at.cuda.Stream()
    >>> at.cuda.set_stream(side)
    >>> at.cuda.current_stream() == side
    True
    >>> at.cuda.set_stream(before)
    """
    if stream is not None:
        native().set_device(stream.device_index)
        native().set_stream(stream.device_index, stream.cuda_stream)


class StreamContext:
    """A context manager: a stream, and its GPU, are current inside; None changes nothing.

    >>> side = at.cuda.Stream()
    >>> with at.cuda.StreamContext(side):
    ...     at.cuda.current_stream() == side
    True
    """

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream
        self._device = device(None if stream is None else stream.device_index)
        self._former: list[Stream] = []

    def __enter__(self) -> None:
        if self.stream is not None:
            self._former = [current_stream(self.stream.device_index), current_stream()]
            self._device.__enter__()
            native().set_stream(self.stream.device_index, self.stream.cuda_stream)

    def __exit__(self, *error: object) -> None:
        for former in self._former:
            native().set_stream(former.device_index, former.cuda_stream)
        self._device.__exit__()


def stream(stream: Stream | None) -> StreamContext:
    """``with at.cuda.stream(s):`` gives s what is done inside; None changes nothing.

    Another stream that uses the results has to wait: ``at.cuda.current_stream().wait_stream(s)``.

    >>> side = at.cuda.Stream()
    >>> with at.cuda.stream(side):
    ...     x = at.ones(2, device="cuda") + 1
    >>> at.cuda.current_stream().wait_stream(side)
    >>> x.tolist()
    [2.0, 2.0]
    """
    return StreamContext(stream)


def is_current_stream_capturing() -> bool:
    """Whether this thread's current stream is being captured into a graph.

    >>> at.cuda.is_current_stream_capturing()
    False
    """
    index = current_device()
    return bool(ask("stream_capturing", index, handle("current_stream", index)))


class Event:
    """A place in a stream, to wait for, to ask for, or to measure time between.

    enable_timing: whether `elapsed_time` may be asked. blocking: `synchronize` sleeps instead of spinning.

    >>> import atled.core as at
    >>> if at.cuda.is_available():
    ...     begin, end = Event(enable_timing=True), Event(enable_timing=True)
    ...     begin.record()
    ...     x = at.ones((512, 512), device="cuda").exp()
    ...     end.record()
    ...     end.synchronize()
    ...     assert begin.elapsed_time(end) >= 0
    """

    __slots__ = ("__weakref__", "_flags", "cuda_event", "device_index")

    cuda_event: int  # the address of CUDA's own; 0 before the first record
    device_index: int

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.cuda_event, self.device_index = 0, -1
        if interprocess:
            raise _core.NotImplementedOpError(
                "Event: events between processes are not to be had; use interprocess=False"
            )
        self._flags = (1 if enable_timing else 0) | (2 if blocking else 0)

    @property
    def device(self) -> _core.device | None:
        """The GPU of the stream that it was recorded in; None before."""
        return _core.device("cuda", self.device_index) if self.cuda_event else None

    def record(self, stream: Stream | None = None) -> None:
        """Marks the place that a stream, by default the current one, has come to."""
        stream = stream or current_stream()
        if not self.cuda_event:
            self.cuda_event = handle("event_create", stream.device_index, self._flags)
            self.device_index = stream.device_index
        elif self.device_index != stream.device_index:
            raise _core.DeviceError(
                f"record: expected a stream of the event's device cuda:{self.device_index}, got one of {stream.device}"
            )
        native().event_record(self.device_index, self.cuda_event, stream.cuda_stream)

    def wait(self, stream: Stream | None = None) -> None:
        """What a stream, by default the current one, is given from now on comes after the event."""
        if self.cuda_event:
            stream = stream or current_stream()
            native().stream_wait(stream.device_index, stream.cuda_stream, self.cuda_event)

    def query(self) -> bool:
        """Whether the stream has passed it; True for one that was never recorded."""
        return not self.cuda_event or bool(ask("event_query", self.device_index, self.cuda_event))

    def synchronize(self) -> None:
        """Waits until the stream has passed it."""
        if self.cuda_event:
            native().event_synchronize(self.device_index, self.cuda_event)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another one; both must have passed."""
        if not (self._flags & 1 and end_event._flags & 1):
            raise _core.InvalidValueError("elapsed_time: expected events that were made with enable_timing=True")
        if not (self.cuda_event and end_event.cuda_event):
            raise _core.InvalidValueError("elapsed_time: expected events that were recorded")
        out = c_double()
        native().event_elapsed(self.device_index, self.cuda_event, end_event.cuda_event, byref(out))
        return out.value

    @property
    def _as_parameter_(self) -> c_void_p:
        """For functions of ctypes."""
        return c_void_p(self.cuda_event)

    def __del__(self) -> None:
        if getattr(self, "cuda_event", 0) and loaded():
            native().event_destroy(self.device_index, self.cuda_event)

    def __repr__(self) -> str:
        return f"<atled.cuda.Event {self.cuda_event:#x}>" if self.cuda_event else "<atled.cuda.Event uninitialized>"
