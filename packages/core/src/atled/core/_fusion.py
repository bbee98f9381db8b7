"""Fusion: element-wise calls that are put off and run together, in one pass over memory (docs/fusion.md)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar, overload

from . import _core
from ._core import ArgumentError

_F = TypeVar("_F", bound=Callable[..., Any])
_MODES = (None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


class fuse(contextlib.ContextDecorator):
    """A region, or a function, in which element-wise calls on the CPU are put off and run together.

    Such a call answers a tensor at once, with the errors that it would raise; its values are computed when something
    needs them: a call that is not element-wise, ``item``, ``numpy``, printing, the end of the outermost region. Then
    all that was put off runs in one pass over memory, block by block in the cache, and what no tensor holds any more is
    never written. Results are the same bits as without. Calls on fewer than 16384 elements, and on other devices, run
    as ever. It works with autograd: what a backward pass inside the region calls is put off as well.

    Regions belong to a thread and nest. An array taken inside (``numpy``, DLPack) shows what was called before; what is
    written into such an array later, inside the region, may be seen by calls that were made before.

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


class Compiled:
    """A callable object that is called inside `fuse`; all else is the object's own.

    >>> class Scale:
    ...     by = 2.0
    ...     def __call__(self, x):
    ...         return x * self.by
    >>> scale = at.compile(Scale())
    >>> scale.by, scale(at.ones(2)).tolist()
    (2.0, [2.0, 2.0])
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        object.__setattr__(self, "_orig_mod", model)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with fuse():
            return self._orig_mod(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __dir__(self) -> list[str]:
        return dir(self._orig_mod)

    def __repr__(self) -> str:
        return f"Compiled({self._orig_mod!r})"


@overload
def compile(
    model: _F, *, fullgraph: bool = ..., dynamic: bool | None = ..., mode: str | None = ..., disable: bool = ...
) -> _F: ...
@overload
def compile(
    model: None = ...,
    *,
    fullgraph: bool = ...,
    dynamic: bool | None = ...,
    mode: str | None = ...,
    disable: bool = ...,
) -> Callable[[_F], _F]: ...
def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    mode: str | None = None,
    disable: bool = False,
) -> Any:
    """``model``, a function or a callable object such as a Module, with its element-wise calls fused: see `fuse`.

    Nothing is traced and no code is made, so there is nothing to wait for, to guard or to compile anew: any Python may
    stand in the function, and any shape, dtype and device may come. ``fullgraph``, ``dynamic`` and ``mode`` are taken
    for programs written for ``torch.compile``; since there are no graphs, they change nothing. ``disable=True`` gives
    ``model`` back as it is. Of a Module, parameters, ``state_dict`` and the like are the Module's own, under the same
    names. Without ``model``, it is a decorator.

    ArgumentError for what cannot be called, InvalidValueError for a mode that PyTorch has not.

    >>> @at.compile
    ... def gelu(x):
    ...     return 0.5 * x * (1 + (x / 2**0.5).erf())
    >>> round(gelu(at.ones(30000))[0].item(), 4)
    0.8413
    """
    if mode not in _MODES:
        raise _core.InvalidValueError(
            f"compile: expected mode to be one of {', '.join(map(repr, _MODES))}, got {mode!r}"
        )
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, dynamic=dynamic, mode=mode, disable=disable)
    if not callable(model):
        raise ArgumentError(f"compile: expected a function or a callable object, got {type(model).__name__}")
    if disable:
        return model
    if isinstance(model, type) or not hasattr(model, "__name__"):
        return Compiled(model)

    @functools.wraps(model)
    def fused(*args: Any, **kwargs: Any) -> Any:
        with fuse():
            return model(*args, **kwargs)

    return fused
