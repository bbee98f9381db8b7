"""Running extremes, sums and products, differences, and areas under lines."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import integrate

import atled.core as at
from atled.testing import ALL, BOOL, COMPLEX, FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import along_dim

from .scan import ERRORS
from .scan import scan as accumulate
from .scan import with_dtype as scans
from .sorting import values

X = np.ones((2, 3), np.float32)
NO_ORDER = ErrorCase(at.DTypeError, "input to be real", np.ones(3, np.complex64), 0)
SUM_ULPS = {"default": 64, "float16": 2, "bfloat16": 2}


def running(beats: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The best so far, the last of equal ones; a NaN beats everything."""

    def reference(x: Any, dim: int) -> Any:
        rows = np.atleast_1d(np.moveaxis(x, dim, 0) if x.ndim else x)
        best, where = rows.copy(), np.zeros(rows.shape, np.int64)
        for i in range(1, len(rows)):
            held = rows.dtype.kind == "f" and np.isnan(best[i - 1])
            better = (rows[i] != rows[i]) | (beats(rows[i], best[i - 1]) & ~np.asarray(held))
            best[i] = np.where(better, rows[i], best[i - 1])
            where[i] = np.where(better, i, where[i - 1])
        return [np.moveaxis(part, 0, dim) if x.ndim else part.reshape(()) for part in (best, where)]

    return reference


def orders(draw: Draw) -> Iterator[Sample]:
    for sample in along_dim(draw):
        yield Sample(values(draw, *sample.args[0].shape), *sample.args[1:], **sample.kwargs)
    if draw.dtype in FLOATS and not draw.smooth:
        x = draw(4, 50)
        yield Sample(np.where(draw(4, 50) > 3.5, np.array(np.nan, x.dtype), x), 1)
        yield Sample(draw.specials(), 0)


def log_sums(x: Any, dim: int) -> Any:
    return np.logaddexp.accumulate(x, dim) if x.ndim else x


def exponents(draw: Draw) -> Iterator[Sample]:
    yield from along_dim(draw)
    if draw.dtype in FLOATS and not draw.smooth:
        yield Sample(draw(3, 50, low=-1000, high=1000), 1)
        inf = np.array(np.inf, draw(1).dtype)
        yield Sample(np.array([-inf, -inf, 1, inf, 2, inf, np.nan, 0], inf.dtype), 0)


def initial(function: Callable[..., Any], first: int) -> Callable[..., Any]:
    def reference(x: Any, dim: int = 0, dtype: Any = None, include_initial: bool = False) -> Any:
        result = accumulate(function)(x, dim, dtype)
        return np.insert(result, 0, first, dim) if include_initial else result

    return reference


def initials(draw: Draw) -> Iterator[Sample]:
    for sample in scans(draw):
        x, *dim = sample.args
        if x.ndim:
            named = dict(zip(("dim",), dim, strict=False)) | sample.kwargs
            yield Sample(x, **named)
            yield Sample(x, **named, include_initial=True)
    yield Sample(draw(5))
    yield Sample(draw(5), include_initial=True)


