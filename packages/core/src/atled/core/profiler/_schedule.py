"""Which steps of a loop are recorded."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from atled.core._core import InvalidValueError
from atled.core._explained import explained


class ProfilerAction(Enum):
    """What a profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


@explained
def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """A function from a step's number to what `profile` does in it.

    After ``skip_first`` steps come cycles: ``wait`` steps in which nothing is done, ``warmup`` that are recorded and
    dropped, ``active`` that are kept. After ``repeat`` cycles, or never when that is 0, it ends. The first cycle does
    not wait when ``skip_first_wait`` is not 0. InvalidValueError for numbers below 0, or ``active`` below 1.

    >>> [schedule(wait=1, warmup=0, active=1)(step).name for step in range(3)]
    ['NONE', 'RECORD_AND_SAVE', 'NONE']
    """
    for name, n, least in (
        *(("wait", wait, 0), ("warmup", warmup, 0), ("active", active, 1)),
        *(("repeat", repeat, 0), ("skip_first", skip_first, 0)),
    ):
        if n < least:
            raise InvalidValueError(f"schedule: expected {name} of at least {least}, got {n}")

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise InvalidValueError(f"schedule: expected a step of at least 0, got {step}")
        step -= skip_first
        if step >= 0 and skip_first_wait:
            step += wait
        cycle, place = divmod(step, wait + warmup + active)
        if step < 0 or (repeat and cycle >= repeat) or place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        last = place == wait + warmup + active - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action
