"""One parameter of which each rank has a part."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import atled.core as at
from atled.core import InvalidValueError, Tensor

from .._group import ProcessGroup

__all__ = ["Shard", "check_whole", "groups_of", "shard_of"]


class Shard:
    """The part of a parameter that this rank has; the parameter itself, the same object, holds only that.

    The parts are rows along the dimension ``dim``: each rank of ``group`` has ``each`` of them, the last ranks fewer or
    none; a parameter without dimensions counts as one row. ``slots`` are the modules and names under which it is found.
    ``home`` is the device that the parameter is used on, where that is not its own.
    """

    def __init__(
        self,
        parameter: Any,
        slots: list[tuple[Any, str]],
        group: ProcessGroup,
        replicas: ProcessGroup | None = None,
        dim: int = 0,
        home: at.device | None = None,
    ) -> None:
        self.parameter = parameter
        self.slots = slots
        self.group = group
        self.dim = dim
        # Whether no earlier rank has the same rows.
        self.is_first = replicas is None or replicas.rank == 0
        self.shape = tuple(int(n) for n in parameter.shape)
        self.rows = self.shape[dim] if self.shape else 1
        # The shape with rows first, in which what travels lies in memory.
        self._turned = self.shape[dim : dim + 1] + self.shape[:dim] + self.shape[dim + 1 :]
        self.width = math.prod(self._turned[1:])
        self.each = -(-self.rows // group.size)
        # How many elements each rank's rows take in a buffer, where all ranks have as much room.
        self.room = self.each * self.width
        self.begin = min(group.rank * self.each, self.rows)
        self.end = min(self.begin + self.each, self.rows)
        self._home = home
        self._is_shown = False
        parameter._sharding = self

    @property
    def device(self) -> at.device:
        """Where the parameter is used."""
        found: at.device = self._home or self.parameter.device
        return found

    def part_of(self, full: Tensor) -> Tensor:
        """This rank's part of a tensor of the whole shape."""
        return self._back(self._rows_first(full).reshape(self.rows, *self._turned[1:])[self.begin : self.end])

    def own(self, full: Tensor) -> Tensor:
        """The same in memory of its own, rows first."""
        return self.part(self.flat(self.part_of(full)).clone())

    def flat(self, tensor: Tensor) -> Tensor:
        """The elements of a part, or of the whole, row by row."""
        return self._rows_first(tensor).reshape(-1)

    def part(self, flat: Tensor) -> Tensor:
        """What ``flat`` has made so of this rank's part."""
        return self._back(flat.reshape(self.end - self.begin, *self._turned[1:]))

    def whole(self, flat: Tensor) -> Tensor:
        """What ``flat`` has made so of the whole; there may be more behind it."""
        return self._back(flat[: self.rows * self.width].reshape(self._turned))

    def _rows_first(self, tensor: Tensor) -> Tensor:
        return tensor.movedim(self.dim, 0) if self.dim else tensor

    def _back(self, tensor: Tensor) -> Tensor:
        return tensor.movedim(0, self.dim) if self.dim else tensor

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
                f"fully_shard: expected what is put in place of {type(module).__name__}.{name} to be this rank's part, "
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
