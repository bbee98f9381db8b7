"""Randomness keyed by (seed, epoch, sample index), so that it does not depend on which process loads a sample."""

from __future__ import annotations

import hashlib
import operator
import os
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


class Key:
    """The beginning of a key, whose seeds are many: what it shares is hashed once."""

    def __init__(self, stream: Stream, *parts: Hashable) -> None:
        text = ",".join([str(int(stream)), *map(_spell, parts)])
        self._hash = hashlib.blake2b(text.encode(), digest_size=8)

    def seed(self, *parts: Hashable) -> int:
        """The seed of the key that goes on with ``parts``."""
        whole = self._hash.copy()
        whole.update("".join([f",{_spell(part)}" for part in parts]).encode())
        return int.from_bytes(whole.digest(), "little") >> 1


def derive_seed(stream: Stream, *key: Hashable) -> int:
    """A 63-bit seed for a key of integers (and other values with a stable ``repr``), through BLAKE2b."""
    return Key(stream, *key).seed()


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
    # Half of the seed's bits, for which NumPy needs an eighth of the time that it needs for all.
    np.random.seed(seed & 0xFFFFFFFF)


@contextmanager
def preserved() -> Iterator[None]:
    """Gives the global generators back as they were found, whatever is seeded inside.

    Threads that are inside at once share the generators: the last one out gives back what the first one in has found.
    """
    outer, thread = _current.seed, threading.get_ident()
    nested, saved = thread in _inside.threads, None
    # Ctrl-C may come while entering or leaving, too; so leaving is what can be done twice, and without having entered.
    try:
        try:
            saved = _enter(thread, nested)
            yield
        finally:
            _leave(thread, outer, nested, saved)
    except BaseException:
        _leave(thread, outer, nested, saved)
        raise


class _Inside:
    """Who is inside ``preserved``: which threads, and what the first of them has found."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # An interrupted ``preserved`` is left when it is collected, which may be in the midst of another's entering.
        self.lock = threading.RLock()
        self.threads: set[int] = set()
        self.found: _States | None = None


_inside = _Inside()
if hasattr(os, "register_at_fork"):
    # The threads that were inside are not in the child.
    os.register_at_fork(after_in_child=_inside.reset)


def _enter(thread: int, nested: bool) -> _States | None:
    """The states to be put back at the end by one that is nested; None where the last thread out does that."""
    if nested:
        return _States()
    with _inside.lock:
        if not _inside.threads:
            _inside.found = _States()
        _inside.threads.add(thread)
    return None


def _leave(thread: int, outer: int | None, nested: bool, saved: _States | None) -> None:
    _current.seed = outer
    if nested:
        if saved is not None:
            saved.restore()
        return
    with _inside.lock:
        _inside.threads.discard(thread)
        if not _inside.threads and _inside.found is not None:
            _inside.found.restore()
            _inside.found = None


class _States:
    """The states of the global generators, as found; whoever asks for them seeds the generators anew."""

    def __init__(self) -> None:
        from . import _numpy_state  # brings NumPy's generators

        self._core = at.default_generator.get_state()
        self._python = random.getstate()
        self._numpy = _numpy_state.save()

    def restore(self) -> None:
        from . import _numpy_state

        at.default_generator.set_state(self._core)
        random.setstate(self._python)
        _numpy_state.restore(self._numpy)
