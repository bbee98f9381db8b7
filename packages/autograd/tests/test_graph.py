"""Looking at the graph: edges, nodes, drawings and the memory that it keeps."""

import json
import re
from typing import Any

import pytest

import atled.core as at
from atled.autograd import Function, backward, grad, graph
from atled.autograd.graph import GradientEdge, Node, get_gradient_edge


def leaf(*values: float) -> at.Tensor:
    return at.tensor(list(values), dtype=at.float64, requires_grad=True)


class Twice(Function):
    @staticmethod
    def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
        return g * 2


# ---- nodes and edges ----


def test_grad_fn_is_a_node() -> None:
    x = leaf(1, 2)
    y = x.exp()
    assert isinstance(y.grad_fn, Node)
    assert y.grad_fn.op == "core::exp" and y.grad_fn.name() == "ExpBackward"
    (accumulate, number), *rest = y.grad_fn.next_functions
    assert accumulate.op is None and accumulate.variable is x and number == 0 and not rest


def test_metadata_lives_as_long_as_the_node() -> None:
    y = leaf(1).exp()
    y.grad_fn.metadata["tag"] = "first"
    assert y.grad_fn.metadata == {"tag": "first"}
    assert (y * 2).grad_fn.metadata == {}


def test_metadata_goes_with_the_node() -> None:
    import weakref

    class Tag:
        pass

    tag = Tag()
    gone = weakref.ref(tag)
    y = leaf(1).exp()
    y.grad_fn.metadata["tag"] = tag
    del tag
    assert gone() is not None
    del y
    assert gone() is None


def test_gradient_edges() -> None:
    x = leaf(1, 2)
    y = x * x
    edge = get_gradient_edge(y)
    assert isinstance(edge, GradientEdge) and edge == (y.grad_fn, 0)
    assert get_gradient_edge(x).node.variable is x
    low, high = at.split(y, 1)
    assert get_gradient_edge(high).output_nr == 1 and get_gradient_edge(low).node == get_gradient_edge(high).node
    with pytest.raises(at.AutogradError, match="expected a tensor that requires grad"):
        get_gradient_edge(at.ones(2))


def test_edges_as_outputs_and_inputs() -> None:
    x = leaf(1, 2)
    y = x * x
    z = (y * 3).sum()
    (of_y,) = grad(z, get_gradient_edge(y), retain_graph=True)
    assert of_y.tolist() == [3, 3]
    first, second = grad([get_gradient_edge(z)], [get_gradient_edge(x), y], retain_graph=True)
    assert first.tolist() == [6, 12] and second.tolist() == [3, 3]
    (of_x,) = grad(get_gradient_edge(y), x, at.tensor([1.0, 10.0], dtype=at.float64), retain_graph=True)
    assert of_x.tolist() == [2, 40]
    backward(get_gradient_edge(z), inputs=[get_gradient_edge(x)])
    assert x.grad.tolist() == [6, 12]


def test_an_edge_outlives_its_tensor() -> None:
    x = leaf(1, 2)
    y = (x * x).sum()
    edge = get_gradient_edge(y)
    del y
    backward(edge)
    assert x.grad.tolist() == [2, 4]


def test_an_unused_edge() -> None:
    x, other = leaf(1, 2), leaf(3).exp()
    assert grad(x.sum(), get_gradient_edge(other), allow_unused=True) == (None,)
    (zeros,) = grad(x.sum(), get_gradient_edge(other), materialize_grads=True)
    assert zeros.tolist() == [0] and zeros.dtype == at.float64
    with pytest.raises(
        at.AutogradError, match=r"no output depends on input 0, the result of exp at .*:\d+ of shape \(1,\)"
    ):
        grad(x.sum(), get_gradient_edge(other))


def test_edges_that_make_no_sense() -> None:
    x = leaf(1, 2)
    y = x * x
    with pytest.raises(at.AutogradError, match="expected a tensor with one element"):
        backward(get_gradient_edge(y))
    with pytest.raises(at.BoundsError, match="to one of 1 outputs, got output 3 of mul"):
        grad(GradientEdge(y.grad_fn, 3), x)
    with pytest.raises(at.ShapeError, match=r"expected gradient 0 of shape \(2,\), got \(3,\)"):
        grad(get_gradient_edge(y), x, at.ones(3, dtype=at.float64))


def test_backward_to_the_edge_of_a_result() -> None:
    x = leaf(1, 2)
    y = x * x
    backward((y * 3).sum(), inputs=get_gradient_edge(y))
    assert y.grad is not None and y.grad.tolist() == [3, 3] and x.grad is None


# ---- drawings ----

TOKEN = re.compile(r'\s*(?:(->|[{}\[\]=;,])|([A-Za-z_]\w*)|"((?:[^"\\]|\\.)*)")')


