"""Errors of the distributed package; each is also the built-in (or core) error that callers would catch."""

from __future__ import annotations

from atled.core import AtledError

__all__ = ["DistError", "DistTimeoutError", "MismatchError", "RankFailedError", "left"]


class DistError(AtledError, RuntimeError):
    """Base of what goes wrong between processes; a wrong environment or order of calls raises it directly."""


class DistTimeoutError(DistError, TimeoutError):
    """A rank did not arrive in time; the message names the missing ranks where they are known."""


class MismatchError(DistError, ValueError):
    """The ranks called one collective with different operations, shapes, dtypes or arguments."""


class RankFailedError(DistError):
    """Another rank died or raised, so no collective of the group can complete any more.

    ``rank`` is the rank that failed first and ``traceback`` its traceback as text, ``""`` where it left none.
    """

    def __init__(self, message: str, rank: int = -1, traceback: str = "") -> None:
        super().__init__(message)
        self.rank = rank
        self.traceback = traceback


def left() -> DistError:
    """What a group raises once its job has been left."""
    return DistError("the job of this group has been left by destroy_process_group; join again and make the group anew")
