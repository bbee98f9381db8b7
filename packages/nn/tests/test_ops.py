"""Every op of nn against its specification, on the device that ATLED_TEST_DEVICE names, and its gradients."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.core import _core
from atled.testing import OpSpec, Sample, check_errors, check_op, specs

DEVICE = os.environ.get("ATLED_TEST_DEVICE", "cpu")
os.environ.setdefault("ATLED_CUDA_LAUNCH_BLOCKING", "1")  # a bad index is its own call's error
SPECS = specs.find("nn")
HERE = [spec for spec in SPECS.values() if DEVICE == "cpu" or not spec.cpu_alone]


@pytest.mark.parametrize(
    ("spec", "dtype"), [pytest.param(s, dtype, id=f"{s}-{dtype}") for s in HERE for dtype in s.dtypes]
)
def test_op(spec: OpSpec, dtype: str) -> None:
    at.manual_seed(0)
    with nn.backends.cudnn.flags(allow_tf32=False):
        check_op(spec, DEVICE, dtype)


@pytest.mark.parametrize("spec", HERE, ids=str)
def test_errors(spec: OpSpec) -> None:
    check_errors(spec, DEVICE)


def test_registry_and_specifications_agree() -> None:
    _ = at.ops.nn.linear
    registered = {op.name for op in _core.ops() if op.ns == "nn"}
    assert registered == set(SPECS)


def test_every_op_has_a_gradient_rule_or_a_mark() -> None:
    rule = pytest.importorskip("atled.autograd._rule")
    assert "missing" not in rule.coverage("nn").values()


def differentiable_arguments(spec: OpSpec, sample: Sample) -> list[int]:
    """Positions of the float arrays that the op is differentiable in."""
    names = [name for name, *_ in spec.op.args]
    wanted = names if spec.differentiable is True else list(spec.differentiable or ())
    return [
        i
        for i, value in enumerate(sample.args)
        if isinstance(value, np.ndarray) and value.dtype == np.float64 and names[i] in wanted
    ]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("spec", [s for s in SPECS.values() if s.differentiable], ids=str)
def test_gradients(spec: OpSpec, order: int) -> None:
    autograd = pytest.importorskip("atled.autograd")
    if not differentiable_arguments(spec, next(spec.draw("float64", smooth=True))):
        pytest.fail(f"{spec.name}: no sample to differentiate")
    check = autograd.gradcheck if order == 1 else autograd.gradgradcheck
    for sample in spec.draw("float64", smooth=True):
        chosen = differentiable_arguments(spec, sample)
        inputs = tuple(at.from_numpy(sample.args[i].copy()).requires_grad_() for i in chosen)

        def call(*tensors: Any, sample: Sample = sample, chosen: list[int] = chosen) -> Any:
            given = [at.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in sample.args]
            for i, tensor in zip(chosen, tensors, strict=True):
                given[i] = tensor
            result = spec.op(*given, **sample.kwargs)
            # Statistics, indices and masks are outputs, but no results to differentiate.
            return result[: 3 if spec.name.endswith("_backward") else 1] if isinstance(result, tuple) else result

        assert check(call, inputs), f"{spec.name}{sample}"
