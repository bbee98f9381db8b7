"""The calls of a graph, and of its backward run, as lists that a compiler can read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import atled.core as at
from atled.autograd import _engine, _tape
from atled.autograd._tape import Node
from atled.autograd.graph import _walk
from atled.core._explained import explained


class _Unknown:
    """An argument that the tape has not kept, because no gradient needs it."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor in a trace, which one call or nothing makes and any number of later calls use.

    name: "x0" for inputs, "c0" for constants (leaves that are no inputs, and whatever else was not recorded), "f0" for
    results of forward calls, "g0" for gradients of the outputs, "b0" for results of backward calls.
    tensor: what it was when the trace was made, where that is known: not of forward results that no node has kept.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> value = graph.trace((x * x).sum(), x).inputs[0]
    >>> str(value), value.tensor.tolist()
    ('x0: float32[2]', [1.0, 2.0])
    """

    name: str
    shape: tuple[int, ...]
    dtype: at.dtype
    device: at.device
    tensor: at.Tensor | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype.name}{list(self.shape)}"


@dataclass(frozen=True)
class Call:
    """A call of ``op``: arguments by their names in its schema, all of them, and one `Value` for each result.

    An argument is a `Value`, a list of Values and None, a number, a list of numbers, a str, a bool, a dtype, a device,
    None, or `UNKNOWN`. A result is a `Value`, a tuple of them for ops that answer lists, or None for what is no tensor.
    ``op`` is a qualified name that ``at.ops`` knows, or "Function" for a `Function`, whose name is in ``function``.
    ``where`` is the line of the user's program that made a forward call, as in "train.py:12", if it is known.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> call = graph.trace((x * 3).sum(), x).forward[0]
    >>> print(call)
    f0: float32[2] = core::mul(input=x0, other=3)
    """

    op: str
    arguments: Mapping[str, Any]
    results: tuple[Any, ...]
    function: str | None = None
    where: str | None = None

    def __str__(self) -> str:
        made = ", ".join(map(str, _flat(self.results)))
        given = ", ".join(f"{name}={_text(value)}" for name, value in self.arguments.items())
        return f"{made} = {self.op}{f'<{self.function}>' if self.function else ''}({given})"


@dataclass(frozen=True)
class Trace:
    """What `trace` answers; calls are in an order in which they can run, and change nothing in place.

    depends_on_values: the ops whose gradient rules have looked at numbers in tensors, so that other inputs of the same
    shapes may need other calls; empty for most graphs.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> trace = graph.trace(x.exp().sum(), x)
    >>> [call.op for call in trace.forward], [call.op for call in trace.backward]
    (['core::exp', 'core::sum'], ['core::expand', 'core::mul'])
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    constants: tuple[Value, ...]
    forward: tuple[Call, ...]
    seeds: tuple[Value, ...]
    backward: tuple[Call, ...]
    gradients: tuple[Value | None, ...]
    depends_on_values: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"forward({', '.join(map(str, self.inputs))}) with {', '.join(map(str, self.constants)) or 'no constants'}:"
        ]
        lines += [f"  {call}" for call in self.forward]
        lines += [f"  answer {', '.join(value.name for value in self.outputs)}"]
        lines += [f"backward({', '.join(map(str, self.seeds))}):"]
        lines += [f"  {call}" for call in self.backward]
        lines += [f"  answer {', '.join('none' if value is None else value.name for value in self.gradients)}"]
        return "\n".join(lines)


def _flat(results: Sequence[Any]) -> Iterator[Value]:
    for result in results:
        if isinstance(result, tuple):
            yield from _flat(result)
        elif result is not None:
            yield result


def _text(value: Any) -> str:
    if isinstance(value, Value):
        return value.name
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    return value.name if isinstance(value, at.dtype) else repr(value)


