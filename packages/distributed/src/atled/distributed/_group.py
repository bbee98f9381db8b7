"""What a backend implements: a process group whose collectives return handles to work in progress."""

from __future__ import annotations

import numbers
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor

from ._errors import DistError, DistTimeoutError
from .futures import Future, future_of

if TYPE_CHECKING:
    from ._store import Store

__all__ = ["FutureWork", "ProcessGroup", "ProcessGroupFactory", "ReceiveWork", "ReduceOp", "Work", "seconds"]


class ReduceOp(Enum):
    """How values of the ranks become one: SUM, AVG (floating and complex dtypes), MIN, MAX, PRODUCT.

    On bool, SUM and MAX mean "any", PRODUCT and MIN mean "all". MPI reduces float16, bfloat16 and float8 in float32 and
    rounds once; NCCL reduces the first two as they are. What MIN and MAX make of NaN is not specified.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> x = at.tensor([1.0, 5.0]) if dist.get_rank() == 0 else at.tensor([3.0, 2.0])
    >>> dist.all_reduce(x, dist.ReduceOp.MAX)
    >>> x.tolist()
    [3.0, 5.0]
    """

    SUM = "SUM"
    AVG = "AVG"
    MIN = "MIN"
    MAX = "MAX"
    PRODUCT = "PRODUCT"


