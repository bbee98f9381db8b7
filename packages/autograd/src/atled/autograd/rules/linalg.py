"""Rules of linear systems and factorizations by elimination.

Unless a rule names its source, formulas are those of Giles (2008), "An extended collection of matrix derivative results
for forward and reverse mode algorithmic differentiation", with transposes made adjoints for complex matrices
(Boeddeker et al. 2017, "On the computation of complex-valued gradients with application to statistically optimum
beamforming").
"""

import importlib
from typing import Any

import atled.core as at
from atled.autograd._math import any_true, concrete, conj, is_complex
from atled.autograd._rule import RuleBook

_linalg = at.ops.linalg


def triangle(x: Any, upper: bool, unit: bool) -> Any:
    """One triangle of square matrices, without the diagonal where that is not an argument."""
    return at.triu(x, 1 if unit else 0) if upper else at.tril(x, -1 if unit else 0)


def _cholesky(g_L: Any, L: Any, upper: bool) -> Any:
    # Only a triangle of the input is read; as in PyTorch, its gradient is that of a Hermitian matrix.
    lower = at.adjoint(L) if upper else L
    inner = at.tril(at.matmul(at.adjoint(lower), at.adjoint(g_L) if upper else g_L))
    inner = inner - 0.5 * at.diag_embed(at.diagonal(inner, 0, -2, -1))
    left = _linalg.solve_triangular(at.adjoint(lower), inner, upper=True)
    both = _linalg.solve_triangular(lower, left, upper=False, left=False)
    return 0.5 * (both + at.adjoint(both))


def _exchanged(x: Any, pivots: Any) -> Any:
    """P x, where P is the permutation of an LU factorization A = P L U."""
    order = _linalg._pivots_to_permutation(pivots, x.shape[-2])
    return at.take_along_dim(x, at.unsqueeze(at.argsort(order, -1), -1), -2)


def _lu_factor(g_LU: Any, LU: Any, pivots: Any) -> Any:
    """Of m x n matrices, which have a square and, unless m = n, another part: A = P (L1; L2) U or P L (U1, U2)."""
    m, n = LU.shape[-2], LU.shape[-1]
    k = min(m, n)
    square = at.narrow(at.narrow(LU, -2, 0, k), -1, 0, k)
    g_square = at.narrow(at.narrow(g_LU, -2, 0, k), -1, 0, k)
    lower = at.tril(square, -1) + at.eye(k, dtype=LU.dtype, device=LU.device)
    upper = at.triu(square)
    below = at.matmul(at.adjoint(lower), at.tril(g_square, -1))
    above = at.matmul(at.triu(g_square), at.adjoint(upper))
    if m > n:
        rest = at.narrow(LU, -2, n, m - n)
        g_rest = at.narrow(g_LU, -2, n, m - n)
        above = above - at.matmul(at.adjoint(rest), g_rest)
    if n > m:
        rest = at.narrow(LU, -1, m, n - m)
        g_rest = at.narrow(g_LU, -1, m, n - m)
        below = below - at.matmul(g_rest, at.adjoint(rest))
    inner = at.tril(below, -1) + at.triu(above)
    if n > m:
        scaled = _linalg.solve_triangular(at.adjoint(upper), inner, upper=False, left=False)
        g = _linalg.solve_triangular(at.adjoint(lower), at.cat([scaled, g_rest], -1), upper=True, unitriangular=True)
    else:
        inner = _linalg.solve_triangular(at.adjoint(lower), inner, upper=True, unitriangular=True)
        inner = at.cat([inner, g_rest], -2) if m > n else inner
        g = _linalg.solve_triangular(at.adjoint(upper), inner, upper=False, left=False)
    return _exchanged(g, pivots)


def _lu_solve_factors(g: Any, LU: Any, pivots: Any, left: bool, adjoint: bool, out: Any) -> Any:
    if not left:  # X A = B is A^H X^H = B^H
        g, out, adjoint = at.adjoint(g), at.adjoint(out), not adjoint
    lower = at.tril(LU, -1) + at.eye(LU.shape[-1], dtype=LU.dtype, device=LU.device)
    upper = at.triu(LU)
    if adjoint:  # U^H L^H P^T X = B
        order = at.unsqueeze(_linalg._pivots_to_permutation(pivots, LU.shape[-1]), -1)
        x, g = at.take_along_dim(out, order, -2), at.take_along_dim(g, order, -2)
        y = at.matmul(at.adjoint(lower), x)
        g_y = _linalg.solve_triangular(lower, g, upper=False, unitriangular=True)
        g_lower = at.matmul(x, at.adjoint(g_y))
        g_upper = at.matmul(y, at.adjoint(_linalg.solve_triangular(upper, g_y, upper=True)))
    else:  # L U X = P^T B
        g_y = _linalg.solve_triangular(at.adjoint(upper), g, upper=False)
        g_upper = at.matmul(g_y, at.adjoint(out))
        g_b = _linalg.solve_triangular(at.adjoint(lower), g_y, upper=True, unitriangular=True)
        g_lower = at.matmul(g_b, at.adjoint(at.matmul(upper, out)))
    return -(at.tril(g_lower, -1) + at.triu(g_upper))


