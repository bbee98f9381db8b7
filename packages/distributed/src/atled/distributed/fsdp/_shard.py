"""One parameter of which each rank has some rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from atled.core import InvalidValueError, Tensor

from .._group import ProcessGroup

__all__ = ["Shard", "check_whole", "groups_of", "shard_of"]


class Shard:
    """The rows of a parameter that this rank has; the parameter itself, the same object, holds only them.

    Each rank of ``group`` has ``each`` rows along the first dimension, the last ranks fewer or none; a parameter
    without dimensions counts as one row. ``slots`` are the modules and names under which it is found.
    """

    def __init__(
        self, parameter: Any, slots: list[tuple[Any, str]], group: ProcessGroup, replicas: ProcessGroup | None = None
    ) -> None:
        self.parameter = parameter
        self.slots = slots
        self.group = group
        # Whether no earlier rank has the same rows.
        self.is_first = replicas is None or replicas.rank == 0
        self.shape = tuple(int(n) for n in parameter.shape)
        self.rows = self.shape[0] if self.shape else 1
        self.width = math.prod(self.shape[1:])
        self.each = -(-self.rows // group.size)
        # How many elements each rank's rows take in a buffer, where all ranks have as much room.
        self.room = self.each * self.width
        self.begin = min(group.rank * self.each, self.rows)
        self.end = min(self.begin + self.each, self.rows)
        self._is_shown = False
        parameter._sharding = self

    def part_of(self, full: Tensor) -> Tensor:
        """This rank's rows of a tensor of the whole shape."""
        return full.reshape(self.rows, *self.shape[1:])[self.begin : self.end]

    def show(self, tensor: Tensor) -> None:
        """Puts a whole tensor where the modules look for the parameter."""
        self._is_shown = True
        for module, name in self.slots:
            vars(module)[name] = tensor

    def hide(self) -> None:
        """Puts the parameter, which holds the rows of this rank, back there."""
        if self._is_shown:
            self.show(self.parameter)
            self._is_shown = False

    def follow(self) -> None:
        """Takes the parameter that somebody has put in this one's place, as ``load_state_dict(assign=True)`` does."""
        if self._is_shown:
            return
        new = next((each for each in self._found() if each is not self.parameter), None)
        if new is None:
            return
        module, name = self.slots[0]
        if not isinstance(new, Tensor) or new.shape != self.parameter.shape:
            raise InvalidValueError(
                f"fully_shard: expected what is put in place of {type(module).__name__}.{name} to be this rank's rows, "
                f"of shape {tuple(self.parameter.shape)}, got {getattr(new, 'shape', new)}"
            )
        self.parameter = new
        self.parameter._sharding = self
        self.show(new)
        self._is_shown = False

    def _found(self) -> list[Any]:
        return [vars(module).get(name) for module, name in self.slots]


def shard_of(tensor: Any) -> Shard | None:
    """What a parameter is a shard of; None for any other tensor."""
    found: Shard | None = getattr(tensor, "__dict__", {}).get("_sharding")
    return found


def check_whole(what: str, tensors: Iterable[Any]) -> None:
    """Raises where each rank has rows of its own, and all would get those of one."""
    if any(shard_of(tensor) is not None for tensor in tensors):
        raise InvalidValueError(
            f"{what}: expected parameters that every rank has whole, got some that fully_shard has shared out; use one "
            "or the other"
        )


def groups_of(tensors: Iterable[Any]) -> list[ProcessGroup]:
    """The groups that some of these tensors are shared out in, in order."""
    return list(dict.fromkeys(shard.group for shard in map(shard_of, tensors) if shard is not None))
