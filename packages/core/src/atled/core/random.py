"""The default generator of random numbers, with the names of ``torch.random``; every device draws from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import _core
from ._core import manual_seed
from ._settings import get_rng_state, initial_seed, seed, set_rng_state

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, device_type: str = "cuda") -> Iterator[None]:
    """What is drawn inside leaves the numbers that are drawn after it as they were.

    devices, device_type: of no effect, since there is one generator for all.
    enabled: False for a block that changes nothing.

    >>> with at.random.fork_rng():
    ...     _ = at.manual_seed(1)
    >>> at.initial_seed() == 1
    False
    """
    state = _core.default_generator.get_state()
    try:
        yield
    finally:
        if enabled:
            _core.default_generator.set_state(state)
