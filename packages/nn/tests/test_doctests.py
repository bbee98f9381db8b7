"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import atled.nn

# The plugin libraries beside the modules are no modules.
MODULES = [info.name for info in pkgutil.walk_packages(atled.nn.__path__, "atled.nn.") if ".lib" not in info.name]


@pytest.mark.parametrize("name", ["atled.nn", *MODULES])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
