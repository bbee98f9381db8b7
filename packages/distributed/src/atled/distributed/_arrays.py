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
        """Like ``contiguous``, in a dtype that MPI can reduce: float16 and bfloat16 become float32."""
        is_half = self.dtype in ("float16", "bfloat16")
        return (self.tensor.to(at.float32) if is_half else self.tensor).contiguous()


def raw_bytes(tensor: Tensor) -> Array:
    """The memory of a contiguous tensor of any dtype."""
    if tensor.dtype is at.bfloat16:
        tensor = tensor.view(at.uint16)
    memory: Array = np.asarray(memoryview(tensor)).reshape(-1).view(np.uint8)
    return memory


def reducible_numbers(tensor: Tensor) -> Array:
    """The memory of a contiguous tensor as numbers; booleans are 0 and 1."""
    memory = np.asarray(memoryview(tensor)).reshape(-1)
    return memory.view(np.uint8) if memory.dtype == np.bool_ else memory
