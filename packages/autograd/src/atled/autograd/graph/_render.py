"""Drawing the graph."""

from atled.autograd import _engine, _tape
from atled.autograd._tape import Node
from atled.autograd.graph import _walk
from atled.core._explained import explained


def _quoted(*lines: str) -> str:
    """A DOT string; \\l would align to the left, \\n centres."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines if line)
    return '"' + "\\n".join(escaped) + '"'


def _saved(node: Node) -> str:
    parts = []
    for _, name, value in _tape.saved(node):
        tensors = _walk.tensors_in(value)
        if tensors:
            nbytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
            parts.append(f"{name} {_walk.size_words(nbytes)}")
    return f"saves {', '.join(parts)}" if parts else ""


def _described(node: Node) -> list[str]:
    found = [output for output in _tape.outputs(node) if output is not None]
    lines = [f"{dtype.name}{list(shape)}" for shape, dtype, _ in found]
    return lines if len(lines) <= 3 else [*lines[:2], f"... {len(lines)} results"]


def _box(node: Node, names: dict[int, str]) -> str:
    leaf = node.variable
    if leaf is not None:
        label = _quoted(names.get(id(leaf), "leaf"), *_described(node))
        return f"n{node.sequence_number} [label={label}, shape=ellipse, style=filled, fillcolor=lightblue];"
    lines = (_walk.short_name(node), *_described(node), _saved(node), node.where or "")
    return f"n{node.sequence_number} [label={_quoted(*lines)}];"


@explained
def render(outputs: _engine.Ends, names: _walk.Names | None = None) -> str:
    """The graph behind ``outputs`` as text in graphviz' DOT language, from the leaves down to the outputs.

    outputs: tensors that require grad, or edges. names: the leaves' names: a dict, pairs of name and tensor, or a
    module. Each box has the op, the shape and dtype of its results, what it saves, and the line that called it; edges
    have the argument.

    Draw it with ``dot -Tsvg``, or in a notebook with ``graphviz.Source(text)``.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> w = at.ones(2, requires_grad=True)
    >>> print(graph.render(w.exp(), {"weight": w}))  # doctest: +ELLIPSIS
    digraph graph_of_calls {
      rankdir=TB;
      node [shape=box, fontname="monospace"];
      n... [label="weight\\nfloat32[2]", shape=ellipse, style=filled, fillcolor=lightblue];
      n... [label="exp\\nfloat32[2]\\nsaves out 8 B..."];
      n... -> n... [label="input"];
      end0 [label="output 0", shape=plaintext];
      n... -> end0;
    }
    """
    ends = _walk.edges_of(outputs)
    nodes = _walk.nodes_from(node for node, _ in ends)
    known = _walk.leaf_names(names)
    lines = ["digraph graph_of_calls {", "  rankdir=TB;", '  node [shape=box, fontname="monospace"];']
    lines += [f"  {_box(node, known)}" for node in reversed(nodes)]
    for node in reversed(nodes):
        arguments = _tape.edge_names(node)
        for (following, output), (argument, place) in zip(node.next_functions, arguments, strict=True):
            if following is None:
                continue
            label = argument if place < 0 else f"{argument}[{place}]"
            several = f" (result {output})" if len(_tape.outputs(following)) > 1 else ""
            source = f"n{following.sequence_number} -> n{node.sequence_number}"
            lines.append(f"  {source} [label={_quoted(label + several)}];")
    for i, (node, _) in enumerate(ends):
        lines.append(f'  end{i} [label="output {i}", shape=plaintext];')
        lines.append(f"  n{node.sequence_number} -> end{i};")
    return "\n".join([*lines, "}"])
