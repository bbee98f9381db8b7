"""Marks that NVIDIA's profilers show in their time lines; nothing where no profiler is attached, or no GPU is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_int32, c_uint64
from functools import cache
from typing import Any

from ._devices import is_available
from ._native import native

_usable = cache(is_available)  # marks are made often


def range_push(msg: str) -> int:
    """Begins a range inside those that are open; answers its depth, or a negative number without a profiler.

    >>> depth = at.cuda.nvtx.range_push("step")
    >>> at.cuda.nvtx.range_pop() == depth
    True
    """
    depth = c_int32(-1)
    if _usable():
        native().range_push(msg.encode(), byref(depth))
    return depth.value


def range_pop() -> int:
    """Ends the innermost range; answers its depth, or a negative number without a profiler.

    >>> depth = at.cuda.nvtx.range_push("step")
    >>> at.cuda.nvtx.range_pop() == depth
    True
    """
    depth = c_int32(-1)
    if _usable():
        native().range_pop(byref(depth))
    return depth.value


def range_start(msg: str) -> int:
    """Begins a range that any thread may end; answers its number.

    >>> at.cuda.nvtx.range_end(at.cuda.nvtx.range_start("step"))
    """
    number = c_uint64(0)
    if _usable():
        native().range_start(msg.encode(), byref(number))
    return number.value


def range_end(range_id: int) -> None:
    """Ends a range of `range_start`.

    >>> at.cuda.nvtx.range_end(at.cuda.nvtx.range_start("step"))
    """
    if _usable():
        native().range_end(range_id)


def mark(msg: str) -> None:
    """Marks a moment.

    >>> at.cuda.nvtx.mark("the first step is done")
    """
    if _usable():
        native().mark(msg.encode())


@contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A range around what is done inside, or around a function that it decorates; arguments format the message.

    >>> with range("step {}", 3):
    ...     total = 1 + 1
    """
    range_push(msg.format(*args, **kwargs) if args or kwargs else msg)
    try:
        yield
    finally:
        range_pop()
