"""How a tensor is shared out over ranks."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from atled.core import ArgumentError

__all__ = ["Shard"]


@dataclass(frozen=True)
class Shard:
    """Each rank has a part along the dimension ``dim``, which may count from the end.

    It is what ``shard_placement_fn`` of `fully_shard` answers; a tensor of placements (PyTorch's ``DTensor``) there is
    not. Raises ArgumentError for a ``dim`` that is no integer.

    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.tensor import Shard
    >>> model = dist.fully_shard(nn.Linear(4, 3), shard_placement_fn=lambda p: Shard(1) if p.ndim == 2 else None)
    >>> tuple(model.weight.shape)  # two of four columns
    (3, 2)
    """

    dim: int

    def __post_init__(self) -> None:
        try:
            operator.index(self.dim)
        except TypeError:
            raise ArgumentError(f"Shard: expected dim to be an integer, got {self.dim!r}") from None
