"""Cholesky and LU factorizations, with cuSOLVER's and cuBLAS's codes of what failed."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import _core
from atled.core._cupy.call import Call, Kernel, Tensor, each, each_row, pays_batched

NOT_POSITIVE = "expected a positive-definite matrix, got one whose leading minor of order {} is not positive"
ZERO_PIVOT = "expected a matrix of full rank, got one whose pivot {} is zero"


def cholesky_ex(call: Call, a: Tensor, upper: bool, check_errors: bool) -> tuple[Tensor, Tensor]:
    n, dtype = a.shape[-1], a.dtype
    factor, info = call.copied(a, dtype), call.info(a.shape[:-2])
    if factor.numel():
        blas = call.cupy.cuda.cublas
        # Row-major memory of A is column-major memory of its transpose, so the other triangle is worked on.
        triangle = blas.CUBLAS_FILL_MODE_LOWER if upper else blas.CUBLAS_FILL_MODE_UPPER
        count = math.prod(a.shape[:-2])
        if pays_batched(count, n):
            places = call.addresses(factor)
            call.solver("potrfBatched", dtype)(triangle, n, places.data_ptr(), n, info.data_ptr(), count)
        else:
            size = call.solver("potrf_bufferSize", dtype)(triangle, n, factor.data_ptr(), n)
            work, potrf = call.work(size, dtype), call.solver("potrf", dtype)
            for i, place in enumerate(each(factor)):
                potrf(triangle, n, place, n, work.data_ptr(), size, info.data_ptr() + 4 * i)
        info = _with_nan(factor, info)
    if check_errors:
        call.expect_success(info, NOT_POSITIVE)
    return factor.triu() if upper else factor.tril(), info


def _with_nan(factor: Tensor, info: Tensor) -> Tensor:
    """NaN on the diagonal is no failure to cuSOLVER."""
    n = factor.shape[-1]
    diagonal = factor.diagonal(0, -2, -1)
    diagonal = diagonal.real if diagonal.is_complex() else diagonal
    order = at.arange(1, n + 1, dtype=at.int32, device=factor.device)
    first = at.where(diagonal > 0, n + 1, order).to(at.int32).amin(-1)
    return at.where((info == 0).logical_and(first <= n), first, info)


def factor_columns(call: Call, columns: Tensor, pivot: bool = True) -> tuple[Tensor, Tensor]:
    """LU factorizations in place of column-major matrices: a contiguous tensor (*, n, m) for matrices of m rows.

    Returns pivots (*, min(m, n)), counted from 1, and info (*), which is 0 or the number of a pivot that is zero.
    """
    *batch, n, m = columns.shape
    dtype, count = columns.dtype, math.prod(batch)
    pivots, info = call.empty((*batch, min(m, n)), at.int32), call.info(batch)
    if columns.numel() == 0:
        return pivots, info
    if not pivot:
        pivots.copy_(at.arange(1, min(m, n) + 1, dtype=at.int32, device=call.device).expand(pivots.shape))
    if m == n and pays_batched(count, n):
        places = call.addresses(columns)
        order = pivots.data_ptr() if pivot else 0
        call.blas("getrfBatched", dtype)(n, places.data_ptr(), n, order, info.data_ptr(), count)
        return pivots, info
    work = call.work(call.solver("getrf_bufferSize", dtype)(m, n, columns.data_ptr(), m), dtype)
    getrf = call.solver("getrf", dtype)
    for i, (place, order) in enumerate(zip(each(columns), each_row(pivots), strict=True)):
        getrf(m, n, place, m, work.data_ptr(), order if pivot else 0, info.data_ptr() + 4 * i)
    return pivots, info


def lu_factor_ex(call: Call, a: Tensor, pivot: bool, check_errors: bool) -> tuple[Tensor, Tensor, Tensor]:
    columns = call.copied(a.mT, a.dtype)
    pivots, info = factor_columns(call, columns, pivot)
    if check_errors:
        call.expect_success(info, ZERO_PIVOT)
    return columns.mT, pivots, info


def expect_pivots(call: Call, pivots: Tensor, n: int) -> None:
    """BoundsError unless all are in [1, n]: they may be the caller's own. Waits for the device."""
    for given in (pivots.amin(), pivots.amax()) if pivots.numel() else ():
        if not 1 <= given.item() <= n:
            raise call.error(_core.BoundsError, f"expected pivots in [1, {n}], got {given.item()}")


KERNELS: dict[str, Kernel] = {"linalg::cholesky_ex": cholesky_ex, "linalg::lu_factor_ex": lu_factor_ex}