def parse(text: str) -> tuple[dict[str, dict[str, str]], list[tuple[str, str, dict[str, str]]]]:
    """Nodes and edges of a digraph: the part of DOT's grammar that a graph needs, and nothing else."""
    tokens, at_ = [], 0
    while at_ < len(text.rstrip()):
        match = TOKEN.match(text, at_)
        assert match, f"no token at {text[at_ : at_ + 30]!r}"
        tokens.append(match.group(1) or match.group(2) or '"' + match.group(3))
        at_ = match.end()
    assert tokens[0] == "digraph" and tokens[2] == "{" and tokens[-1] == "}"
    rest = tokens[3:-1]

    def attributes() -> dict[str, str]:
        found: dict[str, str] = {}
        if rest and rest[0] == "[":
            rest.pop(0)
            while rest[0] != "]":
                name, equals, value = rest.pop(0), rest.pop(0), rest.pop(0)
                assert equals == "="
                found[name] = value.removeprefix('"')
                if rest[0] == ",":
                    rest.pop(0)
            rest.pop(0)
        return found

    nodes: dict[str, dict[str, str]] = {}
    edges = []
    while rest:
        name = rest.pop(0)
        if rest[0] == "=":
            rest.pop(0), rest.pop(0)
        elif rest[0] == "->":
            rest.pop(0)
            edges.append((name, rest.pop(0), attributes()))
        elif name != "node":
            nodes[name] = attributes()
        else:
            attributes()
        assert rest.pop(0) == ";"
    return nodes, edges


def test_a_drawing_is_dot_and_has_the_graph() -> None:
    x, w = leaf(1, 2), leaf(3, 4)
    loss = Twice.apply((x * w).exp()).sum()
    nodes, edges = parse(graph.render(loss, {"weight": w, 'the "input"': x}))
    by_label = {attributes["label"].split("\\n")[0]: name for name, attributes in nodes.items()}
    assert set(by_label) == {"weight", r"the \"input\"", "mul", "exp", "Twice", "sum", "output 0"}
    label = nodes[by_label["exp"]]["label"]
    assert "float64[2]" in label and "saves out 16 B" in label
    found = {(source, target): attributes.get("label") for source, target, attributes in edges}
    assert found[by_label["weight"], by_label["mul"]] == "other"
    assert found[by_label["mul"], by_label["exp"]] == "input"
    assert (by_label["sum"], by_label["output 0"]) in found and len(edges) == 6


def test_names_may_come_from_a_module() -> None:
    w = leaf(1)

    class Module:
        def named_parameters(self) -> Any:
            return iter([("layer.weight", w)])

    assert 'label="layer.weight\\nfloat64[1]"' in graph.render(w * 2, Module())


def test_several_outputs_and_list_arguments_are_drawn() -> None:
    x = leaf(1, 2, 3)
    joined = at.cat(at.split(x * 1, 1))
    _, edges = parse(graph.render([joined, x.sin()]))
    labels = [attributes.get("label", "") for *_, attributes in edges]
    assert "tensors[1] (result 1)" in labels
    assert len([target for _, target, _ in edges if target.startswith("end")]) == 2


def test_a_deep_graph_needs_no_recursion() -> None:
    x = leaf(1)
    y = x
    for _ in range(20_000):
        y = y * 1.0
    assert len(graph.memory(y).entries) == 0
    assert graph.render(y).count("->") == 20_001


# ---- memory ----


def test_memory_counts_each_storage_once() -> None:
    x = leaf(*range(1000))
    y = x.exp()  # saves its result
    z = y * y  # saves both arguments: the same storage
    report = graph.memory((z + x.sin()).sum())
    assert report.total == 8000
    assert report.by_op() == {"core::exp": 8000, "core::mul": 0, "core::sin": 0}
    assert [(entry.argument, entry.cost) for entry in report if entry.op == "core::mul"] == [("other", 0), ("input", 0)]
    (sine,) = [entry for entry in report if entry.op == "core::sin"]
    assert sine.leaf and sine.nbytes == 8000 and sine.shape == (1000,) and sine.dtype == "float64"
    assert report.of_leaves == 8000


def test_memory_counts_the_whole_storage_of_a_view() -> None:
    x = leaf(1)
    big = at.ones(1000, dtype=at.float64)
    (entry,) = graph.memory(x * big[:1])
    assert entry.shape == (1,) and entry.nbytes == entry.cost == 8000


def test_memory_after_backward_is_free() -> None:
    x = leaf(1, 2)
    y = x.exp().sum()
    y.backward()
    assert graph.memory(y).total == 0 and len(graph.memory(y)) == 0


def test_memory_as_table_and_as_json() -> None:
    x = leaf(*range(256))
    report = graph.memory(Twice.apply(x * 2).exp().sum())
    text = str(report).splitlines()
    assert text[0].split() == ["saved", "share", "count", "op", "argument", "largest", "where"]
    assert text[1].split()[:6] == ["2.0", "KiB", "50", "%", "1", "Twice"]
    assert text[-1].startswith("4.0 KiB in 2 storages, kept by 5 nodes")
    rows = json.loads(json.dumps(report.as_dicts()))
    assert [row["op"] for row in rows] == ["Twice", "core::exp"] and rows[1]["shape"] == [256]


def test_what_requires_no_grad_has_no_graph() -> None:
    for look in (graph.render, graph.memory):
        with pytest.raises(at.AutogradError, match="expected a tensor that requires grad"):
            look(at.ones(2))
