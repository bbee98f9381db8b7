"""What a row of the table is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One line of the table: calls to be timed side by side, or numbers that are already measured.

    ``budgets`` are the most that atled may take: relative to the peer of that name, or in ``unit`` as ``"absolute"``.
    """

    name: str
    peers: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    unit: str = "s"
