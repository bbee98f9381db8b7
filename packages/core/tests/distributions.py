"""The type of the fixture ``make_distribution``."""

from collections.abc import Callable
from pathlib import Path

MakeDistribution = Callable[..., Path]
