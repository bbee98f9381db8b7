"""Tensors that several processes see: their storage is a mapping of a file in memory that has no name."""

from __future__ import annotations

import os
from multiprocessing import reduction
from typing import Any

import atled.core as at
from atled.core import _core
from atled.core._tensor import wants_grad

from . import _segments


def share(tensor: at.Tensor) -> at.Tensor:
    """Moves the elements of a tensor on the CPU into shared memory; ``Tensor.share_memory_``.

    Writes are then seen by every process that has the tensor: forked ones, and those that it is sent to. Returns the
    tensor itself, and does nothing if it is shared already. Raises OperationError while views, arrays or a recorded
    graph refer to its memory, which would stay behind.
    """
    if tensor.is_shared():
        return tensor
    if not tensor.is_cpu:
        raise _core.DeviceError(f"share_memory_: expected a tensor on cpu, got {tensor.device}; use .cpu() first")
    nbytes = max(_core._storage_nbytes(tensor), 1)
    descriptor = _segments.unnamed_file()
    try:
        # Memory that is not there is an error here, and would be a signal once it is written to.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, nbytes)
        else:
            os.ftruncate(descriptor, nbytes)
        _core._move_storage(tensor, _core._attach_shared(descriptor, nbytes, at.uint8))
    except OSError as error:
        raise _core.OutOfMemoryError(f"share_memory_: {nbytes} bytes: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return tensor


def reduce(tensor: at.Tensor) -> tuple[Any, ...]:
    """How a shared tensor is pickled for a process that is being spawned."""
    place = _core._shared_place(tensor)
    assert place is not None
    descriptor, nbytes, offset = place
    where = (offset // tensor.itemsize, tensor.shape, tensor.stride())
    arguments = (reduction.DupFd(descriptor), nbytes, tensor.dtype, where, type(tensor), wants_grad(tensor))
    return attach, arguments, getattr(tensor, "__dict__", None) or None


def attach(
    descriptor: Any, nbytes: int, dtype: at.dtype, where: Any, cls: type[at.Tensor], requires_grad: bool
) -> at.Tensor:
    """The tensor that `reduce` was given."""
    inherited = descriptor.detach()
    try:
        memory = _core._attach_shared(inherited, nbytes, dtype)
    finally:
        os.close(inherited)
    offset, shape, stride = where
    return restore(memory.as_strided(shape, stride, offset), cls, requires_grad)


def restore(tensor: at.Tensor, cls: type[at.Tensor], requires_grad: bool) -> at.Tensor:
    """The tensor with the class and the gradient that another process's had."""
    if cls is not at.Tensor:
        tensor = cls(tensor)
    return tensor.requires_grad_() if requires_grad else tensor