def _triangular_factor(g: Any, A: Any, upper: bool, left: bool, unitriangular: bool, out: Any) -> Any:
    g_b = _linalg.solve_triangular(at.adjoint(A), g, upper=not upper, left=left, unitriangular=unitriangular)
    g_a = at.matmul(g_b, at.adjoint(out)) if left else at.matmul(at.adjoint(out), g_b)
    return triangle(-g_a, upper, unitriangular)


def _solve_sides(g: Any, A: Any, B_shape: Any, left: bool) -> Any:
    return _of_solve(g, A, B_shape, left)[0]


def _of_solve(g: Any, A: Any, B_shape: Any, left: bool) -> tuple[Any, bool]:
    """The gradient of the right-hand sides as matrices or vectors, and whether they are vectors."""
    vectors = len(B_shape) == 1 or tuple(B_shape) == tuple(A.shape[:-1])
    columns = at.unsqueeze(g, -1) if vectors else g
    g_b = _linalg.solve_ex(at.adjoint(A), columns, left=left)[0]
    return (at.squeeze(g_b, -1) if vectors else g_b), vectors


def _solve_matrix(g: Any, A: Any, B_shape: Any, left: bool, result: Any) -> Any:
    g_b, vectors = _of_solve(g, A, B_shape, left)
    if vectors:
        return -(at.unsqueeze(g_b, -1) * conj(at.unsqueeze(result, -2)))
    return -(at.matmul(g_b, at.adjoint(result)) if left else at.matmul(at.adjoint(result), g_b))


def _inv(g_inverse: Any, inverse: Any) -> Any:
    flipped = at.adjoint(inverse)
    return -at.matmul(at.matmul(flipped, g_inverse), flipped)


def _column(x: Any) -> Any:
    """One number for each matrix, so that it multiplies them."""
    return at.unsqueeze(at.unsqueeze(x, -1), -1)


def _adjugate(A: Any) -> tuple[Any, Any]:
    """The determinant and the adjugate as polynomials of A, by the Faddeev-LeVerrier recursion: for small matrices.

    M_1 = 1, c_k = -tr(A M_k) / k, M_(k+1) = A M_k + c_k; then det(A) = (-1)^n c_n and adj(A) = (-1)^(n-1) M_n.
    """
    n = A.shape[-1]
    eye = at.eye(n, dtype=A.dtype, device=A.device)
    m, product = at.expand(eye, A.shape), A
    for k in range(1, n):
        m = product - _column(at.diagonal(product, 0, -2, -1).sum(-1) / k) * eye
        product = at.matmul(A, m)
    trace = at.diagonal(product, 0, -2, -1).sum(-1) / n
    return (trace, m) if n % 2 else (-trace, -m)


def _singular_adjugate(A: Any) -> Any:
    """The adjugate of matrices of any rank, by a formula that has all derivatives, also where they are singular.

    B = A + t U V^H, with U and V the left and right vectors of the k smallest singular values, has an inverse. With
    C = 1 - t V^H B^-1 U, det(A) = det(B) det(C), and the adjugate follows by Woodbury's identity:
    adj(A) = det(B) (det(C) B^-1 + t B^-1 U adj(C) V^H B^-1). U, V and t stay what they are when A moves.
    """
    n = A.shape[-1]
    u, s, vh = _linalg.svd(A.detach())
    small = s <= at.amax(s, -1, True) * (8 * n * at.finfo(A.dtype).eps)
    k = max(1, int(concrete(small.sum(-1)).max()))
    u, vh = at.narrow(u, -1, n - k, k), at.narrow(vh, -2, n - k, k)
    largest = at.amax(s, -1)
    t = _column(at.where(largest == 0, 1, largest))
    B = A + t * at.matmul(u, vh)
    inverse = _linalg.inv(B)
    right, left = at.matmul(inverse, u), at.matmul(vh, inverse)
    C = at.eye(k, dtype=A.dtype, device=A.device) - t * at.matmul(vh, right)
    det, adjugate = _adjugate(C)
    return _column(_linalg.det(B)) * (_column(det) * inverse + t * at.matmul(right, at.matmul(adjugate, left)))


def _row_sums(x: Any) -> Any:
    """The norm of matrices that is the largest sum along a row."""
    return at.amax(at.abs(x.detach()).sum(-1), -1)


