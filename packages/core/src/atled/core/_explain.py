"""What to say instead of an error from the inside of a function: which argument was wrong, by the annotations."""

from __future__ import annotations

import inspect
import re
import reprlib
import sys
import types
import typing
from collections import ChainMap, abc
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
    name = _shown(function, args)
    op = _op_in_front(error)
    is_argument_error = isinstance(error, _core.ArgumentError)
    if isinstance(error, _core.AtledError) and not is_argument_error:
        # Of a constructor, which makes its parameters, that may be an argument as well.
        if not op or function.__name__ != "__init__":
            return None
    elif not isinstance(error, _INNER) or not _is_ours(error, function):
        return None
    try:
        signature = inspect.signature(function)
    except ValueError:
        return _of_binding(name, error)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as wrong:
        return _core.ArgumentError(f"{name}: {wrong}; it takes {_parameters(signature)}")
    is_inner = hasattr(error, "__notes__") or hasattr(error, "argument") or op
    if is_argument_error and not (is_inner and signature.parameters.keys().isdisjoint(_WORDS.findall(str(error)))):
        return None
    better = _misfit(name, function, signature, given) or _odd_value(name, given, error)
    if better is None and op and function.__name__ == "__init__":
        error.args = (name + str(error).removeprefix(op),)
        error.add_note(f"in {op}, which {name} calls")
    return better


def _misfit(
    name: str, function: Callable[..., Any], signature: inspect.Signature, given: dict[str, Any]
) -> Exception | None:
    """An error about the first argument that does not fit; bools pass for ints unless nothing else is wrong."""
    for strict in (False, True):
        for parameter in signature.parameters.values():
            hint = _resolved(parameter.annotation, function)
            for value in _values(parameter, given):
                if not fits(value, hint, strict):
                    what = f"expected {parameter.name} to be {_text(hint)}, got {_brief(value)}"
                    error = _core.ArgumentError(f"{name}: {what}{_mend(value, hint)}")
                    error.argument = parameter.name  # type: ignore[attr-defined]
                    return error
    return None


def _odd_value(name: str, given: dict[str, Any], error: Exception) -> Exception | None:
    """Of an error of Python's in atled's own code that types do not explain: zeros, infinities and shapes do."""
    entry = error.__traceback__
    while entry is not None and entry.tb_next is not None:
        entry = entry.tb_next
    if entry is None or not str(entry.tb_frame.f_globals.get("__name__")).startswith("atled."):
        return None
    numbers = {k: v for k, v in given.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    text = str(error)
    if isinstance(error, ZeroDivisionError):
        found, wanted = [k for k, v in numbers.items() if v == 0], "a number other than 0"
    elif isinstance(error, OverflowError) or "NaN" in text:
        found, wanted = [k for k, v in numbers.items() if not abs(v) < 2**63], "a finite number of less than 64 bits"
    elif isinstance(error, IndexError) or "values to unpack" in text:
        shapes = [f"{k} of shape {tuple(v.shape)}" for k, v in given.items() if isinstance(v, _core.Tensor)]
        wrong = f"{name}: expected another number of dimensions, got {', '.join(shapes)}"
        return _core.ShapeError(wrong) if shapes else None
    else:
        return None
    if not found:
        return None
    return _core.InvalidValueError(f"{name}: expected {found[0]} to be {wanted}, got {numbers[found[0]]}")


def _is_ours(error: Exception, function: Callable[..., Any]) -> bool:
    """Whether only atled's code, and what it is written with, had a part in it, no layer or function of a user's."""
    ours = {"atled", "numpy", "einops", function.__module__.partition(".")[0]}
    entry = error.__traceback__
    while entry is not None:
        root = str(entry.tb_frame.f_globals.get("__name__")).partition(".")[0]
        if root not in ours and root not in sys.stdlib_module_names:
            return False
        entry = entry.tb_next
    return True


def _op_in_front(error: Exception) -> str:
    """The op that an error of atled's names; "" for none."""
    head = str(error).partition(": ")[0] if isinstance(error, _core.AtledError) else ""
    return head if head and hasattr(sys.modules["atled.core"], head) else ""


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
        # Modules that load fast import what annotations name for type checkers alone.
        names = getattr(inspect.unwrap(function), "__globals__", {})
        return eval(annotation, {}, ChainMap(names, vars(abc), vars(typing)))
    except Exception:
        return Any


def fits(value: Any, hint: Any, strict: bool = False) -> bool:
    """Whether a value is of a type, as far as that can be told. NumPy's numbers and 0-d tensors pass for numbers,
    and bools for ints unless ``strict``.

    >>> fits(1, float), fits(1.5, int), fits([1, 2], tuple[int, ...]), fits([1, "a"], list[int])
    (True, False, True, False)
    """
    if hint is None:
        return value is None
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one, strict) for one in inner)
    if origin is typing.Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    kind = origin or hint
    if kind is abc.Callable:
        return callable(value)
    if not isinstance(kind, type):
        return True
    if kind in (bool, int, float, complex):
        return _is_number(value, kind) and not (strict and kind is int and isinstance(value, bool))
    if kind in (list, tuple, abc.Sequence, abc.Iterable, abc.Collection):
        return _is_sequence(value, kind, inner, strict)
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


def _is_sequence(value: Any, kind: type, inner: tuple[Any, ...], strict: bool) -> bool:
    """Of sequences any will do; items are looked at in lists and tuples."""
    if isinstance(value, (str, bytes, abc.Mapping)):
        return isinstance(value, kind) and inner in ((), (str,))
    if not hasattr(value, "__iter__") or (kind is not abc.Iterable and not hasattr(value, "__len__")):
        return False
    if not isinstance(value, (list, tuple)) or not inner:
        return True
    if kind is tuple and inner[-1] is not ...:
        return len(value) == len(inner) and all(fits(item, one, strict) for item, one in zip(value, inner, strict=True))
    return all(fits(item, inner[0], strict) for item in value)


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
