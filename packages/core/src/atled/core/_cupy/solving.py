"""Linear systems, inverses and determinants, from LU factorizations."""

from __future__ import annotations

import ctypes
import math

import atled.core as at
from atled.core._cupy.call import Call, Kernel, Tensor, each, each_row, pays_batched
from atled.core._cupy.factorization import expect_pivots, factor_columns

SINGULAR = "expected an invertible matrix, got a singular one"


def joined(a: Tensor, b: Tensor) -> tuple[int, ...]:
    """The batch dimensions of both, broadcast."""
    return tuple(at.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2])))


def solve_columns(call: Call, factors: Tensor, pivots: Tensor, sides: Tensor, transpose: str = "N") -> None:
    """Solves in place op(A) X = B; all are column-major.

    factors (*, n, n) and pivots (*, n) from factor_columns, sides (*, k, n) with the same batch, or one matrix for all.
    """
    *batch, k, n = sides.shape
    if sides.numel() == 0:
        return
    operation = getattr(call.cupy.cuda.cublas, f"CUBLAS_OP_{transpose}")
    count, dtype = math.prod(batch), sides.dtype
    if math.prod(factors.shape[:-2]) == 1:
        # Right-hand sides one behind the other are one matrix.
        info = call.info(())
        first, order = factors.data_ptr(), pivots.data_ptr()
        call.solver("getrs", dtype)(operation, n, k * count, first, n, order, sides.data_ptr(), n, info.data_ptr())
        return
    if tuple(factors.shape[:-2]) != tuple(batch):
        factors = call.copied(factors, dtype, (*batch, n, n))
        pivots = call.copied(pivots, at.int32, (*batch, n))
    if pays_batched(count, n):
        places, targets = call.addresses(factors), call.addresses(sides)
        status = ctypes.c_int()  # of the arguments, written before the call returns
        call.blas("getrsBatched", dtype)(
            operation,
            n,
            k,
            places.data_ptr(),
            n,
            pivots.data_ptr(),
            targets.data_ptr(),
            n,
            ctypes.addressof(status),
            count,
        )
        return
    getrs, info = call.solver("getrs", dtype), call.info(())
    for place, order, target in zip(each(factors), each_row(pivots), each(sides), strict=True):
        getrs(operation, n, k, place, n, order, target, n, info.data_ptr())


def solve_ex(call: Call, a: Tensor, b: Tensor, left: bool, check_errors: bool) -> tuple[Tensor, Tensor]:
    dtype = at.promote_types(a.dtype, b.dtype)
    vectors = b.ndim == 1 or tuple(b.shape) == tuple(a.shape[:-1])
    if vectors:
        b = b.unsqueeze(-1)
    # X A = B is A^T X^T = B^T.
    flipped = a.mT if left else a
    factors = call.copied(flipped, dtype)
    pivots, info = factor_columns(call, factors)
    given = b.mT if left else b
    sides = call.copied(given, dtype, (*joined(a, b), *given.shape[-2:]))
    solve_columns(call, factors, pivots, sides)
    if check_errors:
        call.expect_success(info, SINGULAR)
    result = sides.mT if left else sides
    return result.squeeze(-1) if vectors else result, info


def inv_ex(call: Call, a: Tensor, check_errors: bool) -> tuple[Tensor, Tensor]:
    factors = call.copied(a.mT, a.dtype)
    pivots, info = factor_columns(call, factors)
    unit = at.eye(a.shape[-1], dtype=a.dtype, device=call.device)
    sides = call.copied(unit, a.dtype, a.shape)
    solve_columns(call, factors, pivots, sides)
    if check_errors:
        call.expect_success(info, SINGULAR)
    return sides.mT, info


