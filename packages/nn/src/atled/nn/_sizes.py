"""Sizes of one or several dimensions, as layers and functions take them."""

from __future__ import annotations

from collections.abc import Sequence

import atled.core as at

Size = int | Sequence[int]


def sizes(value: Size, n: int, name: str = "") -> tuple[int, ...]:
    """n sizes; one stands for all of them. InvalidValueError, which says ``name``, for another number of them."""
    if isinstance(value, int):
        return (value,) * n
    given = tuple(value)
    if len(given) not in (1, n):
        raise at.InvalidValueError(f"{name or 'sizes'}: expected one int or {n}, got {given}")
    return given * n if len(given) == 1 else given
