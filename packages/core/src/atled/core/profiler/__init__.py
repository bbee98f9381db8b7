"""Where a program's time and memory go, with the names of ``torch.profiler``.

>>> import atled.core as at
>>> with at.profiler.profile() as prof:
...     y = at.ones(3, 4) @ at.ones(4, 5)
>>> [(sums.key, sums.count) for sums in sorted(prof.key_averages(), key=lambda sums: sums.key)]
[('matmul', 1), ('ones', 2)]

``print(prof.key_averages().table(sort_by="cpu_time_total"))`` shows them with times.
"""

from __future__ import annotations

from ._events import DeviceTime as DeviceTime
from ._events import EventList as EventList
from ._events import FunctionEvent as FunctionEvent
from ._events import FunctionEventAvg as FunctionEventAvg
from ._profile import ProfilerActivity as ProfilerActivity
from ._profile import profile as profile
from ._profile import supported_activities as supported_activities
from ._profile import tensorboard_trace_handler as tensorboard_trace_handler
from ._record import record_function as record_function
from ._schedule import ProfilerAction as ProfilerAction
from ._schedule import schedule as schedule

__all__ = [
    "DeviceTime",
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
