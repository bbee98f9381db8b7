"""Every op of core's namespaces against its specification.

ATLED_TEST_DEVICE names the device (the CPU unless set), ATLED_TEST_PLUGIN a plugin library to load first, and
ATLED_TEST_LAYER a C function of it, called with 1 before each test and with 0 after it.
"""

import ctypes
import os
from collections.abc import Iterator

import pytest

import atled.core as at
from atled.core import _core, _reference
from atled.core._ops import NAMESPACES
from atled.testing import OpSpec, check_errors, check_op, specs

DEVICE = os.environ.get("ATLED_TEST_DEVICE", "cpu")
PLUGIN = os.environ.get("ATLED_TEST_PLUGIN")
LAYER = os.environ.get("ATLED_TEST_LAYER")
SPECS = specs.find_all(NAMESPACES)

if PLUGIN:
    _core.load_plugin(PLUGIN)


@pytest.fixture(autouse=True)
def layer() -> Iterator[None]:
    """Switches the plugin's layer on for this thread, where one is asked for."""
    if not (PLUGIN and LAYER):
        yield
        return
    switch = getattr(ctypes.CDLL(PLUGIN), LAYER)
    switch(1)
    yield
    switch(0)


@pytest.mark.parametrize(
    ("spec", "dtype"), [pytest.param(s, dtype, id=f"{s}-{dtype}") for s in SPECS for dtype in s.dtypes]
)
def test_op(spec: OpSpec, dtype: str) -> None:
    at.manual_seed(0)
    check_op(spec, DEVICE, dtype)


@pytest.mark.parametrize("spec", [s for s in SPECS if s.errors], ids=str)
def test_errors(spec: OpSpec) -> None:
    check_errors(spec, DEVICE)


def test_registry_and_specifications_agree() -> None:
    registered = {op.qualified_name for op in _core.ops() if op.ns in NAMESPACES}
    specified = {f"{spec.ns}::{spec.op.name}" for spec in SPECS}
    assert registered - specified == set(), "ops without a specification"
    assert specified - registered == set(), "specifications without an op"


def test_every_op_is_documented() -> None:
    undocumented = [op.name for op in _core.ops() if op.ns in NAMESPACES and not op.doc.strip()]
    assert undocumented == []


def test_every_public_op_is_a_function_and_where_it_can_be_a_method() -> None:
    for ns in NAMESPACES:
        module = at if ns == "core" else getattr(at, ns)
        for op in _reference.describe_all(_core.ops(), ns):
            for name in (op.name, *op.aliases):
                assert callable(getattr(module, name)), name
                if op.is_method:
                    assert hasattr(at.Tensor, name), name
                if op.has_inplace:
                    assert callable(getattr(module, f"{name}_")), name


def test_specifications_name_real_arguments() -> None:
    for spec in SPECS:
        arguments = {row[0] for row in spec.op.args}
        if isinstance(spec.differentiable, tuple):
            assert set(spec.differentiable) <= arguments, spec.name
