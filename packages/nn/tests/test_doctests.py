"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import atled.core as at
import atled.nn
from atled.core import _core
from atled.testing import raw_errors, without_examples

# The plugin libraries beside the modules are no modules.
MODULES = [info.name for info in pkgutil.walk_packages(atled.nn.__path__, "atled.nn.") if ".lib" not in info.name]


@pytest.mark.parametrize("name", ["atled.nn", *MODULES])
def test_examples(name: str) -> None:
    if name.endswith(("._clip", ".flex_attention")):  # their examples set gradients, or run by vmap
        pytest.importorskip("atled.autograd")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_op_has_an_example_that_runs() -> None:
    # Gradients, and what attention is made of, are called by rules and functions alone.
    _ = at.ops.nn.linear
    ops = [op for op in _core.ops() if op.ns == "nn" and "_backward" not in op.name and "attention" not in op.name]
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    report: list[str] = []
    for op in ops:
        assert ">>>" in op.doc, f"{op.name} has no example"
        runner.run(doctest.DocTestParser().get_doctest(op.doc, {"at": at}, op.name, None, 0), out=report.append)
    assert ops and runner.failures == 0, "".join(report)


def test_every_public_name_has_an_example() -> None:
    public = ["atled.nn", *(name for name in MODULES if "._" not in name)]
    assert [missing for name in public for missing in without_examples(importlib.import_module(name))] == []


def test_bad_arguments_get_errors_of_ours() -> None:
    modules = [importlib.import_module(name) for name in ("atled.nn", *MODULES) if "._" not in name]
    assert [error for module in modules if hasattr(module, "__all__") for error in raw_errors(module)] == []
