"""Randomness keyed by (seed, epoch, sample index), so that it does not depend on which process loads a sample."""

from __future__ import annotations

import hashlib
import operator
import random
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from enum import IntEnum

import atled.core as at


class Stream(IntEnum):
    """The independent uses that one (seed, epoch) is put to."""

    ORDER = 0
    SAMPLE = 1
    SAMPLES = 2
    BATCH = 3
    WORKER = 4
    ITERATOR = 5


class _Current(threading.local):
    seed: int | None = None


_current = _Current()


def derive_seed(stream: Stream, *key: Hashable) -> int:
    """A 63-bit seed for a key of integers (and other values with a stable ``repr``), through BLAKE2b."""
    text = ",".join([str(int(stream)), *map(_spell, key)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def _spell(part: Hashable) -> str:
    try:
        return str(operator.index(part))  # type: ignore[arg-type]  # 3, np.int64(3) and True spell alike or fail here
    except TypeError:
        return repr(part)


def draw_seed(generator: at.Generator | None = None) -> int:
    """A fresh seed drawn from ``generator``, or from core's global one."""
    return int(at.randint(0, 2**62, (), generator=generator).item())


def generator(seed: int) -> at.Generator:
    """A new generator that starts from ``seed``."""
    return at.Generator().manual_seed(seed)


def sample_seed() -> int:
    """The seed of the sample that a loader is loading now, from (seed, epoch, sample index) alone.

    For use inside ``Dataset.__getitem__`` by random augmentations that keep a generator of their own. Outside a loader
    a fresh seed is drawn from core's global generator.

    Returns:
        An integer in [0, 2**63).

    Example:
        >>> import atled.core as at
        >>> from atled import data
        >>> _ = at.manual_seed(0)
        >>> 0 <= data.sample_seed() < 2**63
        True
    """
    return draw_seed() if _current.seed is None else _current.seed


def sample_generator() -> at.Generator:
    """A new generator seeded with :func:`sample_seed`.

    Example:
        >>> import atled.core as at
        >>> from atled import data
        >>> noise = at.rand(3, generator=data.sample_generator())
        >>> noise.shape
        (3,)
    """
    return generator(sample_seed())


def seed_everything(seed: int) -> None:
    """Seeds the global generators of core, NumPy and ``random``, and :func:`sample_seed`."""
    import numpy as np

    _current.seed = seed
    at.manual_seed(seed)
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])


@contextmanager
def preserved() -> Iterator[None]:
    """Gives the global generators back as they were found, whatever is seeded inside."""
    import numpy as np

    outer, core_state = _current.seed, at.default_generator.get_state()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        _current.seed = outer
        at.default_generator.set_state(core_state)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