def lu_solve(call: Call, lu: Tensor, pivots: Tensor, b: Tensor, left: bool, adjoint: bool) -> Tensor:
    expect_pivots(call, pivots, lu.shape[-1])
    dtype = at.promote_types(lu.dtype, b.dtype)
    # X A = B is A^T X^T = B^T; X A^H = B is conj(A) X^T = B^T, or A conj(X^T) = conj(B^T).
    conjugated = dtype.is_complex and adjoint and not left
    transpose = ("C" if adjoint else "N") if left else ("N" if adjoint else "T")
    given = b.mT if left else b
    given = given.conj() if conjugated else given
    sides = call.copied(given, dtype, (*joined(lu, b), *given.shape[-2:]))
    solve_columns(call, call.copied(lu.mT, dtype), pivots.contiguous(), sides, transpose)
    result = sides.conj() if conjugated else sides
    return result.mT if left else result


def solve_triangular(call: Call, a: Tensor, b: Tensor, upper: bool, left: bool, unitriangular: bool) -> Tensor:
    dtype, batch = at.promote_types(a.dtype, b.dtype), joined(a, b)
    rows, columns = b.shape[-2:]
    x = call.copied(b, dtype, (*batch, rows, columns))
    if x.numel() == 0:
        return x
    blas, a = call.cupy.cuda.cublas, a.to(dtype)
    flipped = a.mT.is_contiguous() and not a.is_contiguous()
    if not flipped:
        a = a.contiguous()
    # Row-major memory is column-major memory of transposes: A X = B is solved as X^T A^T = B^T.
    arguments = (
        blas.CUBLAS_SIDE_RIGHT if left else blas.CUBLAS_SIDE_LEFT,
        blas.CUBLAS_FILL_MODE_UPPER if upper == flipped else blas.CUBLAS_FILL_MODE_LOWER,
        blas.CUBLAS_OP_T if flipped else blas.CUBLAS_OP_N,
        blas.CUBLAS_DIAG_UNIT if unitriangular else blas.CUBLAS_DIAG_NON_UNIT,
    )
    n, count = a.shape[-1], math.prod(batch)
    one = (ctypes.c_double * 2)(1) if dtype in (at.float64, at.complex128) else (ctypes.c_float * 2)(1)
    factor = ctypes.addressof(one)
    matrices = a.mT if flipped else a
    if pays_batched(count, n):
        places, targets = call.addresses(matrices, batch), call.addresses(x)
        call.blas("trsmBatched", dtype)(
            *arguments, columns, rows, factor, places.data_ptr(), n, targets.data_ptr(), columns, count
        )
        return x
    if tuple(matrices.shape[:-2]) != batch:
        matrices = call.copied(matrices, dtype, (*batch, n, n))
    trsm = call.blas("trsm", dtype)
    for place, target in zip(each(matrices), each(x), strict=True):
        trsm(*arguments, columns, rows, factor, place, n, target, columns)
    return x


def _diagonal(call: Call, a: Tensor) -> tuple[Tensor, Tensor]:
    """U's diagonal of each matrix's LU factorization, and the sign of its row exchanges."""
    columns = call.copied(a, a.dtype)  # of A^T, whose determinant is A's
    pivots, _ = factor_columns(call, columns)
    order = at.arange(1, a.shape[-1] + 1, dtype=at.int32, device=call.device)
    return columns.diagonal(0, -2, -1), 1 - 2 * ((pivots != order).sum(-1) % 2)


def det(call: Call, a: Tensor) -> Tensor:
    diagonal, sign = _diagonal(call, a)
    return diagonal.prod(-1) * sign.to(a.dtype)


def slogdet(call: Call, a: Tensor) -> tuple[Tensor, Tensor]:
    diagonal, sign = _diagonal(call, a)
    size = diagonal.abs()
    # Of a complex number by a real one, part for part.
    parts = at.view_as_real(diagonal) if diagonal.is_complex() else diagonal.unsqueeze(-1)
    parts = at.where((size == 0).unsqueeze(-1), 0, parts / size.unsqueeze(-1))
    direction = at.view_as_complex(parts) if diagonal.is_complex() else parts.squeeze(-1)
    return direction.prod(-1) * sign.to(a.dtype), size.log().sum(-1)


KERNELS: dict[str, Kernel] = {
    "linalg::solve_ex": solve_ex,
    "linalg::inv_ex": inv_ex,
    "linalg::lu_solve": lu_solve,
    "linalg::solve_triangular": solve_triangular,
    "linalg::det": det,
    "linalg::slogdet": slogdet,
}
