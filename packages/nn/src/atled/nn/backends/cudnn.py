"""cuDNN, which computes convolutions on GPUs of NVIDIA.

It is opened by the first convolution there. Only algorithms that give the same result each time are used, as with
``deterministic`` in PyTorch, and none are timed, as without ``benchmark``.

>>> from atled import nn
>>> with nn.backends.cudnn.flags(allow_tf32=False):
...     nn.backends.cudnn.allow_tf32
False
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from atled.nn._native import CUDA_LIBRARY

#: Whether convolutions of float32 may round to TensorFloat-32, with 10 bits of mantissa; sums are float32 all the same.
#: Several times as fast, and on as in PyTorch; `atled.core.set_float32_matmul_precision` is for matrix products.
allow_tf32: bool = True


@contextmanager
def flags(*, allow_tf32: bool = True) -> Iterator[None]:
    """Sets `allow_tf32` for the body of a ``with``, in all threads."""
    module: Any = sys.modules[__name__]
    former = module.allow_tf32
    module.allow_tf32 = allow_tf32
    try:
        yield
    finally:
        module.allow_tf32 = former


class _Module(ModuleType):
    """Tells the library what is set."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "allow_tf32":
            value = bool(value)
            if CUDA_LIBRARY.exists():
                import ctypes

                ctypes.CDLL(str(CUDA_LIBRARY)).atled_cuda_nn_allow_tf32(value)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Module
