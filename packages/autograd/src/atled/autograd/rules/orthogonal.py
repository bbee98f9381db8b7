"""Rules of orthogonal factorizations."""

from typing import Any

import atled.core as at
from atled.autograd._math import conj
from atled.autograd._rule import RuleBook
from atled.autograd.rules.householder import product_gradients, widened

_linalg = at.ops.linalg


def _tall(g_q: Any, g_r: Any, q: Any, r: Any) -> Any:
    """Of at least as many rows as columns (Walter & Lehmann 2018, "Algorithmic differentiation of linear algebra
    functions with application in optimum experimental design", equation 4.15)."""
    m = at.triu(at.matmul(g_r, at.adjoint(r)) - at.matmul(at.adjoint(q), g_q))
    diagonal = at.diagonal(m, 0, -2, -1)
    # Both triangles, with a real diagonal that counts once.
    m = m + at.adjoint(m) - at.diag_embed(0.5 * (diagonal + conj(diagonal)))
    return _linalg.solve_triangular(at.adjoint(r), g_q + at.matmul(q, m), upper=False, left=False)


def _qr(g_Q: Any, g_R: Any, A: Any, mode: str, Q: Any, R: Any) -> Any:
    m, n = A.shape[-2], A.shape[-1]
    if mode == "complete" and m > n:
        raise at.AutogradError(
            "qr: expected mode reduced for a gradient of matrices with more rows than columns, got complete, whose "
            "further columns of Q are not determined"
        )
    if mode == "r":
        Q, R = _linalg.qr(A)
        g_Q = at.zeros_like(Q)
    if m >= n:
        return _tall(g_Q, g_R, Q, R)
    # A = (A1, A2) with A1 square: R = (R1, Q^H A2).
    rest, g_rest = at.narrow(A, -1, m, n - m), at.narrow(g_R, -1, m, n - m)
    g_Q = g_Q + at.matmul(rest, at.adjoint(g_rest))
    first = _tall(g_Q, at.narrow(g_R, -1, 0, m), Q, at.narrow(R, -1, 0, m))
    return at.cat([first, at.matmul(Q, g_rest)], -1)


def _qr_batch(A: Any, mode: str) -> Any:
    """Without Q, whose place an empty tensor of any batch takes, R is that of the reduced form."""
    return (A.new_empty((0,)), _linalg.qr(A)[1]) if mode == "r" else NotImplemented


def _householder_product(g: Any, A: Any, tau: Any, A_shape: Any) -> Any:
    m, n, k = A.shape[-2], A.shape[-1], tau.shape[-1]
    start = at.eye(m, n, dtype=g.dtype, device=g.device)
    g_vectors, g_tau, _ = product_gradients(g, A, tau, at.expand(start, tuple(A_shape)))
    return widened(g_vectors, A, n - k), g_tau


def register(rule: RuleBook) -> None:
    """Registers them."""
    rule("qr", A=_qr)
    rule.joint("householder_product", ("A", "tau"), _householder_product)
    rule.batch("aligned", "qr")
    rule.decompose("qr", _qr_batch)
