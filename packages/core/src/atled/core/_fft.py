"""The kernels of atled.core.fft on the CPU: SciPy's transforms where it is installed (threads), else NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from atled.core import _core
from atled.core._ops import ops


def _library() -> tuple[Any, dict[str, int]]:
    """The module that transforms, and the keywords that let it use as many threads as atled does."""
    try:
        import scipy.fft
    except ImportError:
        return np.fft, {}
    return scipy.fft, {"workers": _core.get_num_threads()}


def _array(tensor: _core.Tensor) -> Any:
    """The elements as an array of a dtype that the libraries transform in the precision of the result."""
    if not tensor.is_complex() and tensor.dtype not in (_core.float32, _core.float64):
        tensor = tensor.to(_core.float32 if tensor.is_floating_point() else _core.get_default_dtype())
    # Not tensor.numpy(), which refuses tensors that require grad: what is recorded is this kernel's op.
    return np.asarray(tensor)


def _along_one(name: str) -> Callable[..., _core.Tensor]:
    def kernel(input: _core.Tensor, n: int | None, dim: int, norm: str | None) -> _core.Tensor:
        library, options = _library()
        return _core.asarray(getattr(library, name)(_array(input), n, dim, norm, **options))

    return kernel


def _along_several(name: str) -> Callable[..., _core.Tensor]:
    def kernel(
        input: _core.Tensor, s: tuple[int, ...] | None, dim: tuple[int, ...] | None, norm: str | None
    ) -> _core.Tensor:
        library, options = _library()
        array = _array(input)
        if input.ndim == 0 or dim == ():
            return _core.asarray(array + 0j)
        return _core.asarray(getattr(library, name)(array, s, dim, norm, **options))

    return kernel


def register() -> None:
    """Adds the kernels; what the entry point ``cpu.fft`` of ``atled.kernels`` names."""
    for name in ("fft", "ifft", "rfft", "irfft"):
        _core.add_kernel(getattr(ops.fft, name), "cpu", _along_one(name))
    for name in ("fftn", "ifftn"):
        _core.add_kernel(getattr(ops.fft, name), "cpu", _along_several(name))
