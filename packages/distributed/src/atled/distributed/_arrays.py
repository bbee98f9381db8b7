"""Tensors as NumPy arrays that MPI can send and reduce: views where possible, else copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import atled.core as at
from atled.core import DTypeError, Tensor

from ._group import ReduceOp

__all__ = ["HostArray", "count_change"]

Array = npt.NDArray[Any]


class HostArray:
    """A tensor's memory as an array; bfloat16 shows as its bits in uint16, so ``dtype`` keeps the name that counts."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.dtype = str(tensor.dtype).rpartition(".")[2]
        self.shape = tuple(tensor.shape)
        self.view = host_array(tensor)

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    def check_reducible(self, what: str, op: ReduceOp) -> None:
        """Raises where ``op`` has no meaning for the dtype."""
        kind = self.view.dtype.kind if self.dtype != "bfloat16" else "f"
        if op is ReduceOp.AVG and kind not in "fc":
            raise DTypeError(f"{what}: AVG expects a floating or complex dtype, got {self.dtype}; use SUM and divide")
        if op in (ReduceOp.MIN, ReduceOp.MAX) and kind == "c":
            raise DTypeError(f"{what}: complex numbers have no order for {op.value}, got {self.dtype}")

    def bytes(self) -> Array:
        """The elements in row-major order as bytes; shares memory with the tensor where that is contiguous."""
        flat: Array = np.ascontiguousarray(self.view).reshape(-1).view(np.uint8)
        return flat

    def numbers(self) -> Array:
        """The elements in row-major order in a dtype that MPI can reduce; shares memory where nothing must change."""
        flat = np.ascontiguousarray(self.view).reshape(-1)
        if self.dtype == "bfloat16":
            return (flat.astype(np.uint32) << 16).view(np.float32)
        if self.dtype == "float16":
            return flat.astype(np.float32)
        return flat.view(np.uint8) if self.dtype == "bool" else flat

    def put_bytes(self, data: Array) -> None:
        """Stores what ``bytes`` gave, unless it is the tensor's own memory."""
        if self.view.size and not np.shares_memory(data, self.view):
            self.view[...] = data.view(self.view.dtype).reshape(self.shape)

    def put_numbers(self, numbers: Array) -> None:
        """Stores what ``numbers`` gave, rounded to the tensor's dtype, unless it is the tensor's own memory."""
        if not self.view.size or np.shares_memory(numbers, self.view):
            return
        if self.dtype == "bfloat16":
            numbers = _to_bfloat16_bits(numbers)
        elif self.dtype == "bool":
            numbers = numbers.view(np.bool_)
        self.view[...] = numbers.reshape(self.shape)


def host_array(tensor: Tensor) -> Array:
    """An array over the tensor's own memory, whatever its strides, and whether or not it requires grad."""
    if tensor.dtype is at.bfloat16:
        tensor = (tensor.detach() if getattr(tensor, "requires_grad", False) else tensor).view(at.uint16)
    return np.asarray(memoryview(tensor))


def count_change(tensor: Tensor) -> None:
    """Counts a change in place, as an operator does, so that autograd notices a changed tensor that it has saved."""
    alias = tensor.detach() if getattr(tensor, "requires_grad", False) else tensor
    alias.unsqueeze(0).narrow(0, 0, 0).zero_()


def _to_bfloat16_bits(values: Array) -> Array:
    """Rounds float32 to bfloat16, to nearest with ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype(np.uint16)
