"""Which keys of dicts and elements of sets a file may ask for.

Hashes of strings are secret; those of large numbers and of tuples are not, and a file can hold any number of them that
collide, which makes a dict's time grow with the square of its size.
"""

from __future__ import annotations

from typing import Any

from atled.core._core import FormatError, device, dtype

_MAX_COMPOSITE = 10_000


class Keys:
    """Checks the keys of one file."""

    def __init__(self) -> None:
        self._composite = 0

    def check(self, key: Any) -> Any:
        """`key`; FormatError if there may be harm in hashing and comparing it."""
        if type(key) in (tuple, complex):
            self._composite += 1
            if self._composite > _MAX_COMPOSITE:
                raise FormatError(f"expected at most {_MAX_COMPOSITE} keys that are tuples or complex numbers")
        if not _is_plain(key, 4):
            raise FormatError(f"expected keys that are strings, numbers below 2^61 or small tuples, got {_named(key)}")
        return key


def _is_plain(key: Any, depth: int) -> bool:
    kind = type(key)
    if kind is tuple:
        return depth > 0 and len(key) <= 16 and all(_is_plain(part, depth - 1) for part in key)
    if kind is int:
        return -(1 << 61) + 1 < int(key) < (1 << 61) - 1
    return kind in (str, bytes, bool, float, complex, type(None), dtype, device)


def _named(key: Any) -> str:
    return "a larger one" if type(key) in (int, tuple) else type(key).__name__
