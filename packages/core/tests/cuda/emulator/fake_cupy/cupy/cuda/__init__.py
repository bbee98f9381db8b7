"""Streams, memory and libraries."""

import ctypes
import os
import warnings
from contextlib import contextmanager

_allocators = []
_streams = []
_devices = []


def _emulator(name):
    """A function of the emulated runtime's, which opens device memory to the host and closes it again."""
    library = os.environ.get("ATLED_FAKE_CUPY_RUNTIME")
    return getattr(ctypes.CDLL(library), name) if library else lambda: None


def working():
    return bool(_streams and _devices)


def memory_at(address, nbytes):
    return (ctypes.c_char * nbytes).from_address(address) if address else bytearray(nbytes)


class UnownedMemory:
    def __init__(self, ptr, size, owner, device_id=-1):
        assert isinstance(ptr, int) and isinstance(size, int) and isinstance(device_id, int)
        self.ptr, self.size, self.owner, self.device_id = ptr, size, owner, device_id


class MemoryPointer:
    def __init__(self, mem, offset):
        self.mem, self.ptr = mem, mem.ptr + offset


def allocate(nbytes):
    return _allocators[-1](nbytes)


@contextmanager
def using_allocator(allocator=None):
    _allocators.append(allocator)
    try:
        yield
    finally:
        _allocators.pop()


class Device:
    def __init__(self, device=None):  # noqa: F811
        assert isinstance(device, int)
        self.id = device

    def __enter__(self):
        _devices.append(self.id)
        return self

    def __exit__(self, *error):
        _devices.pop()


class Stream:
    def __init__(self, ptr=0):
        self.ptr = ptr

    @classmethod
    def from_external(cls, obj):
        version, handle = obj.__cuda_stream__()
        assert version == 0
        return cls(handle)

    def __enter__(self):
        if not _streams:
            _emulator("cuemu_open")()
        _streams.append(self)
        return self

    def __exit__(self, *error):
        _streams.pop()
        if not _streams:
            _emulator("cuemu_close")()


Stream.null = Stream()


class ExternalStream(Stream):
    def __init__(self, ptr, device_id=-1):
        warnings.warn("ExternalStream is deprecated", DeprecationWarning, stacklevel=2)
        super().__init__(ptr)


from . import cublas, cusolver, device  # noqa: E402, F401
