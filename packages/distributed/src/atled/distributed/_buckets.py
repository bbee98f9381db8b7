"""Gradient buckets: which parameters travel together, and a flat tensor for each bucket."""

from __future__ import annotations

import math
from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor

__all__ = ["CAP_MB", "Bucket", "plan", "portions"]

CAP_MB = 25.0
_MEBIBYTE = 1024 * 1024


class Bucket:
    """A flat tensor with one view for each of some ``tensors``; filled slot by slot, then sent as a whole."""

    def __init__(self, indices: Sequence[int], tensors: Sequence[Tensor]) -> None:
        self.indices = tuple(indices)
        held = [tensors[index] for index in indices]
        self.flat = at.empty((sum(t.numel() for t in held),), dtype=held[0].dtype, device=held[0].device)
        self._shapes = [tuple(tensor.shape) for tensor in held]
        self.views = self.views_of(self.flat)

    def views_of(self, flat: Tensor) -> list[Tensor]:
        """The slots of a tensor of the shape of ``flat``."""
        sizes = [math.prod(shape) for shape in self._shapes]
        return [part.reshape(shape) for part, shape in zip(flat.split(sizes), self._shapes, strict=True)]

    def __len__(self) -> int:
        return len(self.indices)

    def fill_from(self, tensors: Sequence[Tensor]) -> None:
        """Copies its slots from those of ``tensors`` that it holds."""
        for index, view in zip(self.indices, self.views, strict=True):
            view.copy_(tensors[index])

    def copy_to(self, tensors: Sequence[Tensor]) -> None:
        """Copies its slots to those of ``tensors`` that it holds."""
        for index, view in zip(self.indices, self.views, strict=True):
            tensors[index].copy_(view)


def portions(tensors: Sequence[Tensor], cap_mb: float, first_mb: float | None = None) -> list[list[int]]:
    """Which tensors travel together, by their indices, in order.

    They are of one dtype and device, and at most ``cap_mb`` MiB, the first ``first_mb``; a larger tensor goes alone.
    """
    found: list[list[int]] = []
    last: dict[tuple[str, str], tuple[list[int], float]] = {}
    for index, tensor in enumerate(tensors):
        kind, size = (str(tensor.dtype), str(tensor.device)), tensor.numel() * tensor.element_size()
        portion, room = last.get(kind, ([], 0.0))
        if not portion or size > room:
            cap = cap_mb if found or first_mb is None else min(cap_mb, first_mb)
            portion, room = [], cap * _MEBIBYTE
            found.append(portion)
        portion.append(index)
        last[kind] = (portion, room - size)
    return found


def plan(tensors: Sequence[Tensor], cap_mb: float) -> list[Bucket]:
    """Distributes tensors over buckets.

    The last tensors come first, for backward makes their gradients first; the first bucket is small (1 MiB), so that
    communication begins early.
    """
    last = len(tensors) - 1
    return [Bucket([last - i for i in portion], tensors) for portion in portions(tensors[::-1], cap_mb, first_mb=1.0)]
