"""Cholesky, LU and LDL factorizations."""

from typing import Any

import numpy as np
import scipy.linalg

import atled.core as at
from atled.testing import ErrorCase, OpSpec, Sample

from ._matrices import (
    DTYPES,
    RECTANGLES,
    SMOOTH_RECTANGLES,
    SQUARES,
    ULPS,
    adjoint,
    any_matrix,
    batched,
    each,
    no_dtype,
    no_matrix,
    positive,
    symmetric,
)

COMMON: dict[str, Any] = {"dtypes": DTYPES, "ulps": ULPS, "scale": "largest"}


def none_of(a: Any) -> Any:
    return np.zeros(a.shape[:-2], np.int32)


def cholesky(a: Any, upper: bool = False) -> Any:
    lower = np.linalg.cholesky(adjoint(a) if upper else a) if a.size else a
    return adjoint(lower) if upper else lower


def of_hermitian(op: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    return op(0.5 * (a + at.adjoint(a)), *args, **kwargs)


def lu_factor(a: Any, pivot: bool = True) -> Any:
    def one(a: Any) -> Any:
        k = min(a.shape)
        if not pivot:
            return unpivoted(a), np.arange(1, k + 1, dtype=np.int32)
        lu, pivots = scipy.linalg.lu_factor(a) if a.size else (a, np.zeros(k))
        return lu, (pivots + 1).astype(np.int32)

    return batched(one)(a)


def unpivoted(a: Any) -> Any:
    a = a.copy()
    for j in range(min(a.shape)):
        a[j + 1 :, j] /= a[j, j]
        a[j + 1 :, j + 1 :] -= np.outer(a[j + 1 :, j], a[j, j + 1 :])
    return a


def lu(a: Any, pivot: bool = True) -> Any:
    def one(a: Any) -> Any:
        if not pivot:
            k = min(a.shape)
            factors = unpivoted(a)
            return np.zeros(0), np.tril(factors[:, :k], -1) + np.eye(a.shape[0], k), np.triu(factors[:k])
        return scipy.linalg.lu(a)

    if not pivot:
        p, lower, upper = batched(one)(a)
        return np.zeros(0, p.dtype if np.iscomplexobj(p) else a.dtype), lower, upper
    p, lower, upper = batched(one)(a)
    return p.astype(a.dtype), lower, upper


def ldl_factor(a: Any, hermitian: bool = False) -> Any:
    def one(a: Any) -> Any:
        name = "hetrf" if hermitian and np.iscomplexobj(a) else "sytrf"
        (factor,) = scipy.linalg.get_lapack_funcs((name,), (a,))
        if not a.size:
            return a, np.zeros(0, np.int32)
        ld, pivots, _ = factor(a, lower=True)
        # What is a pivot in LAPACK counts from 1; SciPy leaves it so.
        return np.tril(ld), pivots.astype(np.int32)

    return batched(one)(a)


def lu_wide(draw: Any, *shape: int) -> Any:
    n = min(shape[-2:])
    a = any_matrix(draw, *shape)
    a[..., :n, :n] += 2 * n * np.eye(n, dtype=draw.dtype)
    return a


def exchanged(draw: Any, *shape: int) -> Any:
    return np.roll(lu_wide(draw, *shape), 1, -2)


def indefinite(draw: Any, *shape: int) -> Any:
    return symmetric(draw, *shape) - np.eye(shape[-1], dtype=draw.dtype) * shape[-1]


def pivots_to_permutation(pivots: Any, n: int) -> Any:
    out = np.empty((*pivots.shape[:-1], n), np.int64)
    for i in np.ndindex(*pivots.shape[:-1]):
        order = np.arange(n)
        for k, other in enumerate(pivots[i]):
            order[[k, other - 1]] = order[[other - 1, k]]
        out[i] = order
    return out


def with_info(reference: Any) -> Any:
    def apply(a: Any, *args: Any, **kwargs: Any) -> Any:
        parts = reference(a, *args, **kwargs)
        return (*(parts if isinstance(parts, tuple) else (parts,)), none_of(a))

    return apply


NEGATIVE = np.stack([np.eye(3), -np.eye(3)])
LU_RESULT = ("promote", "int32")

SPECS = [
    OpSpec(
        name="linalg::cholesky_ex",
        reference=with_info(cholesky),
        samples=each(positive, SQUARES, upper=[True]),
        result=("promote", "int32"),
        through=of_hermitian,
        errors=(
            *no_matrix(),
            ErrorCase(at.LinAlgError, r"minor of order 1 is not positive at batch", NEGATIVE, check_errors=True),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::cholesky",
        reference=cholesky,
        samples=each(positive, SQUARES, upper=[True]),
        through=of_hermitian,
        errors=(
            *no_matrix(),
            ErrorCase(
                at.LinAlgError,
                r"^cholesky: expected a positive-definite matrix, got one whose leading minor of order 1 is not "
                r"positive at batch index \(1,\)",
                NEGATIVE,
            ),
            ErrorCase(at.LinAlgError, "order 1 is not positive", np.full((2, 2), np.nan)),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::lu_factor_ex",
        reference=with_info(lu_factor),
        samples=each(exchanged, RECTANGLES, SMOOTH_RECTANGLES, pivot=[True]),
        result=(*LU_RESULT, "int32"),
        errors=(
            *no_dtype(),
            ErrorCase(at.LinAlgError, "whose pivot 1 is zero", np.zeros((2, 2)), check_errors=True),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::lu_factor",
        reference=lu_factor,
        samples=each(exchanged, RECTANGLES, SMOOTH_RECTANGLES),
        result=LU_RESULT,
        errors=(ErrorCase(at.LinAlgError, r"pivot 1 is zero at batch index \(0, 1\)", np.eye(2) * [[[[1]], [[0]]]]),),
        **COMMON,
    ),
    OpSpec(
        name="linalg::lu",
        reference=lu,
        samples=each(exchanged, [s for s in RECTANGLES if 0 not in s], SMOOTH_RECTANGLES),
        result=("promote", "promote", "promote"),
        errors=no_dtype(),
        **COMMON,
    ),
    OpSpec(
        name="linalg::_pivots_to_permutation",
        reference=pivots_to_permutation,
        samples=lambda draw: [
            Sample(np.array([[3, 2, 3], [1, 3, 3]], np.int32), 4),
            Sample(np.zeros((2, 0), np.int32), 3),
        ],
        dtypes=("int32",),
        result="int64",
        differentiable=False,
        errors=(
            ErrorCase(at.BoundsError, r"pivots in \[1, 2\], got 3", np.array([3, 1], np.int32), 2),
            ErrorCase(at.ShapeError, "at most n pivots", np.array([3, 1], np.int32), 1),
        ),
    ),
    OpSpec(
        name="linalg::ldl_factor_ex",
        reference=with_info(ldl_factor),
        samples=each(indefinite, SQUARES, hermitian=[True]),
        result=(*LU_RESULT, "int32"),
        differentiable=False,
        errors=no_matrix(),
        **COMMON,
    ),
    OpSpec(
        name="linalg::ldl_factor",
        reference=ldl_factor,
        samples=each(indefinite, SQUARES[:4], hermitian=[True]),
        result=LU_RESULT,
        differentiable=False,
        errors=(ErrorCase(at.LinAlgError, "pivot 1 is zero", np.zeros((2, 2))),),
        **COMMON,
    ),
]
