"""Sizes of one or several dimensions, as layers and functions take them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import atled.core as at

Size = int | Sequence[int]


def integer(value: Any) -> int | None:
    """An int, or NumPy's, as an int; None for a sequence or what else it is, a bool too."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    if isinstance(value, tuple | list):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def sizes(value: Size, n: int, name: str = "") -> tuple[int, ...]:
    """n sizes; one stands for all of them. InvalidValueError, which says ``name``, for another number of them."""
    one = integer(value)
    if one is not None:
        return (one,) * n
    try:
        given = tuple(value)  # type: ignore[arg-type]
    except TypeError:
        raise at.ArgumentError(f"{name or 'sizes'}: expected one int or {n}, got {value!r}") from None
    if len(given) not in (1, n):
        raise at.InvalidValueError(f"{name or 'sizes'}: expected one int or {n}, got {given}")
    return given * n if len(given) == 1 else given
