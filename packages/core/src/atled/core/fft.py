"""Discrete Fourier transforms, with the names of ``torch.fft`` and of the array API standard."""

from atled.core import _ops

_ops.publish(globals(), "fft")
