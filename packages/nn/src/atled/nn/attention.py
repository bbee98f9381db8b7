"""Which way `functional.scaled_dot_product_attention` takes, with the names of ``torch.nn.attention``: there is one.

It is computed by blocks of queries, so that no whole matrix of scores is held.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator

import atled.core as at

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.Enum):
    """The ways that PyTorch knows."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(backends: SDPBackend | list[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """For PyTorch's programs, which choose a way by it: attention within computes the same, in the one way there is.

    >>> from atled.nn import attention
    >>> with attention.sdpa_kernel(attention.SDPBackend.MATH):
    ...     pass
    """
    chosen = backends if isinstance(backends, (list, tuple)) else [backends]
    if not chosen or not all(isinstance(backend, SDPBackend) for backend in chosen):
        raise at.ArgumentError(f"sdpa_kernel: expected one SDPBackend or a list of them, got {backends!r}")
    yield
