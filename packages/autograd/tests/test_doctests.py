"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import atled.autograd

MODULES = [
    f"atled.autograd.{info.name}" for info in pkgutil.iter_modules(atled.autograd.__path__) if info.name != "_tape"
]


@pytest.mark.parametrize("name", ["atled.autograd", *MODULES])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
