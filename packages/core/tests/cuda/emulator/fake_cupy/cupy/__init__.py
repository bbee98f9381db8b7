"""A stand-in for CuPy, for machines without a GPU: what atled uses of it, over NumPy and SciPy.

Names, arguments and restrictions are those of CuPy 14: what real CuPy would not take, this does not take either.
"""

from functools import wraps

import numpy as np

from . import cuda

__version__ = "14.2.0"


class ndarray(np.ndarray):
    """An array in device memory, which can be touched where a stream is current (`cuda.Stream`)."""

    memory = None

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        assert stream == -1, "anything else makes streams wait for each other"
        owner = self.memory.mem.owner  # the tensor of atled's allocator
        offset = self.__array_interface__["data"][0] - owner.data_ptr()
        flat = owner[offset : offset + max(self.nbytes, 1)] if self.size else owner[:0]
        steps = tuple(step // self.itemsize for step in self.strides)
        name = getattr(__import__("atled.core").core, self.dtype.name)
        return flat.view(name).as_strided(self.shape, steps).__dlpack__()


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """The memory of an object with __cuda_array_interface__."""
    face = a.__cuda_array_interface__
    assert face["version"] == 3 and "stream" not in face
    dtype, address = np.dtype(face["typestr"]), face["data"][0]
    strides = face["strides"] or np.empty(face["shape"], dtype).strides
    length = sum((n - 1) * s for n, s in zip(face["shape"], strides, strict=True)) + dtype.itemsize
    made = np.ndarray.__new__(ndarray, face["shape"], dtype, cuda.memory_at(address, length), 0, strides)
    made.memory = cuda.MemoryPointer(cuda.UnownedMemory(address, length, a, 0), 0)
    return made


def result(array, dtype=None):
    """A new array in device memory, laid out as a result of NumPy's."""
    array = np.asarray(array, dtype)
    order = np.argsort([-abs(s) for s in array.strides], kind="stable")
    packed = np.ascontiguousarray(array.transpose(order)) if array.ndim else array
    memory = cuda.allocate(max(packed.nbytes, 1))
    flat = np.ndarray.__new__(ndarray, packed.shape, array.dtype, cuda.memory_at(memory.ptr, max(packed.nbytes, 1)))
    flat[...] = packed
    made = flat.transpose(np.argsort(order)) if array.ndim else flat
    made.memory = memory
    return made


def computed(function):
    """A function of arrays: `function` of NumPy's gives what is put into new arrays."""

    @wraps(function)
    def run(a, *args, **kwargs):
        assert isinstance(a, ndarray), f"expected an array of CuPy's, got {type(a).__name__}"
        with cuda.kernel():
            made = function(a, *args, **kwargs)
            return tuple(map(result, made)) if isinstance(made, tuple) else result(made)

    return run


from . import fft, linalg  # noqa: E402

__all__ = ["asarray", "cuda", "fft", "linalg", "ndarray"]
