"""Files in memory that two processes map: one writes messages into them, the other reads them in place.

The files never have a name: their descriptors travel through the connection, so the system frees the memory with its
last holder, however that one ends. Getting fresh pages from the system takes many times longer than filling them, so a
writer uses a few files again, once the reader's last tensor in them is gone. A file's first bytes say so:

    byte 0        IN_USE, FREE, or RETIRED when it will not be used again
    bytes 4..8    the process that reads it, 0 before one does
    bytes 8..12   the process that writes it
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import atled.core as at

IN_USE, FREE, RETIRED = 0, 1, 2
_HEADER = struct.Struct("=BxxxII")
#: Where the content begins.
CONTENT = 64
# How many files, and bytes in them, a writer keeps for reuse. Of a reader that holds on to more messages, each further
# one gets its own.
_MAX_KEPT = 8
_MAX_KEPT_BYTES = 1 << 30
# A mapping costs a descriptor and one of the kernel's limited areas; of a reader's further messages copies are made.
_MAX_MAPPINGS = 128

_mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork)


class Written(NamedTuple):
    """Where a message was written. ``key`` is None for a file that is used once, and closed once it is sent."""

    key: int | None
    descriptor: int


@dataclass
class _Kept:
    descriptor: int
    size: int
    mapping: mmap.mmap | None = None


class Writer:
    """The writing side, for one thread at a time."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self._owner = os.getpid()

    def write(self, buffers: Sequence[memoryview], offsets: Sequence[int], total: int) -> Written:
        """Writes buffers at their offsets into one file. Raises OSError where there is no room."""
        if self._owner != os.getpid():
            self._forget()
        free = self._free()
        fitting = [(self._kept[key].size, key) for key in free if self._kept[key].size >= total]
        if fitting:
            _, key = min(fitting)
            self._fill(self._kept[key], buffers, offsets)
            return Written(key, self._kept[key].descriptor)
        free.sort(key=lambda key: -self._kept[key].size)
        while free and not self._has_room(total):
            self._drop(free.pop())  # the smallest
        descriptor = _new_file(buffers, offsets)
        if not self._has_room(total):
            return Written(None, descriptor)
        key = int.from_bytes(os.urandom(8), "little")
        self._kept[key] = _Kept(descriptor, total)
        return Written(key, descriptor)

    def sent(self, written: Written) -> None:
        """Says that the descriptor is on its way."""
        if written.key is None:
            os.close(written.descriptor)

    def close(self) -> None:
        """Gives up all files; what readers have of them stays."""
        if self._owner != os.getpid():
            self._forget()
        for key in list(self._kept):
            self._drop(key)

    def _has_room(self, size: int) -> bool:
        kept = sum(kept.size for kept in self._kept.values())
        return len(self._kept) < _MAX_KEPT and kept + size <= _MAX_KEPT_BYTES

    def _free(self) -> list[int]:
        """The files that may be used again; gives up those that never will be."""
        free: list[int] = []
        for key, kept in list(self._kept.items()):
            state, reader, _ = _HEADER.unpack(os.pread(kept.descriptor, _HEADER.size, 0))
            if state == FREE:
                free.append(key)
            elif state == RETIRED or (reader and not _is_alive(reader)):
                self._drop(key)
        return free

    def _drop(self, key: int) -> None:
        kept = self._kept.pop(key)
        os.pwrite(kept.descriptor, bytes([RETIRED]), 0)
        os.close(kept.descriptor)

    def _forget(self) -> None:
        """In a forked child: the files are the parent's."""
        for kept in self._kept.values():
            os.close(kept.descriptor)
        self._kept.clear()
        self._owner = os.getpid()

    @staticmethod
    def _fill(kept: _Kept, buffers: Sequence[memoryview], offsets: Sequence[int]) -> None:
        mapping = kept.mapping = kept.mapping or _map(kept.descriptor, CONTENT + kept.size)
        mapping[: _HEADER.size] = _HEADER.pack(IN_USE, 0, os.getpid())
        for offset, buffer in zip(offsets, buffers, strict=True):
            mapping[CONTENT + offset : CONTENT + offset + buffer.nbytes] = buffer


class Reader:
    """The reading side."""

    def __init__(self) -> None:
        self._kept: dict[int, mmap.mmap] = {}

    def open(self, key: int | None, descriptor: int, size: int) -> memoryview:
        """The memory of a file, for as long as the view or a part of it lives. The descriptor stays the caller's."""
        mapping = None if key is None else self._kept.get(key)
        if mapping is None:
            self._forget_what_is_over()
        if mapping is None and len(_mappings) >= _MAX_MAPPINGS:
            content = _copy(descriptor, size)
            os.pwrite(descriptor, bytes([RETIRED]), 0)
            return memoryview(content)
        if mapping is None:
            mapping = _map(descriptor, os.fstat(descriptor).st_size)
            if key is None:
                return memoryview(mapping)[CONTENT : CONTENT + size]
            self._kept[key] = mapping
        mapping[4:8] = os.getpid().to_bytes(4, sys.byteorder)
        # The tensor is no more than an object of this message alone, whose end can be noticed.
        message = at.frombuffer(mapping, at.uint8, size, CONTENT)
        weakref.finalize(message, _release, mapping, _forks).atexit = False
        return memoryview(message)

    def close(self) -> None:
        """Forgets the files; tensors in them stay."""
        self._kept.clear()

    def _forget_what_is_over(self) -> None:
        """Lets go of files that are not used again, or whose writer has ended without a word."""
        for key, mapping in list(self._kept.items()):
            state, _, writer = _HEADER.unpack(mapping[: _HEADER.size])
            if state == RETIRED or not _is_alive(writer):
                del self._kept[key]


def _release(mapping: mmap.mmap, forks: int) -> None:
    # Memory that a child process inherited must not change under it.
    if mapping[0] == IN_USE:
        mapping[0] = FREE if forks == _forks else RETIRED


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@lru_cache(maxsize=1)
def directory() -> str:
    """Where files without a name are made: a folder that is memory where there is one, or else a temporary one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else tempfile.gettempdir()


def unnamed_file() -> int:
    """The descriptor of an empty file in memory that has no name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("atled", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(dir=directory(), buffering=0) as file:
        return os.dup(file.fileno())


def _new_file(buffers: Sequence[memoryview], offsets: Sequence[int]) -> int:
    # Written and not mapped: a full file system is an error code here, where a mapping would end in SIGBUS.
    descriptor = unnamed_file()
    try:
        os.pwrite(descriptor, _HEADER.pack(IN_USE, 0, os.getpid()).ljust(CONTENT, b"\0"), 0)
        for offset, buffer in zip(offsets, buffers, strict=True):
            done = 0
            while done < buffer.nbytes:
                done += os.pwrite(descriptor, buffer[done:], CONTENT + offset + done)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


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
        done += os.preadv(descriptor, [view[done:]], CONTENT + done)
    return memory
