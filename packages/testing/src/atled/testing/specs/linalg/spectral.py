"""Orthogonal factorizations, singular values and eigenvalues.

Vectors are determined up to signs (complex: factors of magnitude 1), so what is compared is what they make up.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import Draw, ErrorCase, OpSpec, Sample

from ._matrices import (
    DTYPES,
    RECTANGLES,
    SMOOTH_RECTANGLES,
    SQUARES,
    ULPS,
    adjoint,
    any_matrix,
    each,
    no_dtype,
    no_matrix,
    symmetric,
)

COMMON: dict[str, Any] = {"dtypes": DTYPES, "ulps": ULPS, "scale": "largest"}
REALS = {"complex64": "float32", "complex128": "float64"}
COMPLEXES = {"float32": "complex64", "float64": "complex128"}
NAN = ErrorCase(
    at.LinAlgError,
    r"expected finite elements, got NaN or infinity in the matrix at batch index \(1,\)",
    np.stack([np.eye(3), np.full((3, 3), np.nan)]),
)
INFINITY = ErrorCase(at.LinAlgError, "expected finite elements", np.diag([1.0, -np.inf]))


def real(sample: Sample) -> str:
    dtype: str = sample.args[0].dtype.name
    return REALS.get(dtype, dtype)


def complex_of(sample: Sample) -> str:
    dtype: str = sample.args[0].dtype.name
    return COMPLEXES.get(dtype, dtype)


def sizes(x: Any) -> Any:
    """The squared magnitudes of elements, which no factor of magnitude 1 changes."""
    return at.real(x * at.conj(x))


def qr(a: Any, mode: Any = "reduced") -> Any:
    return (np.zeros(0, a.dtype), np.linalg.qr(a, "r")) if mode == "r" else tuple(np.linalg.qr(a, mode))


def of_qr(q: Any, r: Any) -> Any:
    return (np.abs(r),) if q.ndim == 1 and r.ndim != 1 else (q @ r, adjoint(q) @ q, np.abs(r))


def qrs(draw: Draw) -> Iterator[Sample]:
    yield from each(any_matrix, RECTANGLES, SMOOTH_RECTANGLES, mode=["r"])(draw)
    for shape in ((3, 3),) if draw.smooth else RECTANGLES:
        yield Sample(any_matrix(draw, *shape), "complete")
    if not draw.smooth:
        yield Sample(np.zeros((3, 2), draw.dtype))


REFLECTED = (((3, 3), 3), ((2, 4, 2), 1), ((23, 20), 20), ((2, 3, 0), 0), ((4, 2), 0))
SMOOTH_REFLECTED = (((3, 3), 2), ((2, 4, 2), 2))


def reflectors(draw: Draw) -> Iterator[Sample]:
    for shape, k in SMOOTH_REFLECTED if draw.smooth else REFLECTED:
        a, tau = geqrf(any_matrix(draw, *shape))
        yield Sample(a.astype(draw.dtype), tau[..., :k].astype(draw.dtype))


def geqrf(a: Any) -> Any:
    h, tau = np.linalg.qr(a, "raw")
    return np.swapaxes(h, -1, -2), tau


def product(a: Any, tau: Any) -> Any:
    """All of Q = H_1 H_2 ..., m x m."""
    m = a.shape[-2]
    q = np.broadcast_to(np.eye(m, dtype=a.dtype), (*a.shape[:-1], m))
    for i in range(tau.shape[-1]):
        v = np.tril(a, -1)[..., i : i + 1] + np.eye(m)[:, i : i + 1]
        q = q - tau[..., i, None, None] * (q @ v) @ adjoint(v)
    return q


def svd(a: Any, full_matrices: bool = True) -> Any:
    return tuple(np.linalg.svd(a, full_matrices))


def of_svd(u: Any, s: Any, vh: Any) -> Any:
    k = s.shape[-1]
    return (u[..., :k] * s[..., None, :]) @ vh[..., :k, :], adjoint(u) @ u, vh @ adjoint(vh), s


def smooth_svd(op: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    u, s, vh = op(a, *args, **kwargs)
    k = s.shape[-1]
    u, vh = u[..., :k], vh[..., :k, :]
    return s, sizes(u), sizes(vh), u @ vh


def svds(draw: Draw) -> Iterator[Sample]:
    for shape in SMOOTH_RECTANGLES if draw.smooth else RECTANGLES:
        for full in (False,) if draw.smooth else (True, False):
            yield Sample(any_matrix(draw, *shape), full)
    if not draw.smooth:  # of rank 1, of rank 0, and of extreme magnitudes
        yield Sample(np.ones((4, 3), draw.dtype), False)
        yield Sample(np.zeros((3, 3), draw.dtype))
        yield Sample(any_matrix(draw, 3, 3) * np.array(2.0**100, draw.dtype))
        yield Sample(any_matrix(draw, 3, 3) * np.array(2.0**-100, draw.dtype))


def eigh(a: Any, UPLO: Any = "L") -> Any:
    return tuple(np.linalg.eigh(a, UPLO))


def of_eigh(w: Any, v: Any) -> Any:
    return w, (v * w[..., None, :]) @ adjoint(v), adjoint(v) @ v


def smooth_eigh(op: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    w, v = op(0.5 * (a + at.adjoint(a)), *args, **kwargs)
    return w, sizes(v), (v * (w * w).unsqueeze(-2)) @ at.adjoint(v)


def smooth_eigvalsh(op: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    return op(0.5 * (a + at.adjoint(a)), *args, **kwargs)


def hermitian(draw: Draw) -> Iterator[Sample]:
    yield from each(symmetric, SQUARES, UPLO=["U"])(draw)
    if not draw.smooth:
        x = symmetric(draw, 4, 4)
        yield Sample(np.tril(x) + 7 * np.triu(np.ones_like(x), 1), "L")
        yield Sample(np.triu(x) + 7 * np.tril(np.ones_like(x), -1), "U")
        yield Sample(np.ones((4, 4), draw.dtype))
        yield Sample(np.zeros((3, 3), draw.dtype))


def eig(a: Any) -> Any:
    w, v = np.linalg.eig(a)
    return w.astype(np.complex128), v.astype(np.complex128)


def of_values(w: Any) -> Any:
    """Power sums: eigenvalues come in no order."""
    return np.stack([np.sum(w**k, -1) for k in (1, 2, 3)], -1)


def of_eig(w: Any, v: Any) -> Any:
    return of_values(w), (v * w[..., None, :]) @ np.linalg.inv(v), np.sum(np.abs(v) ** 2, -2)


def smooth_eig(op: Any, a: Any) -> Any:
    w, v = op(a)
    return w, sizes(v)


def spread(draw: Draw, *shape: int) -> Any:
    """Eigenvalues, pairs of conjugate ones among them, and well-conditioned eigenvectors."""
    n = shape[-1]
    turn = np.zeros((n, n))
    for i in range(0, n - 1, 4):
        turn[i, i + 1], turn[i + 1, i] = 1, -1
    return (0.2 * any_matrix(draw, *shape) / max(n, 1) + np.diag(np.arange(n) / max(n, 1)) + turn).astype(draw.dtype)


def pinvs(draw: Draw) -> Iterator[Sample]:
    yield from each(any_matrix, RECTANGLES, SMOOTH_RECTANGLES)(draw)
    if draw.smooth:
        return
    yield Sample(any_matrix(draw, 4, 1) @ any_matrix(draw, 1, 3), rtol=1e-3)
    yield Sample(np.diag([4, 2, 1, 0.5]).astype(draw.dtype), 0.3)
    yield Sample(np.diag([4, 2, 1, 0.5]).astype(draw.dtype), atol=1.5)
    yield Sample(np.diag([4, 2, 1, 0.5]).astype(draw.dtype), rtol=0.3)
    yield Sample(
        np.stack([np.diag([4, 2, 1.0])] * 2).astype(draw.dtype), atol=np.array([0.5, 3]), rtol=np.array([0.0, 0.1])
    )
    yield Sample(symmetric(draw, 2, 4, 4), hermitian=True)


def tolerance(s: Any, shape: Any, atol: Any, rtol: Any) -> Any:
    if rtol is None:
        rtol = 1e-12 if atol is None else 0.0
    largest = np.max(np.abs(s), -1, initial=0)
    return np.maximum(0.0 if atol is None else atol, rtol * largest)[..., None]


def pinv(a: Any, rtol: Any = None, hermitian: bool = False, atol: Any = None) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    with np.errstate(divide="ignore"):
        inverse = np.where(s > tolerance(s, a.shape, atol, rtol), 1 / s, 0)
    return (adjoint(vh) * inverse[..., None, :]) @ adjoint(u)


def matrix_rank(a: Any, atol: Any = None, hermitian: bool = False, rtol: Any = None) -> Any:
    s = np.linalg.svd(a, compute_uv=False)
    return np.count_nonzero(s > tolerance(s, a.shape, atol, rtol), -1)


SPECS = [
    OpSpec(
        name="linalg::qr",
        reference=qr,
        samples=qrs,
        invariant=of_qr,
        result=("promote", "promote"),
        errors=(
            ErrorCase(at.InvalidValueError, "mode to be reduced, complete or r, got 'full'", np.eye(2), "full"),
            ErrorCase(at.ShapeError, "at least two dimensions", np.ones(3)),
            *no_dtype(),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::householder_product",
        reference=lambda a, tau: product(a, tau)[..., : a.shape[-1]],
        samples=reflectors,
        errors=(ErrorCase(at.ShapeError, "with k <= n <= m, got shapes", np.ones((2, 3)), np.ones(2)),),
        **COMMON,
    ),
    OpSpec(
        name="linalg::svd",
        elsewhere=4,  # cuSOLVER's iterations stop earlier than LAPACK's
        reference=svd,
        samples=svds,
        invariant=of_svd,
        through=smooth_svd,
        result=lambda sample: ("input", real(sample), "input"),
        errors=(NAN, INFINITY, ErrorCase(at.ShapeError, "at least two dimensions", np.ones(3)), *no_dtype()),
        **COMMON,
    ),
    OpSpec(
        name="linalg::svdvals",
        reference=lambda a: np.linalg.svd(a, compute_uv=False),
        samples=each(any_matrix, RECTANGLES, SMOOTH_RECTANGLES),
        result="real",
        errors=(NAN, INFINITY, *no_dtype()),
        **COMMON,
    ),
    OpSpec(
        name="linalg::eigh",
        elsewhere=4,  # cuSOLVER's iterations stop earlier than LAPACK's
        reference=eigh,
        samples=hermitian,
        invariant=of_eigh,
        through=smooth_eigh,
        result=lambda sample: (real(sample), "input"),
        errors=(
            NAN,
            INFINITY,
            *no_matrix(),
            ErrorCase(at.InvalidValueError, "UPLO to be L or U, got 'X'", np.eye(2), "X"),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::eigvalsh",
        reference=np.linalg.eigvalsh,
        samples=hermitian,
        through=smooth_eigvalsh,
        result="real",
        errors=(NAN, *no_matrix()),
        **COMMON,
    ),
    OpSpec(
        name="linalg::eig",
        reference=eig,
        samples=each(spread, SQUARES),
        invariant=of_eig,
        through=smooth_eig,
        result=lambda sample: (complex_of(sample),) * 2,
        errors=(NAN, INFINITY, *no_matrix()),
        **COMMON,
    ),
    OpSpec(
        name="linalg::eigvals",
        elsewhere=4,  # cuSOLVER's iterations stop earlier than LAPACK's
        reference=lambda a: np.linalg.eigvals(a).astype(np.complex128),
        samples=each(spread, SQUARES),
        invariant=of_values,
        result=complex_of,
        errors=(NAN, *no_matrix()),
        **COMMON,
    ),
    OpSpec(
        name="linalg::pinv",
        reference=pinv,
        samples=pinvs,
        result="input",
        errors=(ErrorCase(at.ShapeError, "at least two dimensions", np.ones(3)), *no_dtype()),
        **{**COMMON, "ulps": {"default": 512}},
    ),
    OpSpec(
        name="linalg::matrix_rank",
        reference=matrix_rank,
        samples=pinvs,
        dtypes=DTYPES,
        result="int64",
        differentiable=False,
        errors=(NAN,),
    ),
]
