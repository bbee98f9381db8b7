"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

from atled import optim

MODULES = [
    info.name
    for info in pkgutil.walk_packages(optim.__path__, "atled.optim.")
    if not info.name.endswith(("._kernels", ".libatled_optim_cuda"))
]


@pytest.mark.parametrize("name", ["atled.optim", *MODULES])
def test_examples(name: str) -> None:
    if name.endswith(("._lbfgs", "._grad_scaler")):  # their examples set gradients
        pytest.importorskip("atled.autograd")
    assert doctest.testmod(importlib.import_module(name)).failed == 0