def _det(g: Any, A: Any, out: Any) -> Any:
    # d det = tr(adj(A) dA), and adj(A) = det(A) A^-1 where there is an inverse that is any good.
    if A.numel() == 0:
        return at.zeros_like(A)
    inverse, info = _linalg.inv_ex(A)
    condition = _row_sums(A) * _row_sums(inverse)
    good = condition * (10 * A.shape[-1] * at.finfo(A.dtype).eps) < 1
    if not any_true(at.logical_or(info != 0, at.logical_not(good))):
        return _column(g * conj(out)) * at.adjoint(inverse)
    return _column(g) * at.adjoint(_singular_adjugate(A))


def _slogdet(g_sign: Any, g_logabsdet: Any, A: Any, A_dtype: Any, sign: Any) -> Any:
    g = g_logabsdet
    if is_complex(A_dtype):  # the sign turns by the imaginary part of tr(A^-1 dA)
        g = g - 1j * at.imag(conj(g_sign) * sign)
    return _column(g) * at.adjoint(_linalg.inv_ex(A)[0])


def _matrix_exp(g: Any, A: Any) -> Any:
    # A block of the exponential of a block matrix (Mathias 1996, "A chain rule for matrix functions").
    flipped = at.adjoint(A)
    n = A.shape[-1]
    rows = at.cat([flipped, g], -1), at.cat([at.zeros_like(flipped), flipped], -1)
    whole = _linalg.matrix_exp(at.cat(rows, -2))
    return at.narrow(at.narrow(whole, -2, 0, n), -1, n, n)


def pinv_gradient(g: Any, A: Any, inverse: Any) -> Any:
    """Golub & Pereyra (1973), equation 4.12, for matrices whose rank does not change nearby."""
    g, flipped = at.adjoint(g), at.adjoint(inverse)
    through = at.matmul(at.matmul(flipped, at.adjoint(g)), flipped)
    left, right = at.matmul(g, inverse), at.matmul(inverse, g)
    left = at.matmul(left, flipped)
    right = at.matmul(flipped, right)
    return left - at.matmul(A, at.matmul(inverse, left)) + right - at.matmul(at.matmul(right, inverse), A) - through


def _lstsq_matrix(g_solution: Any, A: Any, B: Any) -> Any:
    return pinv_gradient(at.matmul(g_solution, at.adjoint(B)), A, _linalg.pinv(A))


def _solve_vectors(A: Any, B: Any, left: bool, check_errors: bool) -> Any:
    """Vectors as matrices, and matrices of as many dimensions, which leading dimensions do not change."""
    if B.ndim != 1 and tuple(B.shape) != tuple(A.shape[:-1]):
        missing = B.ndim - A.ndim
        if missing <= 0:
            return NotImplemented
        wider = A.reshape((1,) * missing + tuple(A.shape))
        result, info = _linalg.solve_ex(wider, B, left=left, check_errors=check_errors)
        return result, info.reshape(A.shape[:-2])
    result, info = _linalg.solve_ex(A, B.unsqueeze(-1), left=left, check_errors=check_errors)
    return result.squeeze(-1), info


def register(rule: RuleBook) -> None:
    """Registers them, and those of the orthogonal and spectral decompositions."""
    rule("cholesky_ex", input=_cholesky)
    rule("lu_factor_ex", A=_lu_factor)
    rule(
        "lu_solve",
        LU=_lu_solve_factors,
        B=lambda g, LU, pivots, left, adjoint: _linalg.lu_solve(LU, pivots, g, left=left, adjoint=not adjoint),
    )
    rule(
        "solve_triangular",
        A=_triangular_factor,
        B=lambda g, A, upper, left, unitriangular: _linalg.solve_triangular(
            at.adjoint(A), g, upper=not upper, left=left, unitriangular=unitriangular
        ),
    )
    rule("solve_ex", A=_solve_matrix, B=_solve_sides)
    rule("inv_ex", A=_inv)
    rule("det", A=_det)
    rule("slogdet", A=_slogdet)
    rule("matrix_exp", A=_matrix_exp)
    rule("pinv", A=lambda g, A, out: pinv_gradient(g, A, out), atol=None, rtol=None)
    rule(
        "_lstsq",
        A=_lstsq_matrix,
        B=lambda g_solution, A: at.matmul(at.adjoint(_linalg.pinv(A)), g_solution),
    )
    rule.constant("_lstsq", "singular_values")
    rule.non_differentiable("_pivots_to_permutation")
    for op in ("ldl_factor_ex", "ldl_solve"):
        rule.not_implemented(op, "the blocks of D change with the matrix; solve and eigh have gradients")
    rule.batch("aligned", "cholesky_ex", "lu_factor_ex", "_pivots_to_permutation", "ldl_factor_ex")
    rule.batch("aligned", "solve_triangular", "solve_ex", "inv_ex", "det", "slogdet", "matrix_exp")
    rule.decompose("solve_ex", _solve_vectors)
    for module in ("orthogonal", "spectral"):
        importlib.import_module(f"atled.autograd.rules.{module}").register(rule)
