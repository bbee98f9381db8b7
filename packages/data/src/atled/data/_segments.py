"""Files in memory that two processes map: one writes batches into them, the other reads, and hands them back for reuse.

The files never have a name, so nothing is left behind when either process is killed: their descriptors are passed on.
Getting fresh pages from the system takes longer than filling them, so a few files per writer are used again, once
the reader's last tensor in them is gone.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

# How many files a writer keeps for reuse. Of a reader that holds on to more batches, each further one gets its own.
_MAX_KEPT = 8
# A mapping costs a descriptor and one of the kernel's limited areas; of a reader's further batches copies are made.
_MAX_MAPPINGS = 128

_mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork)


class Release(NamedTuple):
    """A reader's word that it is done with a file. A forked child may still read one that is not ``reusable``."""

    number: int
    reusable: bool


class Written(NamedTuple):
    """Where a batch was written. ``number`` is None for a file that is used once.

    ``descriptor`` is None where the reader has it from before; ``dropped`` are files that will not be used again.
    """

    number: int | None
    descriptor: int | None
    dropped: list[int]


@dataclass
class _Kept:
    descriptor: int
    size: int
    mapping: mmap.mmap | None = None
    free: bool = False


class Writer:
    """The writing side. Only ``release`` may be called from another thread."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self._count = 0
        self._released: deque[Release] = deque()

    def release(self, releases: Iterable[Release]) -> None:
        """Takes note of what the reader has done with."""
        self._released.extend(releases)

    def write(self, buffers: Sequence[memoryview], offsets: Sequence[int], total: int) -> Written:
        """Writes buffers at their offsets into one file. Raises OSError where there is no room."""
        self._settle()
        fitting = [(kept.size, number) for number, kept in self._kept.items() if kept.free and kept.size >= total]
        if fitting:
            _, number = min(fitting)
            self._fill(self._kept[number], buffers, offsets)
            return Written(number, None, [])
        dropped = self._make_room()
        descriptor = _new_file(buffers, offsets)
        if len(self._kept) == _MAX_KEPT:
            return Written(None, descriptor, dropped)
        self._count += 1
        self._kept[self._count] = _Kept(descriptor, total)
        return Written(self._count, descriptor, dropped)

    def sent(self, written: Written) -> None:
        """Says that the reader has the descriptor now."""
        if written.number is None and written.descriptor is not None:
            os.close(written.descriptor)

    def close(self) -> None:
        """Gives up all files; what the reader has of them stays."""
        for number in list(self._kept):
            self._drop(number)

    def _settle(self) -> None:
        while self._released:
            release = self._released.popleft()
            if release.reusable:
                self._kept[release.number].free = True
            else:
                self._drop(release.number)

    def _make_room(self) -> list[int]:
        """Gives up the smallest free file if no more can be kept."""
        free = [(kept.size, number) for number, kept in self._kept.items() if kept.free]
        if len(self._kept) < _MAX_KEPT or not free:
            return []
        _, number = min(free)
        self._drop(number)
        return [number]

    def _drop(self, number: int) -> None:
        os.close(self._kept.pop(number).descriptor)

    @staticmethod
    def _fill(kept: _Kept, buffers: Sequence[memoryview], offsets: Sequence[int]) -> None:
        kept.free = False
        kept.mapping = kept.mapping or _map(kept.descriptor, kept.size)
        for offset, buffer in zip(offsets, buffers, strict=True):
            kept.mapping[offset : offset + buffer.nbytes] = buffer


class Reader:
    """The reading side."""

    def __init__(self) -> None:
        self._kept: dict[int, mmap.mmap] = {}
        self._released: deque[Release] = deque()

    def open(self, number: int | None, descriptor: int | None, size: int, dropped: Iterable[int]) -> memoryview:
        """The memory of a file, for as long as the view or a part of it lives. The descriptor stays the caller's."""
        for old in dropped:
            self._kept.pop(old, None)
        if descriptor is not None and len(_mappings) >= _MAX_MAPPINGS:
            if number is not None:
                self._released.append(Release(number, False))
            return memoryview(_copy(descriptor, size))
        if descriptor is not None:
            mapping = _map(descriptor, size)
            if number is None:
                return memoryview(mapping)
            self._kept[number] = mapping
        assert number is not None
        import numpy as np

        # The array is no more than an object of this batch alone, whose end can be noticed.
        batch: Any = np.frombuffer(self._kept[number], np.uint8, size)
        weakref.finalize(batch, _release, self._released, number, _forks).atexit = False
        return memoryview(batch)

    def take_released(self) -> list[Release]:
        """What the writer is to be told."""
        releases = [self._released.popleft() for _ in range(len(self._released))]
        for release in releases:
            if not release.reusable:
                self._kept.pop(release.number, None)
        return releases


def _release(released: deque[Release], number: int, forks: int) -> None:
    # Runs wherever the garbage collector does, so it only takes a note. Memory that a child process inherited must
    # not change under it.
    released.append(Release(number, forks == _forks))


@lru_cache(maxsize=1)
def directory() -> str:
    """A folder whose files are memory where there is one, or else the one for temporary files."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else tempfile.gettempdir()


def _new_file(buffers: Sequence[memoryview], offsets: Sequence[int]) -> int:
    # Written and not mapped: a full file system is an error code here, where a mapping would end in SIGBUS.
    # TemporaryFile opens without a name where the system can, and otherwise unlinks at once.
    with tempfile.TemporaryFile(dir=directory(), buffering=0) as file:
        for offset, buffer in zip(offsets, buffers, strict=True):
            done = 0
            while done < buffer.nbytes:
                done += os.pwrite(file.fileno(), buffer[done:], offset + done)
        return os.dup(file.fileno())


def _map(descriptor: int, size: int) -> mmap.mmap:
    # MAP_POPULATE, where there is one, takes all page faults at once.
    mapping = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
    _mappings.add(mapping)
    return mapping


def _copy(descriptor: int, size: int) -> bytearray:
    memory = bytearray(size)
    view: Any = memoryview(memory)
    done = 0
    while done < size:
        done += os.preadv(descriptor, [view[done:]], done)
    return memory
