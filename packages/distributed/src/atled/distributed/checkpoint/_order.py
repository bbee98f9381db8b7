"""Checkpoints one after the other: of two the second is to stay, and none fails without a word."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

from .._world import before_leaving

__all__ = ["begin", "wait_for_begun"]


class _Saving(Future[None]):
    """A checkpoint that is being written; it knows whether somebody has asked what became of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()  # no rank can cancel what all of them write
        self.folder = folder
        self.is_seen = False

    def exception(self, timeout: float | None = None) -> BaseException | None:
        error = super().exception(timeout)
        self.is_seen = True
        return error

    def result(self, timeout: float | None = None) -> None:
        self.exception(timeout)
        super().result()


# Those that have not ended, or of which nobody has been told yet.
_begun: list[_Saving] = []


def begin(folder: Path, function: Callable[[], None]) -> Future[None]:
    """Calls a function, which writes a checkpoint, in a thread, after those that were begun before.

    A process that fails does not wait for the thread, or the other ranks would be told of it late.
    """
    _tell()
    before, future = list(_begun), _Saving(folder)

    def run() -> None:
        wait(before)
        try:
            function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="atled-checkpoint", daemon=True).start()
    _begun.append(future)
    _tell_at_exit()
    return future


def wait_for_begun() -> None:
    """Waits until all that was begun has ended, well or not."""
    wait(_begun)
    _tell()


def _tell() -> None:
    """Warns of what has failed and nobody has asked for."""
    for future in [each for each in _begun if each.done()]:
        _begun.remove(future)
        if not future.is_seen and (error := future.exception()) is not None:
            warnings.warn(
                f"checkpoint.async_save: no checkpoint was written to {future.folder}: {type(error).__name__}: "
                f"{error}; call result() of what async_save returns to have such errors raised",
                RuntimeWarning,
                stacklevel=4,  # who calls async_save, save or load
            )


@functools.cache
def _tell_at_exit() -> None:
    """Registered after what a job does at exit, so it comes before that, which ends a process that has failed."""
    atexit.register(_tell)


# A forked child does not have the threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begun.clear)
before_leaving.append(wait_for_begun)
atexit.register(wait_for_begun)
