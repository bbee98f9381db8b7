"""Matrices of known properties, and what the specifications of linear algebra share."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import Draw, ErrorCase, Sample

#: What LAPACK computes in.
DTYPES = ("float32", "float64", "complex64", "complex128")
#: Errors grow with the size and condition of the matrices, which both are small.
ULPS = {"default": 64}

#: Batches and sizes of square matrices: core's own kernels, LAPACK's, empty ones.
SQUARES = ((3, 3), (2, 3, 3), (1, 1), (0, 0), (2, 0, 0), (0, 3, 3), (9, 9), (2, 2, 20, 20))
#: The same of any matrices.
RECTANGLES = ((3, 3), (4, 3), (2, 3, 5), (1, 1), (0, 3), (2, 3, 0), (0, 2, 3), (9, 7), (2, 20, 23), (23, 20))
SMOOTH_SQUARES = ((3, 3), (2, 2, 2))
SMOOTH_RECTANGLES = ((3, 3), (4, 2), (2, 2, 3))


def adjoint(x: Any) -> Any:
    """The conjugate transpose of arrays or tensors."""
    return at.adjoint(x) if isinstance(x, at.Tensor) else np.conj(np.swapaxes(x, -1, -2))


def any_matrix(draw: Draw, *shape: int) -> Any:
    """Elements in [-1, 1]; singular values almost surely apart."""
    return draw(*shape, low=-1, high=1)


def regular(draw: Draw, *shape: int) -> Any:
    """A well-conditioned matrix that needs pivots."""
    n = shape[-1]
    return np.roll(any_matrix(draw, *shape) + n * np.eye(n, dtype=draw.dtype), 1, -1)


def triangular(draw: Draw, upper: bool, *shape: int) -> Any:
    """A well-conditioned matrix with something, which is not to be read, in the other triangle."""
    n = shape[-1]
    return any_matrix(draw, *shape) + 2 * n * np.eye(n, dtype=draw.dtype)


def symmetric(draw: Draw, *shape: int) -> Any:
    """A symmetric or Hermitian matrix with eigenvalues apart."""
    x = any_matrix(draw, *shape)
    return x + adjoint(x) + np.diag(3 * np.arange(shape[-1])).astype(draw.dtype)


def positive(draw: Draw, *shape: int) -> Any:
    """A positive-definite matrix."""
    x = any_matrix(draw, *shape)
    return x @ adjoint(x) + np.eye(shape[-1], dtype=draw.dtype)


def each(make: Callable[..., Any], shapes: Any, smooth: Any = SMOOTH_SQUARES, **kwargs: Any) -> Any:
    """Samples of one matrix argument; each of kwargs' values is a list to try, beside none."""

    def generate(draw: Draw) -> Iterator[Sample]:
        for shape in smooth if draw.smooth else shapes:
            yield Sample(make(draw, *shape))
        for name, values in kwargs.items():
            for value in values:
                for shape in smooth if draw.smooth else shapes[:3]:
                    yield Sample(make(draw, *shape), **{name: value})

    return generate


def batched(function: Callable[..., Any], ndim: int = 2) -> Callable[..., Any]:
    """A function of one matrix (and more of its batch) as one of batches."""

    def apply(first: Any, *rest: Any, **kwargs: Any) -> Any:
        batch = first.shape[:-2]
        results = [function(first[i], *(x[i] for x in rest), **kwargs) for i in np.ndindex(*batch)]
        if not results:  # the shape of what there is none of
            one = np.zeros(first.shape[-2:], first.dtype) + np.eye(*first.shape[-2:])
            results = [function(one, *(np.ones(x.shape[len(batch) :], x.dtype) for x in rest), **kwargs)]
            stacked = [
                np.stack([np.asarray(r)])[:0] for r in (results[0] if isinstance(results[0], tuple) else results)
            ]
        elif isinstance(results[0], tuple):
            stacked = [np.stack(parts) for parts in zip(*results, strict=True)]
        else:
            stacked = [np.stack(results)]
        shaped = tuple(part.reshape(*batch, *part.shape[1:]) for part in stacked)
        return shaped if len(shaped) > 1 else shaped[0]

    return apply


def no_matrix(*rest: Any, **kwargs: Any) -> tuple[ErrorCase, ...]:
    """Refusals that all ops of one square matrix have in common."""
    return (
        ErrorCase(at.ShapeError, r"at least two dimensions, got shape \(3,\)", np.ones(3), *rest, **kwargs),
        ErrorCase(at.ShapeError, r"square matrices, got shape \(2, 3\)", np.ones((2, 3)), *rest, **kwargs),
        *no_dtype(*rest, **kwargs),
    )


def no_dtype(*rest: Any, **kwargs: Any) -> tuple[ErrorCase, ...]:
    """Dtypes that LAPACK has no routines for."""
    text = r"to be float32, float64, complex64 or complex128, got {}; cast it"
    return tuple(
        ErrorCase(at.DTypeError, text.format(dtype), np.ones((2, 2), dtype), *rest, **kwargs)
        for dtype in ("float16", "int64")
    )
