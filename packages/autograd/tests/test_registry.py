"""Rules of ops that other wheels register, and rules that arrive through entry points."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import atled.core as at
from atled.autograd import _rule, _tape, coverage, gradcheck, gradgradcheck, rule
from atled.core import _registry

numbers = itertools.count()


def define(schema: str, kernel: Callable[..., Any], **traits: bool) -> tuple[str, Any]:
    """A new op in Python; its namespace is used by no other test."""
    namespace = f"autograd_test_{next(numbers)}"
    op = at.define_op(f"{namespace}::{schema}", "For a test.", **traits)
    at.add_kernel(op, "any", kernel)
    return namespace, op


def leaf(*values: float) -> at.Tensor:
    return at.tensor(list(values), dtype=at.float64, requires_grad=True)


def test_a_rule_by_its_full_name() -> None:
    namespace, op = define("twice(Tensor input, float factor=2.0) -> Tensor", lambda x, factor: x * factor)
    x = leaf(1, 2)
    with pytest.raises(
        at.AutogradError, match=rf'register one: atled.autograd.rule\("{namespace}::twice", input=lambda'
    ):
        op(x)
    rule(f"{namespace}::twice", input=lambda g, factor: g * factor)
    op(x, 3.0).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert gradcheck(op, x) and gradgradcheck(op, x)


def test_a_composite_op_needs_no_rule() -> None:
    _, op = define("square_sum(Tensor input) -> Tensor", lambda x: (x * x).sum(), composite=True)
    assert gradcheck(op, leaf(1, 2)) and gradgradcheck(op, leaf(1, 2))


def test_rules_arrive_through_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace, op = define("third(Tensor input) -> Tensor", lambda x: x / 3)
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[atled.gradients]\n{namespace} = third_party_rules:register\n")
    (tmp_path / "third_party_rules.py").write_text("def register(rule):\n    rule('third', input=lambda g: g / 3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    _registry.refresh()
    try:
        x = leaf(1, 2)
        op(x).sum().backward()
        assert x.grad.tolist() == [1 / 3, 1 / 3]
        assert coverage(namespace) == {f"{namespace}::third": "rule"}
    finally:
        monkeypatch.undo()
        _registry.refresh()


def test_marks() -> None:
    namespace, op = define("steps(Tensor input) -> Tensor", lambda x: x.floor())
    book = _rule.RuleBook(namespace)
    book.non_differentiable("steps")
    x = leaf(1.5)
    for _ in range(2):  # the second call does not enter the tape at all
        assert not op(x).requires_grad
    namespace, op = define("hard(Tensor input) -> Tensor", lambda x: x * 1)
    _rule.RuleBook(namespace).not_implemented("hard", "nobody knows it")
    y = op(x)
    assert y.requires_grad
    with pytest.raises(at.NotImplementedOpError, match="hard: its gradient is not implemented: nobody knows it"):
        y.backward()


def test_outputs_that_carry_no_gradient() -> None:
    namespace, op = define("parts(Tensor input) -> (Tensor value, Tensor size)", lambda x: (x * 2, x.abs().sum()))
    rule(f"{namespace}::parts", input=lambda g: g * 2)
    _rule.RuleBook(namespace).constant("parts", "size")
    value, size = op(leaf(1, 2))
    assert value.requires_grad and not size.requires_grad


def test_several_outputs_by_name() -> None:
    namespace, op = define("both(Tensor input) -> (Tensor low, Tensor high)", lambda x: (x * 2, x * 3))
    rule(f"{namespace}::both", input=lambda g_low, g_high: g_low * 2 + g_high * 3)
    x = leaf(1)
    low, high = op(x)
    high.backward(retain_graph=True)
    assert x.grad.item() == 3
    (low * high).backward()
    assert x.grad.item() == 3 + 12
    assert gradgradcheck(lambda x: op(x)[0] * op(x)[1], leaf(1, 2))


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"input": lambda g, other: g}, "expected parameters among .*; got other"),
        ({"output": lambda g: g}, "expected functions for its tensor arguments, got one for output"),
        ({"factor": lambda g: g}, "expected functions for its tensor arguments, got one for factor"),
    ],
)
def test_rules_that_do_not_fit_their_op(functions: Any, message: str) -> None:
    namespace, op = define("scaled(Tensor input, float factor) -> Tensor", lambda x, factor: x * factor)
    rule(f"{namespace}::scaled", **functions)
    with pytest.raises(at.AutogradError, match=f"rule of {namespace}::scaled: {message}"):
        op(leaf(1), 2.0)
    with pytest.raises(at.AutogradError, match=message):
        _tape.check(f"{namespace}::scaled")


def test_an_argument_without_a_function() -> None:
    namespace, op = define("pair(Tensor input, Tensor other) -> Tensor", lambda x, y: x * y)
    rule(f"{namespace}::pair", input=lambda g, other: g * other)
    op(leaf(1), at.ones(1, dtype=at.float64)).backward()
    with pytest.raises(
        at.AutogradError, match="pair: its gradient rule has no function for other, which requires grad"
    ):
        op(leaf(1), leaf(2))
    rule(f"{namespace}::pair", other=None)
    op(leaf(1), leaf(2)).backward()


def test_a_rule_is_of_functions() -> None:
    with pytest.raises(at.ArgumentError, match="^rule: expected functions or None, got another .* input of x::y"):
        rule("x::y", input="text")  # type: ignore[arg-type]
    with pytest.raises(at.ArgumentError, match="^rule: expected the name of an op, got dict"):
        rule({})  # type: ignore[arg-type]
