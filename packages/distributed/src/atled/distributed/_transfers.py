"""The functions that send tensors from one rank to another.

A message is received by the ``recv`` or ``irecv`` of that rank with the same ``tag``, in the order of sending, into a
tensor of the same shape and dtype: else the receiver gets a MismatchError. ``dst`` and ``src`` are numbers in the job,
``group_dst`` and ``group_src`` in the group.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import cast

from atled.core import ArgumentError, InvalidValueError, Tensor

from ._group import ProcessGroup, ReceiveWork, Work
from ._world import group_or_default, root_of

__all__ = ["P2POp", "batch_isend_irecv", "irecv", "isend", "recv", "send"]

_TAGS = 2**20


def send(
    tensor: Tensor, dst: int | None = None, group: object = None, tag: int = 0, group_dst: int | None = None
) -> None:
    """Sends ``tensor`` to rank ``dst``, and waits until it may be changed again.

    >>> from atled import distributed as dist
    >>> dist.send(activations, dst=1)  # doctest: +SKIP
    """
    _send("send", tensor, dst, group, tag, group_dst).wait()


def recv(
    tensor: Tensor, src: int | None = None, group: object = None, tag: int = 0, group_src: int | None = None
) -> int:
    """Fills ``tensor`` with what rank ``src`` (None: whichever does first) sends; returns that rank's number.

    >>> from atled import distributed as dist
    >>> dist.recv(activations, src=0)  # doctest: +SKIP
    """
    members = group_or_default(group, "recv")
    work = _receive("recv", members, tensor, src, tag, group_src)
    work.wait()
    return members.ranks[work.source] if group_src is None else work.source


def isend(
    tensor: Tensor, dst: int | None = None, group: object = None, tag: int = 0, group_dst: int | None = None
) -> Work:
    """As ``send``, but returns at once; ``tensor`` may be changed after ``wait()`` of the work.

    >>> from atled import distributed as dist
    >>> work = dist.isend(activations, dst=1)  # doctest: +SKIP
    """
    return _send("isend", tensor, dst, group, tag, group_dst)


def irecv(
    tensor: Tensor, src: int | None = None, group: object = None, tag: int = 0, group_src: int | None = None
) -> Work:
    """As ``recv``, but returns at once; ``tensor`` is valid after ``wait()`` of the work.

    >>> from atled import distributed as dist
    >>> work = dist.irecv(activations, src=0)  # doctest: +SKIP
    """
    members = group_or_default(group, "irecv")
    return cast(Work, _receive("irecv", members, tensor, src, tag, group_src))


class P2POp:
    """A call of ``isend`` or ``irecv`` to be made by ``batch_isend_irecv``; ``peer`` is the other rank."""

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
    """Makes the calls, in order; returns the work of each.

    >>> from atled import distributed as dist
    >>> ring = [dist.P2POp(dist.isend, mine, right), dist.P2POp(dist.irecv, other, left)]  # doctest: +SKIP
    >>> works = dist.batch_isend_irecv(ring)  # doctest: +SKIP
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
