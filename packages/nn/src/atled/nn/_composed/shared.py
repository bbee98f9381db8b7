"""What the compositions share: the dtype that they compute in, reductions, and named errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import atled.core as at
from atled.core import Tensor

Kernel = Callable[..., Any]


def wide(dtype: at.dtype) -> at.dtype:
    """Half precision is computed in float32."""
    return at.float32 if dtype in (at.float16, at.bfloat16) else dtype


def widened(tensor: Tensor) -> Tensor:
    """The tensor in the dtype that it is computed in; itself where that is its own."""
    return tensor.to(wide(tensor.dtype))


def reduced(values: Tensor, reduction: str) -> Tensor:
    """The values, their sum or their mean."""
    return values if reduction == "none" else values.sum() if reduction == "sum" else values.mean()


def from_zero(indices: Tensor, limit: int) -> Tensor:
    """The indices as int64; negative ones, which count from the end elsewhere, are beyond the limit here."""
    indices = indices.to(at.int64)
    return at.where(indices < 0, limit, indices)


@contextmanager
def bounds(op: str, name: str, indices: Tensor, limit: int, ignore: int | None = None) -> Iterator[None]:
    """Says in the op's own words which index is beyond a dimension."""
    try:
        yield
    except at.BoundsError as error:
        for i, index in enumerate(indices.flatten().tolist()):
            if index == ignore or 0 <= index < limit:
                continue
            or_ignored = "" if ignore is None else f" or ignore_index {ignore}"
            text = f"{op}: expected {name} in [0, {limit}){or_ignored}, got {index} at position {i}"
            raise at.BoundsError(text) from error
        raise
