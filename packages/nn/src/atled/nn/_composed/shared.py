"""What the compositions share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import atled.core as at

Kernel = Callable[..., Any]


def wide(dtype: at.dtype) -> at.dtype:
    """Half precision is computed in float32."""
    return at.float32 if dtype in (at.float16, at.bfloat16) else dtype
