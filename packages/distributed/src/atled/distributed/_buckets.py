"""Gradient buckets: which parameters travel together, and a flat tensor for each bucket."""

from __future__ import annotations

import math
from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor

__all__ = ["Bucket", "plan"]

_MEBIBYTE = 1024 * 1024


class Bucket:
    """A flat tensor with one view for each of ``tensors``; filled slot by slot, then reduced as a whole."""

    def __init__(self, indices: Sequence[int], tensors: Sequence[Tensor]) -> None:
        self.indices = tuple(indices)
        first = tensors[0]
        self.flat = at.empty((sum(t.numel() for t in tensors),), dtype=first.dtype, device=first.device)
        self._shapes = [tuple(tensor.shape) for tensor in tensors]
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


def plan(tensors: Sequence[Tensor], cap_mb: float) -> list[Bucket]:
    """Distributes tensors over buckets of one dtype and device and at most ``cap_mb`` MiB (a larger tensor goes alone).

    The last tensors come first, for backward makes their gradients first; the first bucket is small (1 MiB), so that
    communication begins early.
    """
    groups: list[list[int]] = []
    open_groups: dict[tuple[str, str], tuple[list[int], float]] = {}
    for index in reversed(range(len(tensors))):
        tensor = tensors[index]
        kind = (str(tensor.dtype), str(tensor.device))
        size = tensor.numel() * tensor.element_size()
        group, room = open_groups.get(kind, ([], 0.0))
        if not group or size > room:
            room = min(cap_mb, 1.0 if not groups else cap_mb) * _MEBIBYTE
            group = []
            groups.append(group)
        group.append(index)
        open_groups[kind] = (group, room - size)
    return [Bucket(group, [tensors[i] for i in group]) for group in groups]
