"""The functions that send tensors from one rank to another.

A message is received by the ``recv`` or ``irecv`` of that rank with the same ``tag``, in the order of sending, into a
tensor of the same shape and dtype: else the receiver gets a MismatchError. ``dst`` and ``src`` are numbers in the job,
``group_dst`` and ``group_src`` in the group.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, cast

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor

from ._errors import DistError
from ._group import ProcessGroup, ReceiveWork, Work
from ._pickles import FAILED, Packet, check_list, replace_objects, travel_device
from ._world import group_or_default, root_of

__all__ = [
    "P2POp",
    "batch_isend_irecv",
    "irecv",
    "isend",
    "recv",
    "recv_object_list",
    "send",
    "send_object_list",
]

_TAGS = 2**20


def send(
    tensor: Tensor, dst: int | None = None, group: object = None, tag: int = 0, group_dst: int | None = None
) -> None:
    """Sends ``tensor`` to rank ``dst``, and waits until it may be changed again.

    ``tensor`` has any shape, strides and dtype, and is on cpu, or with NCCL on cuda. The rank receives it by `recv` or
    `irecv` with the same ``tag``, from 0 to 1048575 (NCCL has none but 0), in the order of sending, into a tensor of
    the same shape and dtype. ``dst`` is a number in the job, ``group_dst`` one in the group; one of them is given.

    Raises InvalidValueError for this rank itself, one that is not in the group, or another tag; DeviceError where the
    backend does not take the device, RankFailedError when another rank fails, DistTimeoutError when nobody receives it
    in time, and DistError without a job.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> x = at.tensor([1.0, 2.0]) if dist.get_rank() == 0 else at.zeros((2,))
    >>> if dist.get_rank() == 0:
    ...     dist.send(x, dst=1)
    ... else:
    ...     source = dist.recv(x, src=0)
    >>> x.tolist()
    [1.0, 2.0]
    """
    _send("send", tensor, dst, group, tag, group_dst).wait()


def recv(
    tensor: Tensor, src: int | None = None, group: object = None, tag: int = 0, group_src: int | None = None
) -> int:
    """Fills ``tensor`` with what rank ``src`` (None: whichever does first) sends; returns that rank's number.

    ``tensor`` has the shape and dtype of what is sent, any strides, and can be written to. ``src`` and what is returned
    are numbers in the job, with ``group_src`` both are numbers in the group. Raises MismatchError where another shape
    or dtype is sent (NCCL does not compare), InvalidValueError without ``src`` for NCCL, and what `send` raises.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> x = at.tensor([1.0, 2.0]) if dist.get_rank() == 0 else at.zeros((2,))
    >>> source = dist.recv(x) if dist.get_rank() == 1 else dist.send(x, dst=1)
    >>> source in (0, None), x.tolist()
    (True, [1.0, 2.0])
    """
    members = group_or_default(group, "recv")
    work = _receive("recv", members, tensor, src, tag, group_src)
    work.wait()
    return members.ranks[work.source] if group_src is None else work.source


def isend(
    tensor: Tensor, dst: int | None = None, group: object = None, tag: int = 0, group_dst: int | None = None
) -> Work:
    """As `send`, but returns a Work at once; ``tensor`` may be changed after its ``wait()``. Errors: `send`'s.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> x = at.tensor([1.0, 2.0]) if dist.get_rank() == 0 else at.zeros((2,))
    >>> work = dist.isend(x, dst=1) if dist.get_rank() == 0 else dist.irecv(x, src=0)
    >>> work.wait(), x.tolist()
    (True, [1.0, 2.0])
    """
    return _send("isend", tensor, dst, group, tag, group_dst)


def irecv(
    tensor: Tensor, src: int | None = None, group: object = None, tag: int = 0, group_src: int | None = None
) -> Work:
    """As `recv`, but returns a Work at once; ``tensor`` is valid after its ``wait()``. Errors: `recv`'s.

    The work's ``source`` is then the sender's number in the group.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> x = at.tensor([1.0, 2.0]) if dist.get_rank() == 0 else at.zeros((2,))
    >>> work = dist.irecv(x) if dist.get_rank() == 1 else dist.isend(x, dst=1)
    >>> work.wait(), x.tolist()
    (True, [1.0, 2.0])
    """
    members = group_or_default(group, "irecv")
    return cast(Work, _receive("irecv", members, tensor, src, tag, group_src))


class P2POp:
    """A call of ``isend`` or ``irecv`` to be made by `batch_isend_irecv`.

    ``op`` is ``isend`` or ``irecv``, ``peer`` the other rank's number in the job, ``group_peer`` that in the group; all
    arguments are attributes, too. Raises ArgumentError for another ``op``; the rest is looked at by
    `batch_isend_irecv`.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> dist.P2POp(dist.isend, at.ones((2,)), peer=1).peer
    1
    """

    def __init__(
        self,
        op: Callable[..., Work],
        tensor: Tensor,
        peer: int | None = None,
        group: object = None,
        tag: int = 0,
        group_peer: int | None = None,
    ) -> None:
        if op not in (isend, irecv):
            raise ArgumentError(f"P2POp: expected op to be isend or irecv, got {op!r}")
        self.op = op
        self.tensor = tensor
        self.peer = peer
        self.group = group
        self.tag = tag
        self.group_peer = group_peer


def batch_isend_irecv(p2p_op_list: Sequence[P2POp]) -> list[Work]:
    """Makes the calls, in order; returns the Work of each.

    Messages of one batch do not wait for each other, so that ranks may send in a ring. Raises ArgumentError for what is
    no list of `P2POp`, and what `send` and `recv` raise.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> other = 1 - dist.get_rank()
    >>> mine, received = at.tensor([dist.get_rank()]), at.zeros((1,), dtype=at.int64)
    >>> ring = [dist.P2POp(dist.isend, mine, other), dist.P2POp(dist.irecv, received, other)]
    >>> [work.wait() for work in dist.batch_isend_irecv(ring)], received.item() == other
    ([True, True], True)
    """
    if not isinstance(p2p_op_list, Sequence):
        raise ArgumentError(f"batch_isend_irecv: expected a list of P2POps, got {type(p2p_op_list).__name__}")
    for each in p2p_op_list:
        if not isinstance(each, P2POp):
            raise ArgumentError(f"batch_isend_irecv: expected P2POps, got {type(each).__name__}")
    groups = dict.fromkeys(group_or_default(each.group, "batch_isend_irecv") for each in p2p_op_list)
    with ExitStack() as stack:
        for members in groups:
            stack.enter_context(members.batch())
        return [each.op(each.tensor, each.peer, each.group, each.tag, each.group_peer) for each in p2p_op_list]


def send_object_list(
    object_list: list[Any],
    dst: int | None = None,
    group: object = None,
    device: object = None,
    group_dst: int | None = None,
    use_batch: bool = False,
) -> None:
    """Sends Python objects to rank ``dst``, which calls `recv_object_list` with a list of the same length.

    The objects are pickled: use it among processes that trust each other. ``device`` is where their bytes are to
    travel, of the same type on both ranks; None is as the backend likes it. ``use_batch`` is there for PyTorch's
    programs and changes nothing. They are two messages of tag 0; ranks and errors are as for `send`.

    Raises DistError, on both ranks, where the objects cannot be pickled, ArgumentError for what is no list.

    >>> from atled import distributed as dist
    >>> objects = [{"rate": 0.1}, "adam"] if dist.get_rank() == 0 else [None, None]
    >>> if dist.get_rank() == 0:
    ...     dist.send_object_list(objects, dst=1)
    ... else:
    ...     source = dist.recv_object_list(objects, src=0)
    >>> objects
    [{'rate': 0.1}, 'adam']
    """
    what = "send_object_list"
    members = group_or_default(group, what)
    check_list(what, "object_list", object_list)
    packet = Packet(list(object_list))
    where = travel_device(members, device)
    size = at.tensor([packet.size], dtype=at.int64, device=where)
    _send(what, size, dst, members, 0, group_dst).wait()
    if packet.error is not None:
        raise DistError(f"{what}: the objects cannot be pickled") from packet.error
    _send(what, packet.padded(packet.size).to(where), dst, members, 0, group_dst).wait()


def recv_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: object = None,
    device: object = None,
    group_src: int | None = None,
    use_batch: bool = False,
) -> int:
    """Replaces the objects of ``object_list`` by those that rank ``src`` (None: whichever does first) sends.

    Returns that rank's number, as `recv` does, whose errors it raises. The rest is as for `send_object_list`, with its
    example. Raises DistError where the sender's objects cannot be pickled, InvalidValueError for a list of another
    length than the sender's.

    >>> from atled import distributed as dist
    >>> found = [None]
    >>> source = dist.recv_object_list(found) if dist.get_rank() == 1 else dist.send_object_list([(1, 2)], dst=1)
    >>> found == ([None] if dist.get_rank() == 0 else [(1, 2)])
    True
    """
    what = "recv_object_list"
    members = group_or_default(group, what)
    check_list(what, "object_list", object_list)
    where = travel_device(members, device)
    size = at.zeros((1,), dtype=at.int64, device=where)
    work = _receive(what, members, size, src, 0, group_src)
    work.wait()
    source, count = work.source, int(size[0])
    if count == FAILED:
        raise DistError(f"{what}: the objects of rank {members.ranks[source]} cannot be pickled")
    buffer = at.empty((count,), dtype=at.uint8, device=where)
    members.receive(buffer, source, 0).wait()
    replace_objects(what, object_list, buffer, count, members.ranks[source])
    return members.ranks[source] if group_src is None else source


def _send(what: str, tensor: Tensor, dst: int | None, group: object, tag: int, group_dst: int | None) -> Work:
    members = group_or_default(group, what)
    if dst is None and group_dst is None:
        raise InvalidValueError(f"{what}: expected dst or group_dst, got neither")
    return members.send(tensor, _peer(members, what, "dst", dst, group_dst), _checked(what, tag))


def _receive(
    what: str, members: ProcessGroup, tensor: Tensor, src: int | None, tag: int, group_src: int | None
) -> ReceiveWork:
    source = None if src is None and group_src is None else _peer(members, what, "src", src, group_src)
    return members.receive(tensor, source, _checked(what, tag))


def _peer(members: ProcessGroup, what: str, role: str, rank: int | None, group_rank: int | None) -> int:
    peer = root_of(members, what, role, rank, group_rank)
    if peer == members.rank:
        raise InvalidValueError(f"{what}: expected {role} to be another rank, got this one, {members.ranks[peer]}")
    return peer


def _checked(what: str, tag: int) -> int:
    try:
        number = operator.index(tag)
    except TypeError:
        raise ArgumentError(f"{what}: expected tag to be an integer, got {tag!r}") from None
    if not 0 <= number < _TAGS:
        raise InvalidValueError(f"{what}: expected 0 <= tag < {_TAGS}, got {tag}")
    return number
