"""QR factorizations, and Householder reflectors as LAPACK and cuSOLVER store them."""

from __future__ import annotations

import atled.core as at
from atled.core._cupy.call import Call, Kernel, Tensor, each, each_row


def factor_columns(call: Call, columns: Tensor) -> Tensor:
    """QR factorizations in place of column-major matrices (*, n, m); returns tau (*, min(m, n))."""
    *batch, n, m = columns.shape
    dtype = columns.dtype
    tau = call.empty((*batch, min(m, n)), dtype)
    if columns.numel():
        size = call.solver("geqrf_bufferSize", dtype)(m, n, columns.data_ptr(), m)
        work, info, geqrf = call.work(size, dtype), call.info(()), call.solver("geqrf", dtype)
        for place, scales in zip(each(columns), each_row(tau), strict=True):
            geqrf(m, n, place, m, scales, work.data_ptr(), size, info.data_ptr())
    return tau


def product_columns(call: Call, columns: Tensor, tau: Tensor) -> None:
    """Column-major reflectors (*, n, m), of which the first tau.shape[-1] count, become the first n columns of Q."""
    n, m = columns.shape[-2:]
    k, dtype = tau.shape[-1], columns.dtype
    if columns.numel() == 0:
        return
    if k == 0:
        columns.copy_(at.eye(n, m, dtype=dtype, device=call.device).expand(columns.shape))
        return
    size = call.solver("orgqr_bufferSize", dtype)(m, n, k, columns.data_ptr(), m, tau.data_ptr())
    work, info, orgqr = call.work(size, dtype), call.info(()), call.solver("orgqr", dtype)
    for place, scales in zip(each(columns), each_row(tau), strict=True):
        orgqr(m, n, k, place, m, scales, work.data_ptr(), size, info.data_ptr())


def qr(call: Call, a: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    m, n = a.shape[-2:]
    k = min(m, n)
    width = m if mode == "complete" else k
    columns = call.copied(a.mT, a.dtype)
    tau = factor_columns(call, columns)
    r = at.zeros((*a.shape[:-2], width, n), dtype=a.dtype, device=call.device)
    r[..., :k, :] = columns.mT[..., :k, :].triu()
    if mode == "r":
        return call.empty((0,), a.dtype), r
    q = at.zeros((*a.shape[:-2], width, m), dtype=a.dtype, device=call.device)
    q[..., :k, :] = columns[..., :k, :]
    product_columns(call, q, tau)
    return q.mT, r


def geqrf(call: Call, a: Tensor) -> tuple[Tensor, Tensor]:
    columns = call.copied(a.mT, a.dtype)
    tau = factor_columns(call, columns)
    return columns.mT, tau


def householder_product(call: Call, a: Tensor, tau: Tensor) -> Tensor:
    dtype = at.promote_types(a.dtype, tau.dtype)
    columns = call.copied(a.mT, dtype)
    product_columns(call, columns, call.copied(tau, dtype))
    return columns.mT


def ormqr(call: Call, a: Tensor, tau: Tensor, other: Tensor, left: bool, transpose: bool) -> Tensor:
    dtype = at.promote_types(at.promote_types(a.dtype, tau.dtype), other.dtype)
    m, n = other.shape[-2:]
    order, k = a.shape[-2], tau.shape[-1]
    result = call.copied(other.mT, dtype)
    if result.numel() == 0 or k == 0:
        return result.mT
    reflectors, scales = call.copied(a.mT[..., :k, :], dtype), call.copied(tau, dtype)
    blas = call.cupy.cuda.cublas
    side = blas.CUBLAS_SIDE_LEFT if left else blas.CUBLAS_SIDE_RIGHT
    adjoint = blas.CUBLAS_OP_C if dtype.is_complex else blas.CUBLAS_OP_T
    shape = (side, adjoint if transpose else blas.CUBLAS_OP_N, m, n, k)
    first = (reflectors.data_ptr(), order, scales.data_ptr(), result.data_ptr(), m)
    size = call.solver("ormqr_bufferSize", dtype)(*shape, *first)
    work, info, multiply = call.work(size, dtype), call.info(()), call.solver("ormqr", dtype)
    for place, scale, target in zip(each(reflectors), each_row(scales), each(result), strict=True):
        multiply(*shape, place, order, scale, target, m, work.data_ptr(), size, info.data_ptr())
    return result.mT


KERNELS: dict[str, Kernel] = {
    "linalg::qr": qr,
    "core::geqrf": geqrf,
    "linalg::householder_product": householder_product,
    "core::ormqr": ormqr,
}
