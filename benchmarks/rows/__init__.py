"""The rows of the table, in groups; a group is a module with ``rows()``."""

from benchmarks.rows import footprint, large, tiny, training
from benchmarks.rows.row import Row

GROUPS = {"tiny": tiny.rows, "training": training.rows, "large": large.rows, "footprint": footprint.rows}

__all__ = ["GROUPS", "Row"]
