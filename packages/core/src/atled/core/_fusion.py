"""Fusion: element-wise calls that are put off and run together, in one pass over memory (docs/fusion.md)."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from . import _core
from ._core import ArgumentError

_F = TypeVar("_F", bound=Callable[..., Any])
_MODES = (None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


class fuse(contextlib.ContextDecorator):
    """A region, or a function, in which element-wise calls on the CPU are put off and run together.

    Such a call answers a tensor at once, with the errors that it would raise, and so does a sum, mean or the like of
    its result along rows. Values are computed when something needs them: a call of another kind, ``item``, ``numpy``,
    printing, the end of the outermost region. Then all that was put off runs in one pass over memory, block by block in
    the cache, and what no tensor holds any more is never written. Results are the same bits as without. Calls on fewer
    than 16384 elements, and on other devices, run as ever. It works with autograd: what a backward pass inside the
    region calls is put off as well.

    Regions belong to a thread and nest. In a generator, end the region before each ``yield``.

    >>> x = at.linspace(0, 1, 20000)
    >>> with at.fuse():
    ...     y = (x * x + 1).sqrt() - x
    >>> bool((y == (x * x + 1).sqrt() - x).all())
    True

    As a decorator:

    >>> @at.fuse()
    ... def softsign(x):
    ...     return x / (x.abs() + 1)
    >>> round(softsign(x)[-1].item(), 4)
    0.5
    """

    def __enter__(self) -> fuse:
        _core._enter_fusion()
        return self

    def __exit__(self, *error: object) -> None:
        _core._leave_fusion()


@overload
def compile(
    model: _F,
    *,
    fullgraph: bool = ...,
    dynamic: bool | None = ...,
    backend: object = ...,
    mode: str | None = ...,
    options: dict[str, Any] | None = ...,
    disable: bool = ...,
) -> _F: ...
@overload
def compile(
    model: None = ...,
    *,
    fullgraph: bool = ...,
    dynamic: bool | None = ...,
    backend: object = ...,
    mode: str | None = ...,
    options: dict[str, Any] | None = ...,
    disable: bool = ...,
) -> Callable[[_F], _F]: ...
def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: object = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """``model``, a function, a Module or another callable object, with its element-wise calls fused: see `fuse`.

    Nothing is traced and no code is made, so there is nothing to wait for, to guard or to compile anew: any Python may
    stand in the function, and any shape, dtype and device may come. ``fullgraph``, ``dynamic``, ``backend``, ``mode``
    and ``options`` are taken for programs written for ``torch.compile``; as there are no graphs, they change nothing.
    ``disable=True`` gives ``model`` back as it is. A Module, or what else has a method ``compile``, is compiled in
    place and given back: it keeps its parameters, their names and its class. Without ``model``, this is a decorator.

    ArgumentError for what cannot be called, a class, and functions whose body runs after the call (generators,
    coroutines): put ``with at.fuse():`` into those. InvalidValueError for a mode that PyTorch has not.

    >>> @at.compile
    ... def gelu(x):
    ...     return 0.5 * x * (1 + (x / 2**0.5).erf())
    >>> round(gelu(at.ones(30000))[0].item(), 4)
    0.8413
    """
    if mode not in _MODES:
        modes = ", ".join(map(repr, _MODES))
        raise _core.InvalidValueError(f"compile: expected mode to be one of {modes}, got {mode!r}")
    if model is None:
        return functools.partial(compile, mode=mode, disable=disable)
    if not callable(model) or isinstance(model, type):
        what = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise ArgumentError(f"compile: expected a function or a callable object, got {what}")
    if inspect.iscoroutinefunction(model) or inspect.isgeneratorfunction(model) or inspect.isasyncgenfunction(model):
        raise ArgumentError(
            f"compile: expected a function that runs when it is called, got {model.__name__}, whose body runs later; "
            "put `with at.fuse():` around what it calls"
        )
    if disable:
        return model
    if hasattr(model, "compile"):
        model.compile()
        return model

    @functools.wraps(model)
    def fused(*args: Any, **kwargs: Any) -> Any:
        with fuse():
            return model(*args, **kwargs)

    return fused
