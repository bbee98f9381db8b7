"""What is done to all gradients together: their norm, scaling by it, and undoing the scale of a loss."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

from ._lists import X, Y, as_params, lists


def norm_samples(draw: Draw) -> Iterator[Sample]:
    for order in (2.0, 1.0, 3.0, float("inf")):
        yield Sample(lists(draw, 1)[0], order)
    yield Sample([])


def norm(grads: list[Any], norm_type: float = 2.0) -> Any:
    return np.linalg.norm(np.concatenate([g.ravel() for g in grads] or [np.zeros(1)]), norm_type)


def norm_dtype(sample: Sample) -> str:
    wide = any(g.dtype == np.float64 for g in sample.args[0])
    return "float64" if wide else "float32"


def scale_samples(draw: Draw) -> Iterator[Sample]:
    for limit in (0.5, 1e9):
        yield Sample(lists(draw, 1)[0], np.asarray(np.float32(7.25)), limit)


def scale(grads: list[Any], norm: Any, max_norm: float) -> tuple[Any, ...]:
    return tuple(g * min(1.0, max_norm / (float(norm) + 1e-6)) for g in grads)


def unscale_samples(draw: Draw) -> Iterator[Sample]:
    yield Sample(lists(draw, 1)[0], 0.125)
    for bad in (np.inf, -np.inf, np.nan):
        grads = lists(draw, 1)[0]
        grads[-1].ravel()[-1] = bad
        yield Sample(grads, 0.125)
    yield Sample([], 1.0)


def unscale(grads: list[Any], inv_scale: float) -> Any:
    return np.float32(any(not np.isfinite(g).all() for g in grads))


SPECS = [
    OpSpec(
        name="optim::grad_norm",
        samples=norm_samples,
        reference=norm,
        dtypes=FLOATS,
        result=norm_dtype,
        errors=[
            ErrorCase(at.InvalidValueError, "expected norm_type > 0", [X], 0.0),
            ErrorCase(at.DTypeError, "floating-point or complex dtype, got int64", [np.ones(2, np.int64)]),
        ],
        differentiable=False,
    ),
    OpSpec(
        name="optim::scale_by_norm_",
        samples=scale_samples,
        reference=scale,
        dtypes=FLOATS,
        result=as_params,
        errors=[ErrorCase(at.ArgumentError, "expected norm to be one float32 or float64", [X], Y, 1.0)],
        differentiable=False,
    ),
    OpSpec(
        name="optim::unscale_",
        samples=unscale_samples,
        reference=unscale,
        dtypes=FLOATS,
        result="float32",
        errors=[
            ErrorCase(at.InvalidValueError, "expected a finite inv_scale, got inf", [X], float("inf")),
            ErrorCase(at.DTypeError, "floating-point or complex dtype, got int64", [np.ones(2, np.int64)], 1.0),
        ],
        differentiable=False,
    ),
]