class _Tracer:
    """Names values as they turn up."""

    def __init__(self) -> None:
        self.known: dict[int, Value] = {}  # by the id of a tensor that `kept` keeps alive
        self.kept: list[at.Tensor] = []
        self.constants: list[Value] = []
        self.counts: dict[str, int] = {}

    def name(self, kind: str) -> str:
        number = self.counts.get(kind, 0)
        self.counts[kind] = number + 1
        return f"{kind}{number}"

    def value(self, kind: str, tensor: at.Tensor) -> Value:
        made = Value(self.name(kind), tuple(tensor.shape), tensor.dtype, tensor.device, tensor.detach())
        self.remember(tensor, made)
        return made

    def remember(self, tensor: at.Tensor, value: Value) -> None:
        self.known[id(tensor)] = value
        self.kept.append(tensor)

    def of(self, tensor: at.Tensor) -> Value:
        """The value of a tensor; a new constant for one that was not seen before."""
        found = self.known.get(id(tensor))
        if found is None:
            found = self.value("c", tensor)
            self.constants.append(found)
        return found

    def operand(self, value: Any) -> Any:
        if isinstance(value, at.Tensor):
            return self.of(value)
        if isinstance(value, (list, tuple)):
            return [self.operand(entry) for entry in value]
        return value

    def result(self, kind: str, value: Any) -> Any:
        if isinstance(value, at.Tensor):
            return self.value(kind, value)
        return tuple(self.result(kind, entry) for entry in value) if isinstance(value, (list, tuple)) else None


class _Forward:
    """The recorded calls between inputs and outputs, from what their nodes hold."""

    def __init__(self, tracer: _Tracer, inputs: list[_engine.Edge], values: list[Value]) -> None:
        self.tracer = tracer
        self.ends = {_place(edge): value for edge, value in zip(inputs, values, strict=True)}
        self.calls: list[Call] = []
        self.ops: set[str] = set()

    def run(self, outputs: list[_engine.Edge]) -> list[Value]:
        nodes: dict[int, Node] = {}
        waiting = [edge for edge in outputs if _place(edge) not in self.ends]
        while waiting:
            node, _ = waiting.pop()
            if node.sequence_number in nodes:
                continue
            nodes[node.sequence_number] = node
            following = [(n, i) for n, i in node.next_functions if n is not None]
            waiting += [edge for edge in following if _place(edge) not in self.ends]
        for number in sorted(nodes):
            self._visit(nodes[number])
        return [self.ends[_place(edge)] for edge in outputs]

    def _visit(self, node: Node) -> None:
        if node.variable is not None:
            self.ends.setdefault((node.sequence_number, 0), self.tracer.of(node.variable))
            return
        saved = _tape.saved(node)
        results = self._results(node, saved)
        edges = [None if n is None else self.ends[_place((n, i))] for n, i in node.next_functions]
        if node.op is None:
            arguments = {str(i): UNKNOWN if value is None else value for i, value in enumerate(edges)}
            self.calls.append(Call("Function", arguments, results, _walk.short_name(node), node.where))
            return
        self.ops.add(node.op)
        kept = {name: value for kind, name, value in saved if kind == "argument"}
        from_edges: dict[str, dict[int, Value | None]] = {}
        for (name, place), value in zip(_tape.edge_names(node), edges, strict=True):
            from_edges.setdefault(name, {})[place] = value
        arguments = {}
        for name, *_ in _op(node.op).args:
            arguments[name] = self._argument(from_edges.get(name, {}), kept.get(name, UNKNOWN))
        list_result = _op(node.op).results[0][1].startswith("Tensor[")
        self.calls.append(Call(node.op, arguments, (results,) if list_result else results, where=node.where))

    def _results(self, node: Node, saved: list[tuple[str, str, Any]]) -> tuple[Value | None, ...]:
        names = [name or "out" for name, _ in _op(node.op).results] if node.op else []
        tensors = {names.index(name): value for kind, name, value in saved if kind == "output"}
        results: list[Value | None] = []
        for i, described in enumerate(_tape.outputs(node)):
            value = None
            if described is not None:
                shape, dtype, device = described
                value = Value(self.tracer.name("f"), shape, dtype, device, tensors.get(i))
                self.ends.setdefault((node.sequence_number, i), value)
                if i in tensors:
                    self.tracer.remember(tensors[i], self.ends[node.sequence_number, i])
            results.append(value)
        return tuple(results)

    def _argument(self, edges: dict[int, Value | None], kept: Any) -> Any:
        """What edges lead to, else what was kept; a kept tensor is the value at the other end of its edge."""
        if -1 in edges:
            return self._end(edges[-1], kept)
        if edges:
            entries = kept if isinstance(kept, (list, tuple)) else [UNKNOWN] * len(edges)
            return [self._end(edges[i], entry) for i, entry in enumerate(entries)]
        return self.tracer.operand(kept)

    def _end(self, value: Value | None, kept: Any) -> Any:
        if value is None:
            return self.tracer.operand(kept)
        if isinstance(kept, at.Tensor) and id(kept) not in self.tracer.known:
            self.tracer.remember(kept, value)
            if value.tensor is None:
                object.__setattr__(value, "tensor", kept.detach())
        return value


