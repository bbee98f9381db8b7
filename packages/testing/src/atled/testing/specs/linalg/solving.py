"""Linear systems, inverses, determinants and least squares."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import Draw, ErrorCase, OpSpec, Sample

from ._matrices import (
    DTYPES,
    SQUARES,
    ULPS,
    any_matrix,
    each,
    no_dtype,
    no_matrix,
    positive,
    regular,
    symmetric,
    triangular,
)
from .factorization import exchanged, ldl_factor, lu_factor, none_of

COMMON: dict[str, Any] = {"dtypes": DTYPES, "ulps": ULPS, "scale": "largest"}
PRIVATE: dict[str, Any] = {**COMMON, "differentiable": False}


def systems(draw: Draw) -> Iterator[Sample]:
    """Matrices and vectors on the right, batches that broadcast, either side."""
    sizes = (3,) if draw.smooth else (3, 1, 9, 20)
    for n in sizes:
        yield Sample(regular(draw, n, n), any_matrix(draw, n, 2))
        yield Sample(regular(draw, 2, n, n), any_matrix(draw, 2, n, 2), left=True)
        yield Sample(regular(draw, n, n), any_matrix(draw, 2, 4, n), left=False)
    yield Sample(regular(draw, 3, 3), any_matrix(draw, 3))
    yield Sample(regular(draw, 2, 3, 3), any_matrix(draw, 2, 3))
    yield Sample(regular(draw, 2, 3, 3), any_matrix(draw, 3))
    yield Sample(regular(draw, 2, 1, 3, 3), any_matrix(draw, 3, 3, 2))
    if not draw.smooth:
        yield Sample(regular(draw, 0, 0), any_matrix(draw, 0, 2))
        yield Sample(regular(draw, 3, 3), any_matrix(draw, 3, 0))
        yield Sample(regular(draw, 0, 3, 3), any_matrix(draw, 0, 3, 2))


def solve(a: Any, b: Any, left: bool = True) -> Any:
    if b.ndim == 1 or b.shape == a.shape[:-1]:
        return np.linalg.solve(a, b[..., None])[..., 0]
    if left:
        return np.linalg.solve(a, b)
    return np.swapaxes(np.linalg.solve(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)


def triangular_systems(draw: Draw) -> Iterator[Sample]:
    for n in (3,) if draw.smooth else (3, 1, 20):
        for upper in (False, True):
            a = triangular(draw, upper, n, n)
            yield Sample(a, any_matrix(draw, n, 2), upper=upper)
            yield Sample(a, any_matrix(draw, 2, 4, n), upper=upper, left=False)
            yield Sample(a / (4 * n), any_matrix(draw, n, 2), upper=upper, unitriangular=True)
    yield Sample(triangular(draw, True, 2, 3, 3), any_matrix(draw, 3, 2), upper=True)
    if not draw.smooth:
        yield Sample(triangular(draw, True, 0, 0), any_matrix(draw, 0, 2), upper=True)
        yield Sample(triangular(draw, True, 2, 3, 3), any_matrix(draw, 2, 3, 0), upper=True)


def solve_triangular(a: Any, b: Any, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    a = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        diagonal = np.arange(a.shape[-1])
        a[..., diagonal, diagonal] = 1
    return (
        np.linalg.solve(a, b)
        if left
        else np.swapaxes(np.linalg.solve(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)
    )


def factored(draw: Draw) -> Iterator[Sample]:
    for n in (3,) if draw.smooth else (3, 20):
        for left in (True, False):
            for adjoint_too in (False, True):
                lu, pivots = lu_factor(exchanged(draw, 2, n, n))
                b = any_matrix(draw, n, 2) if left else any_matrix(draw, 2, 4, n)
                yield Sample(lu.astype(draw.dtype), pivots, b, left=left, adjoint=adjoint_too)
    if not draw.smooth:
        yield Sample(draw(0, 0), np.zeros(0, np.int32), draw(0, 2))


def lu_solve(lu: Any, pivots: Any, b: Any, left: bool = True, adjoint: bool = False) -> Any:
    n = lu.shape[-1]
    a = (np.tril(lu, -1) + np.eye(n)) @ np.triu(lu)
    for i in np.ndindex(*lu.shape[:-2]):
        for k in reversed(range(n)):
            other = pivots[i][k] - 1
            a[i][[k, other]] = a[i][[other, k]]
    if adjoint:
        a = np.conj(np.swapaxes(a, -1, -2))
    return solve(a, b, left)


def ldl_systems(draw: Draw) -> Iterator[Sample]:
    for n in (3, 20):
        for hermitian in (False, True):
            make = positive if hermitian else symmetric
            a = make(draw, n, n)
            if not hermitian and np.iscomplexobj(a):
                a = a + np.swapaxes(a, -1, -2)
            ld, pivots = ldl_factor(a.astype(np.complex128 if np.iscomplexobj(a) else np.float64), hermitian)
            yield Sample(ld.astype(draw.dtype), pivots, any_matrix(draw, n, 2), hermitian=hermitian)
    # A block of D of 2 x 2.
    yield Sample(np.array([[1, 0], [3, 1]], draw.dtype), np.array([-2, -2], np.int32), any_matrix(draw, 2, 1))


def ldl_solve(ld: Any, pivots: Any, b: Any, hermitian: bool = False) -> Any:
    """From A = P_1 L_1 P_2 L_2 ... D (...)^T, as LAPACK's sytf2 describes it."""
    n = ld.shape[-1]
    left, d, k = np.eye(n, dtype=ld.dtype), np.zeros_like(ld), 0
    while k < n:
        wide = 2 if pivots[k] < 0 else 1
        last, other = k + wide - 1, abs(pivots[k]) - 1
        exchange, lower = np.eye(n), np.eye(n, dtype=ld.dtype)
        exchange[[last, other]] = exchange[[other, last]]
        lower[k + wide :, k : k + wide] = ld[k + wide :, k : k + wide]
        left = left @ exchange @ lower
        d[k : k + wide, k : k + wide] = ld[k : k + wide, k : k + wide]
        if wide == 2:
            d[k, k + 1] = np.conj(d[k + 1, k]) if hermitian else d[k + 1, k]
        k += wide
    right = np.conj(left.T) if hermitian else left.T
    return np.linalg.solve(left @ d @ right, b)


