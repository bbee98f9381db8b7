"""Results that are not there yet, and what is to be made of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from atled.core import ArgumentError
from atled.core._explained import explained

from ._errors import DistError

if TYPE_CHECKING:
    from ._group import Work

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")
S = TypeVar("S")


class Future(Generic[T]):
    """A result that is not there yet: of a collective, from ``Work.get_future()``, or whatever ``set_result`` gives.

    Callbacks run once: in the thread that calls ``set_result`` or ``set_exception``, and behind a collective in that
    which calls ``wait()``, or ``done()`` and is answered True. So they may call collectives themselves, which every
    rank then calls in the order in which it waits. ``devices`` is there for PyTorch's programs and changes nothing.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> from atled.distributed.futures import Future
    >>> work = dist.all_reduce(at.full((2,), dist.get_rank() + 1.0), async_op=True)
    >>> mean = work.get_future().then(lambda future: future.value()[0] / dist.get_world_size())
    >>> mean.wait().tolist(), mean.done()  # after computing something else
    ([1.5, 1.5], True)
    >>> ready = Future()
    >>> ready.set_result(3)
    >>> ready.value()
    3
    """

    def __init__(self, *, devices: object = None) -> None:
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._result: T | None = None
        self._error: BaseException | None = None

    def wait(self) -> T:
        """Blocks until the result is there and returns it, or raises what went wrong instead."""
        self._settle()
        return self._answer()

    def value(self) -> T:
        """The result, or raises what went wrong; a DistError where neither is there yet."""
        if not self.done():
            raise DistError("Future.value: expected a future that is done, this one is not; call wait()")
        return self._answer()

    def done(self) -> bool:
        """Whether the result, or an error, is there."""
        if self._can_settle():
            self._settle()
        return self._ended.is_set()

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """A future of what ``callback`` returns, which gets this future when it is done.

        An error of this one is raised where the callback asks for the value, and that of the callback where somebody
        asks the future that is returned. Raises ArgumentError for what cannot be called.

        >>> from atled.distributed.futures import Future
        >>> first = Future()
        >>> second = first.then(lambda future: future.value() + 1).then(lambda future: 10 * future.value())
        >>> first.set_result(3)
        >>> second.wait()
        40
        """
        _check_callable("then", callback)
        following: Future[S] = _Following(self._settle, self.done)
        self._when_done(lambda: following._end_with(lambda: callback(self)))
        return following

    @explained
    def add_done_callback(self, callback: Callable[[Future[T]], object]) -> None:
        """As ``then``, but nobody is told what the callback returns, and what it raises comes out where it runs.

        The other callbacks run all the same; of several errors the first comes out.

        >>> from atled.distributed.futures import Future
        >>> future, seen = Future(), []
        >>> future.add_done_callback(lambda future: seen.append(future.done()))
        >>> future.set_exception(ValueError("no such batch"))
        >>> seen
        [True]
        >>> future.wait()
        Traceback (most recent call last):
        ValueError: no such batch
        """
        _check_callable("add_done_callback", callback)
        self._when_done(lambda: callback(self))

    def set_result(self, result: T) -> None:
        """Ends the future with a result; a DistError where it has ended, or ends by itself."""
        self._check_open("set_result")
        self._end(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Ends the future with an error, which ``wait`` and ``value`` raise; errors as of ``set_result``."""
        self._check_open("set_exception")
        if not isinstance(result, BaseException):
            raise ArgumentError(f"Future.set_exception: expected an exception, got {type(result).__name__}")
        self._end(None, result)

    def _check_open(self, what: str) -> None:
        if self._ended.is_set():
            raise DistError(f"Future.{what}: expected a future that is not done, this one is")

    def _can_settle(self) -> bool:
        """Whether ``_settle`` would return at once."""
        return self._ended.is_set()

    def _settle(self) -> None:
        """Blocks until the result, or an error, is there."""
        self._ended.wait()

    def _answer(self) -> T:
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    def _end_with(self, function: Callable[[], T]) -> None:
        try:
            result = function()
        except BaseException as error:
            self._end(None, error)
            if not isinstance(error, Exception):
                raise  # KeyboardInterrupt, say, is for this thread, too
        else:
            self._end(result, None)

    def _end(self, result: T | None, error: BaseException | None) -> None:
        """Only the first call counts: several threads may wait for one collective."""
        with self._lock:
            if self._ended.is_set():
                return
            self._result, self._error = result, error
            self._ended.set()
            callbacks, self._callbacks = self._callbacks, []
        raised: list[BaseException] = []
        for callback in callbacks:
            try:
                callback()
            except BaseException as failure:  # futures that others wait for end by those that follow
                raised.append(failure)
        if raised:
            raise raised[0]

    def _when_done(self, callback: Callable[[], object]) -> None:
        with self._lock:
            if not self._ended.is_set():
                self._callbacks.append(callback)
                return
        callback()


