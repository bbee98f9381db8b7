"""Bytes of files as tensors, and of tensors as bytes."""

from __future__ import annotations

import io
import mmap
from typing import IO, Any

import atled.core as at
from atled.core._core import FormatError, Tensor, dtype


class Source:
    """The rest of a file: read into fresh memory, or mapped so that writing changes the memory alone.

    Offsets count from the file's beginning. A mapping lives as long as a tensor over it.
    """

    def __init__(self, file: IO[bytes], mapped: bool) -> None:
        self.file = file
        self.start = file.tell()
        self.end = file.seek(0, io.SEEK_END)
        file.seek(self.start)
        self.is_mapped = mapped and self.end > 0
        self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if self.is_mapped else None

    def read(self, offset: int, size: int) -> memoryview:
        """Writable memory with `size` bytes of the file."""
        if offset < self.start or size < 0 or offset + size > self.end:
            raise FormatError(
                f"expected {size} bytes at byte {offset}, but the file has {self.end}; the file is truncated"
            )
        if self._map is not None:
            return memoryview(self._map)[offset : offset + size]
        memory = fresh(size)
        self.file.seek(offset)
        done = 0
        while done < size:
            count = self.file.readinto(memory[done:])  # type: ignore[attr-defined]
            if not count:
                raise FormatError(f"expected {size} bytes at byte {offset}, got {done}; the file is truncated")
            done += count
        return memory


def fresh(size: int) -> memoryview:
    """Uninitialised memory, aligned for every dtype."""
    return memoryview(at.empty(size, dtype=at.uint8)) if size else memoryview(bytearray())


def flat(memory: memoryview, kind: dtype, count: int, offset: int = 0, *, swapped: bool = False) -> Tensor:
    """A 1-d tensor of `count` elements over memory from `offset` on; a copy where it is not aligned or `swapped`.

    Raises FormatError when it is too small, or holds bytes that are no bool.
    """
    size = count * kind.itemsize
    if count < 0 or offset + size > memory.nbytes:
        raise FormatError(f"expected {size} bytes, got {memory.nbytes - offset}; the file is truncated")
    if size == 0:
        return at.empty(0, dtype=kind)
    memory = memory[offset : offset + size]
    if kind == at.bool:
        # Any byte but 0 and 1 is no bool, and would be undefined behaviour in C++.
        content = memory.tobytes()
        if content.count(0) + content.count(1) != size:
            raise FormatError("expected bytes 0 and 1 in a bool tensor")
    if swapped and kind.itemsize > 1:
        memory = _swapped(memory, kind)
    elif at.frombuffer(memory, at.uint8).data_ptr() % (kind.itemsize // (1 + kind.is_complex)):
        copy = fresh(size)
        copy[:] = memory
        memory = copy
    return at.frombuffer(memory, kind)


def _swapped(memory: memoryview, kind: dtype) -> memoryview:
    import numpy as np

    unit = np.dtype(f"u{kind.itemsize // (1 + kind.is_complex)}")
    return np.frombuffer(memory, unit).byteswap().data.cast("B")


def to_bytes(tensor: Tensor) -> memoryview:
    """The elements in row-major order; a view of the tensor's own memory where that is possible."""
    # A tensor that is only part of one may refuse.
    check = getattr(tensor, "_check_saving", None)
    if check is not None:
        check()
    # An alias that no layer knows of: saving a tensor must leave no trace in a graph.
    host: Any = at.from_dlpack(tensor).to(device="cpu").contiguous()
    # What the buffer protocol does not have goes as integers.
    unit = {"bfloat16": at.uint16, "float8_e4m3fn": at.uint8, "float8_e5m2": at.uint8}.get(host.dtype.name)
    return memoryview(host.view(unit) if unit else host)


def check_shape(shape: tuple[int, ...], itemsize: int) -> None:
    """Raises FormatError for what no tensor can be; strides are products of sizes, also of those next to a zero."""
    total = itemsize
    for size in shape:
        total *= max(size, 1)
        if size < 0 or total >= 1 << 63:
            raise FormatError(f"expected a shape that memory can hold, got {shape}")
    if len(shape) > 64:
        raise FormatError(f"expected at most 64 dimensions, got {len(shape)}")
