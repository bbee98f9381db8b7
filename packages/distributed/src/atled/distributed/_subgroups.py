"""The ranks of a job in groups of which each rank is in one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

from atled.core import ArgumentError, InvalidValueError

from ._errors import DistError
from ._group import ProcessGroup
from ._world import get_rank, get_world_size, group_or_default, new_group

__all__ = ["new_subgroups", "new_subgroups_by_enumeration"]


def new_subgroups(
    group_size: int | None = None,
    group: object = None,
    timeout: float | timedelta | None = None,
    backend: str | None = None,
    pg_options: object = None,
    group_desc: str | None = None,
) -> tuple[ProcessGroup | None, list[ProcessGroup | object]]:
    """Divides the ranks of the job, in the order of ``group`` (None: theirs), into groups of ``group_size``.

    ``group_size=None`` is as many as the launcher has started on this machine (LOCAL_WORLD_SIZE). The rest is as in
    `new_group`: every rank of the job calls it. Returns the group that this rank is in, and all of them, with
    ``GroupMember.NON_GROUP_MEMBER`` for those that it is not in.

    Raises InvalidValueError where the size does not divide the number of ranks, and for a ``group`` of some of them
    (`new_subgroups_by_enumeration` makes groups of these), DistError without a size outside of the launcher, and what
    `new_group` raises.

    >>> from atled import distributed as dist
    >>> mine, every = dist.new_subgroups(group_size=1)
    >>> dist.get_process_group_ranks(mine) == [dist.get_rank()], every.index(mine) == dist.get_rank()
    (True, True)
    """
    members = group_or_default(group, "new_subgroups")
    if members.size != get_world_size():
        raise InvalidValueError(
            f"new_subgroups: expected a group of all ranks of the job, for all of them make groups, got one of "
            f"{list(members.ranks)}; call new_subgroups_by_enumeration on every rank"
        )
    if group_size is None:
        local = os.environ.get("LOCAL_WORLD_SIZE", "")
        if not local.isdecimal():
            raise DistError("new_subgroups: the launcher has not set LOCAL_WORLD_SIZE here; pass group_size")
        group_size = int(local)
    if not isinstance(group_size, int) or group_size < 1 or members.size % group_size:
        raise InvalidValueError(
            f"new_subgroups: expected group_size to divide the number of ranks, {members.size}, got {group_size!r}"
        )
    parts = [list(members.ranks[begin : begin + group_size]) for begin in range(0, members.size, group_size)]
    return new_subgroups_by_enumeration(parts, timeout, backend, pg_options, group_desc)


def new_subgroups_by_enumeration(
    ranks_per_subgroup_list: Sequence[Sequence[int]],
    timeout: float | timedelta | None = None,
    backend: str | None = None,
    pg_options: object = None,
    group_desc: str | None = None,
) -> tuple[ProcessGroup | None, list[ProcessGroup | object]]:
    """Makes a group of each list of ranks; a rank is in one of them at most.

    Every rank of the job calls it, with the same lists. Returns the group that this rank is in, or None, and all of
    them, as `new_subgroups`. Raises InvalidValueError for a rank in two lists, ArgumentError for what is no list of
    lists, and what `new_group` raises.

    >>> from atled import distributed as dist
    >>> mine, every = dist.new_subgroups_by_enumeration([[1], [0]])
    >>> dist.get_process_group_ranks(mine) == [dist.get_rank()], len(every)
    (True, 2)
    """
    what = "new_subgroups_by_enumeration"
    if not isinstance(ranks_per_subgroup_list, Sequence) or not all(
        isinstance(ranks, Sequence) for ranks in ranks_per_subgroup_list
    ):
        raise ArgumentError(f"{what}: expected a list of lists of ranks, got {ranks_per_subgroup_list!r}")
    seen = [rank for ranks in ranks_per_subgroup_list for rank in ranks]
    if not seen or len(set(seen)) != len(seen):
        raise InvalidValueError(f"{what}: expected each rank in one list at most, got {ranks_per_subgroup_list}")
    rank = get_rank()
    groups = [new_group(ranks, timeout, backend, pg_options, False, group_desc) for ranks in ranks_per_subgroup_list]
    own = next((made for made, ranks in zip(groups, ranks_per_subgroup_list, strict=True) if rank in ranks), None)
    return own if isinstance(own, ProcessGroup) else None, groups
