"""Which rules run without Python, and that the others work all the same."""

from typing import Any

import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import _tape, rule
from atled.autograd._math import conj, scale

HOT = (
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "exp",
    "log",
    "tanh",
    "sigmoid",
    "sqrt",
    "relu",
    "where",
    "matmul",
    "sum",
    "mean",
    "select",
    "slice",
    "transpose",
    "view",
)


@pytest.fixture
def cube_of() -> Any:
    """Replaces square's rule for one test."""
    from atled.autograd import _rule

    known = _rule.find("core", "square")
    assert known is not None

    def put(function: Any) -> Any:
        rule("square", input=function)
        return at.square

    yield put
    rule("square", input=known.parts[0].function)


def mode(op: str) -> list[str]:
    return [row[1] for row in _tape.programs(f"core::{op}")]


def test_hot_ops_run_as_symbolic_programs() -> None:
    x = at.tensor([[0.5, 0.25], [0.75, 0.1]], requires_grad=True)
    y = at.tensor([[0.5, 0.25], [0.75, 0.1]], requires_grad=True)
    result = (x + y - x * y / x).neg().exp().log().tanh().sigmoid().sqrt().relu()
    result = at.where(x > 0, result, y) @ y
    result = (
        result.sum(0)
        + result.mean(1)
        + result[0]
        + result.select(0, 1)
        + result.transpose(0, 1)[0]
        + result.view(4)[:2]
    )
    result.sum().backward()
    for op in HOT:
        assert set(mode(op)) <= {"symbolic", "untried"} and "symbolic" in mode(op), op


def test_a_function_that_looks_at_shapes_is_traced_for_each(cube_of: Any) -> None:
    square = cube_of(lambda g, input: g * input * float(input.ndim))
    for ndim in (1, 2, 3):
        x = at.ones(*[2] * ndim, requires_grad=True)
        square(x).sum().backward()
        assert x.grad.sum().item() == ndim * 2**ndim
    assert _tape.programs("core::square")[0][1:3] == ("special", 3)


def test_a_function_that_looks_at_values_is_called(cube_of: Any) -> None:
    square = cube_of(lambda g, input: g * 2 if bool((input > 0).all()) else g * 3)
    for value, expected in ((1.0, 2), (-1.0, 3)):
        x = at.tensor(value, requires_grad=True)
        square(x).backward()
        assert x.grad.item() == expected
    (_, how, _, why) = _tape.programs("core::square")[0]
    assert how == "python" and "truth" in why


def test_more_shapes_than_programs(cube_of: Any) -> None:
    square = cube_of(lambda g, input: g * input * float(input.shape[0]))
    for n in range(1, 100):
        x = at.ones(n, requires_grad=True)
        square(x).sum().backward()
        assert x.grad.tolist() == [n] * n
    assert _tape.programs("core::square")[0][2] == 64


def test_numbers_and_tensors_have_programs_of_their_own() -> None:
    for exponent in (2, 2.5, at.tensor(2.5), 3, at.tensor(2.0), 1, 0):
        x = at.tensor(1.5, requires_grad=True)
        (x**exponent).backward()
        e = float(exponent)
        assert x.grad.item() == pytest.approx(e * 1.5 ** (e - 1), rel=1e-6)


def test_numbers_are_computed_in_programs() -> None:
    x, w = at.tensor([1.0, 2.0], requires_grad=True), 0.25
    at.lerp(x, at.zeros(2), w).sum().backward()
    assert x.grad.tolist() == [0.75, 0.75]
    assert mode("lerp")[0] == "symbolic"


def test_conj_and_scale_are_free_where_they_have_nothing_to_do() -> None:
    x = at.ones(2)
    assert conj(x) is x and scale(x, 1) is x and conj(1 + 2j) == 1 - 2j
    assert scale(x, 2).tolist() == [2, 2]


def test_names_are_checked_when_a_rule_is_met(cube_of: Any) -> None:
    square = cube_of(lambda g, inputt: g)
    with pytest.raises(
        at.AutogradError, match=r"rule of core::square: expected parameters among g, out, input, .*; got inputt"
    ):
        square(at.ones(1, requires_grad=True))


def test_star_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match=r"expected plain parameters whose names say what to save, got \*args"):
        from atled.autograd._rule import parameter_names

        parameter_names(lambda *args: None)


def test_a_gradient_must_be_a_tensor(cube_of: Any) -> None:
    square = cube_of(lambda g, input: 3)
    with pytest.raises(
        at.AutogradError, match="square: expected its gradient rule to answer a Tensor or None, got int"
    ):
        square(at.ones(1, requires_grad=True)).backward()


def test_joint_rules() -> None:
    from atled.autograd import _rule

    known = _rule.find("core", "hypot")
    assert known is not None
    seen = []

    def both(g: Any, input: Any, other: Any, out: Any, needs: tuple[bool, ...]) -> Any:
        seen.append(needs)
        common = g / out
        return common * input, common * other if needs[1] else None

    try:
        rule.joint("hypot", ("input", "other"), both)
        x, y = at.tensor(3.0, requires_grad=True), at.tensor(4.0, requires_grad=True)
        assert autograd.gradcheck(
            at.hypot, (x.detach().to(at.float64).requires_grad_(), y.detach().to(at.float64).requires_grad_())
        )
        at.hypot(x, 4.0).backward()
        assert x.grad.item() == pytest.approx(0.6)
        assert set(seen) == {(True, True), (True, False)}
    finally:
        _rule._rules["core::hypot"] = known
        _tape.forget("core::hypot")
