"""What is public and no op has an example; those that test_docs.py does not know of run here."""

import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import test_docs

import atled.core as at
from atled.core import _core

HERE = Path(at.__file__).parent
NAMESPACES = (at, at.linalg, at.fft, at.special, at.cuda, at.multiprocessing, at.signal.windows)
LEAVES = (at.accelerator, at.cuda.nvtx, at.utils.hooks)  # what these import is none of theirs
CLASSES = (at.Tensor, at.Generator, at.Size)
EXCUSED = {
    "Op",  # its text says how to see that of an op
    "detach",  # comes with atled-autograd
    "Generator.device",
    # Short for `to`.
    *(f"Tensor.{name}" for name in ("bool", "byte", "char", "short", "int", "long", "half", "bfloat16", "float")),
    *("Tensor.double", "Tensor.cfloat", "Tensor.cdouble"),
}


def of_a_module(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What it has that is documented here: no ops, no modules, no errors and nothing of another library."""
    home = module.__name__ if module in LEAVES else "atled.core"
    for name in getattr(module, "__all__", None) or dir(module):
        value = getattr(module, name)
        if name.startswith("_") or isinstance(value, (_core.Op, ModuleType)) or not callable(value):
            continue
        error = isinstance(value, type) and issubclass(value, BaseException)
        if not error and (value is _core.Op or value.__module__.startswith(home)):
            yield name, value


def of_a_class(cls: type) -> Iterator[tuple[str, Any]]:
    for name in (set(dir(cls)) - set(dir(tuple))) if cls is at.Size else dir(cls):
        in_place = name.endswith("_") and hasattr(cls, name[:-1])
        if not (name.startswith("_") or in_place or isinstance(value := getattr(cls, name), _core.Op)):
            yield f"{cls.__name__}.{name}", value


def test_every_name_has_an_example() -> None:
    named = [pair for module in NAMESPACES + LEAVES for pair in of_a_module(module)]
    named += [pair for cls in CLASSES for pair in of_a_class(cls)]
    assert len(named) > 250
    assert {name for name, value in named if ">>>" not in (inspect.getdoc(value) or "")} == EXCUSED


@pytest.mark.parametrize("owner", [_core, *CLASSES, at.device, at.dtype], ids=lambda owner: owner.__name__)
def test_examples_of_c(owner: Any) -> None:
    texts = {owner.__name__: owner.__doc__}
    for name, value in inspect.getmembers(owner):
        if not isinstance(value, (type, _core.Op)) and not inspect.isfunction(inspect.unwrap(value)):
            texts[name] = getattr(value, "__doc__", None)
    for name, text in texts.items():
        if isinstance(text, str) and ">>>" in text:
            test_docs.run(text, name, {})


def modules() -> Iterator[str]:
    """Those with examples, but what needs a GPU."""
    for file in HERE.rglob("*.py"):
        name = ".".join(file.relative_to(HERE).with_suffix("").parts).removesuffix("__init__").strip(".")
        if ">>>" in file.read_text() and name not in test_docs.MODULES and not name.startswith("cuda"):
            yield name


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples_of_a_module(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"atled.core.{name}".strip("."))
    names = {**vars(module), "folder": tmp_path}
    for test in doctest.DocTestFinder(recurse=bool(name)).find(module, name or "core", globs={}):
        if test.examples:
            test_docs.run(test.docstring or "", test.name, names)
