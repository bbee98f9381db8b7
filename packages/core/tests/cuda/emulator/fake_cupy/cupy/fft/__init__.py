"""Fourier transforms of arrays."""

import numpy as np

import cupy

from . import config  # noqa: F401


def _check(a, kinds):
    cupy.expect_arrays(a)
    assert a.dtype.char in kinds and a.size, f"expected {kinds}, which cuFFT is not asked to cast to, got {a.dtype}"
    return np.asarray(a)


def fft(a, n=None, axis=-1, norm=None):
    return cupy.result(np.fft.fft(_check(a, "FD"), n, axis, norm))


def ifft(a, n=None, axis=-1, norm=None):
    return cupy.result(np.fft.ifft(_check(a, "FD"), n, axis, norm))


def fftn(a, s=None, axes=None, norm=None):
    return cupy.result(np.fft.fftn(_check(a, "FD"), s, axes, norm))


def ifftn(a, s=None, axes=None, norm=None):
    return cupy.result(np.fft.ifftn(_check(a, "FD"), s, axes, norm))


def rfft(a, n=None, axis=-1, norm=None):
    return cupy.result(np.fft.rfft(_check(a, "fd"), n, axis, norm))


def irfft(a, n=None, axis=-1, norm=None):
    return cupy.result(np.fft.irfft(_check(a, "FD"), n, axis, norm))
