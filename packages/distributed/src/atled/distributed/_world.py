"""The state of this process in its job: joining, leaving, the groups, and what happens when a rank fails."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import cast
from urllib.parse import urlsplit

import atled.core as at
from atled.core import ArgumentError, InvalidValueError

from ._backends import factory_of, is_nccl_available
from ._errors import DistError, MismatchError, RankFailedError
from ._group import ProcessGroup, seconds
from ._store import Store, start_server

__all__ = [
    "GroupMember",
    "before_leaving",
    "destroy_process_group",
    "get_backend",
    "get_global_rank",
    "get_group_rank",
    "get_node_local_rank",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "group",
    "group_or_default",
    "init_process_group",
    "is_available",
    "is_initialized",
    "job_store",
    "new_group",
    "on_failed_leave",
    "report_failure",
    "root_of",
]

DEFAULT_TIMEOUT = 1800.0
# How long a rank may go on after another one failed, before it is ended: time to raise and to clean up.
GRACE_SECONDS = 5.0


class _HasWorld(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:  # PyTorch's name
        """The group of the whole job; None outside a job."""
        return None if _world is None else _world.group


class GroupMember(metaclass=_HasWorld):
    """``WORLD`` is the group of the job, ``NON_GROUP_MEMBER`` what ``new_group`` gives to a rank that is not in it.

    Outside a job ``WORLD`` is None.

    >>> from atled import distributed as dist
    >>> dist.group.WORLD.size
    2
    >>> first = dist.new_group([0])
    >>> (first is dist.GroupMember.NON_GROUP_MEMBER) == (dist.get_rank() == 1)
    True
    """

    NON_GROUP_MEMBER = object()


group = GroupMember


class _World:
    def __init__(self, group: ProcessGroup, store: Store, backend: str) -> None:
        self.group = group
        self.store = store
        self.backend = backend
        self.backends: weakref.WeakKeyDictionary[ProcessGroup, str] = weakref.WeakKeyDictionary({group: backend})
        self.pid = os.getpid()
        self.groups_made = 0


_world: _World | None = None
# What is to be waited for before the job is left.
before_leaving: list[Callable[[], None]] = []
# What is to know why the job could not be left at the end of the process.
on_failed_leave: list[Callable[[BaseException], None]] = []
_servers: dict[tuple[str, int], object] = {}
_end_status: int | None = None
_next_hook = sys.excepthook


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: float | timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Store | None = None,
    group_name: str = "",
    pg_options: object = None,
    device_id: object = None,
) -> None:
    """Joins the job: blocks until all ``world_size`` processes have called it.

    ``backend`` is ``"mpi"`` for tensors on cpu, ``"nccl"`` for those on cuda, or another one that a wheel brings;
    ``"cpu:mpi,cuda:nccl"`` is one for each, and None is that where `is_nccl_available`, else ``"mpi"``. ``init_method``
    is ``env://`` (the default: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, as the launcher sets them) or
    ``tcp://address:port`` with ``world_size`` and ``rank``; a `Store` stands in place of all of these. ``timeout``,
    seconds or a timedelta (None: half an hour), holds for joining and for every collective. ``device_id``, a device or
    the index of a GPU, connects NCCL now, rather than when all ranks make the first call. ``group_name`` and
    ``pg_options`` are there for PyTorch's programs and change nothing.

    Raises DistTimeoutError naming the ranks that do not come, DistError for a wrong environment, for a job that has
    been joined already and for a backend that nothing installed provides, MismatchError where ranks name different
    backends, DeviceError for ``"nccl"`` without a GPU or without NCCL.

    A job of one process, to try things in, needs no launcher: ``init_method="tcp://127.0.0.1:29500"``, ``rank=0``,
    ``world_size=1``.

    >>> from atled import distributed as dist
    >>> dist.init_process_group(timeout=60)  # in a process that the launcher, or spawn, has started
    >>> dist.get_world_size(), dist.is_initialized()
    (2, True)
    >>> dist.destroy_process_group()
    """
    global _world
    if _world is not None:
        raise DistError("init_process_group: this process has a group already; call destroy_process_group first")
    limit = DEFAULT_TIMEOUT if timeout is None else seconds(timeout)
    name = backend or ("cpu:mpi,cuda:nccl" if is_nccl_available() else "mpi")
    factory = factory_of(name)
    device = None if device_id is None else _device(device_id)
    if store is None:
        rank, world_size, addr, port = _contract(init_method, rank, world_size)
        if rank == 0 and not _is_served(init_method):
            _start_server(addr, port, world_size)
        store = Store(addr, port, rank, world_size, limit)
    elif init_method is not None or rank not in (-1, store.rank) or world_size not in (-1, store.world_size):
        raise DistError(
            f"init_process_group: store is of rank {store.rank} of {store.world_size}, so leave out init_method, rank "
            f"and world_size, got {init_method!r}, {rank} and {world_size}"
        )
    try:
        _check_backends(store.gather("init_process_group: backend", name, limit))
        group = factory(store, store.rank, store.world_size, limit)
        if device is not None:
            group.use_device(device)
    except BaseException as error:
        # The others wait for this rank.
        store.fail(_summary(error), "".join(traceback.format_exception(error)))
        store.leave()
        raise
    _world = _World(group, store, name)
    store.on_failure = _peer_failed
    if store.failure is not None:
        _peer_failed(store.failure)
    _install_hooks()


def _check_backends(names: Sequence[str]) -> None:
    """Raises where ranks chose differently, as they do by themselves if some have no GPU, or no NCCL."""
    if len(set(names)) > 1:
        chosen = {name: [rank for rank, each in enumerate(names) if each == name] for name in dict.fromkeys(names)}
        listing = ", ".join(f"{name!r} on ranks {ranks}" for name, ranks in chosen.items())
        raise MismatchError(f"init_process_group: expected one backend on all ranks, got {listing}; pass backend")


def _device(device_id: object) -> at.device:
    return at.device("cuda", device_id) if isinstance(device_id, int) else at.device(cast(str, device_id))


def destroy_process_group(group: object = None) -> None:
    """Leaves the job together with all other ranks; a process that ends normally does so by itself.

    A ``group`` of some ranks lives as long as the job, so for one this does nothing. Afterwards the process may join
    again; groups of this job raise DistError then. Raises DistError without a job, and MismatchError on all ranks where
    one calls something else: they are in the job still.

    >>> from atled import distributed as dist
    >>> dist.init_process_group()
    >>> dist.destroy_process_group()
    >>> dist.is_initialized()
    False
    """
    global _world
    world = _require("destroy_process_group")
    if group_or_default(group, "destroy_process_group") is not world.group:
        return
    for finish in before_leaving:
        finish()
    if world.store.failure is None:
        world.group.close()
    _world = None
    world.store.leave()


def is_available() -> bool:
    """True: PyTorch's programs ask, since it can be built without this module.

    >>> from atled import distributed as dist
    >>> dist.is_available()
    True
    """
    return True


def is_initialized() -> bool:
    """Whether this process is in a job.

    >>> from atled import distributed as dist
    >>> dist.is_initialized()
    True
    """
    return _world is not None


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: float | timedelta | None = None,
    backend: str | None = None,
    pg_options: object = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: object = None,
    sort_ranks: bool = True,
) -> ProcessGroup | object:
    """Makes a group of some ranks (None: all). Every rank of the job calls it, in the same order.

    Returns the group, or ``GroupMember.NON_GROUP_MEMBER`` on ranks outside it. Its ranks are numbered in the order that
    they have in the job, or with ``sort_ranks=False`` in that of ``ranks``. ``backend`` is one of the job's, None all
    of them. ``timeout`` and ``device_id`` are as in `init_process_group`, and by default as they were there.
    ``pg_options`` and ``group_desc`` are there for PyTorch's programs and change nothing.

    Raises InvalidValueError for ranks that are not in the job or come twice, DistError for another backend than the
    job's, for ``use_local_synchronization=True``, which there is not, and without a job.

    >>> from atled import distributed as dist
    >>> group = dist.new_group([1, 0], sort_ranks=False)
    >>> dist.get_process_group_ranks(group), dist.get_rank(group) == 1 - dist.get_rank()
    ([1, 0], True)
    """
    if use_local_synchronization:
        raise DistError("new_group: every rank of the job calls it, so use_local_synchronization cannot be True")
    world = _require("new_group")
    whole = world.group if backend in (None, world.backend) else world.group.only(str(backend))
    if whole is None:
        raise DistError(f"new_group: expected a backend of the job, {world.backend!r}, got {backend!r}")
    everyone = range(world.group.size)
    if ranks is not None and not isinstance(ranks, Iterable):
        raise ArgumentError(f"new_group: expected ranks to be a list of them, got {ranks!r}")
    members = list(everyone if ranks is None else ranks)
    if not members or len(set(members)) != len(members) or not set(members) <= set(everyone):
        raise InvalidValueError(f"new_group: expected distinct ranks from 0 to {world.group.size - 1}, got {members}")
    if sort_ranks:
        members.sort()
    limit = world.store.timeout if timeout is None else seconds(timeout)
    world.groups_made += 1
    group = whole.new_group(members, f"group {world.groups_made}", limit)
    if group is not None:
        world.backends[group] = backend or world.backend
        if device_id is not None:
            group.use_device(_device(device_id))
    return GroupMember.NON_GROUP_MEMBER if group is None else group


def get_backend(group: object = None) -> str:
    """The name of the backend of a group (None: of the whole job), ``"cpu:mpi,cuda:nccl"`` where it has both.

    Raises DistError without a job, for a group of another one, and on a rank that is not in the group.

    >>> from atled import distributed as dist
    >>> "mpi" in dist.get_backend()
    True
    """
    members = group_or_default(group, "get_backend")
    backend = _require("get_backend").backends.get(members)
    if backend is None:
        raise DistError(f"get_backend: group {members.name!r} is not one of this job; make it anew by new_group")
    return backend


def get_process_group_ranks(group: object = None) -> list[int]:
    """The ranks of the group (None: all), by their numbers in the job and in the group's order.

    Raises DistError without a job, and on a rank that is not in the group.

    >>> from atled import distributed as dist
    >>> dist.get_process_group_ranks()
    [0, 1]
    """
    return list(group_or_default(group, "get_process_group_ranks").ranks)


def get_global_rank(group: object, group_rank: int) -> int:
    """The number in the job of rank ``group_rank`` of a group.

    Raises InvalidValueError for a number that the group does not have, DistError as `get_rank`.

    >>> from atled import distributed as dist
    >>> dist.get_global_rank(dist.new_group([1, 0], sort_ranks=False), 0)
    1
    """
    members = group_or_default(group, "get_global_rank")
    return members.ranks[root_of(members, "get_global_rank", "group_rank", None, group_rank)]


def get_group_rank(group: object, global_rank: int) -> int:
    """The number in a group of rank ``global_rank`` of the job.

    Raises InvalidValueError for a rank that the group does not have, DistError as `get_rank`.

    >>> from atled import distributed as dist
    >>> dist.get_group_rank(dist.new_group([1, 0], sort_ranks=False), 0)
    1
    """
    return root_of(group_or_default(group, "get_group_rank"), "get_group_rank", "global_rank", global_rank, None)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """Which of the processes of this node this one is, from LOCAL_RANK; ``fallback_rank`` where that is not set.

    Raises DistError where it is not set and there is no fallback, or is no integer.

    >>> from atled import distributed as dist
    >>> dist.get_node_local_rank(fallback_rank=0) == dist.get_rank()  # on one node
    True
    """
    value = os.environ.get("LOCAL_RANK")
    if value is not None:
        if not value.isdecimal():
            raise DistError(f"get_node_local_rank: expected an integer in the environment, got LOCAL_RANK={value!r}")
        return int(value)
    if fallback_rank is None:
        raise DistError("get_node_local_rank: LOCAL_RANK is not set; start the script by atled's launcher")
    return fallback_rank


def get_rank(group: object = None) -> int:
    """The number of this process in the group (None: in the job), from 0.

    Raises DistError without a job, and on a rank that is not in the group, where PyTorch says -1.

    >>> from atled import distributed as dist
    >>> dist.get_rank() in (0, 1)
    True
    """
    return group_or_default(group, "get_rank").rank


def get_world_size(group: object = None) -> int:
    """The number of processes in the group (None: in the job). Errors are those of `get_rank`.

    >>> from atled import distributed as dist
    >>> dist.get_world_size()
    2
    """
    return group_or_default(group, "get_world_size").size


def group_or_default(group: object, what: str) -> ProcessGroup:
    """The given group, or the one of the whole job; raises on a rank that is not in the group."""
    if group is None:
        return _require(what).group
    if group is GroupMember.NON_GROUP_MEMBER:
        raise DistError(f"{what}: this rank is not in the group, whose members alone call it")
    if not isinstance(group, ProcessGroup):
        mend = "; pass its get_group()" if hasattr(group, "get_group") else ""
        raise ArgumentError(f"{what}: expected a ProcessGroup or None, got {type(group).__name__}{mend}")
    return group


def job_store(what: str) -> Store:
    """The store of the job, by which other threads than those of collectives may reach the other ranks."""
    return _require(what).store


def root_of(group: ProcessGroup, what: str, role: str, rank: int | None, group_rank: int | None) -> int:
    """The place in the group of its rank ``src`` or ``dst``, as ``role`` says; the first where none is given."""
    if rank is not None and group_rank is not None:
        raise InvalidValueError(f"{what}: expected {role} or group_{role}, got both")
    if group_rank is not None:
        if group_rank not in range(group.size):
            name = role if role.startswith("group_") else f"group_{role}"
            raise InvalidValueError(f"{what}: expected 0 <= {name} < {group.size}, got {group_rank!r}")
        return group_rank
    if rank is None:
        rank = group.ranks[0] if 0 not in group.ranks else 0
    if rank not in group.ranks:
        raise InvalidValueError(
            f"{what}: expected {role} among the ranks of the group, {list(group.ranks)}, got {rank!r}"
        )
    return group.ranks.index(rank)


def report_failure(error: BaseException, status: int = 1) -> None:
    """Tells the other ranks that this one is ending, with ``status``, because of ``error``; nothing outside a job."""
    global _end_status
    _end_status = status
    if _world is not None and not isinstance(error, RankFailedError):
        _world.store.fail(_summary(error), "".join(traceback.format_exception(error)))


def _summary(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _require(what: str) -> _World:
    if _world is None or _world.pid != os.getpid():
        raise DistError(f"{what}: no process group; call init_process_group first")
    return _world


def _contract(init_method: str | None, rank: int, world_size: int) -> tuple[int, int, str, int]:
    """Rank, world size, address and port, from the arguments or the environment."""
    address = urlsplit(init_method or "env://")
    try:
        port = address.port
    except ValueError as error:
        raise DistError(f"init_process_group: expected a port from 0 to 65535, got {init_method!r}") from error
    if address.scheme == "tcp" and address.hostname and port:
        if rank < 0 or world_size < 1:
            raise DistError(f"init_process_group: {init_method} needs rank and world_size, got {rank} and {world_size}")
        return rank, world_size, address.hostname, port
    if address.scheme != "env":
        raise DistError(f"init_process_group: expected init_method env:// or tcp://address:port, got {init_method!r}")
    needed = ["MASTER_ADDR", "MASTER_PORT", *["RANK"] * (rank < 0), *["WORLD_SIZE"] * (world_size < 1)]
    missing = [name for name in needed if name not in os.environ]
    if missing:
        raise DistError(
            f"init_process_group: {', '.join(missing)} not set; start the script by "
            "python -m atled.distributed.run --nproc-per-node N script.py"
        )
    numbers = {name: os.environ[name] for name in needed if name != "MASTER_ADDR"}
    wrong = [f"{name}={value!r}" for name, value in numbers.items() if not value.isdecimal()]
    if wrong:
        raise DistError(f"init_process_group: expected integers in the environment, got {', '.join(wrong)}")
    rank = int(numbers.get("RANK", rank))
    world_size = int(numbers.get("WORLD_SIZE", world_size))
    return rank, world_size, os.environ["MASTER_ADDR"], int(numbers["MASTER_PORT"])


def _is_served(init_method: str | None) -> bool:
    """Whether the launcher serves the rendezvous already: not where the script has chosen a port of its own."""
    port = os.environ.get("ATLED_RENDEZVOUS")
    return port is not None and port == os.environ.get("MASTER_PORT") and init_method in (None, "env://")


def _start_server(addr: str, port: int, world_size: int) -> None:
    # It ends with this process, so a second group of one process meets at the same server.
    if (addr, port) not in _servers:
        _servers[addr, port] = start_server(addr, port, world_size)


def _peer_failed(error: RankFailedError) -> None:
    """Ends all work with the error, and the process itself if it has not ended some seconds later."""
    world = _world
    if world is not None:
        world.group.abort(error)
        watchdog = threading.Timer(GRACE_SECONDS, _end_process, args=(weakref.ref(world),))
        watchdog.daemon = True
        watchdog.start()


def _end_process(world: weakref.ref[_World]) -> None:
    if _world is not None and world() is _world:
        print(f"atled.distributed: rank {_world.store.rank} ends: {_world.store.failure}", file=sys.stderr, flush=True)
        os._exit(1)


def _install_hooks() -> None:
    """Makes an uncaught exception known to the other ranks, and a normal end of the process an orderly leave."""
    global _next_hook
    if sys.excepthook is not _except_hook:
        _next_hook = sys.excepthook
        sys.excepthook = _except_hook
        atexit.register(_at_exit)


def _except_hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    report_failure(error)
    _next_hook(kind, error, trace)


def _at_exit() -> None:
    world = _world
    if world is None or world.pid != os.getpid():
        return
    try:
        if _end_status is None:
            if world.store.failure is not None:
                raise world.store.failure
            destroy_process_group()
            return
    except DistError as error:
        print(f"atled.distributed: rank {world.store.rank} cannot leave: {error}", file=sys.stderr)
        for tell in on_failed_leave:
            tell(error)
    # MPI's threads may still wait for a rank that will not come.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_end_status or 1)