def _place(edge: _engine.Edge) -> tuple[int, int]:
    return edge[0].sequence_number, edge[1]


def _op(qualified_name: str) -> Any:
    namespace, name = qualified_name.split("::")
    return getattr(getattr(at.ops, namespace), name)


def _backward(tracer: _Tracer, rows: list[Any]) -> list[Call]:
    calls = []
    for op, given, made, in_place in rows:
        names = [name for name, *_ in _op(op).args]
        arguments = {name: tracer.operand(value) for name, value in zip(names, given, strict=True)}
        # A change in place gives the tensor a new value: those that were there before stay what they are.
        calls.append(Call(op, arguments, tuple(tracer.result("b", value) for value in made)))
        if in_place:
            tracer.remember(given[0], calls[-1].results[0])
    return calls


@explained
def trace(outputs: _engine.Ends, inputs: _engine.Ends, grad_outputs: _engine.Gradients = None) -> Trace:
    """The recorded calls from ``inputs`` to ``outputs``, and those that compute the inputs' gradients.

    outputs, inputs, grad_outputs: as those of `grad`; an input that no output depends on has the gradient None.
    Runs backward once, and keeps every result until it is done. The graph stays as it is, and can still be run.

    The forward part is what the nodes hold: arguments that no gradient needs are `UNKNOWN`. The backward part is
    complete: what the rules' programs call, step by step, with the sums and casts in between. The page "How
    differentiation works" of the documentation describes the form.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> print(graph.trace((x * x.exp()).sum(), x))
    forward(x0: float32[2]) with no constants:
      f0: float32[2] = core::exp(input=x0)
      f1: float32[2] = core::mul(input=x0, other=f0)
      f2: float32[] = core::sum(input=f1, dim=None, keepdim=False, dtype=unknown)
      answer f2
    backward(g0: float32[]):
      b0: float32[2] = core::expand(input=g0, size=[2])
      b1: float32[2] = core::mul(input=b0, other=f0)
      b2: float32[2] = core::mul(input=b0, other=x0)
      b3: float32[2] = core::mul(input=b2, other=f0)
      b4: float32[2] = core::add(input=b1, other=b3, alpha=1)
      answer b4
    """
    tracer = _Tracer()
    given, targets = _engine._listed(outputs), _engine._listed(inputs)
    starts, ends = _walk.edges_of(outputs), _walk.edges_of(inputs)
    forward = _Forward(tracer, ends, [_input(tracer, target) for target in targets])
    results = forward.run(starts)
    for end, value in zip(given, results, strict=True):
        if isinstance(end, at.Tensor):
            tracer.remember(end, value)
    seeds = [
        _seed(end, seed) for end, seed in zip(given, _engine._seeds(grad_outputs, len(given), "trace"), strict=True)
    ]
    named = [tracer.value("g", seed) for seed in seeds]

    def run() -> Any:
        return _tape.backward(given, seeds, True, False, targets, False)

    gradients, rows = _tape.log_calls(run)
    calls = _backward(tracer, rows)
    looked = [op for op in sorted(forward.ops) if any(mode == "python" for _, _, mode, *_ in _tape.program_rows(op))]
    return Trace(
        inputs=tuple(forward.ends[_place(edge)] for edge in ends),
        outputs=tuple(results),
        constants=tuple(tracer.constants),
        forward=tuple(forward.calls),
        seeds=tuple(named),
        backward=tuple(calls),
        gradients=tuple(None if gradient is None else tracer.of(gradient) for gradient in gradients),
        depends_on_values=tuple(looked),
    )


def _input(tracer: _Tracer, end: at.Tensor | _engine.Edge) -> Value:
    if isinstance(end, at.Tensor):
        return tracer.value("x", end)
    if end[0].variable is not None:
        return tracer.value("x", end[0].variable)
    shape, dtype, device = _engine._described(end)
    return Value(tracer.name("x"), shape, dtype, device)


def _seed(end: at.Tensor | _engine.Edge, given: at.Tensor | None) -> at.Tensor:
    if given is not None:
        return _tape.detach(given)
    shape, dtype, device = _engine._described(end)
    if any(n != 1 for n in shape):
        raise at.AutogradError(
            f"trace: expected an output with one element, got shape {shape}; reduce it, or give its gradient"
        )
    return at.ones(shape, dtype=dtype, device=device)
