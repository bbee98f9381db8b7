"""Tensors in containers: arguments and results of a module."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import atled.core as at
from atled.core import Tensor

__all__ = ["cast_to", "mapped", "tensors_in"]


def mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The value with ``function`` of each tensor in its tuples, lists, dicts and dataclasses, or the value itself."""
    if isinstance(value, Tensor):
        return function(value)
    # What is of a class stays of it, with all else that it has.
    copied: Any
    if isinstance(value, dict):
        copied = copy.copy(value)
        copied.update({key: mapped(each, function) for key, each in value.items()})
        return copied
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        copied = copy.copy(value)
        for field in dataclasses.fields(value):
            object.__setattr__(copied, field.name, mapped(getattr(value, field.name), function))
        return copied
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(each, function) for each in value))
    if type(value) in (list, tuple):
        return type(value)(mapped(each, function) for each in value)
    return value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in tuples, lists, mappings and dataclasses, also in such as ``mapped`` leaves as they are."""
    parts: Iterable[Any] = ()
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    elif dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    for each in parts:
        yield from tensors_in(each)


def cast_to(dtype: at.dtype) -> Callable[[Tensor], Tensor]:
    """A function that converts floating tensors, and only those."""
    return lambda tensor: tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype != dtype else tensor
