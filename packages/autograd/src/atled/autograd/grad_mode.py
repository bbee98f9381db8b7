"""Switches of a thread, for recording above all: as context managers and as decorators."""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import atled.core as at
from atled.autograd import _tape

F = TypeVar("F", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """Whether calls are recorded on this thread.

    >>> from atled.autograd import is_grad_enabled, no_grad
    >>> with no_grad():
    ...     inside = is_grad_enabled()
    >>> inside, is_grad_enabled()
    (False, True)
    """
    return _tape.is_enabled()


class _Mode:
    """One position of a switch; what was there before comes back at the end, also of a decorated generator's steps."""

    def __init__(self) -> None:
        self._before: list[Any] = []

    def _switch(self) -> Any:
        """Takes this position, and answers the one before."""
        raise NotImplementedError

    def _back(self, before: Any) -> None:
        raise NotImplementedError

    def __enter__(self) -> None:
        self._before.append(self._switch())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._back(self._before.pop())

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


class _AtOnce(_Mode):
    """Takes its position when it is made, for good; as a context manager, until its end."""

    def __init__(self, mode: bool) -> None:
        self._on = bool(mode)
        self._before = [self._switch()]
        self._entered = False

    def __enter__(self) -> None:
        if self._entered:
            super().__enter__()
        self._entered = True

    def _again(self) -> "_Mode":
        return type(self)(self._on)

    def __call__(self, function: F) -> F:
        self._back(self._before.pop())
        return super().__call__(function)


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

    def _switch(self) -> bool:
        return _tape.set_enabled(self._on)

    def _back(self, before: bool) -> None:
        _tape.set_enabled(before)


class enable_grad(no_grad):
    """Calls inside are recorded, also within `no_grad`: a context manager and a decorator.

    In `inference_mode` it has no effect.

    >>> import atled.core as at
    >>> from atled.autograd import enable_grad, no_grad
    >>> x = at.ones(2, requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    _on = True


class set_grad_enabled(_AtOnce):
    """Switches recording on or off, at once: ``set_grad_enabled(False)``; as a context manager, until its end.

    >>> import atled.core as at
    >>> from atled.autograd import set_grad_enabled
    >>> x, training = at.ones(2, requires_grad=True), False
    >>> with set_grad_enabled(training):
    ...     (x * 2).requires_grad
    False
    """

    def _switch(self) -> bool:
        return _tape.set_enabled(self._on)

    def _back(self, before: bool) -> None:
        _tape.set_enabled(before)


class inference_mode(_Mode):
    """Calls inside are not recorded, and what they make never will be: a context manager and a decorator.

    A tensor whose memory was allocated inside answers True to ``is_inference()``. Outside it may be used and changed
    like any other, but a recorded call that would save or change it, and ``requires_grad_()``, raise AutogradError:
    ``clone()`` it there. Views of tensors from outside, and changes of them, remain as they were. `enable_grad` has no
    effect inside.

    mode: False leaves inference mode, and records, until its end.

    >>> import atled.core as at
    >>> from atled.autograd import inference_mode
    >>> w = at.ones(2, requires_grad=True)
    >>> with inference_mode():
    ...     y = w * 2
    >>> y.is_inference(), y.requires_grad
    (True, False)
    >>> (w * y.clone()).requires_grad
    True
    """

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        if not callable(mode):
            return super().__new__(cls)
        return cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = bool(mode)

    def _again(self) -> "_Mode":
        return type(self)(self.mode)

    def _switch(self) -> int:
        return _tape.enter_inference(self.mode)

    def _back(self, before: int) -> None:
        _tape.leave_inference(before)


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in `inference_mode`.

    >>> from atled.autograd import inference_mode, is_inference_mode_enabled
    >>> with inference_mode():
    ...     is_inference_mode_enabled()
    True
    """
    return _tape.is_inference_mode()


def recorded(name: str) -> enable_grad:
    """`enable_grad` for a function that differentiates: AutogradError in inference mode, which would answer zeros."""
    if _tape.is_inference_mode():
        raise at.AutogradError(
            f"{name}: expected to be called outside inference_mode, in which nothing is recorded; use no_grad there"
        )
    mode: enable_grad = enable_grad()
    return mode


class set_multithreading_enabled(_Mode):
    """Whether backward may use threads of its own: it never does, so both positions keep their promise.

    Backward runs on the thread that calls it, op by op; the ops' kernels share the work among core's threads. Several
    threads may run backward at once. It is here for PyTorch's programs.

    >>> import atled.core as at
    >>> from atled.autograd import set_multithreading_enabled
    >>> x = at.tensor(3.0, requires_grad=True)
    >>> with set_multithreading_enabled(False):
    ...     (x * x).backward()
    >>> x.grad.item()
    6.0
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = bool(mode)

    def _again(self) -> "_Mode":
        return type(self)(self.mode)

    def _switch(self) -> None:
        return None

    def _back(self, before: None) -> None:
        return None


class enforce_grad_layout_policy(_AtOnce):
    """Whether a leaf's first gradient gets the leaf's strides, as it does by default, on this thread.

    With False a gradient that nobody else holds is kept as it came, which saves a copy. Takes effect at once; as a
    context manager, until its end.

    >>> import atled.core as at
    >>> from atled.autograd import enforce_grad_layout_policy
    >>> x = at.ones(2, 3).t().requires_grad_()
    >>> with enforce_grad_layout_policy(False):
    ...     (x * at.ones(3, 2)).sum().backward()
    >>> x.grad.shape
    (3, 2)
    """

    def __init__(self, enable: bool = True) -> None:
        super().__init__(enable)

    def _switch(self) -> bool:
        return _tape.keep_leaf_layout(self._on)

    def _back(self, before: bool) -> None:
        _tape.keep_leaf_layout(before)
