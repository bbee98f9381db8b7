"""Discrete Fourier transforms, against their definition as a matrix product in complex128."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import COMPLEX, FLOATS, INTEGERS, Draw, ErrorCase, OpSpec, Sample


def along(draw: Draw) -> Iterator[Sample]:
    """Lengths that are prime, a power of two, cut and padded; each norm; any dimension."""
    yield Sample(draw(3))
    yield Sample(draw(1))
    yield Sample(draw(2, 7), 5)
    yield Sample(draw(2, 3), 4, norm="ortho")
    yield Sample(draw(4, 3, 2), dim=0, norm="forward")
    yield Sample(draw(2, 4, 2), None, -2, "backward")
    if not draw.smooth:
        yield Sample(draw(0, 8))
        yield Sample(draw(5, 64))


def fitted(x: Any, n: int | None, dim: int) -> Any:
    """x cut or padded with zeros to n points, the transformed dimension last."""
    x = np.moveaxis(np.asarray(x), dim, -1)
    n = x.shape[-1] if n is None else n
    out = np.zeros((*x.shape[:-1], n), np.complex128)
    out[..., : min(n, x.shape[-1])] = x[..., :n]
    return out


def dft(sign: int) -> Any:
    """The transform as a product with exp(sign 2 pi i j k / n)."""

    def transform(x: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
        x = fitted(x, n, dim)
        n = x.shape[-1]
        j = np.arange(n)
        scaled = {"ortho": n**-0.5, "forward" if sign < 0 else "backward": 1 / n, None: 1 if sign < 0 else 1 / n}
        # Reduced modulo n, so that the angle is exact.
        matrix = np.exp(sign * 2j * np.pi * (np.outer(j, j) % n) / n) * scaled.get(norm, 1)
        return np.moveaxis(x @ matrix, -1, dim)

    return transform


def magnitude(x: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """What the terms of each sum add up to."""
    size = np.abs(fitted(x, n, dim)).sum(-1, keepdims=True)
    return np.moveaxis(np.broadcast_to(size, fitted(x, n, dim).shape), -1, dim)


def spectrum(sample: Sample) -> str:
    return "complex128" if sample.args[0].dtype.name in ("float64", "complex128") else "complex64"


COMMON: dict[str, Any] = {
    "samples": along,
    "dtypes": (*INTEGERS, *FLOATS, *COMPLEX),
    "result": spectrum,
    "scale": magnitude,
    "errors": (
        ErrorCase(at.ShapeError, "expected input of at least one dimension, got a 0-d tensor", np.ones(())),
        ErrorCase(at.InvalidValueError, "expected at least one point to transform, got 0", np.ones((2, 0))),
        ErrorCase(at.BoundsError, "dim", np.ones(3), None, 2),
        ErrorCase(
            at.InvalidValueError, "expected norm to be backward, ortho or forward, got 'half'", np.ones(3), norm="half"
        ),
    ),
}

SPECS = [
    OpSpec(name="fft::fft", reference=dft(-1), **COMMON),
    OpSpec(name="fft::ifft", reference=dft(1), **COMMON),
]
