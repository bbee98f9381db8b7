"""Tensors as arrays that MPI can send and reduce: the tensor's own memory where possible, else a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import atled.core as at
from atled.core import Tensor

from ._parts import Part

__all__ = ["HostTensor", "raw_bytes", "reducible_numbers"]

Array = npt.NDArray[Any]


class HostTensor(Part):
    """A tensor on cpu that takes part in a collective."""

    def widened(self) -> Tensor:
        """Like ``contiguous``, in a dtype that MPI can reduce: float16, bfloat16 and float8 become float32."""
        is_narrow = self.tensor.is_floating_point() and self.tensor.element_size() < 4
        return (self.tensor.to(at.float32) if is_narrow else self.tensor).contiguous()


def raw_bytes(tensor: Tensor) -> Array:
    """The memory of a contiguous tensor of any dtype."""
    if tensor.is_floating_point() and tensor.element_size() < 4:
        # Buffers have neither bfloat16 nor float8.
        tensor = tensor.view(at.uint16 if tensor.element_size() == 2 else at.uint8)
    memory: Array = np.asarray(memoryview(tensor)).reshape(-1).view(np.uint8)
    return memory


def reducible_numbers(tensor: Tensor) -> Array:
    """The memory of a contiguous tensor as numbers; booleans are 0 and 1."""
    memory = np.asarray(memoryview(tensor)).reshape(-1)
    return memory.view(np.uint8) if memory.dtype == np.bool_ else memory
