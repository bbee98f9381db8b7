"""nn's ops as a type checker should see them: those with one result, and those with several."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from atled.core import Tensor, ops

if TYPE_CHECKING:

    class _One:
        def __getattr__(self, name: str) -> Callable[..., Tensor]: ...

    class _Several:
        def __getattr__(self, name: str) -> Callable[..., tuple[Tensor, ...]]: ...

    one: _One
    several: _Several
else:
    one = several = ops.nn

__all__ = ["one", "several"]
