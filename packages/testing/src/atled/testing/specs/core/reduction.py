"""Reductions over any dimensions."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, BOOL, COMPLEX, FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample, Samples
from atled.testing.samples import reductions

X = np.ones((2, 3), np.float32)
FLOATING = (*FLOATS, *COMPLEX)
DIM_ERRORS = (
    ErrorCase(at.BoundsError, r"dim in \[-2, 1\], got 2", X, 2),
    ErrorCase(at.BoundsError, "dim", X, (0, -3)),
    ErrorCase(at.InvalidValueError, "", X, (0, 0)),
    ErrorCase(at.ArgumentError, "dim", X, "rows"),
)
NOT_FLOATING = ErrorCase(at.DTypeError, "expected input to be floating, got int64", np.ones(3, np.int64))
NO_ORDER = ErrorCase(at.DTypeError, "complex", np.ones(3, np.complex64))
NO_ELEMENTS = ErrorCase(at.ShapeError, "at least one element", np.ones((0, 3)))
SPREAD_ERRORS = (
    *DIM_ERRORS,
    NOT_FLOATING,
    ErrorCase(at.ArgumentError, "unbiased or correction, got both", X, 1, True, correction=1),
    ErrorCase(at.ArgumentError, r"expected dim to be int\[\]\?, got bool", X, dim=False),
)
# Sums are added pairwise or in blocks; half precision is summed in float32.
SUM_ULPS = {"default": 8, "float16": 1, "bfloat16": 1}


def over(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy reduction with PyTorch's arguments; a 0-d tensor may be reduced over its dimension 0."""

    def reference(x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None, **kwargs: Any) -> Any:
        axis = tuple(dim) if isinstance(dim, (list, tuple)) else dim
        if x.ndim == 0:
            return function(x.reshape(1), 0, **kwargs)
        return function(x, axis, keepdims=keepdim, **kwargs)

    return reference


def by_name(samples: Samples, **kwargs: Any) -> Samples:
    """Samples whose arguments other than the tensor are all named, with some more of them."""

    def generate(draw: Draw) -> Iterator[Sample]:
        for sample in samples(draw):
            x, *rest = sample.args
            yield Sample(x, **dict(zip(("dim", "keepdim"), rest, strict=False)), **sample.kwargs, **kwargs)

    return generate


def with_dtype(samples: Samples) -> Samples:
    def generate(draw: Draw) -> Iterator[Sample]:
        yield from samples(draw)
        if not draw.smooth:
            wide = "complex128" if draw.dtype in COMPLEX else "float64"
            yield Sample(draw(3, 4), 1, dtype=wide)
            yield Sample(draw(1037), dtype=wide)

    return generate


def with_nan(samples: Samples) -> Samples:
    def generate(draw: Draw) -> Iterator[Sample]:
        yield from samples(draw)
        if draw.dtype in FLOATS and not draw.smooth:
            nan = np.array(np.nan, draw(1).dtype)
            x = draw(5, 700)
            yield Sample(np.where(np.arange(700) == 300, nan, x), 1)
            yield Sample(np.where(np.arange(700) == 300, nan, x), 0)
            yield Sample(np.where(np.arange(700) < 699, np.array(-np.inf, draw(1).dtype), x), 1)

    return generate


def truths(draw: Draw) -> Iterator[Sample]:
    """Rows that are all zero, all not, and mixed."""
    for sample in reductions()(draw):
        x = sample.args[0]
        few = draw.rng.random(x.shape) < 0.9
        yield Sample(np.where(few, np.zeros_like(x), x), *sample.args[1:], **sample.kwargs)
        yield Sample(np.where(few, np.ones_like(x), np.zeros_like(x)), *sample.args[1:], **sample.kwargs)


def corrections(draw: Draw) -> Iterator[Sample]:
    yield from by_name(reductions())(draw)
    for correction in (0, 2, 0.5):
        yield Sample(draw(3, 7), 1, correction=correction)
    yield Sample(draw(3, 7), 1, False, True)
    yield Sample(draw(3, 7), unbiased=False)
    yield Sample(draw(3, 7), False)
    if not draw.smooth:
        yield Sample(draw(3, 1), 1)
        yield Sample((draw(2, 900).astype("float64") + 1000).astype(draw(1).dtype), 1)


def variance(x: Any, axis: Any, keepdims: bool = False, correction: float = 1) -> Any:
    with warnings.catch_warnings(action="ignore"):  # NumPy warns of few elements
        return np.var(x, axis, ddof=correction, keepdims=keepdims)


