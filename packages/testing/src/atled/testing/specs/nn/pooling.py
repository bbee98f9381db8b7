"""Pooling and padding."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

from . import _reference as reference

# Shape, kernel, stride, padding.
CASES: tuple[tuple[tuple[int, ...], Any, Any, Any], ...] = (
    ((2, 3, 6, 4), 2, None, 0),
    ((1, 2, 5, 7), (3, 2), (2, 1), (1, 1)),
    ((3, 6, 6), 3, 2, 1),
    ((1, 1, 7, 5), (2, 3), 3, 0),
)


def max_pool(draw: Draw) -> Iterator[Sample]:
    for shape, *args in CASES:
        yield Sample(draw.distinct(*shape), *args)
    yield Sample(draw.distinct(1, 2, 8, 8), 3, 1, 1, 2)
    yield Sample(draw.distinct(1, 1, 6, 6), 3, 2, 0, 1, True)
    yield Sample(draw.distinct(1, 1, 3, 20), (1, 8), 2, (0, 1), (1, 3))  # a window's first step is outside
    yield Sample(draw.distinct(1, 1, 4, 5), 5, 3, 0, 1, True)  # the only window reaches past the end
    yield Sample(draw.distinct(1, 2, 4, 70), 3, 2, 1)  # longer than a vector
    yield Sample(draw.distinct(1, 2, 3, 140), (2, 50), (1, 40), (0, 7), (1, 2), True)  # windows wider than the output
    if not draw.smooth:
        yield Sample(np.round(draw(2, 2, 9, 9)), 3, 2, 1)  # ties
        x = draw(1, 2, 6, 6)
        x[0, 0, 1, 1] = x[0, 0, 2, 1] = np.nan
        yield Sample(x, 3, 1, 1)
        yield Sample(x, (3, 5), 1, (1, 2), 1)
        yield Sample(np.round(draw(2, 3, 90)), (2, 40), (1, 25))
        yield Sample(draw(0, 2, 4, 4), 2)


def max_pool_backward(draw: Draw) -> Iterator[Sample]:
    for shape, *args in CASES:
        _, places = reference.max_pool2d(draw.distinct(*shape), *args)
        yield Sample(draw(*places.shape), places, shape)


def max_pool_backward_reference(grad: Any, indices: Any, shape: Any) -> Any:
    out = np.zeros((*shape[:-2], shape[-2] * shape[-1]))
    for plane in np.ndindex(*shape[:-2]):
        np.add.at(out[plane], indices[plane].ravel(), grad[plane].ravel())
    return out.reshape(shape)


def avg_pool(draw: Draw) -> Iterator[Sample]:
    for shape, *args in CASES:
        yield Sample(draw(*shape), *args)
        yield Sample(draw(*shape), *args, True, False)
    yield Sample(draw(1, 1, 6, 6), 3, 2, 1, divisor_override=2)
    yield Sample(draw(1, 1, 6, 6), 3, 2, 1, ceil_mode=True)
    yield Sample(draw(1, 1, 3, 40), 3, 2, 1)
    yield Sample(draw(2, 3, 4, 5), (4, 5))  # the whole plane
    yield Sample(draw(1, 1, 4, 4), 4, 4, 1)  # as large as the plane, but over its border


def avg_pool_backward(draw: Draw) -> Iterator[Sample]:
    for sample in avg_pool(draw):
        shape = sample.args[0].shape
        output = reference.avg_pool2d(np.zeros(shape), *sample.args[1:], **sample.kwargs).shape
        yield Sample(draw(*output), shape, *sample.args[1:], **sample.kwargs)


def adaptive(draw: Draw) -> Iterator[Sample]:
    for size in (1, (2, 3), (5, 4), (7, 1)):
        yield Sample(draw(2, 2, 5, 4), size)


def adaptive_backward(draw: Draw) -> Iterator[Sample]:
    for size in ((1, 1), (2, 3), (5, 4), (7, 1)):
        yield Sample(draw(2, 2, *size), (2, 2, 5, 4))


def pads(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(2, 3), [1, 2])
    yield Sample(draw(2, 3, 4), [1, 0, 0, 2], 1.5)
    yield Sample(draw(2, 5, 4), [-1, 2, 1, -2], -1)
    yield Sample(draw(2, 2), [-1, -1])
    if not draw.smooth:
        yield Sample(draw(0, 2), [1, 1, 1, 0], 3)
        yield Sample(draw(), [])


def constant_pad(x: Any, pad: Any, value: Any = 0) -> Any:
    around = [(0, 0)] * (x.ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    if not around:
        return x
    grown = np.pad(x, [(max(a, 0), max(b, 0)) for a, b in around], constant_values=value)
    return grown[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(around, grown.shape, strict=True))]


X = np.ones((1, 2, 4, 4), np.float32)
ERRORS = (
    ErrorCase(at.ShapeError, r"\(N, C, H, W\)", X[0, 0], 2),
    ErrorCase(at.ShapeError, "hold a window of 5", X, 5),
    ErrorCase(at.InvalidValueError, "at most half the kernel_size", X, 2, None, 2),
    ErrorCase(at.InvalidValueError, "kernel_size", X, 0),
    ErrorCase(at.DTypeError, "got int32", X.astype(np.int32), 2),
)
SUMS = {"float16": 2, "bfloat16": 2, "default": 8}

SPECS = [
    OpSpec(
        name="nn::max_pool2d",
        reference=lambda *args: reference.max_pool2d(*args)[0],
        samples=max_pool,
        dtypes=FLOATS,
        ulps=0,
        errors=(*ERRORS, ErrorCase(at.InvalidValueError, "hold an element each", X[..., :1, :1], 2, 1, 1, 2)),
    ),
    OpSpec(
        name="nn::max_pool2d_with_indices",
        reference=reference.max_pool2d,
        samples=max_pool,
        dtypes=FLOATS,
        result=("input", "int64"),
        ulps=0,
        errors=(*ERRORS, ErrorCase(at.InvalidValueError, "hold an element each", X[..., :1, :1], 2, 1, 1, 2)),
    ),
    OpSpec(
        name="nn::max_pool2d_backward",
        reference=max_pool_backward_reference,
        samples=max_pool_backward,
        dtypes=FLOATS,
        result="input",
        ulps={"float16": 64, "bfloat16": 64, "default": 64},
        errors=(
            ErrorCase(at.BoundsError, "indices in", X, np.full(X.shape, 16), (1, 2, 4, 4)),
            ErrorCase(at.DTypeError, "int64", X, X, (1, 2, 4, 4)),
        ),
    ),
    OpSpec(
        name="nn::avg_pool2d",
        reference=reference.avg_pool2d,
        samples=avg_pool,
        dtypes=FLOATS,
        scale=reference.avg_pool2d,
        ulps=SUMS,
        errors=(*ERRORS, ErrorCase(at.InvalidValueError, "divisor_override", X, 2, divisor_override=0)),
    ),
    OpSpec(
        name="nn::avg_pool2d_backward",
        reference=lambda g, shape, *args, **kwargs: reference.adjoint(
            lambda x: reference.avg_pool2d(x, *args, **kwargs), shape, g
        ),
        samples=avg_pool_backward,
        dtypes=FLOATS,
        scale=lambda g, shape, *args, **kwargs: reference.adjoint(
            lambda x: reference.avg_pool2d(x, *args, **kwargs), shape, g
        ),
        ulps=SUMS,
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, (1, 2, 4, 4), 2),),
    ),
    OpSpec(
        name="nn::adaptive_avg_pool2d",
        reference=reference.adaptive_avg_pool2d,
        samples=adaptive,
        dtypes=FLOATS,
        scale=reference.adaptive_avg_pool2d,
        ulps=SUMS,
        errors=(ErrorCase(at.InvalidValueError, "output_size", X, 0),),
    ),
    OpSpec(
        name="nn::adaptive_avg_pool2d_backward",
        reference=lambda g, shape: reference.adjoint(
            lambda x: reference.adaptive_avg_pool2d(x, g.shape[-2:]), shape, g
        ),
        samples=adaptive_backward,
        dtypes=FLOATS,
        scale=lambda g, shape: reference.adjoint(lambda x: reference.adaptive_avg_pool2d(x, g.shape[-2:]), shape, g),
        ulps=SUMS,
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, (1, 3, 8, 8)),),
    ),
    OpSpec(
        name="nn::constant_pad",
        reference=constant_pad,
        samples=pads,
        dtypes=FLOATS,
        result="input",
        ulps=0,
        errors=(
            ErrorCase(at.InvalidValueError, "two sizes", X, [1]),
            ErrorCase(at.ShapeError, "negative size", X, [-5, 0]),
        ),
    ),
]
