"""Hooks on several gradients, and the count of a tensor's changes."""

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import atled.core as at
from atled.autograd import _tape
from atled.autograd._tensor import register_hook
from atled.core._explained import explained
from atled.core._hooks import RemovableHandle


def in_backward() -> bool:
    """Whether this thread is inside a backward run: in a hook, a Function's backward, or what a checkpoint runs again.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> x = at.tensor(1.0, requires_grad=True)
    >>> handle = x.register_hook(lambda g: print(graph.in_backward()))
    >>> graph.in_backward()
    False
    >>> (x * 3).backward()
    True
    """
    return _tape.current_run() != 0


class MultiHandle:
    """What registering a hook on several tensors answers: ``remove()`` takes it away; also a context manager.

    >>> import atled.core as at
    >>> from atled.autograd.graph import register_multi_grad_hook
    >>> a, b = at.tensor(2.0, requires_grad=True), at.tensor(3.0, requires_grad=True)
    >>> with register_multi_grad_hook((a, b), lambda grads: print("called")):
    ...     (a * b).backward()
    called
    >>> (a * b).backward()
    """

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Takes the hook away; once is enough, and again does no harm."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> "MultiHandle":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class _All:
    """Gathers the gradients of each run until those that the run will compute are there."""

    def __init__(self, tensors: Sequence[at.Tensor], function: Callable[[list[at.Tensor | None]], None]) -> None:
        # Not the tensors, whose graphs would hold themselves.
        self.hooks = [_tape.hooks(tensor) for tensor in tensors]
        self.function = function
        self.lock = threading.Lock()
        self.runs: dict[int, tuple[list[at.Tensor | None], list[int]]] = {}

    def arrive(self, i: int, gradient: at.Tensor) -> None:
        run = _tape.current_run()
        with self.lock:
            if run not in self.runs:
                self.runs[run] = [None] * len(self.hooks), [sum(_tape.will_run(self.hooks))]
            gradients, left = self.runs[run]
            gradients[i] = gradient
            left[0] -= 1
            if left[0] > 0:
                return
            del self.runs[run]
        self.function(gradients)


class _Any:
    """Hands on the first gradient of each run."""

    def __init__(self, function: Callable[[at.Tensor], None]) -> None:
        self.function = function
        self.lock = threading.Lock()
        self.last: dict[int, int] = {}  # of each thread, the run that has been served

    def arrive(self, gradient: at.Tensor) -> None:
        run, thread = _tape.current_run(), threading.get_ident()
        with self.lock:
            if self.last.get(thread) == run:
                return
            self.last[thread] = run
        self.function(gradient)


@explained
def register_multi_grad_hook(
    tensors: Sequence[at.Tensor], fn: Callable[[Any], None], *, mode: str = "all"
) -> MultiHandle:
    """Calls ``fn`` once in each backward run that comes to the tensors; answers a handle with ``remove()``.

    mode: ``"all"`` calls ``fn(gradients)`` when the gradients of all of them that this run computes are complete, with
    a list that has None for the others; ``"any"`` calls ``fn(gradient)`` with the first.
    Raises InvalidValueError for another mode, AutogradError for a tensor that requires no grad.

    >>> import atled.core as at
    >>> from atled.autograd.graph import register_multi_grad_hook
    >>> a, b = at.tensor(2.0, requires_grad=True), at.tensor(3.0, requires_grad=True)
    >>> handle = register_multi_grad_hook((a, b), lambda grads: print([g.item() for g in grads]))
    >>> (a * b).backward()
    [3.0, 2.0]
    """
    if mode not in ("all", "any"):
        raise at.InvalidValueError(f'register_multi_grad_hook: expected mode "all" or "any", got {mode!r}')
    if mode == "any":
        first = _Any(fn)
        return MultiHandle([register_hook(tensor, first.arrive) for tensor in tensors if tensor.requires_grad])
    gathered = _All(tuple(tensors), fn)
    return MultiHandle(
        [register_hook(tensor, functools.partial(gathered.arrive, i)) for i, tensor in enumerate(tensors)]
    )


@explained
def increment_version(tensor: at.Tensor | Iterable[at.Tensor]) -> None:
    """Counts an in-place change of each tensor that the tape could not see, so that gradients that need it say so.

    >>> import atled.core as at
    >>> from atled.autograd.graph import increment_version
    >>> x = at.ones(2)
    >>> before = x._version
    >>> increment_version(x)
    >>> x._version - before
    1
    """
    for one in (tensor,) if isinstance(tensor, at.Tensor) else tensor:
        _tape.increment_version(one)
