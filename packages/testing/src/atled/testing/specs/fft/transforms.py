"""Discrete Fourier transforms, against their definition as matrix products in complex128."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import COMPLEX, FLOATS, INTEGERS, Draw, ErrorCase, OpSpec, Sample

REAL_DTYPES = (*INTEGERS, *FLOATS)
ALL_DTYPES = (*REAL_DTYPES, *COMPLEX)


def along(draw: Draw) -> Iterator[Sample]:
    """Lengths that are prime, a power of two, cut and padded; each norm; any dimension."""
    yield Sample(draw(3))
    yield Sample(draw(1), 1)
    yield Sample(draw(2, 7), 5)
    yield Sample(draw(2, 3), 4, norm="ortho")
    yield Sample(draw(4, 3, 2), dim=0, norm="forward")
    yield Sample(draw(2, 4, 2), None, -2, "backward")
    if not draw.smooth:
        yield Sample(draw(0, 8))
        yield Sample(draw(5, 64))
        yield Sample(draw(3, 37))


def along_several(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4))
    yield Sample(draw(2, 3, 5), (2, 4))
    yield Sample(draw(2, 3, 4), dim=(0, -1), norm="ortho")
    yield Sample(draw(3, 2, 3), (-1, 5), (2, 0), "forward")
    if not draw.smooth:
        yield Sample(draw(4, 0, 6), dim=(-1,))
        yield Sample(draw(2, 16, 15))


def along_two(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4))
    yield Sample(draw(2, 3, 5), (2, -1), norm="forward")
    yield Sample(draw(3, 2, 4), (4, 5), (0, -1), "ortho")


def fitted(x: Any, n: int, dim: int) -> Any:
    """x cut or padded with zeros to n points, the transformed dimension last."""
    x = np.moveaxis(np.asarray(x), dim, -1)
    out = np.zeros((*x.shape[:-1], n), np.complex128)
    out[..., : min(n, x.shape[-1])] = x[..., :n]
    return out


def product(sign: int, x: Any, n: int, dim: int, norm: str | None) -> Any:
    """The transform as a product with exp(sign 2 pi i j k / n)."""
    j = np.arange(n)
    scaled = {"ortho": n**-0.5, "forward" if sign < 0 else "backward": 1 / n, None: 1 if sign < 0 else 1 / n}
    # Reduced modulo n, so that the angle is exact.
    matrix = np.exp(sign * 2j * np.pi * (np.outer(j, j) % n) / n) * scaled.get(norm, 1)
    return np.moveaxis(fitted(x, n, dim) @ matrix, -1, dim)


def completed(x: Any, n: int, dim: int) -> Any:
    """The n points of a Hermitian sequence whose first half x holds."""
    half = fitted(x, n // 2 + 1, dim)
    half[..., 0] = half[..., 0].real
    if n % 2 == 0:
        half[..., -1] = half[..., -1].real
    mirrored = np.conj(half[..., 1 : (n + 1) // 2])[..., ::-1]
    return np.moveaxis(np.concatenate([half, mirrored], -1), -1, dim)


def first_half(x: Any, dim: int) -> Any:
    return np.take(x, np.arange(x.shape[dim] // 2 + 1), dim)


def dft(sign: int, *, to_half: bool = False, from_half: bool = False) -> Callable[..., Any]:
    """A transform of one dimension or several."""

    def transform(x: Any, size: Any = None, dim: Any = "default", norm: str | None = None) -> Any:
        x = np.asarray(x)
        one = isinstance(dim, int)
        sizes = None if size is None else [size] if one else list(size)
        dims = [dim] if one else dim
        if dims is None:
            dims = list(range(x.ndim - (x.ndim if sizes is None else len(sizes)), x.ndim))
        sizes = [-1] * len(dims) if sizes is None else sizes
        for i, (n, d) in enumerate(zip(sizes, dims, strict=True)):
            last = i == len(dims) - 1
            if n == -1:
                n = 2 * (x.shape[d] - 1) if from_half and last else x.shape[d]
            if from_half and last:
                x = completed(x, n, d)
            x = product(sign, x, n, d, norm)
        if to_half:
            x = first_half(x, dims[-1])
        return x.real if from_half else x

    return transform


def with_dim(reference: Callable[..., Any], default: Any) -> Callable[..., Any]:
    """reference with the op's own default of dim."""
    return lambda x, size=None, dim=default, norm=None: reference(x, size, dim, norm)


