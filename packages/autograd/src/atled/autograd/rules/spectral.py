"""Rules of singular value and eigenvalue decompositions.

Vectors are determined only up to a factor of magnitude 1 each, so the gradient of a function makes sense where the
function does not depend on these factors, and where values are distinct.
"""

from typing import Any

import atled.core as at
from atled.autograd._math import conj, is_complex
from atled.autograd._rule import RuleBook

_linalg = at.ops.linalg


def _ratio(x: Any, y: Any) -> Any:
    """x / y, and 0 for 0 / 0: what nothing was asked of needs no gap between equal values."""
    return x / at.where(at.logical_and(x == 0, y == 0), 1, y)


def _over_gaps(x: Any, values: Any, sums: bool = False) -> Any:
    """x_ij / (v_j - v_i), with sums over v_j^2 - v_i^2, and zero on the diagonal."""
    row, column = at.unsqueeze(values, -2), at.unsqueeze(values, -1)
    same = at.eye(values.shape[-1], dtype=at.bool, device=values.device)
    gaps = at.where(same, 1, (row - column) * (row + column) if sums else row - column)
    return at.where(same, 0, _ratio(x, gaps))


def _skew(x: Any) -> Any:
    return x - at.adjoint(x)


def _times(x: Any, s: Any) -> Any:
    """x diag(s)."""
    return x * at.unsqueeze(s, -2)


def _svd(g_U: Any, g_S: Any, g_Vh: Any, A_dtype: Any, U: Any, S: Any, Vh: Any) -> Any:
    """Townsend (2016), "Differentiating the singular value decomposition"; complex: Wan & Zhang (2019), "Automatic
    differentiation for complex valued SVD"."""
    k = S.shape[-1]
    m, n = U.shape[-2], Vh.shape[-1]
    # What full_matrices adds is any basis of the rest; a gradient through it does not exist.
    U, g_U = at.narrow(U, -1, 0, k), at.narrow(g_U, -1, 0, k)
    Vh, g_Vh = at.narrow(Vh, -2, 0, k), at.narrow(g_Vh, -2, 0, k)
    column = at.unsqueeze(S, -1)
    of_u = at.matmul(at.adjoint(U), g_U)
    of_v = at.matmul(Vh, at.adjoint(g_Vh))
    inner = _times(_over_gaps(_skew(of_u), S, True), S) + column * _over_gaps(_skew(of_v), S, True)
    diagonal = g_S
    if is_complex(A_dtype):
        turned = at.diagonal(of_u, 0, -2, -1)
        diagonal = diagonal + _ratio(turned - conj(turned), 2 * S)
    inner = inner + at.diag_embed(diagonal)
    result = at.matmul(U, inner)
    if m > k:
        scaled = _ratio(g_U, at.unsqueeze(S, -2))
        result = result + scaled - at.matmul(U, at.matmul(at.adjoint(U), scaled))
    result = at.matmul(result, Vh)
    if n > k:
        scaled = _ratio(g_Vh, column)
        result = result + at.matmul(U, scaled - at.matmul(at.matmul(scaled, at.adjoint(Vh)), Vh))
    return result


def _svdvals(g: Any, A: Any) -> Any:
    u, _, vh = _linalg.svd(A, full_matrices=False)
    return at.matmul(_times(u, g), vh)


def _eigh(g_eigenvalues: Any, g_eigenvectors: Any, eigenvalues: Any, eigenvectors: Any) -> Any:
    """Giles (2008), section 3.1, made Hermitian: only a triangle of the input is read, which stands for both."""
    inner = _over_gaps(at.matmul(at.adjoint(eigenvectors), g_eigenvectors), eigenvalues)
    inner = 0.5 * (inner + at.adjoint(inner)) + at.diag_embed(g_eigenvalues)
    return at.matmul(at.matmul(eigenvectors, inner), at.adjoint(eigenvectors))


def _eigvalsh(g: Any, A: Any, UPLO: str) -> Any:
    _, vectors = _linalg.eigh(A, UPLO)
    return at.matmul(_times(vectors, g), at.adjoint(vectors))


def _eig(g_eigenvalues: Any, g_eigenvectors: Any, eigenvalues: Any, eigenvectors: Any) -> Any:
    """Boeddeker et al. (2017), equations 4.76 and 4.77: eigenvectors of norm 1."""
    flipped = at.adjoint(eigenvectors)
    of_v = at.matmul(flipped, g_eigenvectors)
    along = at.real(at.diagonal(of_v, 0, -2, -1))
    inner = _over_gaps(of_v - _times(at.matmul(flipped, eigenvectors), along), conj(eigenvalues))
    inner = inner + at.diag_embed(g_eigenvalues)
    return _linalg.solve(flipped, at.matmul(inner, flipped))


def _eigvals(g: Any, A: Any) -> Any:
    flipped = at.adjoint(_linalg.eig(A)[1])
    return _linalg.solve(flipped, at.unsqueeze(g, -1) * flipped)


def register(rule: RuleBook) -> None:
    """Registers them."""
    rule("svd", A=_svd)
    rule("svdvals", A=_svdvals)
    rule("eigh", A=_eigh)
    rule("eigvalsh", A=_eigvalsh)
    rule("eig", A=_eig)
    rule("eigvals", A=_eigvals)
    rule.batch("aligned", "svd", "svdvals", "eigh", "eigvalsh", "eig", "eigvals")
