"""The state of this process in its job: joining, leaving, the groups, and what happens when a rank fails."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
import weakref
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import cast
from urllib.parse import urlsplit

from atled.core import InvalidValueError

from ._errors import DistError, RankFailedError
from ._group import ProcessGroup, ProcessGroupFactory, seconds
from ._store import Store, start_server

__all__ = [
    "GroupMember",
    "destroy_process_group",
    "get_backend",
    "get_rank",
    "get_world_size",
    "group_or_default",
    "init_process_group",
    "is_available",
    "is_initialized",
    "new_group",
    "report_failure",
]

DEFAULT_TIMEOUT = 1800.0
# How long a rank may go on after another one failed, before it is ended: time to raise and to clean up.
GRACE_SECONDS = 5.0


class GroupMember:
    """What ``new_group`` gives to a rank that is not in the new group."""

    NON_GROUP_MEMBER = object()


class _World:
    def __init__(self, group: ProcessGroup, store: Store, backend: str) -> None:
        self.group = group
        self.store = store
        self.backend = backend
        self.pid = os.getpid()
        self.groups_made = 0


_world: _World | None = None
_servers: dict[tuple[str, int], object] = {}
_end_status: int | None = None
_next_hook = sys.excepthook


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: float | timedelta = DEFAULT_TIMEOUT,
    world_size: int = -1,
    rank: int = -1,
    store: Store | None = None,
) -> None:
    """Joins the job: blocks until all ``world_size`` processes have called it.

    ``backend`` names an entry point of the group ``atled.collectives``; None is ``"mpi"``. ``init_method`` is ``env://``
    (the default: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, as the launcher sets them) or ``tcp://address:port`` with
    ``world_size`` and ``rank``. ``timeout``, seconds or a timedelta, holds for joining and for every collective.

    Raises DistTimeoutError naming the ranks that do not come, DistError for a wrong environment.

    >>> from atled import distributed as dist
    >>> dist.init_process_group(init_method="tcp://127.0.0.1:29531", rank=0, world_size=1)
    >>> dist.get_world_size()
    1
    >>> dist.destroy_process_group()
    """
    global _world
    if _world is not None:
        raise DistError("init_process_group: this process has a group already; call destroy_process_group first")
    from atled.core import _registry  # reads the metadata of what is installed, which importing must not

    limit = seconds(timeout)
    name = backend or "mpi"
    factory = cast(ProcessGroupFactory, _registry.load("atled.collectives", name))
    if store is None:
        rank, world_size, addr, port = _contract(init_method, rank, world_size)
        if rank == 0 and not _is_served(init_method):
            _start_server(addr, port, world_size)
        store = Store(addr, port, rank, world_size, limit)
    try:
        group = factory(store, store.rank, store.world_size, limit)
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


def destroy_process_group() -> None:
    """Leaves the job together with all other ranks; a process that ends normally does so by itself."""
    global _world
    world = _require("destroy_process_group")
    _world = None
    if world.store.failure is None:
        world.group.close()
    world.store.leave()


def is_available() -> bool:
    """True: PyTorch's programs ask, since it can be built without this module."""
    return True


def is_initialized() -> bool:
    """Whether this process is in a job."""
    return _world is not None


def new_group(
    ranks: Sequence[int] | None = None, timeout: float | timedelta | None = None, backend: str | None = None
) -> ProcessGroup | object:
    """Makes a group of some ranks (None: all). Every rank of the job calls it, in the same order.

    Returns the group, or ``GroupMember.NON_GROUP_MEMBER`` on ranks outside it. Rank i of the group is ``ranks[i]``.
    """
    world = _require("new_group")
    if backend not in (None, world.backend):
        raise DistError(f"new_group: expected the backend of the job, {world.backend!r}, got {backend!r}")
    everyone = range(world.group.size)
    members = list(everyone if ranks is None else ranks)
    if not members or len(set(members)) != len(members) or not set(members) <= set(everyone):
        raise InvalidValueError(f"new_group: expected distinct ranks from 0 to {world.group.size - 1}, got {members}")
    world.groups_made += 1
    limit = world.store.timeout if timeout is None else seconds(timeout)
    group = world.group.new_group(members, f"group {world.groups_made}", limit)
    return GroupMember.NON_GROUP_MEMBER if group is None else group


def get_backend() -> str:
    """The name of the backend of the job."""
    return _require("get_backend").backend


def get_rank(group: ProcessGroup | None = None) -> int:
    """The number of this process in the group (None: in the job), from 0."""
    return group_or_default(group, "get_rank").rank


def get_world_size(group: ProcessGroup | None = None) -> int:
    """The number of processes in the group (None: in the job)."""
    return group_or_default(group, "get_world_size").size


def group_or_default(group: object, what: str) -> ProcessGroup:
    """The given group, or the one of the whole job; raises on a rank that is not in the group."""
    if group is None:
        return _require(what).group
    if not isinstance(group, ProcessGroup):
        raise DistError(f"{what}: this rank is not in the group")
    return group


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
    if address.scheme == "tcp" and address.hostname and address.port:
        if rank < 0 or world_size < 1:
            raise DistError(f"init_process_group: {init_method} needs rank and world_size, got {rank} and {world_size}")
        return rank, world_size, address.hostname, address.port
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
    """Whether the launcher serves the rendezvous already."""
    return "ATLED_RENDEZVOUS" in os.environ and init_method in (None, "env://")


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
    # MPI's threads may still wait for a rank that will not come.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_end_status or 1)