class Work(ABC):
    """A collective that may still run. Its tensors are valid, and may be touched again, once ``wait`` has returned.

    Functions give one with ``async_op=True``, as ``isend`` and ``irecv`` always do. Tensors on a GPU are valid for the
    stream that was current in ``wait``, which waits in the host's place.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> x = at.ones((2,))
    >>> work = dist.all_reduce(x, async_op=True)
    >>> work.wait()  # after computing something else
    True
    >>> x.tolist(), work.is_completed(), work.is_success(), work.exception()
    ([2.0, 2.0], True, True, None)
    >>> dist.all_reduce(x, async_op=True).get_future().then(lambda future: future.value()[0] + 1).wait().tolist()
    [5.0, 5.0]
    """

    # What the function that has begun the work says to be there when it is done.
    _tensors: Sequence[Tensor] = ()

    @abstractmethod
    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Blocks until done and returns True, or raises what went wrong.

        ``timeout``: seconds or a timedelta (None: until the group's time is up). Raises DistTimeoutError when it is
        over; the work goes on then, and may be waited for again. RankFailedError and MismatchError are as for
        ``all_reduce``.
        """

    @abstractmethod
    def is_completed(self) -> bool:
        """Whether the work has ended, well or not."""

    @abstractmethod
    def exception(self) -> BaseException | None:
        """What went wrong, or None; None also while the work runs."""

    def is_success(self) -> bool:
        """Whether the work has ended well."""
        return self.is_completed() and self.exception() is None

    def get_future(self) -> Future[list[Tensor]]:
        """A ``futures.Future`` of the list of the tensors that the work fills, to chain what comes after to.

        The list is empty for `barrier`, for messages, and for work that methods of a ProcessGroup return.
        """
        return future_of(self, list(self._tensors))


class ReceiveWork(Protocol):
    """A Work that knows, once it is done, which rank of the group the tensor is from."""

    source: int

    def wait(self, timeout: float | timedelta | None = None) -> bool: ...


class FutureWork(Work):
    """Work that another thread finishes."""

    def __init__(self, what: str) -> None:
        self.source = -1
        self._what = what
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        limit = None if timeout is None else seconds(timeout)
        start = time.monotonic()
        if not self._ended.wait(limit):
            raise DistTimeoutError(f"{self._what}: not done after {time.monotonic() - start:.1f} s of Work.wait")
        if isinstance(self._error, DistError):
            # What the other thread was doing is no news, and several callers may raise the one error.
            raise self._error.with_traceback(None)
        if self._error is not None:
            raise self._error
        return True

    def is_completed(self) -> bool:
        return self._ended.is_set()

    def exception(self) -> BaseException | None:
        return self._error

    def finish(self, error: BaseException | None = None) -> None:
        """Ends the work; only the first call counts."""
        with self._lock:
            if not self._ended.is_set():
                self._error = error
                self._ended.set()


class ProcessGroup(ABC):
    """Some ranks of a job that communicate. Backends provide subclasses by the entry points ``atled.collectives``.

    The functions of ``atled.distributed`` take one as ``group``, from ``new_group`` or a mesh, and call its methods,
    which a backend implements. All methods are called in the same order on every rank of the group, from one thread at
    a time; the work they return runs in that order. ``root`` counts within the group. Tensors may have any strides and
    any dtype, and are on a device that the backend takes, or DeviceError is raised. A backend may do without
    ``reduce``, ``gather``, ``scatter``, ``all_to_all``, ``send`` and ``receive``, which then raise DistError.

    ``ranks`` are the members by their numbers in the job, ``rank`` is the place of this process among them, and
    ``name`` is for messages. A backend passes them on to ``__init__``.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> group = dist.group.WORLD
    >>> group.size, group.ranks, group.rank == dist.get_rank(), group.device.type
    (2, (0, 1), True, 'cpu')
    >>> x, both = at.ones((2,)), at.zeros((4,))
    >>> works = [group.broadcast(x, root=0), group.all_reduce(x, dist.ReduceOp.SUM), group.all_gather(both, x)]
    >>> works.append(group.reduce_scatter(x, both, dist.ReduceOp.SUM))
    >>> all(work.wait() for work in [*works, group.barrier()]), both.tolist(), x.tolist()
    (True, [2.0, 2.0, 2.0, 2.0], [4.0, 4.0])
    >>> pair = group.new_group([1, 0], "pair", timeout=30.0)
    >>> pair.ranks, pair.name, pair.only("nccl"), pair.use_device(at.device("cpu"))
    ((1, 0), 'pair', None, None)
    """

    def __init__(self, ranks: Sequence[int], rank: int, name: str) -> None:
        self.ranks = tuple(ranks)
        self.rank = rank
        self.name = name
        # What the next collectives are for, "" or such as " for the loss"; a backend that compares the ranks' calls
        # compares this, too.
        self.purpose = ""

    @property
    def size(self) -> int:
        """The number of ranks in the group."""
        return len(self.ranks)

    @abstractmethod
    def broadcast(self, tensor: Tensor, root: int) -> Work:
        """Copies ``tensor`` of rank ``root`` into ``tensor`` of every other rank, of the same shape and dtype."""

    @abstractmethod
    def all_reduce(self, tensor: Tensor, op: ReduceOp) -> Work:
        """Replaces ``tensor`` on every rank by the reduction of all ranks' tensors."""

    @abstractmethod
    def all_gather(self, output: Tensor, input: Tensor) -> Work:
        """Fills ``output`` (``size`` times as many elements) with all ranks' ``input``, in rank order."""

    @abstractmethod
    def reduce_scatter(self, output: Tensor, input: Tensor, op: ReduceOp) -> Work:
        """Reduces ``input`` (``size`` times as many elements as ``output``); rank r gets the r-th part."""

    @property
    def device(self) -> at.device:
        """Where the package puts tensors of its own that the ranks exchange, such as sizes and pickled objects."""
        return at.device("cpu")

    def use_device(self, device: at.device) -> None:
        """Tells which device this rank's tensors will be on; all ranks call it. A backend for one that cares connects.

        ``init_process_group(device_id=...)`` does so.
        """
        return None

    def only(self, backend: str) -> ProcessGroup | None:
        """The part of the group that a backend serves; None where this is a group of another backend's."""
        return None

    def batch(self) -> AbstractContextManager[None]:
        """Messages that are begun within it do not wait for each other, whatever their order."""
        return nullcontext()

    def reduce(self, tensor: Tensor, root: int, op: ReduceOp) -> Work:
        """Replaces ``tensor`` of rank ``root`` by the reduction of all ranks' tensors."""
        raise self._lacks("reduce")

    def gather(self, output: Tensor | None, input: Tensor, root: int) -> Work:
        """Fills ``output`` of rank ``root`` (None elsewhere) with all ranks' ``input``, in rank order.

        ``output`` has ``size`` times as many elements, of the same dtype.

        >>> import atled.core as at
        >>> from atled import distributed as dist
        >>> group, mine = dist.group.WORLD, at.tensor([dist.get_rank()])
        >>> everyone = at.zeros((2,), dtype=at.int64) if group.rank == 0 else None
        >>> group.gather(everyone, mine, root=0).wait()
        True
        >>> group.scatter(mine, everyone, root=0).wait()
        True
        >>> group.reduce(mine, root=1, op=dist.ReduceOp.SUM).wait(), mine.item() == group.rank  # 0 + 1 on rank 1
        (True, True)
        """
        raise self._lacks("gather")

    def scatter(self, output: Tensor, input: Tensor | None, root: int) -> Work:
        """Fills ``output`` of rank r with the r-th part of ``input`` of rank ``root`` (None elsewhere).

        ``input`` has ``size`` times as many elements, of the same dtype.
        """
        raise self._lacks("scatter")

    def all_to_all(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Work:
        """Fills ``outputs[i]`` of rank j with ``inputs[j]`` of rank i; all of one dtype, a pair equally large."""
        raise self._lacks("all_to_all")

    def send(self, tensor: Tensor, to: int, tag: int) -> Work:
        """Sends ``tensor`` to one rank, which receives it under the same ``tag`` into one of its shape and dtype.

        >>> import atled.core as at
        >>> from atled import distributed as dist
        >>> group, mine, other = dist.group.WORLD, at.full((2,), dist.get_rank()), at.zeros((2,), dtype=at.int64)
        >>> with group.batch():
        ...     works = [group.send(mine, 1 - group.rank, tag=0), group.receive(other, 1 - group.rank, tag=0)]
        >>> all(work.wait() for work in works), other[0].item() == 1 - group.rank
        (True, True)
        >>> work = group.all_to_all(list(other.split(1)), list(mine.split(1)))
        >>> work.wait(), other.tolist()
        (True, [0, 1])
        """
        raise self._lacks("send")

    def receive(self, tensor: Tensor, source: int | None, tag: int) -> ReceiveWork:
        """Fills ``tensor`` with what one rank (None: whichever does first) sends under the same ``tag``.

        ``source`` of the work says which, once it is done.
        """
        raise self._lacks("recv")

    def _lacks(self, what: str) -> DistError:
        return DistError(f"{what}: {type(self).__name__} does not have it; use a group of another backend")

    @abstractmethod
    def barrier(self) -> Work:
        """Ends when every rank has called it."""

    @abstractmethod
    def new_group(self, ranks: Sequence[int], name: str, timeout: float) -> ProcessGroup | None:
        """A group of some ranks of this one, by their places here; None for who is not in it.

        All ranks of this one call it. ``timeout``: seconds that a call of the new group may take.
        """

    @abstractmethod
    def close(self) -> None:
        """Leaves the group together with all other ranks. Nothing may be called afterwards."""

    @abstractmethod
    def abort(self, error: BaseException) -> None:
        """Ends all work in progress, and all that is asked for later, with ``error``. Callable from any thread."""


class ProcessGroupFactory(Protocol):
    """What an entry point in the group ``atled.collectives`` names: it makes the group of all ranks."""

    def __call__(self, store: Store, rank: int, world_size: int, timeout: float) -> ProcessGroup: ...


def seconds(timeout: float | timedelta) -> float:
    """A timeout in seconds."""
    if not isinstance(timeout, (numbers.Real, timedelta)):
        raise ArgumentError(f"timeout: expected a number of seconds or a timedelta, got {timeout!r}")
    value = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
    if not value > 0:
        raise InvalidValueError(f"timeout: expected a positive number of seconds, got {value}")
    return value
