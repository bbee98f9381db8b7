"""cuDNN, which computes convolutions on GPUs of NVIDIA.

It is opened by the first convolution there. Only algorithms that give the same result each time are used, as with
``deterministic`` in PyTorch.

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

import atled.core as at
from atled.nn._native import CUDA_LIBRARY

#: Whether convolutions of float32 may round to TensorFloat-32, with 10 bits of mantissa; sums are float32 all the same.
#: Several times as fast, and on as in PyTorch; `atled.core.set_float32_matmul_precision` is for matrix products.
allow_tf32: bool = True
#: Whether the first convolution of its sizes, on each thread, runs up to eight of cuDNN's algorithms several times and
#: keeps the fastest, instead of the one that cuDNN expects to be. Worth it where sizes recur. Which one wins, and so
#: the last digits, may differ between runs of a program. What is captured into a graph is not timed: warm up before.
benchmark: bool = False

#: A permission that is not made use of when it is taken away: results are the same on every run.
deterministic: bool = True
#: cuDNN is used where it has a way; setting this to False is a NotImplementedOpError.
enabled: bool = True

_SETTERS = {"allow_tf32": "atled_cuda_nn_allow_tf32", "benchmark": "atled_cuda_nn_benchmark"}


def is_available() -> bool:
    """Whether there is a GPU that cuDNN computes on; the library itself is looked for by the first convolution.

    >>> isinstance(is_available(), bool)
    True
    """
    return at.cuda.is_available()


@contextmanager
def flags(*, allow_tf32: bool = True, benchmark: bool = False) -> Iterator[None]:
    """Sets `allow_tf32` and `benchmark` for the body of a ``with``, in all threads, and puts back what they were.

    >>> from atled import nn
    >>> with flags(benchmark=True):
    ...     nn.backends.cudnn.benchmark
    True
    """
    module: Any = sys.modules[__name__]
    former = module.allow_tf32, module.benchmark
    module.allow_tf32, module.benchmark = allow_tf32, benchmark
    try:
        yield
    finally:
        module.allow_tf32, module.benchmark = former


class _Module(ModuleType):
    """Tells the library what is set."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "enabled" and not value:
            raise at.NotImplementedOpError("cudnn: expected enabled=True, got False; convolutions have no other way")
        if name in _SETTERS:
            value = bool(value)
            if CUDA_LIBRARY.exists():
                import ctypes

                getattr(ctypes.CDLL(str(CUDA_LIBRARY)), _SETTERS[name])(value)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Module
