"""What travels between the ranks: parameters before they are used, gradients after they are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import atled.core as at
from atled.core import Tensor

from .._group import ReduceOp, Work
from ._members import Members
from ._policy import MixedPrecisionPolicy
from ._shard import Shard

__all__ = ["Averaging", "Full", "Gathering", "Reduction"]


# Of this size in bytes, a rank's rows are worth a collective of their own: nothing is copied then to lie side by side.
_ALONE = 2**20


class Full(NamedTuple):
    """Whole parameters: one tensor for each, and the flat tensors in whose memory they are."""

    tensors: list[Tensor]
    flats: list[Tensor]


class _Kind:
    """Shards that travel together, being of one dtype and device, one after the other in each rank's part."""

    def __init__(self, dtype: at.dtype, device: at.device) -> None:
        self.dtype, self.device = dtype, device
        self.indices: list[int] = []
        self.shards: list[Shard] = []
        self.offsets: list[int] = []
        self.length = 0

    def add(self, index: int, shard: Shard) -> None:
        self.indices.append(index)
        self.shards.append(shard)
        self.offsets.append(self.length)
        self.length += shard.room

    def buffer(self, *shape: int, dtype: at.dtype | None = None) -> Tensor:
        return at.empty(shape, dtype=dtype or self.dtype, device=self.device)


def _kinds(shards: Sequence[Shard], policy: MixedPrecisionPolicy, indices: Sequence[int]) -> list[_Kind]:
    found: dict[tuple[at.dtype, at.device, int], _Kind] = {}
    for index in indices:
        parameter = shards[index].parameter
        dtype: at.dtype = parameter.dtype
        if policy.param_dtype is not None and parameter.is_floating_point():
            dtype = policy.param_dtype
        is_large = shards[index].room * dtype.itemsize >= _ALONE
        key = dtype, shards[index].device, index if is_large else -1
        if key not in found:
            found[key] = _Kind(dtype, shards[index].device)
        found[key].add(index, shards[index])
    return list(found.values())


class Gathering:
    """The shards of all ranks on their way to every rank."""

    def __init__(self, shards: Sequence[Shard], group: Members, policy: MixedPrecisionPolicy) -> None:
        self._count, self._size = len(shards), group.size
        self._started: list[tuple[_Kind, Tensor, Tensor, Work]] = []
        for kind in _kinds(shards, policy, range(len(shards))):
            own = _side_by_side(kind)
            whole = kind.buffer(self._size, kind.length)
            self._started.append((kind, own, whole, group.all_gather(whole, own)))

    def wait(self) -> None:
        """Blocks until nothing is on its way any more."""
        for _, _, _, work in self._started:
            work.wait()

    def finish(self) -> Full:
        """The whole parameters, once they are here."""
        full = Full([at.empty(0)] * self._count, [])
        while self._started:
            kind, _, whole, work = self._started.pop(0)
            work.wait()
            # Rank by rank as it came, it becomes parameter by parameter.
            flat = whole.reshape(-1) if len(kind.shards) == 1 else kind.buffer(whole.numel())
            for index, shard, offset in zip(kind.indices, kind.shards, kind.offsets, strict=True):
                place = flat[self._size * offset : self._size * (offset + shard.room)]
                if len(kind.shards) > 1:
                    place.reshape(self._size, shard.room).copy_(whole[:, offset : offset + shard.room])
                full.tensors[index] = shard.whole(place)
            full.flats.append(flat)
        return full


def _side_by_side(kind: _Kind) -> Tensor:
    """This rank's rows, each parameter's with zeros up to as many as any rank has."""
    first: Tensor = kind.shards[0].parameter.detach()
    if len(kind.shards) == 1 and first.numel() == kind.length and first.dtype == kind.dtype:
        return kind.shards[0].flat(first).to(kind.device)
    own = kind.buffer(kind.length)
    for shard, offset in zip(kind.shards, kind.offsets, strict=True):
        rows = shard.flat(shard.parameter.detach())
        own[offset : offset + rows.numel()].copy_(rows)
        own[offset + rows.numel() : offset + shard.room].zero_()
    return own


