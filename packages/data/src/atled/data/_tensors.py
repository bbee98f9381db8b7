"""What data asks of core's tensors beyond their public constructors."""

from __future__ import annotations

from typing import Any

import atled.core as at


def pinned(tensor: at.Tensor) -> at.Tensor:
    """The tensor in page-locked memory, or itself where no device of this core would be faster for it."""
    cuda: Any = getattr(at, "cuda", None)
    if cuda is None or not cuda.is_available():
        return tensor
    copy: at.Tensor = getattr(tensor, "pin_memory")()  # noqa: B009  # comes with the device
    return copy