def deviation(x: Any, axis: Any, keepdims: bool = False, correction: float = 1) -> Any:
    return np.sqrt(variance(x, axis, keepdims, correction))


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """A variance with PyTorch's arguments, of which unbiased is the older one."""

    def reference(
        x: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, correction: float | None = None
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        less = correction if correction is not None else 1 if unbiased is None else int(unbiased)
        return over(function)(x, dim, keepdim, correction=less)

    return reference


def mean(x: Any, axis: Any, keepdims: bool = False) -> Any:
    with warnings.catch_warnings(action="ignore"):
        return np.mean(x, axis, keepdims=keepdims)


def norm(x: Any, p: float = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    def reduce(x: Any, axis: Any, keepdims: bool = False) -> Any:
        x = np.abs(x)
        if p == 0:
            return np.sum(x != 0, axis, keepdims=keepdims)
        if np.isinf(p):
            return (np.max if p > 0 else np.min)(x, axis, keepdims=keepdims)
        return np.sum(x**p, axis, keepdims=keepdims) ** (1 / p)

    return over(reduce)(x, dim, keepdim)


def norms(draw: Draw) -> Iterator[Sample]:
    for sample in reductions()(draw):
        x, *rest = sample.args
        yield Sample(x, 2, *rest, **sample.kwargs)
    for p in (1, 3, 0, 0.5, float("inf"), -float("inf")) if not draw.smooth else (1, 3):
        yield Sample(draw(3, 40), p)
        yield Sample(draw(3, 40), p, 1)
        yield Sample(draw(40, 3), p, 0, True)


def factors(draw: Draw) -> Iterator[Sample]:
    """Products that neither overflow nor vanish: complex numbers of the domain are longer than their parts."""
    for sample in with_dtype(reductions())(draw):
        x = sample.args[0]
        yield Sample((x * 0.66).astype(x.dtype) if draw.dtype in COMPLEX else x, *sample.args[1:], **sample.kwargs)


def log_sum_exp(x: Any, axis: Any, keepdims: bool = False) -> Any:
    top = np.max(np.real(x), axis, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0)
    total = np.log(np.sum(np.exp(x - shift), axis, keepdims=True)) + shift
    return total if keepdims else np.squeeze(total, axis)


def exponents(draw: Draw) -> Iterator[Sample]:
    yield from with_nan(reductions())(draw)
    if draw.dtype in ("float32", "float64", "bfloat16"):
        yield Sample(draw(3, 50, low=-1000, high=1000), 1)
    if draw.dtype in COMPLEX:
        # Terms of a like direction, lest they cancel; and none that counts.
        yield Sample(np.asarray(draw(3, 50).real * 250 + 1j * draw(3, 50).imag / 8, draw.dtype), 1)
        if not draw.smooth:
            yield Sample(np.full((2, 3), complex(-np.inf, 1), draw.dtype), 0)


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "input", "ulps": 0, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


SPECS = [
    op(
        "sum",
        over(np.sum),
        with_dtype(reductions()),
        *DIM_ERRORS,
        scale=over(np.sum),
        result="sum",
        ulps=SUM_ULPS,
    ),
    op(
        "prod",
        over(np.prod),
        factors,
        *DIM_ERRORS,
        domain=(0.6, 1.5),
        result="sum",
        ulps={"default": 64, "float16": 1, "bfloat16": 1, "complex64": 512, "complex128": 512},
    ),
    op(
        "mean",
        over(mean),
        with_dtype(reductions()),
        *DIM_ERRORS,
        NOT_FLOATING,
        scale=over(mean),
        dtypes=FLOATING,
        ulps=SUM_ULPS,
    ),
    op(
        "amax",
        over(np.max),
        with_nan(reductions(empty=False)),
        *DIM_ERRORS,
        NO_ORDER,
        NO_ELEMENTS,
        dtypes=(*BOOL, *REALS),
    ),
    op(
        "amin",
        over(np.min),
        with_nan(reductions(empty=False)),
        *DIM_ERRORS,
        NO_ORDER,
        NO_ELEMENTS,
        dtypes=(*BOOL, *REALS),
    ),
    op("any", over(np.any), truths, *DIM_ERRORS, result="bool", dtypes=ALL, differentiable=False),
    op("all", over(np.all), truths, *DIM_ERRORS, result="bool", dtypes=ALL, differentiable=False),
    op(
        "count_nonzero",
        over(np.count_nonzero),
        truths,
        ErrorCase(at.BoundsError, "dim", X, 2),
        result="int64",
        dtypes=ALL,
        differentiable=False,
    ),
    op("var", spread(variance), corrections, *SPREAD_ERRORS, dtypes=FLOATING, result="real", ulps=32),
    op("std", spread(deviation), corrections, *SPREAD_ERRORS, dtypes=FLOATING, result="real", ulps=32),
    op(
        "norm",
        norm,
        norms,
        NOT_FLOATING,
        ErrorCase(at.BoundsError, "dim", X, 2, 2),
        result="real",
        dtypes=FLOATING,
        ulps=16,
    ),
    op(
        "logsumexp",
        over(log_sum_exp),
        exponents,
        *DIM_ERRORS,
        scale=lambda x, dim=None, keepdim=False: over(np.max)(np.abs(x), dim, keepdim, initial=0),
        result="float",
        dtypes=ALL,
        # Complex terms cancel.
        ulps={"default": 8, "complex64": 64, "complex128": 64},
    ),
]
