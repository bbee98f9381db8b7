"""Singular values and eigenvalues, by CuPy's own choice among cuSOLVER's methods."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import atled.core as at
from atled.core import _core
from atled.core._cupy.call import Call, Kernel, Tensor, real

# cuSOLVER's batched Jacobi method is for small matrices; for larger ones a call for each is faster.
SMALL = 32


@contextmanager
def _converging(call: Call) -> Iterator[None]:
    """Has CuPy look at cuSOLVER's info, for which it waits, and raise."""
    import cupyx
    from numpy.linalg import LinAlgError

    try:
        with cupyx.errstate(linalg="raise"):
            yield
    except LinAlgError as error:
        text = f"expected the iteration to converge, which it did not ({error})"
        raise call.error(_core.LinAlgError, text) from error


def _unit(call: Call, a: Tensor, n: int) -> Tensor:
    return at.eye(n, dtype=a.dtype, device=call.device).expand((*a.shape[:-2], n, n))


def svd(call: Call, a: Tensor, full: bool, driver: str | None) -> tuple[Tensor, Tensor, Tensor]:
    m, n = a.shape[-2:]
    k = min(m, n)
    call.expect_finite(a)
    if a.numel() == 0:
        u, vh = _unit(call, a, m)[..., : m if full else k], _unit(call, a, n)[..., : n if full else k, :]
        return u, call.empty((*a.shape[:-2], k), real(a.dtype)), vh
    with _converging(call):
        parts = call.cupy.linalg.svd(call.array(a), full_matrices=full)
    u, s, vh = map(call.tensor, parts)
    return u, s, vh


def svdvals(call: Call, a: Tensor, driver: str | None) -> Tensor:
    call.expect_finite(a)
    if a.numel() == 0:
        return call.empty((*a.shape[:-2], min(a.shape[-2:])), real(a.dtype))
    with _converging(call):
        return call.tensor(call.cupy.linalg.svd(call.array(a), compute_uv=False))


def _in_pieces(a: Tensor) -> Iterator[Tensor]:
    """The batch at once where the matrices are small, else one after the other."""
    n = a.shape[-1]
    if a.ndim == 2 or n <= SMALL:
        yield a
    else:
        yield from a.reshape(math.prod(a.shape[:-2]), n, n).unbind()


def eigh(call: Call, a: Tensor, uplo: str) -> tuple[Tensor, Tensor]:
    _expect_finite_triangle(call, a, uplo)
    values, vectors = call.empty(a.shape[:-1], real(a.dtype)), call.empty(a.shape, a.dtype)
    if a.numel() == 0:
        return values, vectors
    with _converging(call):
        for piece, w, v in zip(_in_pieces(a), _rows(values), _in_pieces(vectors), strict=True):
            made = call.cupy.linalg.eigh(call.array(piece), UPLO=uplo.upper())
            w.copy_(call.tensor(made[0]))
            v.copy_(call.tensor(made[1]))
    return values, vectors


def eigvalsh(call: Call, a: Tensor, uplo: str) -> Tensor:
    _expect_finite_triangle(call, a, uplo)
    values = call.empty(a.shape[:-1], real(a.dtype))
    if a.numel() == 0:
        return values
    with _converging(call):
        for piece, w in zip(_in_pieces(a), _rows(values), strict=True):
            w.copy_(call.tensor(call.cupy.linalg.eigvalsh(call.array(piece), UPLO=uplo.upper())))
    return values


def _rows(values: Tensor) -> Iterator[Tensor]:
    n = values.shape[-1]
    if values.ndim == 1 or n <= SMALL:
        yield values
    else:
        yield from values.reshape(-1, n).unbind()


def _expect_finite_triangle(call: Call, a: Tensor, uplo: str) -> None:
    call.expect_finite(a.triu() if uplo in "Uu" else a.tril())


def _complex(dtype: _core.dtype) -> _core.dtype:
    return at.complex64 if dtype in (at.float32, at.complex64) else at.complex128


def eig(call: Call, a: Tensor) -> tuple[Tensor, Tensor]:
    call.expect_finite(a)
    if a.numel() == 0:
        return call.empty(a.shape[:-1], _complex(a.dtype)), call.empty(a.shape, _complex(a.dtype))
    with _converging(call):
        values, vectors = call.cupy.linalg.eig(call.array(a))
    return call.tensor(values), call.tensor(vectors)


def eigvals(call: Call, a: Tensor) -> Tensor:
    call.expect_finite(a)
    if a.numel() == 0:
        return call.empty(a.shape[:-1], _complex(a.dtype))
    with _converging(call):
        return call.tensor(call.cupy.linalg.eigvals(call.array(a)))


KERNELS: dict[str, Kernel] = {
    "linalg::svd": svd,
    "linalg::svdvals": svdvals,
    "linalg::eigh": eigh,
    "linalg::eigvalsh": eigvalsh,
    "linalg::eig": eig,
    "linalg::eigvals": eigvals,
}
