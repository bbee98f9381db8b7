"""Least squares: by QR where full rank is assumed, else by singular values."""

from __future__ import annotations

import atled.core as at
from atled.core._cupy.call import Call, Kernel, Tensor, real
from atled.core._cupy.factorization import ZERO_PIVOT
from atled.core._cupy.solving import joined

RANK = ZERO_PIVOT.replace("full rank", "full rank, which gels needs (gelsy, gelsd and gelss do not)")


def lstsq(call: Call, a: Tensor, b: Tensor, rcond: float | None, driver: str) -> tuple[Tensor, Tensor, Tensor]:
    """Solution (*, n, columns), rank (*) and singular values (*, k), which are zeros for gels and gelsy."""
    (m, n), columns = a.shape[-2:], b.shape[-1]
    k, dtype, batch = min(m, n), at.promote_types(a.dtype, b.dtype), joined(a, b)
    a, b = call.copied(a, dtype, (*batch, m, n)), call.copied(b, dtype, (*batch, m, columns))
    for given in (a, b):
        call.expect_finite(given, "the system")
    values = at.zeros((*batch, k), dtype=real(dtype), device=call.device)
    rank = at.full(batch, k, dtype=at.int64, device=call.device)
    if a.numel() == 0:
        return at.zeros((*batch, n, columns), dtype=dtype, device=call.device), rank, values
    if driver == "gels":
        return _by_qr(call, a, b), rank, values
    u, s, vh = at.linalg.svd(a, full_matrices=False)
    cut = at.finfo(dtype).eps * max(m, n) if rcond is None else rcond
    if cut < 0:  # LAPACK's convention
        cut = at.finfo(dtype).eps
    counted = s > cut * s[..., :1]
    inverse = at.where(counted, 1 / s, 0)
    solution = vh.mH @ (inverse.unsqueeze(-1).to(dtype) * (u.mH @ b))
    return solution, counted.sum(-1), s if driver in ("gelsd", "gelss") else values


def _by_qr(call: Call, a: Tensor, b: Tensor) -> Tensor:
    tall = a.shape[-2] >= a.shape[-1]
    q, r = at.linalg.qr(a if tall else a.mH)
    zero = r.diagonal(0, -2, -1) == 0
    order = at.arange(1, r.shape[-1] + 1, dtype=at.int32, device=call.device)
    first = at.where(zero, order, r.shape[-1] + 1).amin(-1)
    call.expect_success(at.where(zero.any(-1), first, 0).to(at.int32), RANK)
    if tall:
        return at.linalg.solve_triangular(r, q.mH @ b, upper=True)
    return q @ at.linalg.solve_triangular(r.mH, b, upper=False)


KERNELS: dict[str, Kernel] = {"linalg::_lstsq": lstsq}
