"""Tensors as they take part in collectives: what every backend checks, and how results get into any strides."""

from __future__ import annotations

from collections.abc import Sequence

from atled.core import ArgumentError, DTypeError, InvalidValueError, ShapeError, Tensor

from ._group import ReduceOp

__all__ = ["Part", "check_parts", "one_dtype"]


class Part:
    """A tensor that takes part in a collective, apart from any gradient that it has."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach() if getattr(tensor, "requires_grad", False) else tensor
        self.dtype = str(tensor.dtype).rpartition(".")[2]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.tensor.shape)}"

    @staticmethod
    def check_tensor(what: str, tensor: object) -> None:
        """Raises for what is no tensor."""
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"{what}: expected a Tensor, got {type(tensor).__name__}")

    def check_reducible(self, what: str, op: ReduceOp) -> None:
        """Raises where ``op`` has no meaning for the dtype."""
        is_complex = self.tensor.is_complex()
        if op is ReduceOp.AVG and not (is_complex or self.tensor.is_floating_point()):
            raise DTypeError(f"{what}: AVG expects a floating or complex dtype, got {self.dtype}; use SUM and divide")
        if op in (ReduceOp.MIN, ReduceOp.MAX) and is_complex:
            raise DTypeError(f"{what}: complex numbers have no order for {op.value}, got {self.dtype}")

    def will_be_written(self, what: str) -> None:
        """Raises where the tensor cannot be written to, and counts the change."""
        tensor = self.tensor
        strides = zip(tensor.stride(), tensor.shape, strict=True)
        if tensor.numel() and any(stride == 0 and extent > 1 for stride, extent in strides):
            raise InvalidValueError(f"{what}: cannot write to an expanded tensor, its elements share memory; clone it")
        if tensor.is_readonly:
            raise InvalidValueError(f"{what}: cannot write to a read-only tensor; clone it")
        self.count_change()

    def count_change(self) -> None:
        """Counts a change in place, as an operator does, so that autograd notices if it had saved the tensor."""
        # A tensor may have all the dimensions that there can be.
        rows = self.tensor if self.tensor.ndim else self.tensor.unsqueeze(0)
        rows.narrow(0, 0, 0).zero_()

    def contiguous(self) -> Tensor:
        """The tensor itself, or a copy of it, in row-major order."""
        return self.tensor.contiguous()

    def store(self, values: Tensor) -> None:
        """Copies into the tensor what became of ``contiguous`` or ``widened``, unless it is the same memory."""
        if not values.shares_storage(self.tensor):
            self.tensor.copy_(values)


def check_parts(what: str, whole_name: str, whole: Part, part_name: str, part: Part, size: int) -> None:
    """Raises unless ``whole`` has ``size`` times the elements of ``part``, of the same dtype."""
    if whole.dtype != part.dtype:
        raise DTypeError(
            f"{what}: expected {whole_name} and {part_name} of one dtype, got {whole.dtype} and {part.dtype}"
        )
    if whole.tensor.numel() != size * part.tensor.numel():
        raise ShapeError(
            f"{what}: expected {whole_name} with {size} times as many elements as {part_name}, got shapes "
            f"{tuple(whole.tensor.shape)} and {tuple(part.tensor.shape)}"
        )


def one_dtype(what: str, parts: Sequence[Part]) -> str:
    """The dtype that all have, or an error."""
    dtypes = {part.dtype for part in parts}
    if len(dtypes) > 1:
        raise DTypeError(f"{what}: expected tensors of one dtype, got {', '.join(sorted(dtypes))}")
    return dtypes.pop()
