"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import atled.autograd

MODULES = [
    info.name
    for info in pkgutil.walk_packages(atled.autograd.__path__, "atled.autograd.")
    if not info.name.endswith("._tape")
]


@pytest.mark.parametrize("name", ["atled.autograd", *MODULES])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
