"""How `linear_cross_entropy` divides its rows, and what it sums them in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import atled.core as at

from .._precision import wide_dtype
from ._linear_cross_entropy import rows_by_aspect

_POLICIES = ("auto", "accurate", "balanced", "compact")


@dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """The chunks of rows in which `linear_cross_entropy` makes its logits, with PyTorch's names.

    - ``allow_retain_graph``: keep the gradients of ``"mean"`` and ``"sum"`` after the first backward, for one more
      tensor of their size; without it a second backward computes them again.
    - ``batch_chunk_size``: rows in a chunk.
    - ``chunking_method``: ``"aspect_ratio"`` for chunks whose logits take about as much memory as the input,
      ``"aspect_ratio:n"`` for an n-th of that; ``"auto"`` is ``"aspect_ratio"`` for half precision on the CPU and
      ``"aspect_ratio:2"`` else, or ``batch_chunk_size`` where that is given; None with no size is one chunk.
    - ``acc_policy``, of half precision: ``"balanced"`` sums over chunks in ``acc_dtype``; ``"compact"`` sums those of
      bfloat16 in bfloat16, for a tensor of the weight's size less; ``"accurate"`` multiplies in ``acc_dtype``, too;
      ``"auto"`` is ``"balanced"``. The softmax is in float32 in any case, and for float32 and float64 all are the same.
    - ``acc_dtype``: None is float32 for half precision, and the input's dtype for others.

    InvalidValueError for other settings.

    >>> from atled import nn
    >>> nn.LinearCrossEntropyOptions(batch_chunk_size=256).acc_policy
    'auto'
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: Literal["accurate", "balanced", "compact", "auto"] = "auto"
    acc_dtype: at.dtype | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in _POLICIES:
            raise _invalid("acc_policy", f"one of {', '.join(map(repr, _POLICIES))}", self.acc_policy)
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise _invalid("batch_chunk_size", "an int above 0 or None", size)
        if self.chunking_method not in ("auto", None):
            _parts(self.chunking_method)
        if self.acc_dtype not in (None, at.float16, at.bfloat16, at.float32, at.float64):
            raise _invalid("acc_dtype", "a dtype of floats or None", self.acc_dtype)

    def rows(self, rows: int, features: int, classes: int, dtype: at.dtype, device: at.device) -> int:
        """The rows in a chunk of an input ``(rows, features)`` with so many logits in a row."""
        method, size = self.chunking_method, self.batch_chunk_size
        if method == "auto":
            half = wide_dtype(dtype) is not dtype
            method = "aspect_ratio" if half and device.type == "cpu" else "aspect_ratio:2"
            method = method if size is None else None
        if method is None:
            return min(size or rows, rows)
        chosen = rows_by_aspect(rows, features, classes, _parts(method))
        if size is not None and size != chosen:
            raise at.InvalidValueError(
                f"LinearCrossEntropyOptions: expected batch_chunk_size or chunking_method alone, got {size} rows and "
                f"{method!r}, which makes it {chosen}"
            )
        return chosen

    def dtypes(self, dtype: at.dtype) -> tuple[at.dtype, at.dtype]:
        """Those of sums over chunks and of products; DTypeError for an ``acc_dtype`` that does not go with it."""
        sums = self.acc_dtype or wide_dtype(dtype)
        if sums not in (dtype, wide_dtype(dtype)):
            raise at.DTypeError(
                f"linear_cross_entropy: expected acc_dtype {wide_dtype(dtype).name} or None for input of {dtype.name}, "
                f"got {sums.name}"
            )
        if self.acc_policy == "compact" and dtype == at.bfloat16:  # in float16 a sum may be infinite
            sums = dtype
        return sums, sums if self.acc_policy == "accurate" else dtype


def _parts(method: str | None) -> int:
    name, colon, parts = str(method).partition(":")
    if name != "aspect_ratio" or (colon and not (parts.isdecimal() and int(parts))):
        raise _invalid("chunking_method", "'auto', 'aspect_ratio', 'aspect_ratio:n' with n above 0, or None", method)
    return int(parts) if colon else 1


def _invalid(name: str, expected: str, given: object) -> Exception:
    return at.InvalidValueError(f"LinearCrossEntropyOptions: expected {name} to be {expected}, got {given!r}")
