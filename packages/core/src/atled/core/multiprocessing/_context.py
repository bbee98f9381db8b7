"""The standard contexts (fork, spawn, forkserver), with connections and queues that pass tensors in shared memory."""

from __future__ import annotations

import multiprocessing
from functools import cache
from multiprocessing.context import BaseContext
from typing import Any

from . import connection, queues


class SharingContext:
    """What a context of ours has in place of the standard one's."""

    def Pipe(self, duplex: bool = True) -> Any:
        """Both ends of a connection."""
        return connection.Pipe(duplex)

    def SimpleQueue(self) -> Any:
        """A queue without a thread and a limit."""
        return queues.SimpleQueue(ctx=self)

    def Queue(self, maxsize: int = 0) -> Any:
        """A queue of at most `maxsize` objects, if that is not 0."""
        return queues.Queue(maxsize, ctx=self)

    def JoinableQueue(self, maxsize: int = 0) -> Any:
        """A queue that counts what is done."""
        return queues.JoinableQueue(maxsize, ctx=self)


@cache
def _of(method: str) -> BaseContext:
    standard = type(multiprocessing.get_context(method))
    made: BaseContext = type("SharingContext", (SharingContext, standard), {})()
    return made


def get_context(method: str | None = None) -> Any:
    """The context of a start method (``"fork"``, ``"spawn"`` or ``"forkserver"``), by default the one that is set.

    It has the names of this module, bound to that method; ValueError for another word.

    >>> queue = get_context("spawn").SimpleQueue()
    >>> queue.put(at.tensor([1, 2]))
    >>> queue.get()
    tensor([1, 2])
    """
    return _of(method or multiprocessing.get_start_method())
