"""Walking through the graph, and naming its leaves."""

from collections.abc import Iterable, Mapping
from typing import Any

import atled.core as at
from atled.autograd import _engine, _tape
from atled.autograd._tape import Node

Names = Mapping[str, at.Tensor] | Iterable[tuple[str, at.Tensor]] | Any


def edges_of(ends: _engine.Ends) -> list[tuple[Node, int]]:
    """The edges of tensors and edges; AutogradError for a tensor that requires no grad."""
    return [_tape.edge(end) if isinstance(end, at.Tensor) else (end[0], end[1]) for end in _engine._listed(ends)]


def nodes_from(roots: Iterable[Node]) -> list[Node]:
    """The roots and all that they lead to, each once, later calls first: a node comes before what it leads to."""
    found = {node.sequence_number: node for node in roots}
    waiting = list(found.values())
    while waiting:
        for following, _ in waiting.pop().next_functions:
            if following is not None and following.sequence_number not in found:
                found[following.sequence_number] = following
                waiting.append(following)
    return [found[number] for number in sorted(found, reverse=True)]


def leaf_names(names: Names | None) -> dict[int, str]:
    """id of each tensor that has a name. names: a dict, pairs, or a module (whatever has ``named_parameters()``)."""
    if names is None:
        return {}
    if hasattr(names, "named_parameters"):
        names = names.named_parameters()
    pairs = names.items() if isinstance(names, Mapping) else names
    return {id(tensor): str(name) for name, tensor in pairs}


def tensors_in(value: Any) -> list[at.Tensor]:
    """A saved value's tensors."""
    if isinstance(value, at.Tensor):
        return [value]
    return [entry for entry in value if isinstance(entry, at.Tensor)] if isinstance(value, (list, tuple)) else []


def short_name(node: Node) -> str:
    """The op's name, the Function's, or AccumulateGrad."""
    return node.op.removeprefix("core::") if node.op else node.name().removesuffix("Backward")


def size_words(nbytes: int) -> str:
    """1536 -> 1.5 KiB"""
    if nbytes < 1024:
        return f"{nbytes} B"
    power = min((nbytes.bit_length() - 1) // 10, 4)
    return f"{nbytes / 1024**power:.1f} {'KMGT'[power - 1]}iB"
