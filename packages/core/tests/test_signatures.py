"""What inspect.signature says of ops, and that calls as it says go through."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import pytest

import atled.core as at
import atled.core.array_api as xp


@pytest.mark.parametrize("op", at._core.ops(), ids=lambda op: op.qualified_name)
def test_every_op_has_a_signature_of_its_schema(op: at.Op) -> None:
    parameters = list(inspect.signature(op).parameters.values())
    for parameter, (name, _, default, flags) in zip(parameters, op.args, strict=False):
        assert parameter.name == name
        assert (parameter.kind is Parameter.KEYWORD_ONLY) == bool(flags & 2)
        assert parameter.default is Parameter.empty or parameter.default == default
    assert len(parameters) >= len(op.args)


def test_signatures() -> None:
    assert str(inspect.signature(at.add)) == "(input, other, *, alpha=1, out=None)"
    assert str(inspect.signature(at.ones(2).add_)) == "(other, *, alpha=1)"
    assert str(inspect.signature(at.zeros)) == (
        "(size, *, dtype=None, device=None, out=None, requires_grad=False, pin_memory=False, layout=None)"
    )
    assert str(inspect.signature(at.broadcast_tensors)) == "(*tensors)"
    # No call can name an argument `from`.
    assert str(inspect.signature(at.ones(2).uniform_)) == "(from=0.0, /, to=1.0, *, generator=None)"


def test_the_array_apis_names_of_arguments_are_in_the_signature() -> None:
    parameters = inspect.signature(at.sum).parameters
    assert parameters["axis"].kind is parameters["keepdims"].kind is Parameter.KEYWORD_ONLY
    assert parameters["axis"].default is None and parameters["keepdims"].default is False
    names = {"x": "input", "a": "input", "x1": "input"}
    assert at.sum.synonyms == {"axis": "dim", "axes": "dim", "keepdims": "keepdim", **names}
    assert at.add.synonyms == {"x2": "other", **names}
    # One that must be given has its own name only: with both the signature would ask for both.
    assert "axis" not in inspect.signature(at.gather).parameters


def test_a_call_binds_as_it_runs() -> None:
    x = at.arange(6).reshape(2, 3)
    for args, kwargs in (((x, 1), {"keepdim": True}), ((x,), {"axis": 0}), ((), {"input": x})):
        bound = inspect.signature(at.sum).bind(*args, **kwargs)
        assert at.equal(at.sum(*bound.args, **bound.kwargs), at.sum(*args, **kwargs))
    with pytest.raises(TypeError):
        inspect.signature(at.sum).bind(x, nonsense=1)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("arange", "(start, /, stop=None, step=1, *, dtype=None, device=None)"),
        ("broadcast_to", "(x, /, shape)"),
        ("empty", "(shape, *, dtype=None, device=None)"),
        ("expand_dims", "(x, /, axis)"),
        ("full", "(shape, fill_value, *, dtype=None, device=None)"),
        ("linspace", "(start, stop, /, num, *, dtype=None, device=None, endpoint=True)"),
        ("ones", "(shape, *, dtype=None, device=None)"),
        ("permute_dims", "(x, /, axes)"),
        ("roll", "(x, /, shift, *, axis=None)"),
        ("zeros", "(shape, *, dtype=None, device=None)"),
    ],
)
def test_the_array_apis_functions_have_its_signatures(name: str, signature: str) -> None:
    parameters = inspect.signature(getattr(xp, name)).parameters.values()
    assert str(inspect.Signature([p.replace(annotation=Parameter.empty) for p in parameters])) == signature


def test_import_does_not_load_inspect() -> None:
    code = "import sys; before = 'inspect' in sys.modules; import atled.core; print(before, 'inspect' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[1] in (found.stdout.split()[0], "False")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: at.add(x1=x, x2=x), lambda x: x + x),
        (lambda x: at.sum(a=x, axis=0), lambda x: x.sum(0)),
        (lambda x: at.exp(x=x), at.exp),
        (lambda x: at.special.bessel_j0(x=x), at.special.bessel_j0),
        (lambda x: at.special.hermite_polynomial_h(x=x, n=2), lambda x: at.special.hermite_polynomial_h(x, 2)),
        (lambda x: at.swapaxes(x, axis0=0, axis1=1), lambda x: x.T),
        (lambda x: x.view(size=(4, 1)), lambda x: x.reshape(4, 1)),
        (lambda x: at.isin(element=2.0, test_elements=x), lambda x: at.isin(2.0, x)),
        (lambda x: at.isin(elements=x, test_element=2.0), lambda x: at.isin(x, 2.0)),
        (lambda x: at.linalg.vector_norm(input=x), at.linalg.vector_norm),
        (lambda x: at.linalg.matrix_norm(input=x, ord=1), lambda x: at.linalg.matrix_norm(x, 1)),
        (lambda x: at.linalg.matrix_power(input=x, n=2), lambda x: at.linalg.matrix_power(x, 2)),
        (lambda x: at.det(input=x), at.det),
        (lambda x: at.inverse(input=x), at.inverse),
        (lambda x: at.linalg.pinv(x, rcond=0.5), lambda x: at.linalg.pinv(x, rtol=0.5)),
        (lambda x: at.linalg.matrix_rank(input=x, tol=1.0), lambda x: at.linalg.matrix_rank(x, atol=1.0)),
    ],
)
def test_names_that_pytorch_takes_beside_its_own(call: Callable[[at.Tensor], Any], expected: Any) -> None:
    x = at.tensor([[2.0, 0.0], [1.0, 3.0]])
    assert at.equal(call(x), expected(x))


def test_an_argument_under_two_names_is_refused() -> None:
    assert at.cholesky_solve.synonyms == {"input": "B", "input2": "L", "b": "B", "other": "B"}
    with pytest.raises(at.ArgumentError, match="several values for argument input"):
        at.exp(input=at.ones(2), x=at.ones(2))


def test_the_only_layout() -> None:
    for made in (
        at.zeros(2, layout=at.strided),
        at.zeros_like(at.ones(2), layout=at.strided),
        at.zeros(2, layout=None),
    ):
        assert made.layout is at.strided and made.tolist() == [0, 0]
    with pytest.raises(at.ArgumentError, match="zeros: expected layout to be at.strided, got str"):
        at.zeros(2, layout="strided")  # type: ignore[call-overload]


def test_places_of_generators_and_grids() -> None:
    generator = at.Generator()
    assert (
        at.poisson(at.zeros(2), generator).tolist()
        == at.binomial(at.ones(2), at.zeros(2), generator).tolist()
        == [0, 0]
    )
    points = at.tensor([[0.5, 0.5], [1.5, 2.5]])
    by_place = at.histogramdd(points, [2, 2], [0.0, 3.0, 0.0, 3.0], None, True)
    by_name = at.histogramdd(points, [2, 2], range=[0.0, 3.0, 0.0, 3.0], density=True)
    assert at.equal(by_place.hist, by_name.hist)
    assert at.histc(at.tensor([1.0, 2.0, 4.0]), 2, 3, 3).tolist() == [2, 1]