def magnitude(transform: Callable[..., Any]) -> Callable[..., Any]:
    """What the terms of each sum add up to: the value at frequency 0 of the transform of absolute values."""

    def size(x: Any, size: Any, dim: Any, norm: str | None) -> Any:
        sums = np.abs(transform(np.abs(x), size, dim, norm))
        dims = range(-len(size) if size else -sums.ndim, 0) if dim is None else [dim] if isinstance(dim, int) else dim
        at_zero = tuple(slice(0, 1) if d in dims or d - sums.ndim in dims else slice(None) for d in range(sums.ndim))
        return np.broadcast_to(sums[at_zero], sums.shape)

    return size


def wide(sample: Sample) -> bool:
    return sample.args[0].dtype.name in ("float64", "complex128")


def spectrum(sample: Sample) -> str:
    return "complex128" if wide(sample) else "complex64"


def signal(sample: Sample) -> str:
    return "float64" if wide(sample) else "float32"


def errors(size: Any, dim: Any) -> tuple[ErrorCase, ...]:
    return (
        ErrorCase(at.InvalidValueError, r"expected at least one point to transform, got (0|-2)", np.ones((2, 0))),
        ErrorCase(at.InvalidValueError, "expected at least one point to transform, got 0", np.ones((2, 3)), size),
        ErrorCase(at.BoundsError, "dim", np.ones((2, 3)), None, dim),
        ErrorCase(at.InvalidValueError, "norm to be backward, ortho or forward, got 'h'", np.ones((2, 3)), norm="h"),
    )


REFUSED = ErrorCase(at.DTypeError, "expected input to be real, got complex128", np.ones((2, 3), complex))


def spec(name: str, reference: Callable[..., Any], **kind: bool) -> OpSpec:
    several, two = name.endswith("n"), name.endswith("2")
    default: Any = None if several else (-2, -1) if two else -1
    more = errors((2, 0), (0, 2)) if several or two else errors(0, 2)
    if several:
        more += (
            ErrorCase(
                at.ShapeError, "as many sizes in s as dimensions in dim, got 1 and 2", np.ones((2, 3)), (2,), (0, 1)
            ),
            ErrorCase(at.InvalidValueError, "each of dim once", np.ones((2, 3)), None, (1, -1)),
        )
    elif not two:
        more += (ErrorCase(at.ShapeError, "expected input of at least one dimension, got a 0-d tensor", np.ones(())),)
    return OpSpec(
        name=f"fft::{name}",
        samples=along_several if several else along_two if two else along,
        reference=with_dim(reference, default),
        scale=with_dim(magnitude(reference), default),
        dtypes=REAL_DTYPES if kind.get("to_half") else ALL_DTYPES,
        result=signal if kind.get("from_half") else spectrum,
        errors=(*more, REFUSED) if kind.get("to_half") else more,
    )


SPECS = [
    *(spec(name, dft(-1)) for name in ("fft", "fft2", "fftn")),
    *(spec(name, dft(1)) for name in ("ifft", "ifft2", "ifftn")),
    *(spec(name, dft(-1, to_half=True), to_half=True) for name in ("rfft", "rfft2", "rfftn")),
    *(spec(name, dft(1, from_half=True), from_half=True) for name in ("irfft", "irfft2", "irfftn")),
    *(spec(name, dft(-1, from_half=True), from_half=True) for name in ("hfft", "hfft2", "hfftn")),
    *(spec(name, dft(1, to_half=True), to_half=True) for name in ("ihfft", "ihfft2", "ihfftn")),
]
