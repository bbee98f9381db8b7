"""Tensors that say which part of a whole one they are."""

from __future__ import annotations

from typing import Any, NoReturn

import atled.core as at
from atled.core import Tensor

from .._errors import DistError
from ._shard import Shard

__all__ = ["ShardedTensor", "gathered"]


class ShardedTensor(Tensor):
    """This rank's rows of a parameter, or of what an optimizer keeps for it, as in a state dict.

    ``full_shape`` is the shape of the whole, of which these are the rows from ``begin`` to ``end`` along the dimension
    ``shard_dim``, mostly 0; the whole is shared out over ``group``. What is computed of it are plain tensors of this
    rank's rows. Pickling it, and ``at.save``, are a DistError: they would have a part only.

    >>> from atled import distributed as dist, nn
    >>> weight = dist.fully_shard(nn.Linear(4, 6)).state_dict()["weight"]
    >>> tuple(weight.shape), weight.full_shape, weight.begin == 3 * dist.get_rank(), weight.end - weight.begin
    ((3, 4), (6, 4), True, 3)
    >>> weight.group.size, tuple(weight.full_tensor().shape), weight.shard_dim
    (2, (6, 4), 0)
    """

    full_shape: tuple[int, ...]
    shard_dim: int
    begin: int
    end: int
    # Whether no earlier rank has the same rows.
    is_first: bool
    _shard: Shard

    def __new__(cls, rows: Tensor, shard: Shard) -> ShardedTensor:
        """Over the memory of the rows."""
        self = Tensor.__new__(cls, rows)  # type: ignore[call-arg]
        self.full_shape, self.shard_dim, self.begin, self.end = shard.shape, shard.dim, shard.begin, shard.end
        self.is_first, self._shard = shard.is_first, shard
        return self

    def __init__(self, rows: Tensor, shard: Shard) -> None:
        pass

    @property
    def group(self) -> Any:
        """The ranks that have the other rows."""
        return self._shard.group

    def __deepcopy__(self, memo: dict[int, Any]) -> ShardedTensor:
        """The same rows in memory of their own: a state dict may be kept for later."""
        if id(self) not in memo:
            memo[id(self)] = ShardedTensor(Tensor(self).clone(), self._shard)
        copied: ShardedTensor = memo[id(self)]
        return copied

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise DistError(
            "ShardedTensor: the rows of one rank cannot be pickled, for they belong to the ranks of this job; pickle "
            "full_tensor(), or use checkpoint.save"
        )

    def _check_saving(self) -> NoReturn:
        """What ``at.save`` asks."""
        raise DistError(
            "save: a sharded tensor is the rows of one rank only; use checkpoint.save, or save what "
            "get_model_state_dict gives with StateDictOptions(full_state_dict=True)"
        )

    def full_tensor(self) -> Tensor:
        """The whole tensor, on each rank, on the device of the rows; every rank of the group calls it."""
        return gathered(Tensor(self), self._shard)


def gathered(rows: Tensor, shard: Shard) -> Tensor:
    """The whole tensor of which each rank has rows; every rank of the shard's group calls it."""
    own = at.zeros((shard.room,), dtype=rows.dtype, device=rows.device)
    own[: rows.numel()].copy_(shard.flat(rows))
    whole = at.empty((shard.group.size * shard.room,), dtype=rows.dtype, device=rows.device)
    shard.group.all_gather(whole, own).wait()
    return shard.whole(whole)
