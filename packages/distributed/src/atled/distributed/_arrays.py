"""Tensors as arrays that MPI can send and reduce: the tensor's own memory where possible, else a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import atled.core as at
from atled.core import DTypeError, Tensor

from ._group import ReduceOp

__all__ = ["HostTensor", "raw_bytes", "reducible_numbers"]

Array = npt.NDArray[Any]


class HostTensor:
    """A tensor on cpu that takes part in a collective, apart from any gradient that it has."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach() if getattr(tensor, "requires_grad", False) else tensor
        self.dtype = str(tensor.dtype).rpartition(".")[2]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.tensor.shape)}"

    def check_reducible(self, what: str, op: ReduceOp) -> None:
        """Raises where ``op`` has no meaning for the dtype."""
        is_complex = self.tensor.is_complex()
        if op is ReduceOp.AVG and not (is_complex or self.tensor.is_floating_point()):
            raise DTypeError(f"{what}: AVG expects a floating or complex dtype, got {self.dtype}; use SUM and divide")
        if op in (ReduceOp.MIN, ReduceOp.MAX) and is_complex:
            raise DTypeError(f"{what}: complex numbers have no order for {op.value}, got {self.dtype}")

    def count_change(self) -> None:
        """Counts a change in place, as an operator does, so that autograd notices if it had saved the tensor."""
        # A tensor may have all the dimensions that there can be.
        rows = self.tensor if self.tensor.ndim else self.tensor.unsqueeze(0)
        rows.narrow(0, 0, 0).zero_()

    def contiguous(self) -> Tensor:
        """The tensor itself, or a copy of it, in row-major order."""
        return self.tensor.contiguous()

    def widened(self) -> Tensor:
        """Like ``contiguous``, in a dtype that MPI can reduce: float16 and bfloat16 become float32."""
        is_half = self.dtype in ("float16", "bfloat16")
        return (self.tensor.to(at.float32) if is_half else self.tensor).contiguous()

    def store(self, values: Tensor) -> None:
        """Copies into the tensor what became of ``contiguous`` or ``widened``, unless it is the same memory."""
        if not values.shares_storage(self.tensor):
            self.tensor.copy_(values)


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
