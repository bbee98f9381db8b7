"""Whether what a package exports is documented with examples."""

import inspect
import re
from types import ModuleType

from atled.core._explained import explained


@explained
def without_examples(module: ModuleType) -> list[str]:
    """The functions and classes that a module exports and that have no example in their docstrings.

    What it exports is its ``__all__``, or else what it defines under a name without an underscore. Exceptions need
    none, nor does ``f_`` that says of itself that it is ``f`` in place.

    >>> from types import ModuleType
    >>> module = ModuleType("sample")
    >>> module.__all__, module.shown, module.mute = ["mute", "shown"], lambda: 1, lambda: 2
    >>> module.shown.__doc__ = ">>> shown()"
    >>> without_examples(module)
    ['sample.mute']
    """
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
    found = []
    for name in getattr(module, "__all__", [name for name in own if not name.startswith("_")]):
        value = getattr(module, name)
        is_error = isinstance(value, type) and issubclass(value, BaseException)
        if inspect.ismodule(value) or not callable(value) or is_error:
            continue
        text = inspect.getdoc(value) or ""
        if ">>>" not in text and not re.match(rf"`{name.removesuffix('_')}` in place\b", text):
            found.append(f"{module.__name__}.{name}")
    return found
