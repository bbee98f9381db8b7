"""What inspect.signature says of ops, and that calls as it says go through."""

from __future__ import annotations

import inspect
import subprocess
import sys
from inspect import Parameter

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
        "(size, *, dtype=None, device=None, out=None, requires_grad=False, pin_memory=False)"
    )
    assert str(inspect.signature(at.broadcast_tensors)) == "(*tensors)"
    # No call can name an argument `from`.
    assert str(inspect.signature(at.ones(2).uniform_)) == "(from=0.0, /, to=1.0, *, generator=None)"


def test_the_array_apis_names_of_arguments_are_in_the_signature() -> None:
    parameters = inspect.signature(at.sum).parameters
    assert parameters["axis"].kind is parameters["keepdims"].kind is Parameter.KEYWORD_ONLY
    assert parameters["axis"].default is None and parameters["keepdims"].default is False
    assert at.sum.synonyms == {"axis": "dim", "axes": "dim", "keepdims": "keepdim"}
    assert at.add.synonyms == {}
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