def det_size(a: Any) -> Any:
    """Hadamard's bound."""
    return np.prod(np.sqrt(np.sum(a**2, -1)), -1)


def slogdet_size(a: Any) -> Any:
    return np.ones(a.shape[:-2]), np.sum(np.abs(np.log(np.sqrt(np.sum(a**2, -1)))), -1) + 1


def real_result(sample: Sample) -> tuple[str, ...]:
    dtype = sample.args[0].dtype.name
    return dtype, {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def slogdet(a: Any) -> Any:
    sign, log = np.linalg.slogdet(a)
    return np.asarray(sign, a.dtype), log


def dets(draw: Draw) -> Iterator[Sample]:
    yield from each(any_matrix, SQUARES)(draw)
    # Of rank n - 1 and less: there is a determinant with all its derivatives, but no inverse.
    x = any_matrix(draw, 3, 3)
    x[1] = 0
    yield Sample(x)
    if draw.smooth:
        yield Sample(np.stack([x, np.outer(x[0], x[2]), np.zeros_like(x), any_matrix(draw, 3, 3)]))


def slogdets(draw: Draw) -> Iterator[Sample]:
    yield from each(regular, SQUARES)(draw)
    if not draw.smooth:
        yield Sample(np.zeros((2, 3, 3), draw.dtype))


def least_squares(draw: Draw) -> Iterator[Sample]:
    for shape in ((3, 3), (5, 3)) if draw.smooth else ((3, 3), (5, 3), (3, 5), (20, 12), (2, 4, 2), (3, 0), (0, 3)):
        a = any_matrix(draw, *shape) + 3 * np.eye(*shape[-2:], dtype=draw.dtype)
        for driver in ("gelsy",) if draw.smooth else ("gels", "gelsy", "gelsd", "gelss"):
            yield Sample(a, any_matrix(draw, *shape[:-1], 2), None, driver)
    if not draw.smooth:
        yield Sample(any_matrix(draw, 4, 1) @ any_matrix(draw, 1, 3), any_matrix(draw, 2, 4, 2), 1e-3, "gelsy")


def lstsq_parts(a: Any, b: Any, rcond: Any = None) -> Any:
    rcond = 1e-12 if rcond is None else rcond
    s = np.linalg.svd(a, compute_uv=False)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rank = np.count_nonzero(s > rcond * np.max(s, -1, keepdims=True, initial=0), -1)
    return np.linalg.pinv(a, rcond) @ b, np.broadcast_to(rank, batch), np.broadcast_to(s, (*batch, s.shape[-1]))


def lstsq(a: Any, b: Any, rcond: Any = None, driver: str = "gelsy") -> Any:
    vectors = b.ndim == 1 or b.shape == a.shape[:-1]
    columns = b[..., None] if vectors else b
    x, rank, s = lstsq_parts(a, columns, rcond)
    m, n = a.shape[-2:]
    full = m > n and bool(np.all(rank == n))
    residuals = np.sum(np.abs(a @ x - columns) ** 2, -2) if full else np.zeros(0)
    return (
        x[..., 0] if vectors else x,
        residuals,
        np.zeros(0, np.int64) if driver == "gels" else rank,
        s if driver in ("gelsd", "gelss") else np.zeros(0),
    )


def named(draw: Draw) -> Iterator[Sample]:
    for sample in least_squares(draw):
        a, b, rcond, driver = sample.args
        if rcond is None:  # whether there are residuals depends on the rank, which is not known without data
            yield Sample(a, b, rcond, driver=driver)
    yield Sample(any_matrix(draw, 4, 2), any_matrix(draw, 4))


def lstsq_result(sample: Sample) -> tuple[str, ...]:
    dtype, real = real_result(sample)
    return dtype, real, "int64", real


def tensors(draw: Draw) -> Iterator[Sample]:
    n = 6
    a = regular(draw, n, n)
    yield Sample(a.reshape(2, 3, 6), any_matrix(draw, 2, 3))
    yield Sample(a.reshape(2, 3, 3, 2), any_matrix(draw, 2, 3))
    yield Sample(np.moveaxis(a.reshape(6, 3, 2), -1, 0), any_matrix(draw, 6), [0])


def tensorsolve(a: Any, b: Any, dims: Any = None) -> Any:
    return np.linalg.tensorsolve(a, b, dims)


def check_lstsq(outputs: list[Any], a: Any, b: Any, rcond: Any, driver: str) -> None:
    """What the driver computes."""
    wide = np.result_type(a, np.float64)
    x, rank, s = lstsq_parts(a.astype(wide), b.astype(wide), rcond)
    eps = np.finfo(outputs[0].dtype).eps
    assert outputs[0].shape == x.shape and outputs[0].dtype == a.dtype
    np.testing.assert_allclose(outputs[0], x, atol=200 * eps * max(np.max(np.abs(x), initial=0), 1))
    if driver != "gels":
        np.testing.assert_array_equal(outputs[1], rank)
    if driver in ("gelsd", "gelss"):
        np.testing.assert_allclose(outputs[2], s, atol=50 * eps * np.max(s, initial=1))


SINGULAR = np.stack([np.eye(2), np.ones((2, 2))])
MISFIT = r"expected A\.shape\[-1\] == B\.shape\[-2\], got \(2, 2\) and \(3, 1\)"

SPECS = [
    OpSpec(
        name="linalg::solve_ex",
        reference=lambda a, b, **kwargs: (solve(a, b, **kwargs), none_of(a)),
        samples=systems,
        result=("promote", "int32"),
        errors=(*no_matrix(np.ones((2, 2))), ErrorCase(at.ShapeError, MISFIT, np.ones((2, 2)), np.ones((3, 1)))),
        **COMMON,
    ),
    OpSpec(
        name="linalg::solve",
        reference=solve,
        samples=systems,
        errors=(
            ErrorCase(at.ShapeError, MISFIT, np.ones((2, 2)), np.ones((3, 1))),
            ErrorCase(at.ShapeError, "matrices where left is False", np.ones((2, 2)), np.ones(2), left=False),
            ErrorCase(at.ShapeError, "batch dimensions that broadcast", np.ones((2, 2, 2)), np.ones((3, 2, 2))),
            ErrorCase(
                at.LinAlgError,
                r"^solve: expected an invertible matrix, got a singular one at batch index \(1,\)",
                SINGULAR,
                np.ones((2, 2)),
            ),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::inv_ex",
        reference=lambda a: (np.linalg.inv(a), none_of(a)),
        samples=each(regular, SQUARES),
        result=("promote", "int32"),
        errors=(*no_matrix(), ErrorCase(at.LinAlgError, "singular", SINGULAR, check_errors=True)),
        **COMMON,
    ),
    OpSpec(
        name="linalg::inv",
        reference=np.linalg.inv,
        samples=each(regular, SQUARES),
        errors=(
            *no_matrix(),
            ErrorCase(
                at.LinAlgError,
                r"^inv: expected an invertible matrix, got a singular one at batch index \(1,\)",
                SINGULAR,
            ),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::lu_solve",
        reference=lu_solve,
        samples=factored,
        errors=(
            ErrorCase(at.ShapeError, r"pivots of shape \(2,\)", np.ones((2, 2)), np.ones(3, np.int32), np.ones((2, 1))),
            ErrorCase(at.DTypeError, "pivots to be int32", np.ones((2, 2)), np.ones(2), np.ones((2, 1))),
            ErrorCase(at.BoundsError, r"in \[1, 2\], got 3", np.eye(2), np.array([3, 1], np.int32), np.ones((2, 1))),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::solve_triangular",
        reference=solve_triangular,
        samples=triangular_systems,
        errors=(
            *no_matrix(np.ones((2, 2)), upper=True),
            ErrorCase(at.ShapeError, MISFIT, np.ones((2, 2)), np.ones((3, 1)), upper=True),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::ldl_solve",
        reference=ldl_solve,
        samples=ldl_systems,
        errors=(
            ErrorCase(
                at.InvalidValueError,
                "negative pivots in equal pairs",
                np.eye(2),
                np.array([-1, 2], np.int32),
                np.ones((2, 1)),
            ),
        ),
        **PRIVATE,
    ),
    OpSpec(
        name="linalg::det",
        reference=np.linalg.det,
        samples=dets,
        errors=no_matrix(),
        **{**COMMON, "scale": det_size},
    ),
    OpSpec(
        name="linalg::slogdet",
        reference=slogdet,
        samples=slogdets,
        result=real_result,
        errors=no_matrix(),
        **{**COMMON, "scale": slogdet_size},
    ),
    OpSpec(
        name="linalg::_lstsq",
        check=check_lstsq,
        samples=least_squares,
        dtypes=DTYPES,
        errors=(
            ErrorCase(
                at.ShapeError, r"A\.shape\[-2\] == B\.shape\[-2\]", np.ones((3, 2)), np.ones((2, 1)), None, "gels"
            ),
        ),
    ),
    OpSpec(
        name="linalg::lstsq",
        reference=lstsq,
        samples=named,
        result=lstsq_result,
        errors=(
            ErrorCase(at.InvalidValueError, "gels, gelsy, gelsd or gelss", np.eye(2), np.ones(2), driver="qr"),
            ErrorCase(
                at.LinAlgError, "full rank, which gels needs", np.diag([1.0, 0.0]), np.ones((2, 1)), driver="gels"
            ),
            ErrorCase(at.LinAlgError, "finite elements", np.full((2, 2), math.nan), np.ones((2, 1))),
            *no_dtype(np.ones(2)),
        ),
        **{**COMMON, "ulps": {"default": 256}},
    ),
    OpSpec(
        name="linalg::tensorinv",
        reference=np.linalg.tensorinv,
        samples=lambda draw: [
            Sample(regular(draw, 6, 6).reshape(2, 3, 6)),
            Sample(regular(draw, 6, 6).reshape(6, 3, 2), 1),
        ],
        errors=(
            ErrorCase(at.InvalidValueError, r"ind in \[1, 2\], got 0", np.eye(2), 0),
            ErrorCase(at.ShapeError, "to be equal", np.ones((2, 3)), 1),
            ErrorCase(at.LinAlgError, "singular", np.zeros((2, 2)), 1),
        ),
        **COMMON,
    ),
    OpSpec(
        name="linalg::tensorsolve",
        reference=tensorsolve,
        samples=tensors,
        errors=(ErrorCase(at.ShapeError, "as many elements", np.ones((2, 3)), np.ones(2)),),
        **COMMON,
    ),
]
