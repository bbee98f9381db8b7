"""Uneven inputs: ranks that have run out of batches answer the collectives of those that have not."""

from __future__ import annotations

from collections.abc import Callable

import atled.core as at

from ._errors import DistError
from ._group import ProcessGroup

__all__ = ["Attendance"]


class Attendance:
    """Who still trains. Before each forward every rank says what it will do, so that all know who takes part in what.

    ``trains`` is whether a backward of somebody's follows, ``refreshes`` whether buffers are sent before. ``source`` is
    the first of those that did something when somebody did last: its parameters and buffers are the newest.
    """

    def __init__(self, group: ProcessGroup, divides_by_active: bool, throws: bool) -> None:
        self._group = group
        self._divides_by_active = divides_by_active
        self._throws = throws
        self.source = 0
        self.trains = False
        self.refreshes = False

    def call(self, trains: bool, refreshes: bool) -> float | None:
        """Tells the others; returns by what an average over all ranks is to be multiplied, None if nobody is active.

        Raises DistError on every rank, where that was asked for, as soon as one has run out of inputs.
        """
        device = self._group.device
        present = at.empty((self._group.size,), dtype=at.uint8, device=device)
        self._group.all_gather(present, at.tensor([trains + 2 * refreshes], dtype=at.uint8, device=device)).wait()
        acts = present.tolist()
        active = [rank for rank, each in enumerate(acts) if each]
        if self._throws and len(active) < self._group.size:
            gone = [self._group.ranks[rank] for rank in range(self._group.size) if rank not in active]
            raise DistError(f"DistributedDataParallel.join: ranks {gone} have run out of inputs")
        if not active:
            return None
        self.source = active[0]
        self.trains, self.refreshes = any(each & 1 for each in acts), any(each & 2 for each in acts)
        return self._group.size / len(active) if self._divides_by_active else 1.0

    def answer(self, one_step: Callable[[], None]) -> None:
        """Takes part by ``one_step`` in each step of the others, until nobody is active."""
        while self.call(trains=False, refreshes=False) is not None:
            one_step()
