"""The ranks that share a module out, or have copies of its shards."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from atled.core import Tensor

from .._group import ProcessGroup, ReduceOp, Work

__all__ = ["Members"]

_numbers: weakref.WeakKeyDictionary[ProcessGroup, Iterator[int]] = weakref.WeakKeyDictionary()


class Members:
    """A group, for one sharded module.

    Blocks are often of one shape. Calls say of which module they are, or else ranks that call different ones would get
    each other's parameters and gradients instead of MismatchError.
    """

    def __init__(self, group: ProcessGroup, name: str) -> None:
        self.group, self.size = group, group.size
        number = next(_numbers.setdefault(group, itertools.count()))
        self._purpose = f" for sharded module {number} of the group, of class {name}"

    def all_gather(self, output: Tensor, input: Tensor) -> Work:
        """As ``ProcessGroup.all_gather``."""
        return self._call(self.group.all_gather, output, input)

    def reduce_scatter(self, output: Tensor, input: Tensor, op: ReduceOp) -> Work:
        """As ``ProcessGroup.reduce_scatter``."""
        return self._call(self.group.reduce_scatter, output, input, op)

    def all_reduce(self, tensor: Tensor, op: ReduceOp) -> Work:
        """As ``ProcessGroup.all_reduce``."""
        return self._call(self.group.all_reduce, tensor, op)

    def _call(self, collective: Callable[..., Work], *args: Any) -> Work:
        self.group.purpose = self._purpose
        try:
            return collective(*args)
        finally:
            self.group.purpose = ""
