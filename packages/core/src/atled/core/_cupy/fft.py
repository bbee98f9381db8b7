"""Fourier transforms, by cuFFT."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import _core
from atled.core._cupy.call import Call, Kernel, Tensor, real

# The stream on which this thread last transformed: plans have work space, which belongs to one stream at a time.
_last = threading.local()


def _plans(call: Call) -> Any:
    """cupy.fft, without plans that another stream may still be using."""
    stream = (call.device.index, call.stream)
    if getattr(_last, "stream", stream) != stream:
        call.cupy.fft.config.get_plan_cache().clear()
    _last.stream = stream
    return call.cupy.fft


def _spectrum(dtype: _core.dtype) -> _core.dtype:
    """Complex numbers of the input's precision; half precision is transformed in float32, integers in the default."""
    if dtype.is_complex:
        return dtype
    dtype = dtype if dtype.is_floating_point else at.get_default_dtype()
    return at.complex128 if dtype == at.float64 else at.complex64


def _along(call: Call, name: str, input: Tensor, n: int, dim: int, norm: str | None) -> Tensor:
    """cupy.fft's function along one dimension, of n points."""
    return call.tensor(getattr(_plans(call), name)(call.array(input), n=n, axis=dim, norm=norm))


def _resized(input: Tensor, n: int, dim: int) -> tuple[int, ...]:
    dim %= input.ndim
    return (*input.shape[:dim], n, *input.shape[dim + 1 :])


def _complex(name: str) -> Any:
    def transform(call: Call, input: Tensor, n: int | None, dim: int, norm: str | None) -> Tensor:
        n, dtype = input.shape[dim] if n is None else n, _spectrum(input.dtype)
        if input.numel() == 0:
            return at.zeros(_resized(input, n, dim), dtype=dtype, device=call.device)
        return _along(call, name, input.to(dtype), n, dim, norm)

    return transform


def _complex_along_all(name: str) -> Any:
    def transform(
        call: Call, input: Tensor, s: Sequence[int] | None, dim: Sequence[int] | None, norm: str | None
    ) -> Tensor:
        count = len(dim) if dim is not None else len(s) if s is not None else input.ndim
        dims = [d % input.ndim for d in dim] if dim is not None else list(range(input.ndim - count, input.ndim))
        sizes = [input.shape[d] if s is None or s[i] == -1 else s[i] for i, d in enumerate(dims)]
        input = input.to(_spectrum(input.dtype))
        if not dims:
            return input
        if input.numel() == 0:
            shape = list(input.shape)
            for d, size in zip(dims, sizes, strict=True):
                shape[d] = size
            return at.zeros(tuple(shape), dtype=input.dtype, device=call.device)
        return call.tensor(getattr(_plans(call), name)(call.array(input), s=tuple(sizes), axes=tuple(dims), norm=norm))

    return transform


def rfft(call: Call, input: Tensor, n: int | None, dim: int, norm: str | None) -> Tensor:
    n, dtype = input.shape[dim] if n is None else n, _spectrum(input.dtype)
    if input.numel() == 0:
        return at.zeros(_resized(input, n // 2 + 1, dim), dtype=dtype, device=call.device)
    return _along(call, "rfft", input.to(real(dtype)), n, dim, norm)


def irfft(call: Call, input: Tensor, n: int | None, dim: int, norm: str | None) -> Tensor:
    n, dtype = 2 * (input.shape[dim] - 1) if n is None else n, _spectrum(input.dtype)
    if input.numel() == 0:
        return at.zeros(_resized(input, n, dim), dtype=real(dtype), device=call.device)
    return _along(call, "irfft", input.to(dtype), n, dim, norm)


KERNELS: dict[str, Kernel] = {
    "fft::fft": _complex("fft"),
    "fft::ifft": _complex("ifft"),
    "fft::fftn": _complex_along_all("fftn"),
    "fft::ifftn": _complex_along_all("ifftn"),
    "fft::rfft": rfft,
    "fft::irfft": irfft,
}
