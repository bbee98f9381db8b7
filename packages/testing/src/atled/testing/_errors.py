"""Whether what a package exports answers bad arguments with errors of atled's."""

import inspect
from enum import Enum
from types import ModuleType

import atled.core as at
from atled.core._explained import explained


@explained
def raw_errors(module: ModuleType) -> list[str]:
    """The functions and classes that a module exports, with what they raise for bad arguments that is no AtledError.

    Each is called with None, and then an object of no use, for every argument that has no default. What raises nothing
    is content with them; exceptions, enumerations and abstract classes are left out, and what needs a package that is
    not installed.

    >>> from types import ModuleType
    >>> module = ModuleType("sample")
    >>> module.__all__, module.first = ["first"], lambda items: items[0]
    >>> raw_errors(module)
    ["sample.first(None): TypeError: 'NoneType' object is not subscriptable"]
    """
    found = []
    for name in module.__all__:
        value = getattr(module, name)
        is_excused = isinstance(value, type) and (issubclass(value, (BaseException, Enum)) or inspect.isabstract(value))
        if not callable(value) or is_excused:
            continue
        try:
            parameters = inspect.signature(value).parameters.values()
        except ValueError:
            continue
        needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        for bad in (None, object()) if needed else ():
            args = [bad for p in needed if p.kind is not p.KEYWORD_ONLY]
            try:
                value(*args, **{p.name: bad for p in needed if p.kind is p.KEYWORD_ONLY})
            except (at.AtledError, ImportError):
                continue
            except Exception as error:
                found.append(f"{module.__name__}.{name}({bad}): {type(error).__name__}: {error}")
                break
    return found
