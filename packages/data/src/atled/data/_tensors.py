"""What data asks of core's tensors beyond their public constructors: their bytes, and a tensor over given bytes."""

from __future__ import annotations

from typing import Any

import atled.core as at


def array_of(tensor: at.Tensor) -> tuple[Any, str]:
    """A C-contiguous NumPy array with a tensor's bytes, shared where the tensor is contiguous; and its dtype's name."""
    import numpy as np

    if tensor.device.type != "cpu":
        raise at.DeviceError(
            f"DataLoader: expected tensors on cpu from a worker, got one on {tensor.device}; "
            "move batches in the main process"
        )
    name = str(tensor.dtype).rpartition(".")[2]
    return np.ascontiguousarray(tensor.detach().numpy()), name


def rebuild(buffer: Any, dtype: str, shape: tuple[int, ...]) -> at.Tensor:
    """A tensor that shares, and keeps alive, the memory of ``buffer``."""
    kind = getattr(at, dtype)
    return at.frombuffer(buffer, dtype=kind).reshape(shape) if len(buffer) else at.empty(shape, dtype=kind)
