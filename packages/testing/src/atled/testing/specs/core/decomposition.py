"""Linear algebra under PyTorch's names outside linalg."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import Draw, ErrorCase, OpSpec, Sample
from atled.testing.specs.linalg._matrices import (
    DTYPES,
    RECTANGLES,
    SMOOTH_RECTANGLES,
    SQUARES,
    ULPS,
    adjoint,
    any_matrix,
    each,
    no_dtype,
    no_matrix,
    positive,
    triangular,
)
from atled.testing.specs.linalg.factorization import (
    LU_RESULT,
    cholesky,
    exchanged,
    lu_factor,
    none_of,
    of_hermitian,
)
from atled.testing.specs.linalg.functions import chains, multi_dot
from atled.testing.specs.linalg.solving import lu_solve, solve_triangular
from atled.testing.specs.linalg.spectral import (
    geqrf,
    of_qr,
    of_svd,
    pinv,
    product,
    real,
    reflectors,
    sizes,
)

COMMON: dict[str, Any] = {"dtypes": DTYPES, "ulps": ULPS, "scale": "largest"}


def uppers(draw: Draw) -> Iterator[Sample]:
    for shape in ((3, 3),) if draw.smooth else SQUARES:
        yield Sample(positive(draw, *shape))
        yield Sample(positive(draw, *shape), True)


def infos(draw: Draw) -> Iterator[Sample]:
    yield Sample(exchanged(draw, 2, 3, 3))
    yield Sample(exchanged(draw, 4, 3), True, True)


def lu_infos(a: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    return (*lu_factor(a), none_of(a)) if get_infos else lu_factor(a)


def lists(draw: Draw) -> Iterator[Sample]:
    for shape in SMOOTH_RECTANGLES if draw.smooth else ((3, 3), (4, 3), (2, 3, 5)):
        factors, pivots = lu_factor(exchanged(draw, *shape))
        yield Sample(factors.astype(draw.dtype), pivots)
    yield Sample(factors.astype(draw.dtype), pivots, False)
    yield Sample(factors.astype(draw.dtype), pivots, True, False)


def lu_unpack(factors: Any, pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    m, n = factors.shape[-2:]
    k = min(m, n)
    nothing = np.zeros(0, factors.dtype)
    p = np.broadcast_to(np.eye(m), (*factors.shape[:-1], m)).astype(factors.dtype)
    for i in np.ndindex(*factors.shape[:-2]):
        for row in range(k):
            other = pivots[i][row] - 1
            p[i][:, [row, other]] = p[i][:, [other, row]]
    lower = np.tril(factors[..., :k], -1) + np.eye(m, k)
    return (
        p if unpack_pivots else nothing,
        lower if unpack_data else nothing,
        np.triu(factors[..., :k, :]) if unpack_data else nothing,
    )


def factored(draw: Draw) -> Iterator[Sample]:
    factors, pivots = lu_factor(exchanged(draw, 2, 3, 3))
    yield Sample(any_matrix(draw, 2, 3, 4), factors.astype(draw.dtype), pivots)


def triangles(draw: Draw) -> Iterator[Sample]:
    for upper in (True, False):
        for transpose in (True, False):
            yield Sample(any_matrix(draw, 3, 2), triangular(draw, upper, 3, 3), upper, transpose)
    yield Sample(any_matrix(draw, 2, 3, 2), triangular(draw, True, 2, 3, 3) / 12, unitriangular=True)


def triangular_solve(b: Any, a: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    part = np.triu(a) if upper else np.tril(a)
    turned = np.swapaxes(part, -1, -2) if transpose else part
    return solve_triangular(turned, b, upper != transpose, True, unitriangular), a


def cholesky_systems(draw: Draw) -> Iterator[Sample]:
    for n in (3,) if draw.smooth else (3, 0, 20):
        factor = triangular(draw, False, 2, n, n) / max(2 * n, 1)
        yield Sample(any_matrix(draw, 2, n, 2), np.tril(factor))
        yield Sample(any_matrix(draw, 2, n, 2), np.triu(factor), True)


def cholesky_solve(b: Any, factor: Any, upper: bool = False) -> Any:
    return np.linalg.solve(adjoint(factor) @ factor if upper else factor @ adjoint(factor), b)


def cholesky_factors(draw: Draw) -> Iterator[Sample]:
    for sample in cholesky_systems(draw):
        yield Sample(*sample.args[1:])


def cholesky_inverse(factor: Any, upper: bool = False) -> Any:
    return np.linalg.inv(adjoint(factor) @ factor if upper else factor @ adjoint(factor))


def logdet(a: Any) -> Any:
    sign, log = np.linalg.slogdet(a)
    with np.errstate(all="ignore"):
        return np.log(sign) + log


def logdets(draw: Draw) -> Iterator[Sample]:
    yield from each(positive, ((3, 3), (2, 3, 3), (0, 0)))(draw)
    if not draw.smooth:
        yield Sample(np.zeros((2, 2), draw.dtype))


def some_qr(a: Any, some: bool = True) -> Any:
    return tuple(np.linalg.qr(a, "reduced" if some else "complete"))


def some_svd(a: Any, some: bool = True, compute_uv: bool = True) -> Any:
    u, s, vh = np.linalg.svd(a, not some)
    if not compute_uv:
        m, n = a.shape[-2:]
        return np.zeros((*a.shape[:-2], m, m), a.dtype), s, np.zeros((*a.shape[:-2], n, n), a.dtype)
    return u, s, adjoint(vh)


def of_some_svd(u: Any, s: Any, v: Any) -> Any:
    return of_svd(u, s, adjoint(v))


def smooth_some_svd(op: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    u, s, v = op(a, *args, **kwargs)
    return s, sizes(u), sizes(v)


def ormqrs(draw: Draw) -> Iterator[Sample]:
    for sample in reflectors(draw):
        a, tau = sample.args
        batch, m = a.shape[:-2], a.shape[-2]
        yield Sample(a, tau, any_matrix(draw, *batch, m, 2))
        yield Sample(a, tau, any_matrix(draw, *batch, m, 2), True, True)
        yield Sample(a, tau, any_matrix(draw, *batch, 2, m), False)
        yield Sample(a, tau, any_matrix(draw, *batch, 2, m), False, True)


def ormqr(a: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    q = product(a, tau)
    q = adjoint(q) if transpose else q
    return q @ other if left else other @ q


SPECS = [
    OpSpec(
        name="cholesky",
        reference=cholesky,
        samples=uppers,
        through=of_hermitian,
        errors=(*no_matrix(), ErrorCase(at.LinAlgError, "^cholesky: .* order 1 is not positive", -np.eye(2))),
        **COMMON,
    ),
    OpSpec(
        name="lu",
        reference=lu_infos,
        samples=infos,
        result=lambda sample: (*LU_RESULT, "int32") if len(sample.args) > 2 else LU_RESULT,
        errors=(ErrorCase(at.LinAlgError, "pivot 1 is zero", np.zeros((2, 2))),),
        **COMMON,
    ),
    OpSpec(
        name="lu_unpack",
        reference=lu_unpack,
        samples=lists,
        result=("input",) * 3,
        errors=(ErrorCase(at.ShapeError, "at least two dimensions", np.ones(3), np.ones(3, np.int32)),),
        **COMMON,
    ),
    OpSpec(
        name="lu_solve",
        reference=lambda b, factors, pivots: lu_solve(factors, pivots, b),
        samples=factored,
        result="input",
        errors=(ErrorCase(at.ShapeError, "pivots of shape", np.ones((2, 1)), np.eye(2), np.ones(3, np.int32)),),
        **COMMON,
    ),
    OpSpec(
        name="triangular_solve",
        reference=triangular_solve,
        samples=triangles,
        result=("promote", "promote"),
        errors=(ErrorCase(at.ShapeError, "square", np.ones((2, 1)), np.ones((2, 3))),),
        **COMMON,
    ),
    OpSpec(
        name="cholesky_solve",
        reference=cholesky_solve,
        samples=cholesky_systems,
        errors=(ErrorCase(at.ShapeError, "square", np.ones((2, 1)), np.ones((2, 3))),),
        **{**COMMON, "ulps": {"default": 512}},
    ),
    OpSpec(
        name="cholesky_inverse",
        reference=cholesky_inverse,
        samples=cholesky_factors,
        errors=(ErrorCase(at.ShapeError, "square", np.ones((2, 3))),),
        **{**COMMON, "ulps": {"default": 512}},
    ),
    OpSpec(
        name="logdet",
        reference=logdet,
        samples=logdets,
        dtypes=DTYPES,
        ulps=ULPS,
        scale=lambda a: np.ones(a.shape[:-2]),
        errors=no_matrix(),
    ),
    OpSpec(
        name="pinverse",
        reference=lambda a, rcond=1e-15: pinv(a, rtol=rcond),
        samples=each(any_matrix, RECTANGLES, SMOOTH_RECTANGLES, rcond=[1e-2]),
        errors=no_dtype(),
        **{**COMMON, "ulps": {"default": 512}},
    ),
    OpSpec(
        name="qr",
        reference=some_qr,
        samples=each(any_matrix, RECTANGLES, SMOOTH_RECTANGLES),
        invariant=of_qr,
        result=("promote", "promote"),
        errors=no_dtype(),
        **COMMON,
    ),
    OpSpec(
        name="svd",
        elsewhere=4,  # cuSOLVER's iterations stop earlier than LAPACK's
        reference=some_svd,
        samples=each(any_matrix, RECTANGLES, SMOOTH_RECTANGLES),
        invariant=of_some_svd,
        through=smooth_some_svd,
        result=lambda sample: ("input", real(sample), "input"),
        errors=(ErrorCase(at.LinAlgError, "finite elements", np.full((2, 2), np.inf)), *no_dtype()),
        **COMMON,
    ),
    OpSpec(
        name="geqrf",
        reference=geqrf,
        samples=each(any_matrix, RECTANGLES),
        result=("promote", "promote"),
        differentiable=False,
        errors=no_dtype(),
        **COMMON,
    ),
    OpSpec(
        name="ormqr",
        reference=ormqr,
        samples=ormqrs,
        errors=(ErrorCase(at.ShapeError, "other of input's batch", np.eye(2), np.ones(2), np.ones((3, 1))),),
        **COMMON,
    ),
    OpSpec(
        name="chain_matmul",
        reference=lambda *matrices: multi_dot(matrices) if len(matrices) > 1 else matrices[0],
        samples=lambda draw: [
            *(Sample(*s.args[0]) for s in chains(draw) if all(x.ndim == 2 for x in s.args[0])),
            Sample(any_matrix(draw, 3, 2)),
        ],
        errors=(ErrorCase(at.ArgumentError, "at least one matrix, got none", []),),
        **{**COMMON, "ulps": {"default": 32}},
    ),
]
