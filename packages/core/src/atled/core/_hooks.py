"""What registering a hook answers, for every wheel that has hooks."""

from __future__ import annotations

import itertools
from typing import Any

from ._core import ArgumentError

_numbers = itertools.count()


class RemovableHandle:
    """A hook's place in a dict, which it takes at once; ``remove()`` gives it up, and so does the end of a ``with``.

    hooks: an ordered dict of what is to be called, by number; with ``prepend``, this one comes first. A hook is a
    function, or a tuple of one and settings; ArgumentError for what cannot be called.

    >>> hooks = {}
    >>> with RemovableHandle(hooks, print):
    ...     list(hooks.values()) == [print]
    True
    >>> hooks
    {}
    """

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        function = hook[0] if isinstance(hook, tuple) else hook
        if not callable(function):
            raise ArgumentError(f"hook: expected a function, got {type(function).__name__}")
        self._hooks: dict[int, Any] | None = hooks
        self.id = next(_numbers)
        others = dict(hooks) if prepend else {}
        for number in others:
            del hooks[number]
        hooks[self.id] = hook
        hooks.update(others)

    def remove(self) -> None:
        """Takes the hook away; once is enough, and again does no harm."""
        if self._hooks is not None:
            self._hooks.pop(self.id, None)
            self._hooks = None

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
