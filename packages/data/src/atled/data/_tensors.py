"""What data asks of core's tensors beyond their public constructors."""

from __future__ import annotations

from typing import Any

import atled.core as at


def can_pin() -> bool:
    """Whether there is a device to which copies from page-locked memory are faster."""
    cuda: Any = getattr(at, "cuda", None)
    return cuda is not None and bool(cuda.is_available())


def pinned(value: Any) -> Any:
    """A tensor, or any other object that has ``pin_memory()``, in page-locked memory; all else as it is."""
    method = getattr(value, "pin_memory", None)
    return method() if callable(method) else value