class _Following(Future[T]):
    """A future that ends, in the thread that waits for it, with what it depends on."""

    def __init__(self, settle: Callable[[], object], can_settle: Callable[[], bool]) -> None:
        super().__init__()
        self._settle_source, self._can_settle_source = settle, can_settle

    def _check_open(self, what: str) -> NoReturn:
        raise DistError(f"Future.{what}: expected a future that was made by Future(), this one ends by itself")

    def _can_settle(self) -> bool:
        return super()._can_settle() or self._can_settle_source()

    def _settle(self) -> None:
        if not self._ended.is_set():
            self._settle_source()
            super()._settle()  # another thread may be in the callback

    def _end(self, result: T | None, error: BaseException | None) -> None:
        # What it depended on may refer to it: such a ring would keep the tensors until Python looks for rings.
        self._settle_source, self._can_settle_source = _nothing, bool
        super()._end(result, error)


def _nothing() -> None:
    """In the place of waiting for what has ended."""


def future_of(work: Work, result: T) -> Future[T]:
    """What ``Work.get_future()`` gives: the result, when the work is done."""

    def settle() -> None:
        future._end_with(lambda: (work.wait(), result)[1])

    future: Future[T] = _Following(settle, work.is_completed)
    return future


def collect_all(futures: Sequence[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of a list of futures, which is done when all of them are.

    Raises ArgumentError for what is no list of futures.

    >>> from atled.distributed.futures import Future, collect_all
    >>> first, second = Future(), Future()
    >>> both = collect_all([first, second])
    >>> first.set_result(1)
    >>> both.done()
    False
    >>> second.set_result(2)
    >>> [future.value() for future in both.wait()]
    [1, 2]
    """
    given = _listed("collect_all", futures)

    def settle() -> None:
        for each in given:
            each._settle()
        collected._end(given, None)

    def end_with_last() -> None:
        if all(each._ended.is_set() for each in given):
            collected._end(given, None)

    collected: Future[list[Future[Any]]] = _Following(settle, lambda: all(each.done() for each in given))
    for each in given:
        each._when_done(end_with_last)
    return collected


def wait_all(futures: Sequence[Future[Any]]) -> list[Any]:
    """The results of futures, when all of them are done; raises the first error among them, in their order, instead.

    Raises ArgumentError for what is no list of futures.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> from atled.distributed.futures import wait_all
    >>> works = [dist.all_reduce(at.full((1,), value), async_op=True) for value in (1.0, 2.0)]
    >>> [tensor.item() for (tensor,) in wait_all([work.get_future() for work in works])]
    [2.0, 4.0]
    """
    return [future.value() for future in collect_all(_listed("wait_all", futures)).wait()]


def _listed(what: str, futures: Sequence[Future[Any]]) -> list[Future[Any]]:
    given = list(futures) if isinstance(futures, Sequence) else [futures]
    for each in given:
        if not isinstance(each, Future):
            raise ArgumentError(f"{what}: expected a list of futures, got one of {type(each).__name__}")
    return given


def _check_callable(what: str, callback: object) -> None:
    if not callable(callback):
        raise ArgumentError(f"Future.{what}: expected a callback, got {callback!r}")
