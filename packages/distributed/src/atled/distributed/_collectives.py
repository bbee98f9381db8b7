"""The functions that exchange tensors and objects between ranks.

All of them are called in the same order by every rank of the group (None: the whole job), with tensors of one shape and
dtype unless said otherwise; else every rank gets a MismatchError that shows what each has called. Tensors may have any
dtype and any strides. With ``async_op=True`` a function returns a Work; the tensors are valid after ``work.wait()``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor

from ._group import ProcessGroup, ReduceOp, Work
from ._world import group_or_default

__all__ = [
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "reduce_scatter",
    "reduce_scatter_tensor",
]


def broadcast(tensor: Tensor, src: int = 0, group: object = None, async_op: bool = False) -> Work | None:
    """Copies ``tensor`` of rank ``src`` (its number in the job) into ``tensor`` of all other ranks of the group.

    >>> from atled import distributed as dist
    >>> dist.broadcast(tensor, src=0)  # doctest: +SKIP
    """
    members = group_or_default(group, "broadcast")
    return _finish(members.broadcast(tensor, _root(members, src, "broadcast")), async_op)


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: object = None, async_op: bool = False
) -> Work | None:
    """Replaces ``tensor`` on every rank by the sum (or another ``ReduceOp``) of the tensors of all ranks.

    Raises DTypeError for AVG of integers, and for MIN or MAX of complex numbers.

    >>> from atled import distributed as dist
    >>> dist.all_reduce(gradient, dist.ReduceOp.AVG)  # doctest: +SKIP
    """
    _check_op(op, "all_reduce")
    return _finish(group_or_default(group, "all_reduce").all_reduce(tensor, op), async_op)


def all_gather(
    tensor_list: Sequence[Tensor], tensor: Tensor, group: object = None, async_op: bool = False
) -> Work | None:
    """Copies ``tensor`` of rank i into ``tensor_list[i]``, on every rank."""
    members = group_or_default(group, "all_gather")
    _check_list("all_gather", "tensor_list", tensor_list, tensor, members.size)
    gathered = at.empty((members.size, *tensor.shape), dtype=tensor.dtype, device=tensor.device)

    def copy_out() -> None:
        for target, part in zip(tensor_list, gathered, strict=True):
            target.copy_(part)

    return _finish(_WorkThen(members.all_gather(gathered, tensor), copy_out), async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: object = None, async_op: bool = False
) -> Work | None:
    """Fills ``output_tensor`` with the ``input_tensor`` of all ranks, in rank order.

    ``output_tensor`` has the group's size times as many elements: the inputs concatenated, or stacked, along the first
    dimension.
    """
    members = group_or_default(group, "all_gather_into_tensor")
    return _finish(members.all_gather(output_tensor, input_tensor), async_op)


def reduce_scatter(
    output: Tensor,
    input_list: Sequence[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: object = None,
    async_op: bool = False,
) -> Work | None:
    """Reduces ``input_list[i]`` over all ranks and stores it in ``output`` of rank i."""
    members = group_or_default(group, "reduce_scatter")
    _check_op(op, "reduce_scatter")
    _check_list("reduce_scatter", "input_list", input_list, output, members.size)
    return _finish(members.reduce_scatter(output, at.stack(list(input_list)), op), async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: ReduceOp = ReduceOp.SUM, group: object = None, async_op: bool = False
) -> Work | None:
    """Reduces ``input`` over all ranks; the i-th of its equal parts along the first dimension goes to rank i."""
    _check_op(op, "reduce_scatter_tensor")
    members = group_or_default(group, "reduce_scatter_tensor")
    return _finish(members.reduce_scatter(output, input, op), async_op)


def barrier(group: object = None, async_op: bool = False) -> Work | None:
    """Waits until every rank of the group has called it."""
    return _finish(group_or_default(group, "barrier").barrier(), async_op)


def broadcast_object_list(object_list: list[Any], src: int = 0, group: object = None) -> None:
    """Replaces the objects of ``object_list`` by those of rank ``src``; all lists have the same length.

    The objects are pickled: use it among processes that trust each other.
    """
    members = group_or_default(group, "broadcast_object_list")
    root = _root(members, src, "broadcast_object_list")
    data = pickle.dumps(object_list) if members.rank == root else b""
    size = at.tensor([len(data)], dtype=at.int64)
    members.broadcast(size, root).wait()
    buffer = _to_tensor(data, int(size[0]))
    members.broadcast(buffer, root).wait()
    if members.rank != root:
        received = pickle.loads(buffer.numpy().tobytes())
        if len(received) != len(object_list):
            raise InvalidValueError(
                f"broadcast_object_list: expected lists of one length, got {len(object_list)} here and {len(received)} "
                f"on rank {src}"
            )
        object_list[:] = received


def all_gather_object(object_list: list[Any], obj: Any, group: object = None) -> None:
    """Puts the ``obj`` of rank i into ``object_list[i]``, on every rank; objects may differ in size.

    The objects are pickled: use it among processes that trust each other.
    """
    members = group_or_default(group, "all_gather_object")
    if len(object_list) != members.size:
        raise InvalidValueError(
            f"all_gather_object: expected a list of {members.size} elements, one for each rank, got {len(object_list)}"
        )
    data = pickle.dumps(obj)
    sizes = at.empty((members.size,), dtype=at.int64)
    members.all_gather(sizes, at.tensor([len(data)], dtype=at.int64)).wait()
    lengths = [int(size) for size in sizes.tolist()]
    parts = at.empty((members.size, max(lengths)), dtype=at.uint8)
    members.all_gather(parts, _to_tensor(data, max(lengths))).wait()
    rows = zip(parts.numpy(), lengths, strict=True)
    object_list[:] = [pickle.loads(row[:length].tobytes()) for row, length in rows]


class _WorkThen(Work):
    """Work with a last step, which the thread that waits for it takes."""

    def __init__(self, work: Work, then: Callable[[], None]) -> None:
        self._work = work
        self._then: Callable[[], None] | None = then

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        self._work.wait(timeout)
        then, self._then = self._then, None
        if then is not None:
            then()
        return True

    def is_completed(self) -> bool:
        return self._work.is_completed()

    def exception(self) -> BaseException | None:
        return self._work.exception()


def _finish(work: Work, async_op: bool) -> Work | None:
    if async_op:
        return work
    work.wait()
    return None


def _check_op(op: ReduceOp, what: str) -> None:
    if not isinstance(op, ReduceOp):
        raise ArgumentError(f"{what}: expected a ReduceOp, got {op!r}")


def _root(group: ProcessGroup, src: int, what: str) -> int:
    if src not in group.ranks:
        raise InvalidValueError(f"{what}: expected src among the ranks of the group, {list(group.ranks)}, got {src}")
    return group.ranks.index(src)


def _check_list(what: str, name: str, tensors: Sequence[Tensor], like: Tensor, size: int) -> None:
    if len(tensors) != size:
        raise InvalidValueError(f"{what}: expected {name} of {size} tensors, one for each rank, got {len(tensors)}")
    for i, each in enumerate(tensors):
        if tuple(each.shape) != tuple(like.shape) or each.dtype != like.dtype:
            raise InvalidValueError(
                f"{what}: expected {name}[{i}] of shape {tuple(like.shape)} and {like.dtype}, got {tuple(each.shape)} "
                f"and {each.dtype}"
            )


def _to_tensor(data: bytes, size: int) -> Tensor:
    """Bytes as a uint8 tensor of ``size`` elements, padded with zeros."""
    return at.tensor(list(data.ljust(size, b"\0")), dtype=at.uint8)
