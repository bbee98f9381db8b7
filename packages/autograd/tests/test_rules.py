"""Every rule of every registered op against finite differences, at the samples of the ops' specifications.

ATLED_TEST_DEVICE names the device, the CPU unless set.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.autograd import _tape, backward, coverage, gradcheck, gradgradcheck, rule
from atled.autograd._rule import find as find_rule
from atled.core._ops import NAMESPACES
from atled.testing import OpSpec, Sample, from_numpy, specs
from atled.testing._convert import arrays_in

DEVICE = os.environ.get("ATLED_TEST_DEVICE", "cpu")
DIFFERENTIABLE = [spec for spec in specs.find_all(NAMESPACES) if spec.differentiable]
CASES = [(spec, dtype) for spec in DIFFERENTIABLE for dtype in ("float64", "complex128") if dtype in spec.dtypes]


def wanted(spec: OpSpec, name: str, array: Any, dtype: str) -> bool:
    chosen = spec.differentiable is True or name in spec.differentiable  # type: ignore[operator]
    return chosen and isinstance(array, np.ndarray) and array.dtype.name in (dtype, "float64", "complex128")


def leaves(spec: OpSpec, sample: Sample, dtype: str) -> tuple[list[at.Tensor], Any]:
    """The tensors to differentiate in, and a function of them that calls the op."""
    names = [name for name, *_ in spec.op.args]
    tensors: list[at.Tensor] = []

    def put(value: Any, name: str) -> Any:
        if isinstance(value, (list, tuple)) and any(isinstance(entry, np.ndarray) for entry in value):
            places = [put(entry, name) for entry in value]
            return lambda: [place() for place in places]
        if not isinstance(value, np.ndarray):
            fixed = getattr(at, value) if name == "dtype" and isinstance(value, str) else value
            return lambda: fixed
        tensor = from_numpy(value, DEVICE)
        if not wanted(spec, name, value, dtype):
            return lambda: tensor
        tensors.append(tensor.requires_grad_())
        k = len(tensors) - 1
        return lambda: given[k]

    given: list[at.Tensor] = tensors
    args = [put(value, names[min(i, len(names) - 1)]) for i, value in enumerate(sample.args)]
    kwargs = {name: put(value, name) for name, value in sample.kwargs.items()}

    def call(*inputs: at.Tensor) -> Any:
        nonlocal given
        given = list(inputs)
        made = [place() for place in args]
        if "mutates" in spec.op.traits:
            made[0] = made[0] * 1
        made_kwargs = {name: place() for name, place in kwargs.items()}
        return spec.through(spec.op, *made, **made_kwargs) if spec.through else spec.op(*made, **made_kwargs)

    return tensors, call


def smooth(spec: OpSpec, dtype: str) -> Iterator[tuple[list[at.Tensor], Any]]:
    for sample in spec.draw(dtype, smooth=True):
        tensors, call = leaves(spec, sample, dtype)
        if tensors and comparable(call(*tensors)):
            yield tensors, call


def comparable(result: Any) -> bool:
    """Whether finite differences can tell: something is recorded, exact enough, and no NaN."""
    recorded = [t for t in (result if isinstance(result, (list, tuple)) else [result]) if _tape.requires_grad(t)]
    exact = all(t.dtype in (at.float64, at.complex128) for t in recorded)
    return bool(recorded) and exact and not any(bool(at.isnan(t).any()) for t in recorded)


@pytest.mark.parametrize(("spec", "dtype"), CASES, ids=str)
def test_first_and_second_order(spec: OpSpec, dtype: str) -> None:
    checked = 0
    for tensors, call in smooth(spec, dtype):
        gradcheck(call, tensors)
        gradgradcheck(call, tensors)
        checked += 1
    assert checked, f"{spec.name}: expected a smooth sample of {dtype}, got none"


@pytest.mark.parametrize("spec", DIFFERENTIABLE, ids=str)
def test_programs_give_what_python_gives(spec: OpSpec) -> None:
    dtype = "float64" if "float64" in spec.dtypes else spec.dtypes[-1]
    for tensors, call in smooth(spec, dtype):
        traced = gradients(call, tensors)
        before = _tape.set_tracing(False)
        try:
            called = gradients(call, tensors)
        finally:
            _tape.set_tracing(before)
        for a, b in zip(traced, called, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("spec", DIFFERENTIABLE, ids=str)
def test_gradients_have_the_shape_and_dtype_of_their_arguments(spec: OpSpec) -> None:
    """Also of samples that finite differences are not for: no elements, no dimensions, special values, mixed dtypes."""
    dtype = "float32" if "float32" in spec.dtypes else spec.dtypes[-1]
    for sample in spec.draw(dtype):
        if sum(array.size for array in arrays_in([*sample.args, *sample.kwargs.values()])) > 2000:
            continue
        tensors, call = leaves(spec, sample, dtype)
        if not tensors:
            continue
        try:
            result = call(*tensors)
            recorded = [
                t for t in (result if isinstance(result, (list, tuple)) else [result]) if _tape.requires_grad(t)
            ]
            if recorded:
                backward(recorded, [at.ones_like(t) for t in recorded])
        except at.NotImplementedOpError:
            continue
        except at.AutogradError as error:
            assert "expected mode reduced" in str(error)
        for tensor in tensors:
            found = tensor.grad
            assert found is None or (found.shape == tensor.shape and found.dtype == tensor.dtype)


def gradients(call: Any, tensors: list[at.Tensor]) -> list[Any]:
    for tensor in tensors:
        tensor.grad = None
    result = call(*tensors)
    listed = [t for t in (result if isinstance(result, (list, tuple)) else [result]) if _tape.requires_grad(t)]
    at_ones = [at.ones_like(t) for t in listed]
    backward(listed, at_ones)
    return [None if t.grad is None else t.grad.cpu().numpy() for t in tensors]


def states() -> dict[str, str]:
    """Of all registered ops but those that tests have made."""
    return {name: state for name, state in coverage().items() if "_test_" not in name}


def test_every_op_has_a_rule_or_a_mark() -> None:
    missing = [name for name, state in states().items() if state == "missing"]
    assert not missing, (
        f"expected a rule or a mark (rule.non_differentiable, rule.not_implemented), got none for {missing}"
    )


def test_every_rule_fits_its_schema() -> None:
    for name, state in states().items():
        if state == "rule":
            _tape.check(name)


def test_every_rule_is_of_a_registered_op() -> None:
    from atled.autograd import _rule

    namespaces = (*NAMESPACES, "autograd")
    for namespace in namespaces:
        _rule.load(namespace)
    registered = set(coverage())
    strays = [name for name in _rule._rules if name.split("::")[0] in namespaces and name not in registered]
    assert not strays


def test_marked_ops_say_why() -> None:
    for name, state in states().items():
        if state == "not_implemented":
            assert find_rule(*name.split("::")).why  # type: ignore[union-attr]


def test_a_wrong_rule_is_caught() -> None:
    x = at.tensor([0.3, 0.7], dtype=at.float64, requires_grad=True)
    right = find_rule("core", "sin")
    assert right is not None
    try:
        rule("sin", input=lambda g, input: g * at.cos(input) * 1.01)
        assert not gradcheck(at.sin, x, raise_exception=False)
        rule("sin", input=lambda g, input: g * at.cos(input.detach()))
        assert gradcheck(at.sin, x)
        assert not gradgradcheck(at.sin, x, raise_exception=False)
    finally:
        rule("sin", input=right.parts[0].function)
    assert gradgradcheck(at.sin, x)
