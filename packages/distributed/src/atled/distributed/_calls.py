"""What this rank has called, so that ranks which wait in vain can be told what the others did instead."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ._errors import DistError, DistTimeoutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._store import Store

__all__ = ["CallLog", "overdue"]

_KEPT = 32


class CallLog:
    """The last call, and for each group the number of calls and the last of them."""

    def __init__(self) -> None:
        self._last = "nothing yet"
        self._calls: dict[str, int] = {}
        self._recent: dict[str, deque[tuple[int, str]]] = {}

    def note(self, group: str, number: int, signature: str, text: str) -> None:
        """Notes call ``number`` of a group; ``text`` is what other ranks are shown."""
        self._last = text
        self._calls[group] = number
        self._recent.setdefault(group, deque(maxlen=_KEPT)).append((number, signature))

    def note_message(self, text: str) -> None:
        """Notes a message to or from another rank, which is no call that all ranks make."""
        self._last = text

    def last_of(self, group: str) -> tuple[int, str]:
        """The number of the last call of a group, and what it was; 0 where there is none."""
        recent = self._recent.get(group)
        return recent[-1] if recent else (0, "")

    def status(self) -> dict[str, Any]:
        """What the other ranks get when they ask."""
        recent = {group: list(calls) for group, calls in list(self._recent.items())}
        return {"last": self._last, "calls": self._calls, "recent": recent}


def overdue(store: Store, ranks: Sequence[int], group: str, number: int, signature: str, head: str) -> DistTimeoutError:
    """The error of call ``number`` of a group that does not end: who has not come, or has called something else.

    A message has no number: what each rank has called last is all that can be said.
    """
    try:
        answers = store.ask()
    except DistError:
        answers = {}
    lines = []
    for rank in ranks:
        if rank not in answers:
            lines.append(f"  rank {rank} does not answer")
        elif not number:
            lines += [f"  rank {rank}'s last call: {answers[rank]['last']}"] * (rank != store.rank)
        elif answers[rank]["calls"].get(group, 0) < number:
            lines.append(f"  rank {rank} has not called it; its last call: {answers[rank]['last']}")
        else:
            call = dict(answers[rank]["recent"].get(group, ())).get(number, signature)
            lines += [f"  rank {rank} has called {call} instead"] * (call != signature)
    return DistTimeoutError("\n".join([head, *lines]))
