"""Every example in the documentation of this package runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

from atled import data

MODULES = [f"atled.data.{module.name}" for module in pkgutil.iter_modules(data.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_name_is_documented() -> None:
    assert all(getattr(data, name).__doc__ for name in data.__all__)


def test_no_other_package_is_imported() -> None:
    folder = Path(data.__path__[0])
    assert not (folder.parent / "__init__.py").exists()
    for file in folder.glob("*.py"):
        text = file.read_text()
        for sibling in ("autograd", "nn", "optim", "distributed"):
            assert f"import atled.{sibling}" not in text
            assert f"from atled.{sibling}" not in text
            assert f"from atled import {sibling}" not in text
