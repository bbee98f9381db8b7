"""What a graph keeps in memory."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import atled.core as at
from atled.autograd import _engine, _tape
from atled.autograd._tape import Node
from atled.autograd.graph import _walk
from atled.core._explained import explained


@dataclass(frozen=True)
class SavedTensor:
    """A tensor that one node keeps for its gradient.

    op: of the node. argument: what the op's rule calls the tensor. shape, dtype: its own.
    nbytes: of its storage, which may be larger than the tensor. cost: the same, or 0 when an earlier entry has counted
    that storage or it is a leaf's, which lives anyway. leaf: whether it is. node: the node's number.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> (saved,) = graph.memory(at.ones(256, requires_grad=True).exp())
    >>> saved.op, saved.argument, saved.shape, saved.nbytes, saved.leaf
    ('core::exp', 'out', (256,), 1024, False)
    """

    op: str
    argument: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    cost: int
    leaf: bool
    node: int
    where: str | None = None


class MemoryReport:
    """What `memory` found; as text, a table of the most expensive groups.

    It iterates over its `SavedTensor` entries; storage that two of them share costs the first.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> report = graph.memory(at.ones(256, requires_grad=True).exp().sin())
    >>> report.total, len(report), report.by_op()
    (1024, 2, {'core::exp': 1024, 'core::sin': 0})
    """

    def __init__(self, entries: list[SavedTensor], nodes: int, node_bytes: int) -> None:
        self.entries = tuple(entries)
        self.nodes = nodes
        self.node_bytes = node_bytes

    @property
    def total(self) -> int:
        """Bytes of all saved storages, each counted once, without those of leaves."""
        return sum(entry.cost for entry in self.entries)

    @property
    def of_leaves(self) -> int:
        """Bytes of the leaves' storages that nodes refer to."""
        found = {(entry.node, entry.argument): entry.nbytes for entry in self.entries if entry.leaf}
        return sum(found.values())

    def by_op(self) -> dict[str, int]:
        """Bytes for each op, the most expensive first."""
        return self._sums(lambda entry: entry.op)

    def by_line(self) -> dict[str | None, int]:
        """Bytes for each line of the user's program, where the tape knows it, the most expensive first."""
        return self._sums(lambda entry: entry.where)

    def as_dicts(self) -> list[dict[str, Any]]:
        """The entries as plain dicts, ready for JSON."""
        return [asdict(entry) for entry in self.entries]

    def _sums(self, key: Callable[[SavedTensor], Any]) -> dict[Any, int]:
        sums: dict[Any, int] = {}
        for entry in self.entries:
            sums[key(entry)] = sums.get(key(entry), 0) + entry.cost
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def __iter__(self) -> Iterator[SavedTensor]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        groups: dict[Hashable, list[SavedTensor]] = {}
        for entry in self.entries:
            groups.setdefault((entry.op, entry.argument, entry.leaf, entry.where), []).append(entry)
        rows = sorted(groups.values(), key=lambda group: -sum(entry.cost for entry in group))
        table = [("saved", "share", "count", "op", "argument", "largest", "where")]
        for group in rows[:_ROWS]:
            cost = sum(entry.cost for entry in group)
            largest = max(group, key=lambda entry: entry.nbytes)
            first = group[0]
            table.append(
                (
                    "leaf" if first.leaf else _walk.size_words(cost),
                    f"{100 * cost / max(self.total, 1):.0f} %",
                    str(len(group)),
                    first.op,
                    first.argument,
                    f"{largest.dtype}{list(largest.shape)}",
                    first.where or "",
                )
            )
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        ]
        if len(rows) > _ROWS:
            lines.append(f"... and {len(rows) - _ROWS} more groups")
        lines.append(
            f"{_walk.size_words(self.total)} in {sum(entry.cost > 0 for entry in self.entries)} storages, "
            f"kept by {self.nodes} nodes of {_walk.size_words(self.node_bytes)}"
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<MemoryReport: {_walk.size_words(self.total)} saved by {self.nodes} nodes>"


_ROWS = 30


@explained
def memory(outputs: _engine.Ends) -> MemoryReport:
    """Which tensors the graph behind ``outputs`` keeps, how many bytes they cost, and for which op.

    outputs: tensors that require grad, or edges. A storage that several nodes keep is counted once.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> x = at.ones(256, requires_grad=True)
    >>> report = graph.memory((x.exp() * x).sum())
    >>> report.by_op()
    {'core::exp': 1024, 'core::mul': 0}
    >>> print(report)  # doctest: +ELLIPSIS
    saved    share  count  op         argument  largest       where
    1.0 KiB  100 %  1      core::exp  out       float32[256]...
    """
    nodes = _walk.nodes_from(node for node, _ in _walk.edges_of(outputs))
    leaves = {_tape.storage_key(node.variable) for node in nodes if node.variable is not None}
    entries: list[SavedTensor] = []
    counted = set(leaves)
    for node in reversed(nodes):
        for _, name, value in _tape.saved(node):
            for tensor in _walk.tensors_in(value):
                entries.append(_entry(node, name, tensor, counted, leaves))
    return MemoryReport(entries, len(nodes), sum(node.nbytes for node in nodes))


def _entry(node: Node, name: str, tensor: at.Tensor, counted: set[int], leaves: set[int]) -> SavedTensor:
    key = _tape.storage_key(tensor)
    nbytes = tensor.untyped_storage().nbytes()
    cost = 0 if key in counted else nbytes
    counted.add(key)
    op = node.op or _walk.short_name(node)
    shape = tuple(tensor.shape)
    return SavedTensor(
        op, name, shape, tensor.dtype.name, nbytes, cost, key in leaves, node.sequence_number, node.where
    )
