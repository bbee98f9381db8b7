"""The functions that exchange Python objects between ranks.

The objects are pickled: use them among processes that trust each other. All ranks of the group call them in the same
order; where one rank's object cannot be pickled, every rank gets an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import InvalidValueError, Tensor

from ._errors import DistError
from ._group import ProcessGroup
from ._pickles import FAILED, Packet, check_list, replace_objects, travel_device, unpickle
from ._world import group_or_default, root_of

__all__ = ["all_gather_object", "broadcast_object_list", "gather_object", "scatter_object_list"]


def broadcast_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: object = None,
    device: object = None,
    group_src: int | None = None,
) -> None:
    """Replaces the objects of ``object_list`` by those of rank ``src``; all lists have the same length.

    The objects are pickled: use it among processes that trust each other. Every rank of the group calls it. ``src`` is
    a number in the job, ``group_src`` one in the group; without either it is rank 0. ``device`` is where the bytes are
    put to travel, of the same type on all ranks; None is as the backend likes it. Returns None.

    Raises, on every rank, DistError where the objects cannot be pickled; InvalidValueError on one whose list has
    another length, ArgumentError for what is no list, and what `all_reduce` raises.

    >>> from atled import distributed as dist
    >>> settings = [{"rate": 0.1}, "adam"] if dist.get_rank() == 0 else [None, None]
    >>> dist.broadcast_object_list(settings, src=0)
    >>> settings
    [{'rate': 0.1}, 'adam']
    """
    what = "broadcast_object_list"
    members = group_or_default(group, what)
    root = root_of(members, what, "src", src, group_src)
    check_list(what, "object_list", object_list)
    where = travel_device(members, device)
    packet = Packet(list(object_list) if members.rank == root else None)
    size = at.tensor([packet.size], dtype=at.int64, device=where)
    members.broadcast(size, root).wait()
    sizes = [0] * members.size
    sizes[root] = int(size[0])
    _check_pickled(what, packet, sizes, members)
    shape = (sizes[root],)
    buffer = packet.padded(*shape).to(where) if members.rank == root else at.empty(shape, dtype=at.uint8, device=where)
    members.broadcast(buffer, root).wait()
    if members.rank != root:
        replace_objects(what, object_list, buffer, sizes[root], members.ranks[root])


def all_gather_object(object_list: list[Any], obj: Any, group: object = None) -> None:
    """Puts the ``obj`` of rank i into ``object_list[i]``, on every rank; objects may differ in size.

    The objects are pickled: use it among processes that trust each other. Every rank of the group calls it, with a list
    of as many elements as the group has ranks. Returns None.

    Raises, on every rank, DistError where one's object cannot be pickled; InvalidValueError for a list of another
    length, ArgumentError for what is no list, and what `all_reduce` raises.

    >>> from atled import distributed as dist
    >>> names = [None, None]
    >>> dist.all_gather_object(names, f"rank {dist.get_rank()}")
    >>> names
    ['rank 0', 'rank 1']
    """
    what = "all_gather_object"
    members = group_or_default(group, what)
    _check_length(what, "object_list", object_list, members.size)
    packet = Packet(obj)
    sizes = _sizes(packet, members)
    _check_pickled(what, packet, sizes, members)
    parts = _empty((members.size, max(sizes)), members)
    members.all_gather(parts, _filled(packet, max(sizes), members)).wait()
    object_list[:] = [unpickle(row, size) for row, size in zip(parts.to("cpu"), sizes, strict=True)]


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: object = None,
    group_dst: int | None = None,
) -> None:
    """Puts the ``obj`` of rank i into ``object_gather_list[i]`` of rank ``dst``, which alone needs a list.

    ``dst`` is a number in the job, ``group_dst`` one in the group; without either it is rank 0. The rest, and errors,
    are as for `all_gather_object`.

    >>> from atled import distributed as dist
    >>> found = [None, None] if dist.get_rank() == 0 else None
    >>> dist.gather_object({"seen": dist.get_rank()}, found)
    >>> found in ([{"seen": 0}, {"seen": 1}], None)
    True
    """
    what = "gather_object"
    members = group_or_default(group, what)
    root = root_of(members, what, "dst", dst, group_dst)
    if members.rank == root:
        _check_length(what, "object_gather_list", object_gather_list, members.size)
    packet = Packet(obj)
    sizes = _sizes(packet, members)
    _check_pickled(what, packet, sizes, members)
    parts = _empty((members.size, max(sizes)), members) if members.rank == root else None
    members.gather(parts, _filled(packet, max(sizes), members), root).wait()
    if parts is not None and object_gather_list is not None:
        object_gather_list[:] = [unpickle(row, size) for row, size in zip(parts.to("cpu"), sizes, strict=True)]


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int | None = None,
    group: object = None,
    group_src: int | None = None,
) -> None:
    """Puts element i of ``scatter_object_input_list`` of rank ``src`` into ``scatter_object_output_list[0]`` of rank i.

    Rank ``src`` alone needs the input list, of as many elements as the group has ranks; the output list has at least
    one. ``src`` and ``group_src`` are as for `broadcast_object_list`, the rest and errors as for `all_gather_object`.

    >>> from atled import distributed as dist
    >>> mine = [None]
    >>> dist.scatter_object_list(mine, ["train", "test"] if dist.get_rank() == 0 else None)
    >>> mine == [["train", "test"][dist.get_rank()]]
    True
    """
    what = "scatter_object_list"
    members = group_or_default(group, what)
    root = root_of(members, what, "src", src, group_src)
    if not isinstance(scatter_object_output_list, list) or not scatter_object_output_list:
        raise InvalidValueError(f"{what}: expected scatter_object_output_list of at least one element")
    packets = []
    if members.rank == root:
        _check_length(what, "scatter_object_input_list", scatter_object_input_list, members.size)
        packets = [Packet(each) for each in scatter_object_input_list or ()]
    counts = [packet.size for packet in packets] or [0] * members.size
    sizes = at.tensor(counts, dtype=at.int64, device=members.device)
    members.broadcast(sizes, root).wait()
    lengths: list[int] = sizes.tolist()
    broken = next((packet for packet in packets if packet.error is not None), Packet(None))
    _check_pickled(what, broken, [min(lengths) if rank == root else 0 for rank in range(members.size)], members)
    parts = at.stack([_filled(packet, max(lengths), members) for packet in packets]) if packets else None
    part = _empty((max(lengths),), members)
    members.scatter(part, parts, root).wait()
    scatter_object_output_list[0] = unpickle(part, lengths[members.rank])


def _empty(shape: tuple[int, ...], members: ProcessGroup) -> Tensor:
    return at.empty(shape, dtype=at.uint8, device=members.device)


def _filled(packet: Packet, size: int, members: ProcessGroup) -> Tensor:
    return packet.padded(size).to(members.device)


def _sizes(packet: Packet, members: ProcessGroup) -> list[int]:
    sizes = at.empty((members.size,), dtype=at.int64, device=members.device)
    members.all_gather(sizes, at.tensor([packet.size], dtype=at.int64, device=members.device)).wait()
    lengths: list[int] = sizes.tolist()
    return lengths


def _check_pickled(what: str, packet: Packet, sizes: Sequence[int], members: ProcessGroup) -> None:
    """Raises on every rank if the object of one could not be pickled."""
    if FAILED in sizes:
        rank = members.ranks[sizes.index(FAILED)]
        raise DistError(f"{what}: the object of rank {rank} cannot be pickled") from packet.error


def _check_length(what: str, name: str, objects: Any, size: int) -> None:
    check_list(what, name, objects)
    if len(objects) != size:
        raise InvalidValueError(f"{what}: expected a list of {size} elements, one for each rank, got {len(objects)}")
