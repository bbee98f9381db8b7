"""The fused ops against their specifications."""

import os

import pytest

import atled.core as at
from atled.core import _core
from atled.testing import OpSpec, check_errors, check_op, specs

DEVICE = os.environ.get("ATLED_TEST_DEVICE", "cpu")
SPECS = specs.find("optim")


@pytest.mark.parametrize(
    ("spec", "dtype"), [pytest.param(s, d, id=f"{s}-{d}") for s in SPECS.values() for d in s.dtypes]
)
def test_op(spec: OpSpec, dtype: str) -> None:
    check_op(spec, DEVICE, dtype)


@pytest.mark.parametrize("spec", SPECS.values(), ids=str)
def test_errors(spec: OpSpec) -> None:
    check_errors(spec, DEVICE)


def test_every_op_has_a_specification() -> None:
    assert at.ops.optim.sgd_.ns == "optim"  # loads the library
    assert {op.name for op in _core.ops() if op.ns == "optim"} == set(SPECS)


def test_what_is_written_must_be_writable() -> None:
    with pytest.raises(at.InvalidValueError, match="elements that share memory"):
        at.ops.optim.sgd_([at.ones(1).expand(3)], [at.ones(3)], [], False, lr=0.1)
