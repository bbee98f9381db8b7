"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import atled.autograd
from atled.testing import raw_errors, without_examples

MODULES = [
    info.name
    for info in pkgutil.walk_packages(atled.autograd.__path__, "atled.autograd.")
    if not info.name.endswith("._tape")
]


@pytest.mark.parametrize("name", ["atled.autograd", *MODULES])
def test_examples(name: str) -> None:
    if name.endswith("func._modules"):  # its examples have layers
        pytest.importorskip("atled.nn")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_name_has_an_example() -> None:
    # Rules and the switches' module are no interface: what they hold is registered, or handed on.
    public = [name for name in MODULES if "._" not in name and not name.endswith(".grad_mode") and ".rules" not in name]
    modules = map(importlib.import_module, ["atled.autograd", *public])
    assert [missing for module in modules for missing in without_examples(module)] == []


def test_bad_arguments_get_errors_of_ours() -> None:
    names = ("autograd", *(f"autograd.{name}" for name in ("amp", "checkpoint", "forward_ad", "func", "functional")))
    modules = [importlib.import_module(f"atled.{name}") for name in names]
    assert [error for module in modules for error in raw_errors(module)] == []
