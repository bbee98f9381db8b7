"""Ranges that user code marks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from atled.core import _core

P = ParamSpec("P")
T = TypeVar("T")


class record_function:
    """A range in what a profiler records: a ``with`` block, or each call of a function that it decorates.

    ``args`` is shown behind the name. Nothing happens while no profiler records. ArgumentError for a name that is no
    str.

    >>> import atled.core as at
    >>> with at.profiler.profile() as prof:
    ...     with at.profiler.record_function("forward"):
    ...         y = at.ones(3) * 2
    >>> [event.name for event in prof.events()]
    ['forward', 'ones', 'mul']
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        if not isinstance(name, str):
            raise _core.ArgumentError(f"record_function: expected a name that is a str, got {type(name).__name__}")
        self.name = name if args is None else f"{name}({args})"
        self._open: list[int] = []

    def __enter__(self) -> record_function:
        self._open.append(_core._begin_range(self.name))
        return self

    def __exit__(self, *error: object) -> None:
        _core._end_range(self._open.pop())

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            with record_function(self.name):
                return function(*args, **kwargs)

        return wrapped
