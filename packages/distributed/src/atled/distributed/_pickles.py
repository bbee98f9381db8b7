"""Python objects as the bytes that travel."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor

if TYPE_CHECKING:
    from ._group import ProcessGroup

__all__ = ["FAILED", "Packet", "check_list", "replace_objects", "travel_device", "unpickle"]

# What stands for the size of an object that could not be pickled.
FAILED = -1


class Packet:
    """A pickled object, or the error that pickling it was."""

    def __init__(self, obj: Any) -> None:
        self.error: Exception | None = None
        try:
            self._data = pickle.dumps(obj)
        except Exception as error:
            self.error = error
        self.size = len(self._data) if self.error is None else FAILED

    def padded(self, size: int) -> Tensor:
        """Its bytes as a uint8 tensor of ``size`` elements, padded with zeros."""
        return at.from_numpy(np.frombuffer(self._data.ljust(size, b"\0"), np.uint8))


def unpickle(buffer: Tensor, size: int) -> Any:
    """The object whose pickle the first ``size`` bytes are."""
    return pickle.loads(buffer[:size].to("cpu").numpy().data)


def check_list(what: str, name: str, objects: object) -> None:
    """Raises where there is none to put objects into."""
    if not isinstance(objects, list):
        raise ArgumentError(f"{what}: expected {name} to be a list, got {objects!r}")


def replace_objects(what: str, object_list: list[Any], buffer: Tensor, size: int, sender: int) -> None:
    """Puts the objects of a pickled list, which is of rank ``sender``, in the place of as many others."""
    received = unpickle(buffer, size)
    if len(received) != len(object_list):
        raise InvalidValueError(
            f"{what}: expected lists of one length, got {len(object_list)} here and {len(received)} on rank {sender}"
        )
    object_list[:] = received


def travel_device(group: ProcessGroup, device: object) -> at.device:
    """Where bytes are put to travel."""
    return group.device if device is None else at.device(cast(str, device))
