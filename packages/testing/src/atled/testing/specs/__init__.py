"""The specifications of all ops: a module per namespace or, in a package, per family, which lists them in ``SPECS``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache

from .._spec import OpSpec


def find_all(namespaces: Iterable[str]) -> list[OpSpec]:
    """The specifications of several namespaces."""
    return [spec for ns in namespaces for spec in find(ns).values()]


@cache
def find(ns: str) -> dict[str, OpSpec]:
    """The specifications of a namespace by op name, empty when there are none.

    >>> find("core")["add"].name
    'add'
    """
    try:
        root = importlib.import_module(f"{__name__}.{ns}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{ns}":
            raise
        return {}
    modules = [root]
    if hasattr(root, "__path__"):
        names = sorted(info.name for info in pkgutil.iter_modules(root.__path__))
        modules += [importlib.import_module(f"{root.__name__}.{name}") for name in names]
    found: dict[str, OpSpec] = {}
    for module in modules:
        for spec in getattr(module, "SPECS", ()):
            name = spec.name.rpartition("::")[2]
            if spec.ns != ns or name in found:
                raise ValueError(
                    f"{module.__name__}: expected one specification of {ns}::{name}, got {spec.name} again"
                )
            found[name] = spec
    return found
