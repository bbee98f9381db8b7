"""Switching recording on and off, per thread: as context managers and as decorators."""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from atled.autograd import _tape

F = TypeVar("F", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """Whether calls are recorded on this thread."""
    return _tape.is_enabled()


class _Mode:
    """One switch position; what was there before comes back at the end, also of a decorated generator's every step."""

    _on: bool

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_tape.set_enabled(self._on))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _tape.set_enabled(self._before.pop())

    def _again(self) -> "_Mode":
        return type(self)()

    def __call__(self, function: F) -> F:
        again = self._again
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def steps(*args: Any, **kwargs: Any) -> Any:
                generator = function(*args, **kwargs)
                with again():
                    value = next(generator, _END)
                while value is not _END:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        with again():
                            generator.close()
                        raise
                    except BaseException as error:
                        with again():
                            value = _step(generator.throw, error)
                    else:
                        with again():
                            value = _step(generator.send, sent)
                return None

            return steps  # type: ignore[return-value]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with again():
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]


_END = object()


def _step(advance: Callable[[Any], Any], value: Any) -> Any:
    try:
        return advance(value)
    except StopIteration:
        return _END


class no_grad(_Mode):
    """Calls inside are not recorded: ``with no_grad():`` or ``@no_grad()`` (or ``@no_grad``).

    >>> import atled.core as at
    >>> from atled.autograd import no_grad
    >>> x = at.ones(2, requires_grad=True)
    >>> with no_grad():
    ...     (x * 2).requires_grad
    False
    """

    _on = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        mode = super().__new__(cls)
        if function is None:
            return mode
        mode.__init__()  # type: ignore[misc]
        return mode(function)


class enable_grad(no_grad):
    """Calls inside are recorded, also within `no_grad`: a context manager and a decorator."""

    _on = True


class set_grad_enabled(_Mode):
    """Switches recording on or off, at once: ``set_grad_enabled(False)``; as a context manager, until its end."""

    def __init__(self, mode: bool) -> None:
        self._on = bool(mode)
        self._before = [_tape.set_enabled(self._on)]
        self._entered = False

    def __enter__(self) -> None:
        if self._entered:
            super().__enter__()
        self._entered = True

    def _again(self) -> "_Mode":
        return type(self)(self._on)

    def __call__(self, function: F) -> F:
        _tape.set_enabled(self._before.pop())
        return super().__call__(function)
