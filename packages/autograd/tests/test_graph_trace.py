"""Traces of graphs, replayed call by call through ``at.ops``: they give what the tape gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.autograd import Function, _tape, grad, graph
from atled.autograd.graph import UNKNOWN, Call, Trace, Value
from atled.core._ops import NAMESPACES
from atled.testing import OpSpec, from_numpy, specs
from atled.testing.fuzz._gradient_program import Atled
from atled.testing.fuzz._gradient_steps import draw_program


def values_in(trace: Trace) -> list[Value]:
    found = [*trace.inputs, *trace.constants, *trace.seeds]
    for call in trace.forward:
        for result in call.results:
            found += result if isinstance(result, tuple) else [result] if result is not None else []
    return found


def run(call: Call, environment: dict[str, at.Tensor]) -> None:
    """The interpreter of docs/autograd.md."""

    def operand(value: Any) -> Any:
        if isinstance(value, Value):
            return environment[value.name]
        return [operand(entry) for entry in value] if isinstance(value, list) else value

    namespace, name = call.op.split("::")
    given = {name: operand(value) for name, value in call.arguments.items() if value is not UNKNOWN}
    made = getattr(getattr(at.ops, namespace), name)(**given)
    made = (made,) if len(call.results) == 1 else made
    for result, tensor in zip(call.results, made, strict=True):
        several = isinstance(result, tuple)
        for one, part in zip(result, tensor, strict=True) if several else [(result, tensor)]:
            assert tuple(part.shape) == one.shape and part.dtype == one.dtype
            environment[one.name] = part


def replay(trace: Trace) -> list[at.Tensor | None]:
    environment = {value.name: value.tensor for value in values_in(trace) if value.tensor is not None}
    for call in trace.backward:
        run(call, environment)
    return [None if value is None else environment[value.name] for value in trace.gradients]


def check(outputs: Sequence[at.Tensor], inputs: Sequence[at.Tensor]) -> Trace:
    seeds = [at.ones_like(output.detach()) * 0.5 for output in outputs]
    trace = graph.trace(outputs, inputs, seeds)
    expected = grad(outputs, inputs, seeds, allow_unused=True)
    for got, wanted in zip(replay(trace), expected, strict=True):
        assert (got is None) == (wanted is None)
        if got is not None and wanted is not None:
            np.testing.assert_array_equal(got.numpy(), wanted.detach().numpy())
    return trace


def leaf(*values: float) -> at.Tensor:
    return at.tensor(list(values), dtype=at.float64, requires_grad=True)


def matrix(*values: float) -> at.Tensor:
    return leaf(*values).detach().reshape(2, 2).requires_grad_()


CASES = [spec for spec in specs.find_all(NAMESPACES) if spec.differentiable and spec.reference is not None]


@pytest.mark.parametrize("spec", CASES, ids=str)
def test_every_rule_can_be_replayed(spec: OpSpec) -> None:
    dtype = "complex128" if "complex128" in spec.dtypes else "float64"
    sample = next(spec.draw(dtype, smooth=True), None)
    if sample is None:
        pytest.skip("no smooth sample")
    inputs: list[at.Tensor] = []
    names = [name for name, *_ in spec.op.args]

    def put(value: Any, name: str) -> Any:
        if isinstance(value, np.ndarray):
            tensor = from_numpy(value)
            if value.dtype.kind not in "fc" or not (spec.differentiable is True or name in spec.differentiable):  # type: ignore[operator]
                return tensor
            inputs.append(tensor.requires_grad_())
            return tensor * 1
        if isinstance(value, (list, tuple)):
            return [put(entry, name) for entry in value]
        return getattr(at, value) if name == "dtype" and isinstance(value, str) else value

    args = [put(value, names[min(i, len(names) - 1)]) for i, value in enumerate(sample.args)]
    kwargs = {name: put(value, name) for name, value in sample.kwargs.items()}
    try:
        result = spec.through(spec.op, *args, **kwargs) if spec.through else spec.op(*args, **kwargs)
    except at.AutogradError:
        pytest.skip("some argument has no gradient")
    listed = result if isinstance(result, (list, tuple)) else [result]
    outputs = [output for output in listed if _tape.requires_grad(output)]
    if not outputs:
        pytest.skip("the sample's result is constant")
    check(outputs, inputs)


def test_the_forward_part_runs_on_other_inputs() -> None:
    w, b, x = matrix(1, 2, 3, 4), leaf(0.5, -0.5), leaf(0.1, 0.2)

    def network(w: at.Tensor, b: at.Tensor, x: at.Tensor) -> at.Tensor:
        hidden = (w @ x + b).tanh()
        return (hidden * hidden[0]).exp().sum()

    trace = graph.trace(network(w, b, x), [w, b, x])
    assert not trace.constants and not trace.depends_on_values
    others = matrix(5, 6, -7, 8), leaf(0.1, 0.3), leaf(0.2, 0.1)
    loss = network(*others)
    environment = {value.name: tensor.detach() for value, tensor in zip(trace.inputs, others, strict=True)}
    for call in trace.forward:
        run(call, environment)
    assert environment[trace.outputs[0].name].item() == loss.item()
    environment[trace.seeds[0].name] = at.ones((), dtype=at.float64)
    for call in trace.backward:
        run(call, environment)
    for value, wanted in zip(trace.gradients, grad(loss, others), strict=True):
        assert value is not None and environment[value.name].tolist() == wanted.tolist()


def test_a_trace_as_text_and_as_data() -> None:
    x = leaf(1, 2)
    trace = graph.trace((x * x.exp()).sum(), x)
    exp, mul, _ = trace.forward
    assert exp.op == "core::exp" and exp.arguments == {"input": trace.inputs[0]}
    assert mul.arguments["other"] is exp.results[0] and exp.results[0].shape == (2,)
    assert trace.forward[2].arguments["dtype"] is UNKNOWN
    assert all(value.dtype == at.float64 for call in trace.backward for value in call.results)
    assert str(trace).splitlines()[1] == "  f0: float64[2] = core::exp(input=x0)"
    (x * x.exp()).sum().backward()


def test_the_graph_can_still_run_backward() -> None:
    x = leaf(1, 2)
    y = x.exp().sum()
    graph.trace(y, x)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1, 2]), rtol=1e-15)


def test_inputs_in_the_middle_cut_the_graph() -> None:
    x = leaf(1, 2)
    y = x.exp()
    z = (y * y).sum()
    trace = graph.trace(z, y)
    assert [call.op for call in trace.forward] == ["core::mul", "core::sum"] and len(trace.gradients) == 1
    trace = graph.trace(graph.get_gradient_edge(z), graph.get_gradient_edge(y))
    assert [call.op for call in trace.forward] == ["core::mul", "core::sum"]
    check([z], [y])


def test_leaves_that_are_no_inputs_are_constants() -> None:
    x, w = leaf(1, 2), leaf(3, 4)
    trace = graph.trace((x * w).sum(), x)
    assert [value.tensor.tolist() for value in trace.constants] == [[3, 4]]  # type: ignore[union-attr]


def test_changes_in_place_are_new_values() -> None:
    x = leaf(1, 2, 3)
    y = x * 2
    y[1:] = y[:2].clone() * x[1:]
    y.mul_(3)
    trace = check([y.sin()], [x])
    names = [value.name for call in (*trace.forward, *trace.backward) for value in call.results]
    assert len(set(names)) == len(names)


def test_sums_in_place_during_backward_are_new_values() -> None:
    x = leaf(1, 2)
    y = x.exp()
    trace = check([y * y + y.sin() + y.cos() + y], [x])
    names = [value.name for call in trace.backward for value in call.results]
    assert len(set(names)) == len(names)


def test_second_order_graphs() -> None:
    x = leaf(0.3, 0.7)
    (first,) = grad((x.sin() * x).sum(), x, create_graph=True)
    check([first], [x])


class Twice(Function):
    @staticmethod
    def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
        (x,) = ctx.saved_tensors
        return g * x * 2


def test_functions_are_calls_of_their_own() -> None:
    x = leaf(1, 2)
    trace = check([Twice.apply(x * 3).exp()], [x])
    (call,) = [call for call in trace.forward if call.op == "Function"]
    assert call.function == "Twice" and call.arguments == {"0": trace.forward[0].results[0]}


def test_lists_of_tensors() -> None:
    x, y = leaf(1, 2), leaf(3)
    trace = check([at.cat([*at.split(x * 1, 1), y])], [x, y])
    split, cat = trace.forward[1:]
    assert isinstance(split.results[0], tuple)
    assert cat.arguments["tensors"] == [*split.results[0], trace.inputs[1]]


def test_rules_that_look_at_values_are_named() -> None:
    x = leaf(1, 0, 2)
    assert graph.trace(x.prod(), x).depends_on_values == ("core::prod",)
    assert graph.trace(x.sum(), x).depends_on_values == ()


def test_what_cannot_be_traced() -> None:
    x = leaf(1, 2)
    with pytest.raises(at.AutogradError, match="trace: expected an output with one element, got shape"):
        graph.trace(x.exp(), x)
    with pytest.raises(at.AutogradError, match="expected a tensor that requires grad"):
        graph.trace(x.exp().sum(), at.ones(2))
    assert graph.trace(x.sum(), leaf(1)).gradients == (None,)


def test_the_log_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        _tape.log_calls(lambda: 1 / 0)
    _, rows = _tape.log_calls(lambda: None)
    at.ones(2) + 1
    assert rows == []


def test_rule_programs() -> None:
    x = leaf(1, 2)
    (x.clone().log1p() * 2).sum().backward()
    (program,) = graph.rule_programs("core::log1p")
    assert program.targets == ("input",) and program.parameters == ("g", "input")
    assert [instruction.op for instruction in program.instructions][-1] == "core::div"
    first, *_, last = program.instructions
    assert first.operands[0] == graph.Reference("input") and program.results == (graph.Reference(last.results[0]),)
    assert str(program).startswith("(g, input):\n")


@pytest.mark.parametrize("seed", range(0, 75, 25))
def test_random_programs_can_be_replayed(seed: int) -> None:
    for program in (draw_program(number, 10) for number in range(seed, seed + 25)):
        leaves, slots = program.values(Atled(), [leaf.array for leaf in program.leaves])
        loss = program.loss(Atled(), slots)
        check([loss], leaves)
        assert graph.render(loss).startswith("digraph") and "storages" in str(graph.memory(loss))
