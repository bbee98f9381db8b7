"""What registering a hook answers."""

import itertools
from collections.abc import Callable
from typing import Any

_numbers = itertools.count()


class RemovableHandle:
    """What registering a hook answers: ``remove()`` takes the hook away again; also a context manager."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks: dict[int, Callable[..., Any]] | None = hooks
        self.id = next(_numbers)
        hooks[self.id] = hook

    def remove(self) -> None:
        """Takes the hook away; once is enough, and again does no harm."""
        if self._hooks is not None:
            self._hooks.pop(self.id, None)
            self._hooks = None

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
