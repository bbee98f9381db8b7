"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import atled.nn
from atled.testing import without_examples

# The plugin libraries beside the modules are no modules.
MODULES = [info.name for info in pkgutil.walk_packages(atled.nn.__path__, "atled.nn.") if ".lib" not in info.name]


@pytest.mark.parametrize("name", ["atled.nn", *MODULES])
def test_examples(name: str) -> None:
    if name.endswith("._clip"):  # its examples set gradients
        pytest.importorskip("atled.autograd")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_name_has_an_example() -> None:
    public = ["atled.nn", *(name for name in MODULES if "._" not in name)]
    assert [missing for name in public for missing in without_examples(importlib.import_module(name))] == []
