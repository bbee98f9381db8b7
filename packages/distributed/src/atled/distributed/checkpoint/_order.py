"""Checkpoints one after the other: of two the second is to stay."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from .._world import before_leaving

__all__ = ["begin", "wait_for_begun"]

_last: Future[None] | None = None


def begin(function: Callable[[], None]) -> Future[None]:
    """Calls a function in a thread, after what was begun before.

    A process that fails does not wait for the thread, or the other ranks would be told of it late.
    """
    global _last
    before, future = _last, Future[None]()

    def run() -> None:
        if before is not None:
            wait([before])
        try:
            function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="atled-checkpoint", daemon=True).start()
    _last = future
    return future


def wait_for_begun() -> None:
    """Waits until all that was begun has ended, well or not."""
    if _last is not None:
        wait([_last])


def _forget() -> None:
    # A forked child does not have the thread.
    global _last
    _last = None


before_leaving.append(wait_for_begun)
atexit.register(wait_for_begun)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
