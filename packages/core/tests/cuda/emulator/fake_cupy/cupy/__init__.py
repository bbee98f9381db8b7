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

    def __new__(cls, shape, dtype=float, memptr=None, strides=None, order="C"):
        memory = memptr or cuda.allocate(max(int(np.prod(shape)) * np.dtype(dtype).itemsize, 1))
        buffer = cuda.memory_at(memory.ptr, memory.mem.size)
        made = super().__new__(cls, shape, dtype, buffer, 0, strides, order)
        made.memory = memory
        return made

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        assert stream == -1, "anything else makes streams wait for each other"
        owner = self.memory.mem.owner  # the tensor of atled's allocator
        offset = self.__array_interface__["data"][0] - owner.data_ptr()
        flat = owner[offset : offset + max(self.nbytes, 1)] if self.size else owner[:0]
        steps = tuple(step // self.itemsize for step in self.strides)
        name = getattr(__import__("atled.core").core, self.dtype.name)
        return flat.view(name).as_strided(self.shape, steps).__dlpack__()


def result(array, dtype=None):
    """A new array in device memory, laid out as a result of NumPy's."""
    array = np.asarray(array, dtype)
    order = np.argsort([-abs(s) for s in array.strides], kind="stable")
    packed = np.ascontiguousarray(array.transpose(order)) if array.ndim else array
    flat = ndarray(packed.shape, array.dtype)
    flat[...] = packed
    made = flat.transpose(np.argsort(order)) if array.ndim else flat
    made.memory = flat.memory
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

__all__ = ["cuda", "fft", "linalg", "ndarray"]
