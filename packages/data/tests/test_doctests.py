"""Every example in the documentation of this package runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

from atled import data
from atled.testing import raw_errors

MODULES = [f"atled.data.{module.name}" for module in pkgutil.iter_modules(data.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_name_has_an_example() -> None:
    public = {name: getattr(data, name) for name in data.__all__}
    assert all(value.__doc__ for value in public.values())
    errors = [name for name, value in public.items() if isinstance(value, type) and issubclass(value, Exception)]
    assert [name for name, value in public.items() if name not in errors and ">>>" not in value.__doc__] == []


def test_bad_arguments_get_errors_of_ours() -> None:
    assert raw_errors(data) == []


def test_no_other_package_is_imported() -> None:
    folder = Path(data.__path__[0])
    assert not (folder.parent / "__init__.py").exists()
    for file in folder.glob("*.py"):
        text = file.read_text()
        for sibling in ("autograd", "nn", "optim", "distributed"):
            assert f"import atled.{sibling}" not in text
            assert f"from atled.{sibling}" not in text
            assert f"from atled import {sibling}" not in text
