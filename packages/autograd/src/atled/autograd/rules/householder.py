"""Rules of products with Householder reflectors, H_i = I - tau_i v_i v_i^H, in LAPACK's compact form."""

from typing import Any

import atled.core as at
from atled.autograd._math import conj
from atled.autograd._rule import RuleBook


def _vector(vectors: Any, i: int) -> Any:
    """v_i = (0, ..., 0, 1, v) as a matrix of one column."""
    places = at.unsqueeze(at.arange(vectors.shape[-2], device=vectors.device), -1)
    return at.where(places > i, at.narrow(vectors, -1, i, 1), 0) + (places == i)


def product_gradients(g: Any, vectors: Any, tau: Any, start: Any, adjoint: bool = False) -> tuple[Any, Any, Any]:
    """Of H_1 ... H_k start, or H_k^H ... H_1^H start: the gradients of vectors' first k columns, tau and start."""
    count = tau.shape[-1]
    order = list(range(count))
    factors = [at.unsqueeze(at.narrow(tau, -1, i, 1), -1) for i in order]
    if adjoint:
        order.reverse()
        factors = [conj(factor) for factor in factors]
    columns = [_vector(vectors, i) for i in range(count)]
    states = [start]  # what each reflection, from the last on, is applied to
    for i in reversed(order):
        v, x = columns[i], states[-1]
        states.append(x - factors[i] * at.matmul(v, at.matmul(at.adjoint(v), x)))
    g_vectors: list[Any] = [None] * count
    g_tau: list[Any] = [None] * count
    for i, x in zip(order, reversed(states[:-1]), strict=True):
        v, factor = columns[i], factors[i]
        of_x, of_g = at.matmul(at.adjoint(v), x), at.matmul(at.adjoint(v), g)
        g_factor = -at.matmul(of_g, at.adjoint(of_x))
        g_tau[i] = at.squeeze(conj(g_factor) if adjoint else g_factor, -1)
        g_vectors[i] = -(conj(factor) * at.matmul(g, at.adjoint(of_x)) + factor * at.matmul(x, at.adjoint(of_g)))
        g = g - conj(factor) * at.matmul(v, of_g)
    if count == 0:
        return at.zeros_like(at.narrow(vectors, -1, 0, 0)), at.zeros_like(tau), g
    return at.tril(at.cat(g_vectors, -1), -1), at.cat(g_tau, -1), g


def widened(x: Any, like: Any, columns: int) -> Any:
    """x with columns of zeros behind it, as many as are missing to the width of like."""
    return at.cat([x, at.zeros_like(at.narrow(like, -1, 0, columns))], -1) if columns else x


def _ormqr(g: Any, input: Any, tau: Any, other: Any, left: bool, transpose: bool) -> Any:
    if not left:  # other Q is (Q^H other^H)^H
        g, other, transpose = at.adjoint(g), at.adjoint(other), not transpose
    g_vectors, g_tau, g_other = product_gradients(g, input, tau, other, transpose)
    missing = input.shape[-1] - tau.shape[-1]
    return widened(g_vectors, input, missing), g_tau, g_other if left else at.adjoint(g_other)


def register(rule: RuleBook) -> None:
    """Registers them."""
    rule.joint("ormqr", ("input", "tau", "other"), _ormqr)
    rule.not_implemented("geqrf", "its compact form is meant for householder_product; linalg.qr has a gradient")
    rule.batch("aligned", "geqrf")
