"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import atled.core as at
from atled import optim
from atled.core import _core
from atled.testing import raw_errors, without_examples

MODULES = [
    info.name
    for info in pkgutil.walk_packages(optim.__path__, "atled.optim.")
    if not info.name.endswith(("._kernels", ".libatled_optim_cuda"))
]


@pytest.mark.filterwarnings("ignore:.*before any optimizer.step:UserWarning")  # examples of schedules alone
@pytest.mark.parametrize("name", ["atled.optim", *MODULES])
def test_examples(name: str) -> None:
    if name.endswith(("._lbfgs", "._grad_scaler", "._clip")):  # their examples set gradients
        pytest.importorskip("atled.autograd")
    if name.endswith(".swa_utils"):  # its examples have layers
        pytest.importorskip("atled.nn")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_op_has_an_example_that_runs() -> None:
    _ = at.ops.optim.sgd_
    ops = [op for op in _core.ops() if op.ns == "optim"]
    runner = doctest.DocTestRunner(verbose=False)
    report: list[str] = []
    for op in ops:
        assert ">>>" in op.doc, f"{op.name} has no example"
        runner.run(doctest.DocTestParser().get_doctest(op.doc, {"at": at}, op.name, None, 0), out=report.append)
    assert ops and runner.failures == 0, "".join(report)


def test_every_public_name_has_an_example() -> None:
    modules = map(importlib.import_module, ["atled.optim", *(name for name in MODULES if "._" not in name)])
    assert [missing for module in modules for missing in without_examples(module)] == []


def test_bad_arguments_get_errors_of_ours() -> None:
    modules = map(importlib.import_module, ("atled.optim", "atled.optim.lr_scheduler", "atled.optim.swa_utils"))
    assert [error for module in modules for error in raw_errors(module)] == []
