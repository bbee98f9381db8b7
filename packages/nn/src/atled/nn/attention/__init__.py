"""How attention is computed, with the names of ``torch.nn.attention``.

`functional.scaled_dot_product_attention` goes by its arguments alone, so what is chosen here changes nothing. Attention
whose scores a function changes is in `flex_attention`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import atled.core as at

from . import flex_attention

__all__ = ["SDPBackend", "flex_attention", "sdpa_kernel"]


class SDPBackend(enum.Enum):
    """PyTorch's implementations of attention.

    >>> SDPBackend.MATH.value, SDPBackend.FLASH_ATTENTION.name
    (0, 'FLASH_ATTENTION')
    """

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """A block in which PyTorch's attention uses one of the backends; here it computes as outside.

    ArgumentError for other than `SDPBackend`, or a sequence of them.

    >>> import atled.core as at
    >>> from atled.nn import functional as F
    >>> with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
    ...     F.scaled_dot_product_attention(*[at.ones(1, 2, 3)] * 3).tolist()
    [[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]]
    """
    given = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(given, Sequence) or not all(isinstance(backend, SDPBackend) for backend in given):
        raise at.ArgumentError(f"sdpa_kernel: expected an SDPBackend or a sequence of them, got {backends!r}")
    yield