@dataclass
class Averaging:
    """What a user wants of the gradients of a module otherwise than their mean over all ranks."""

    # By what the sum of all ranks is divided, where not by their number.
    divisor: float | None = None
    # Gets the rows of this rank, before they are added to ``grad``, and may change them.
    hook: Callable[[Tensor], object] | None = None
    # Whether the ranks with the same shards bring theirs together now; if not, they are kept for when they do.
    includes_replicas: bool = True
    kept: dict[tuple[int, ...], Tensor] = field(default_factory=dict)


class Reduction:
    """Gradients of whole parameters on their way to those who have the rows: each rank gets the mean of all ranks.

    ``gradients`` has an entry for each parameter that is learnt, the same ones on every rank; None is a parameter that
    took no part on this rank. It counts as zero, and gets no gradient where it took part on no rank.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        gradients: Mapping[int, Tensor | None],
        group: Members,
        replicas: Members | None,
        policy: MixedPrecisionPolicy,
        averaging: Averaging,
    ) -> None:
        self._replicas, self._averaging = replicas, averaging
        self._ranks = group.size * (1 if replicas is None else replicas.size)
        self._absent = {index for index, gradient in gradients.items() if gradient is None}
        self._started: list[tuple[_Kind, Tensor, Tensor, Work]] = []
        for kind in _kinds(shards, policy, sorted(gradients)):
            reduces = policy.reduce_dtype if kind.dtype.is_floating_point else None
            # Behind each rank's rows it says of every parameter whether it took part.
            parts = kind.buffer(group.size, kind.length + len(kind.shards), dtype=reduces)
            for place, (index, shard, offset) in enumerate(zip(kind.indices, kind.shards, kind.offsets, strict=True)):
                gradient = gradients[index]
                _spread(parts[:, offset : offset + shard.room], gradient, shard)
                parts[:, kind.length + place].fill_(0.0 if gradient is None else 1.0)
            own = kind.buffer(kind.length + len(kind.shards), dtype=reduces)
            self._started.append((kind, parts, own, group.reduce_scatter(own, parts, ReduceOp.AVG)))

    def finish(self) -> None:
        """Adds to ``grad`` of the shards, once it is here."""
        while self._started:
            kind, _, own, work = self._started.pop(0)
            work.wait()
            if self._replicas is not None and not self._bring_together(self._replicas, tuple(kind.indices), own):
                continue
            if self._averaging.divisor is not None:
                own[: kind.length].mul_(self._ranks / self._averaging.divisor)
            if self._averaging.hook is not None:
                self._averaging.hook(own[: kind.length])
            for place, (index, shard, offset) in enumerate(zip(kind.indices, kind.shards, kind.offsets, strict=True)):
                # Who has a gradient of its own need not ask.
                if index in self._absent and own[kind.length + place].item() == 0:
                    continue
                parameter = shard.parameter
                mean = shard.part(own[offset : offset + parameter.numel()])
                if parameter.grad is None:
                    parameter.grad = _like(parameter.detach()).copy_(mean)
                else:
                    parameter.grad.detach().add_(mean.to(device=parameter.device, dtype=parameter.dtype))

    def _bring_together(self, replicas: Members, key: tuple[int, ...], own: Tensor) -> bool:
        """Averages with those who have the same shards, unless that is to wait; answers whether it has."""
        before = self._averaging.kept.pop(key, None)
        if before is not None:
            own.add_(before)
        if not self._averaging.includes_replicas:
            self._averaging.kept[key] = own
            return False
        replicas.all_reduce(own, ReduceOp.AVG).wait()
        return True


def _like(tensor: Tensor) -> Tensor:
    """Memory for a gradient, of which a GPU can write directly where it can read the parameter so."""
    return at.empty_like(tensor, pin_memory=True) if tensor.is_pinned() else at.empty_like(tensor)


def _spread(parts: Tensor, gradient: Tensor | None, shard: Shard) -> None:
    """Copies the rows of a gradient to the ranks that have them; zeros where there are none."""
    if gradient is None or not shard.room:
        parts.zero_()
        return
    rows = shard.flat(gradient.detach()).reshape(shard.rows, shard.width)
    filled, left = divmod(shard.rows, shard.each)
    parts[:filled].copy_(rows[: filled * shard.each].reshape(filled, shard.room))
    if filled < parts.shape[0]:
        parts[filled:].zero_()
        parts[filled, : left * shard.width].copy_(rows[filled * shard.each :].reshape(-1))
