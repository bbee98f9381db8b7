"""Streams, memory and libraries."""

import ctypes
from contextlib import contextmanager
from functools import cache

_allocators = []
_streams = []
_devices = []


@cache
def _switches():
    """What the emulated device opens its memory with, and closes it again; nothing on another device."""
    from atled.core import _cuda

    try:
        library = ctypes.CDLL(str(_cuda.LIBRARY))
        return library.atled_emulator_open, library.atled_emulator_close
    except (OSError, AttributeError):
        return (lambda: None,) * 2


@contextmanager
def kernel():
    """A library's work: on a stream, after all that was given before, with the device's memory at hand."""
    assert working(), "a library is called outside of a stream"
    open_memory, close_memory = _switches()
    open_memory()
    try:
        yield
    finally:
        close_memory()


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
        _streams.append(self)
        return self

    def __exit__(self, *error):
        _streams.pop()


Stream.null = Stream()


from . import cublas, cusolver, device  # noqa: E402, F401
