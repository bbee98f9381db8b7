"""The largest singular values and vectors of a matrix, by random projections (Halko, Martinsson & Tropp 2011)."""

from __future__ import annotations

from atled.core import _core
from atled.core._explained import explained
from atled.core._ops import ops

Tensor = _core.Tensor


@explained
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """About the q largest singular values of A, or of A - M, and their vectors: ``A ~ U diag(S) V^H``.

    A: floating or complex ``(*, m, n)``. q: a little more than the rank that matters (6); no more than m and n are
    found. niter: how many times the subspace is multiplied by A and its adjoint (2); more for singular values that fall
    slowly. M: broadcasts with A. Returns ``U (*, m, q)``, ``S (*, q)`` in descending order and ``V (*, n, q)``; each
    call draws from the default generator. InvalidValueError for a negative q or niter, ShapeError below two dimensions.

    Halko, Martinsson & Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1. For small matrices, or
    all of the singular values, ``at.linalg.svd`` is faster and exact.

    >>> import atled.core as at
    >>> at.svd_lowrank(at.diag(at.tensor([3.0, 0.0, 2.0])), q=2)[1]
    tensor([3.0000, 2.0000])
    """
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    _check("svd_lowrank", A, q, niter)
    return _factors(A if M is None else A - M, q, niter)


@explained
def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """About the q principal components of the rows of A: ``svd_lowrank`` of A without its columns' means.

    A: floating or complex ``(*, m, n)``: m samples of n features. q: at most m and n, ``min(6, m, n)`` unless given.
    center: False for an A of which the means are not taken away. Returns ``(U, S, V)`` as ``svd_lowrank`` does: the
    columns of V are the principal directions, ``S**2 / (m - 1)`` the variances along them, and ``A @ V[..., :k]``
    projects on the first k. InvalidValueError for another q and a negative niter, ShapeError below two dimensions.

    >>> import atled.core as at
    >>> at.pca_lowrank(at.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), q=1)[2].abs()
    tensor([[0.7071],
            [0.7071]])
    """
    least = min(A.shape[-2:], default=0)
    q = min(6, least) if q is None else q
    _check("pca_lowrank", A, q, niter)
    if q > least:
        raise _core.InvalidValueError(
            f"pca_lowrank: expected q in [0, {least}] for A of shape {tuple(A.shape)}, got {q}"
        )
    return _factors(A - A.mean(-2, keepdim=True) if center else A, q, niter)


def _check(function: str, A: Tensor, q: int, niter: int) -> None:
    if A.ndim < 2:
        raise _core.ShapeError(f"{function}: expected A of at least two dimensions, got shape {tuple(A.shape)}")
    if not (A.is_floating_point() or A.is_complex()):
        raise _core.DTypeError(f"{function}: expected A to be floating or complex, got {A.dtype.name}")
    if q < 0 or niter < 0:
        raise _core.InvalidValueError(f"{function}: expected q >= 0 and niter >= 0, got {q} and {niter}")


def _factors(A: Tensor, q: int, niter: int) -> tuple[Tensor, Tensor, Tensor]:
    basis = ops.linalg.qr
    Q = basis(A @ ops.core.randn(A.shape[-1], min(q, *A.shape[-2:]), dtype=A.dtype, device=A.device)).Q
    for _ in range(niter):
        Q = basis(A @ basis(A.mH @ Q).Q).Q
    U, S, Vh = ops.linalg.svd(Q.mH @ A, full_matrices=False)
    return Q @ U, S, Vh.mH
