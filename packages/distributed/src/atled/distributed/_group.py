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

if TYPE_CHECKING:
    from ._store import Store

__all__ = ["FutureWork", "ProcessGroup", "ProcessGroupFactory", "ReceiveWork", "ReduceOp", "Work", "seconds"]


class ReduceOp(Enum):
    """How values of the ranks become one: SUM, AVG (floating and complex dtypes), MIN, MAX, PRODUCT.

    On bool, SUM and MAX mean "any", PRODUCT and MIN mean "all". MPI reduces float16, bfloat16 and float8 in float32, NCCL as
    they are. What MIN and MAX make of NaN is not specified.
    """

    SUM = "SUM"
    AVG = "AVG"
    MIN = "MIN"
    MAX = "MAX"
    PRODUCT = "PRODUCT"


class Work(ABC):
    """A collective that may still run. Its tensors are valid, and may be touched again, once ``wait`` has returned.

    Tensors on a GPU are so for the stream that was current in ``wait``, which waits in the host's place.
    """

    @abstractmethod
    def wait(self, timeout: float | timedelta | None = None) -> bool:
        """Blocks until done, at most ``timeout`` seconds; returns True, or raises what went wrong."""

    @abstractmethod
    def is_completed(self) -> bool:
        """Whether the work has ended, well or not."""

    @abstractmethod
    def exception(self) -> BaseException | None:
        """What went wrong, or None; None also while the work runs."""

    def is_success(self) -> bool:
        """Whether the work has ended well."""
        return self.is_completed() and self.exception() is None


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

    All methods are called in the same order on every rank of the group, from one thread at a time; the work they return
    runs in that order. ``root`` counts within the group. Tensors may have any strides and any dtype. A backend may do
    without ``reduce``, ``gather``, ``scatter``, ``all_to_all``, ``send`` and ``receive``.
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
        """Copies ``tensor`` of rank ``root`` into ``tensor`` of every other rank."""

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
        """Fills ``output`` of rank ``root`` (None elsewhere) with all ranks' ``input``, in rank order."""
        raise self._lacks("gather")

    def scatter(self, output: Tensor, input: Tensor | None, root: int) -> Work:
        """Fills ``output`` of rank r with the r-th part of ``input`` of rank ``root`` (None elsewhere)."""
        raise self._lacks("scatter")

    def all_to_all(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Work:
        """Fills ``outputs[i]`` of rank j with ``inputs[j]`` of rank i."""
        raise self._lacks("all_to_all")

    def send(self, tensor: Tensor, to: int, tag: int) -> Work:
        """Sends ``tensor`` to one rank, which receives it under the same ``tag``."""
        raise self._lacks("send")

    def receive(self, tensor: Tensor, source: int | None, tag: int) -> ReceiveWork:
        """Fills ``tensor`` with what one rank (None: whichever does first) sends under the same ``tag``."""
        raise self._lacks("recv")

    def _lacks(self, what: str) -> DistError:
        return DistError(f"{what}: {type(self).__name__} does not have it; use a group of another backend")

    @abstractmethod
    def barrier(self) -> Work:
        """Ends when every rank has called it."""

    @abstractmethod
    def new_group(self, ranks: Sequence[int], name: str, timeout: float) -> ProcessGroup | None:
        """A group of some ranks of this one; all ranks of this one call it; None for who is not in it."""

    @abstractmethod
    def close(self) -> None:
        """Leaves the group together with all other ranks. Nothing may be called afterwards."""

    @abstractmethod
    def abort(self, error: BaseException) -> None:
        """Ends all work in progress with ``error``. Callable from any thread."""


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
