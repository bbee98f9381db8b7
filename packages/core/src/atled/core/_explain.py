"""What to say instead of an error from the inside of a function: which argument was wrong, by the annotations."""

from __future__ import annotations

import inspect
import re
import reprlib
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable
from typing import Any

from . import _core

_INNER = (AttributeError, TypeError, ValueError, LookupError, ArithmeticError, NameError, RecursionError)

_WORDS = re.compile(r"\w+")


def explain(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> Exception | None:
    """The error that takes the place of one that a function raised; None where that is the best that there is.

    An ArgumentError is looked at as well where it is of something inside, whose arguments have other names: of an op,
    as a note says, or of another explained function.
    """
    if not isinstance(error, _core.ArgumentError if isinstance(error, _core.AtledError) else _INNER):
        return None
    name = _shown(function, args)
    try:
        signature = inspect.signature(function)
    except ValueError:
        return _of_binding(name, error)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as wrong:
        return _core.ArgumentError(f"{name}: {wrong}; it takes {_parameters(signature)}")
    if isinstance(error, _core.ArgumentError):
        is_inner = hasattr(error, "__notes__") or hasattr(error, "argument")
        if not is_inner or not signature.parameters.keys().isdisjoint(_WORDS.findall(str(error))):
            return None
    for parameter in signature.parameters.values():
        hint = _resolved(parameter.annotation, function)
        for value in _values(parameter, given):
            if not fits(value, hint):
                what = f"expected {parameter.name} to be {_text(hint)}, got {_brief(value)}"
                better = _core.ArgumentError(f"{name}: {what}{_mend(value, hint)}")
                better.argument = parameter.name  # type: ignore[attr-defined]
                return better
    return None


def _shown(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """A function's name; the class's for its constructor and its call."""
    name = str(getattr(function, "__qualname__", function.__name__)).rpartition("<locals>.")[2]
    owner, _, method = name.rpartition(".")
    if owner and method in ("__init__", "__call__", "forward"):
        return type(args[0]).__name__ if args else owner
    return name


def _parameters(signature: inspect.Signature) -> str:
    shown = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.name != "self"]
    return str(signature.replace(parameters=shown, return_annotation=signature.empty))


def _of_binding(name: str, error: Exception) -> Exception | None:
    """Of nanobind's functions, which have no signature for Python: the message lists those that it knows."""
    known, found, got = str(error).partition("\n\nInvoked with types: ")
    if not found:
        return None
    forms = [line.partition(". ")[2].partition(" -> ")[0] for line in known.splitlines()[1:]]
    return _core.ArgumentError(f"{name}: expected {' or '.join(forms)}, got arguments of types ({got})")


def _values(parameter: inspect.Parameter, given: dict[str, Any]) -> Iterable[Any]:
    if parameter.name not in given:
        return ()
    value = given[parameter.name]
    if parameter.kind is parameter.VAR_POSITIONAL:
        return tuple(value)
    return tuple(value.values()) if parameter.kind is parameter.VAR_KEYWORD else (value,)


def _resolved(annotation: Any, function: Callable[..., Any]) -> Any:
    """The type; Any for an annotation that is not there, or that names what is there for type checkers alone."""
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(inspect.unwrap(function), "__globals__", {}))
    except Exception:
        return Any


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as that can be told. NumPy's numbers and 0-d tensors pass for numbers.

    >>> fits(1, float), fits(1.5, int), fits([1, 2], tuple[int, ...]), fits([1, "a"], list[int])
    (True, False, True, False)
    """
    if hint is None:
        return value is None
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is typing.Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    kind = origin or hint
    if kind is abc.Callable:
        return callable(value)
    if not isinstance(kind, type):
        return True
    if kind in (bool, int, float, complex):
        return _is_number(value, kind)
    if kind in (list, tuple, abc.Sequence, abc.Iterable, abc.Collection):
        return _is_sequence(value, kind, inner)
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that is there for type checkers
        return True


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, str) or getattr(value, "ndim", 0) != 0:
        return False
    if kind is bool:
        return value is None or isinstance(value, int) or hasattr(value, "ndim")
    if kind is int:
        return hasattr(value, "__index__") and bool(-(2**63) <= value < 2**64)
    return hasattr(value, "__float__") or hasattr(value, "__index__") or (kind is complex and isinstance(value, kind))


def _is_sequence(value: Any, kind: type, inner: tuple[Any, ...]) -> bool:
    """Of sequences any will do; items are looked at in lists and tuples."""
    if isinstance(value, (str, bytes, abc.Mapping)):
        return isinstance(value, kind) and inner in ((), (str,))
    if not hasattr(value, "__iter__") or (kind is not abc.Iterable and not hasattr(value, "__len__")):
        return False
    if not isinstance(value, (list, tuple)) or not inner:
        return True
    if kind is tuple and inner[-1] is not ...:
        return len(value) == len(inner) and all(map(fits, value, inner))
    return all(fits(item, inner[0]) for item in value)


def _text(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(_text, inner)))
    if origin is typing.Literal:
        return " | ".join(map(repr, inner))
    kind = origin or hint
    if kind is abc.Callable:
        return "a function"
    if hint is None or kind is types.NoneType:
        return "None"
    name = getattr(kind, "__name__", str(kind))
    items = ", ".join("..." if one is ... else _text(one) for one in inner)
    return f"{name}[{items}]" if inner else str(name)


def _brief(value: Any) -> str:
    plain = value is None or isinstance(value, (bool, int, float, complex, str, list, tuple, dict))
    return reprlib.repr(value) if plain else type(value).__name__


def _mend(value: Any, hint: Any) -> str:
    wanted = _core.Tensor in (hint, *typing.get_args(hint))
    is_data = isinstance(value, (bool, int, float, complex, list, tuple)) or hasattr(value, "__array__")
    return "; make a tensor of it with at.asarray" if wanted and is_data else ""
