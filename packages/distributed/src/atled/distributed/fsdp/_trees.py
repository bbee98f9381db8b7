"""Tensors in containers: arguments and results of a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import atled.core as at
from atled.core import Tensor

__all__ = ["cast_to", "mapped", "tensors_in"]


def mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The value with ``function`` of each tensor in its tuples, lists and dicts, or the value itself."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: mapped(each, function) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(each, function) for each in value))
    if type(value) in (list, tuple):
        return type(value)(mapped(each, function) for each in value)
    return value


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors that ``mapped`` finds, in its order."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(value, keep)
    return found


def cast_to(dtype: at.dtype) -> Callable[[Tensor], Tensor]:
    """A function that converts floating tensors, and only those."""
    return lambda tensor: tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype != dtype else tensor
