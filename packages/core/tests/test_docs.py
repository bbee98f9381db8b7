"""The examples in doc strings run and print what they say."""

import doctest
import importlib
import pydoc
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import atled.core as at
from atled.core import _core, _reference
from atled.core._ops import NAMESPACES

PUBLIC = [op for op in _core.ops() if op.ns in NAMESPACES and "private" not in op.traits]
OPS = [op for op in _core.ops() if op.ns in NAMESPACES and ">>>" in op.doc]
NEEDS_TENSORBOARD = pytest.mark.skipif(not find_spec("tensorboardX"), reason="tensorboardX is not installed")
MODULES = (
    *("_printing", "_serialization", "_registry", "_paths", "_reference", "multiprocessing"),
    *("_dtypes", "_facts", "_functions", "_settings", "_overloads", "array_api"),
    *("accelerator", "backends", "utils.pytree"),
    pytest.param(
        "utils.tensorboard", marks=pytest.mark.skipif(not find_spec("tensorboardX"), reason="no tensorboardX")
    ),
    *("profiler", "profiler._events", "profiler._profile", "profiler._record", "profiler._schedule"),
)


def run(text: str, name: str, names: dict[str, Any]) -> None:
    example = doctest.DocTestParser().get_doctest(text, {"at": at, **names}, name, None, 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.qualified_name)
def test_example_of_an_op(op: _core.Op) -> None:
    run(op.doc, op.name, {})


def test_every_op_has_an_example() -> None:
    # An in-place form has none: its text points at the plain form.
    assert [op.qualified_name for op in PUBLIC if ">>>" not in op.doc] == []


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"atled.core.{name}")
    names = {**vars(module), "folder": tmp_path}
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs={}):
        if test.examples:
            run(test.docstring or "", test.name, names)


@pytest.mark.parametrize(
    "op",
    [op for ns in NAMESPACES for op in _reference.describe_all(_core.ops(), ns)],
    ids=lambda op: f"{op.ns}-{op.name}",
)
def test_the_reference_page_of_an_op(op: _reference.OpReference) -> None:
    page = _reference.page(op)
    assert page.startswith(f".. py:function:: {op.name}(") and op.schema in page
    compile(f"def {_reference.signature(op).replace('...', 'None')}: pass".replace("from=", "from_="), op.name, "exec")


def test_ops_and_their_class_have_texts() -> None:
    assert isinstance(_core.Op.__doc__, str) and "schema" in _core.Op.__doc__
    lines = (at.log1p.__doc__ or "").splitlines()
    assert lines[0] == "log1p(Tensor input) -> Tensor"
    facts = lines.index("Element by element.")
    assert lines[facts + 1] == "Dtypes: bool and integers (giving the default float), floats, complex."
    assert lines[facts + 2] == "Also Tensor.log1p, log1p_ (in place), atled.core.special.log1p."
    assert lines[facts + 4].startswith(">>> ")
    assert "log1p(Tensor input) -> Tensor" in pydoc.plain(pydoc.render_doc(at.log1p))
    assert "made from the registry" in pydoc.plain(pydoc.render_doc(_core.Op))