def differences(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    parts = [part for part in (prepend, x, append) if part is not None]
    joined = np.concatenate(parts, dim) if n else x
    for _ in range(n):
        joined = np.diff(joined, 1, dim)
    return joined


def diffs(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(5))
    yield Sample(draw(3, 4), 2)
    yield Sample(draw(3, 4), 1, 0)
    yield Sample(draw(3, 4), dim=0, prepend=draw(1, 4), append=draw(2, 4))
    yield Sample(draw(3, 4), 0)
    if not draw.smooth:
        yield Sample(draw(2, 3), 5)
        yield Sample(draw(2, 0), 1)


def areas(rule: Callable[..., Any]) -> Callable[..., Any]:
    def reference(y: Any, x: Any = None, dx: float | None = None, dim: int = -1) -> Any:
        if y.shape[dim] == 0:
            return np.delete(y, [], dim).sum(dim) if rule is integrate.trapezoid else y
        return rule(y, x, dx=1.0 if dx is None else dx, axis=dim)

    return reference


def samples_of_lines(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(5))
    yield Sample(draw(3, 4), dim=0)
    yield Sample(draw(3, 4), dx=0.5)
    yield Sample(draw(3, 4), draw(4))
    yield Sample(draw(3, 4), draw(3), dim=0)
    yield Sample(draw(3, 4), draw(3, 4))
    if not draw.smooth:
        yield Sample(draw(3, 0))
        yield Sample(draw(3, 1))


LINE_ERRORS = (
    ErrorCase(at.ArgumentError, "x or dx, got both", X, X, dx=1),
    ErrorCase(at.ShapeError, "3 places along dim", X, np.ones(2, np.float32)),
    ErrorCase(at.ShapeError, "at least one dimension", np.ones(())),
    ErrorCase(at.BoundsError, "dim", X, dim=2),
)


SPECS = [
    OpSpec(
        name="cummax",
        reference=running(np.greater_equal),
        samples=orders,
        dtypes=(*BOOL, *REALS),
        result=("input", "int64"),
        ulps=0,
        errors=(*ERRORS, NO_ORDER),
    ),
    OpSpec(
        name="cummin",
        reference=running(np.less_equal),
        samples=orders,
        dtypes=(*BOOL, *REALS),
        result=("input", "int64"),
        ulps=0,
        errors=(*ERRORS, NO_ORDER),
    ),
    OpSpec(
        name="logcumsumexp",
        reference=log_sums,
        scale=lambda x, dim: np.maximum(np.maximum.accumulate(x, dim) if x.ndim else x, 1),
        samples=exponents,
        dtypes=(*BOOL, *REALS),
        result="float",
        ulps={"default": 1, "float64": 16},
        errors=(*ERRORS, NO_ORDER),
    ),
    OpSpec(
        name="cumulative_sum",
        reference=initial(np.cumsum, 0),
        scale=initial(np.cumsum, 0),
        samples=initials,
        result="standard sum",
        ulps={"default": 64, "float16": 1, "bfloat16": 1},
        errors=(
            ErrorCase(at.ArgumentError, "expected dim for input of shape", X),
            ErrorCase(at.ShapeError, "at least one dimension", np.ones(())),
            ErrorCase(at.BoundsError, "dim", X, dim=2),
        ),
    ),
    OpSpec(
        name="cumulative_prod",
        reference=initial(np.cumprod, 1),
        samples=initials,
        domain=(0.6, 1.5),
        result="standard sum",
        ulps={"default": 256, "float16": 2, "bfloat16": 2, "complex64": 1024, "complex128": 1024},
        errors=(ErrorCase(at.ArgumentError, "expected dim for input of shape", X),),
    ),
    OpSpec(
        name="diff",
        reference=differences,
        scale=lambda x, n=1, dim=-1, prepend=None, append=None: np.full(
            differences(x, n, dim, prepend, append).shape, np.max(x, initial=1) * 2**n
        ),
        samples=diffs,
        dtypes=ALL,
        result="input",
        ulps=2,
        errors=(
            ErrorCase(at.InvalidValueError, "n >= 0", X, -1),
            ErrorCase(at.BoundsError, "dim", X, 1, 2),
            ErrorCase(at.ShapeError, "at least one dimension", np.ones(())),
            ErrorCase(at.ShapeError, "", X, 1, 0, np.ones((1, 2), np.float32)),
        ),
    ),
    OpSpec(
        name="trapezoid",
        reference=areas(integrate.trapezoid),
        scale=lambda y, x=None, dx=None, dim=-1: (
            areas(integrate.trapezoid)(y, None, dx, dim) * (2 * np.max(x, initial=0) if x is not None else 1)
        ),
        samples=samples_of_lines,
        dtypes=(*FLOATS, *COMPLEX),
        result="promote",
        ulps={"default": 8, "float16": 4, "bfloat16": 4},
        errors=LINE_ERRORS,
    ),
    OpSpec(
        name="cumulative_trapezoid",
        reference=areas(integrate.cumulative_trapezoid),
        scale=lambda y, x=None, dx=None, dim=-1: (
            areas(integrate.cumulative_trapezoid)(y, None, dx, dim) * (2 * np.max(x, initial=0) if x is not None else 1)
        ),
        samples=samples_of_lines,
        dtypes=(*FLOATS, *COMPLEX),
        result="promote",
        ulps={"default": 8, "float16": 4, "bfloat16": 4},
        errors=LINE_ERRORS,
    ),
]
