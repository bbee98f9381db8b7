"""What data asks of core's tensors beyond their public constructors: their bytes, and a tensor over given bytes."""

from __future__ import annotations

from typing import Any

import atled.core as at


def buffer_of(tensor: at.Tensor) -> tuple[Any, str]:
    """A C-contiguous buffer with a tensor's bytes, shared where the tensor is contiguous; and its dtype's name."""
    import numpy as np

    if tensor.device.type != "cpu":
        raise at.DeviceError(
            f"DataLoader: expected tensors on cpu from a worker, got one on {tensor.device}; "
            "move batches in the main process"
        )
    # An alias that no layer knows of: sending a tensor must leave no trace in a graph.
    alias: Any = at.from_dlpack(tensor)
    name = str(tensor.dtype).rpartition(".")[2]
    # The buffer protocol has no bfloat16.
    return np.ascontiguousarray(alias.view(at.uint16) if name == "bfloat16" else alias), name


def rebuild(buffer: Any, dtype: str, shape: tuple[int, ...]) -> at.Tensor:
    """A tensor that shares, and keeps alive, the memory of ``buffer``."""
    kind = getattr(at, dtype)
    flat = at.frombuffer(buffer, kind) if len(buffer) else at.tensor([], dtype=kind)
    return flat.reshape(shape)


def _reduce(tensor: at.Tensor) -> Any:
    buffer, dtype = buffer_of(tensor)
    return rebuild, (bytearray(buffer), dtype, tuple(tensor.shape))


def allow_in_processes() -> None:
    """Lets tensors be arguments of processes that are spawned, not forked."""
    from multiprocessing.reduction import ForkingPickler

    ForkingPickler.register(at.Tensor, _reduce)


def pinned(tensor: at.Tensor) -> at.Tensor:
    """The tensor in page-locked memory, or itself where no device of this core would be faster for it."""
    cuda: Any = getattr(at, "cuda", None)
    if cuda is None or not cuda.is_available():
        return tensor
    copy: at.Tensor = getattr(tensor, "pin_memory")()  # noqa: B009  # comes with the device
    return copy
