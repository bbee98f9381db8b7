"""Fourier transforms of arrays."""

import numpy as np

from cupy import computed

from . import config  # noqa: F401


def _check(a, kinds):
    assert a.dtype.char in kinds and a.size, f"expected {kinds}, which cuFFT is not asked to cast to, got {a.dtype}"
    return np.asarray(a)


@computed
def fft(a, n=None, axis=-1, norm=None):
    return np.fft.fft(_check(a, "FD"), n, axis, norm)


@computed
def ifft(a, n=None, axis=-1, norm=None):
    return np.fft.ifft(_check(a, "FD"), n, axis, norm)


@computed
def fftn(a, s=None, axes=None, norm=None):
    return np.fft.fftn(_check(a, "FD"), s, axes, norm)


@computed
def ifftn(a, s=None, axes=None, norm=None):
    return np.fft.ifftn(_check(a, "FD"), s, axes, norm)


@computed
def rfft(a, n=None, axis=-1, norm=None):
    return np.fft.rfft(_check(a, "fd"), n, axis, norm)


@computed
def irfft(a, n=None, axis=-1, norm=None):
    return np.fft.irfft(_check(a, "FD"), n, axis, norm)
