"""Functions whose errors say which argument was wrong.

Python itself says what went wrong inside: "'NoneType' object has no attribute 'ndim'". Instead of a check in each
function, which all calls would pay for, an error that leaves an `explained` function is looked at (`_explain.py`).
"""

from __future__ import annotations

from . import _core

# Not typing's own: importing that module takes longer than all of atled.core, as do functools and inspect.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

_COPIED = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")


def explained(function: F) -> F:
    """The function, but that its errors become an ArgumentError where an argument does not fit its annotation.

    >>> @explained
    ... def negative(x: int) -> int:
    ...     return -x
    >>> negative("a")
    Traceback (most recent call last):
        ...
    atled.core.ArgumentError: negative: expected x to be int, got 'a'
    """
    made: Any = _core._Explained(function)
    for name in _COPIED:
        if hasattr(function, name):
            setattr(made, name, getattr(function, name))
    made.__dict__.update(getattr(function, "__dict__", {}))
    made.__wrapped__ = function
    return made  # type: ignore[no-any-return]


def explanation(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> Exception | None:
    """What to raise instead of an error of one of atled's own functions, for who catches it; None for nothing else."""
    if not getattr(function, "__module__", "").startswith("atled."):
        return None
    from ._explain import explain

    try:
        return explain(function, args, kwargs, error)
    except Exception:  # of a value that cannot be looked at
        return None


class ExplainsInit:
    """A base whose subclasses, where they are atled's own, have their constructors explained.

    It has no `__slots__`: an object's class may be set to one that also derives from a plain class then, as
    `fully_shard` does.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls) and cls.__module__.startswith("atled."):
            cls.__init__ = explained(cls.__init__)  # type: ignore[method-assign]


def explain_bindings(module: dict[str, Any]) -> None:
    """Replaces the functions of the extension module in a module's names: what nanobind says names C++ types."""
    for name, value in list(module.items()):
        if type(value).__name__ == "nb_func" and f"{name}()" not in value.__doc__:
            module[name] = explained(value)
            module[name].__module__ = module["__name__"]
    for name in ("manual_seed", "set_state"):
        setattr(_core.Generator, name, explained(vars(_core.Generator)[name]))
