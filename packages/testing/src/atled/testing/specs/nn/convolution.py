"""Convolution of images and of volumes, and its gradients."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

from . import _reference as reference

# Input, weight, then stride, padding, dilation and groups.
CASES = (
    ((1, 1, 3, 3), (1, 1, 1, 1), (1, 0, 1, 1)),
    ((2, 3, 5, 4), (4, 3, 3, 2), (1, 0, 1, 1)),
    ((2, 4, 6, 5), (6, 2, 3, 3), ((2, 1), (1, 2), 1, 2)),
    ((1, 2, 7, 7), (2, 1, 3, 3), (1, 2, 2, 2)),
    ((2, 3, 5, 9), (2, 3, 1, 4), ((1, 3), (0, 1), (1, 2), 1)),
)
VOLUMES = (
    ((1, 1, 2, 3, 3), (1, 1, 1, 1, 1), (1, 0, 1, 1)),
    ((2, 2, 4, 3, 4), (3, 2, 3, 2, 2), (1, 0, 1, 1)),
    ((1, 4, 4, 3, 3), (2, 2, 2, 3, 2), ((2, 1, 1), (1, 2, 0), (1, 1, 2), 2)),
    ((1, 2, 3, 5, 4), (2, 1, 2, 3, 3), (2, 1, (2, 1, 1), 2)),
)
WIDE = ((2, 17, 9, 9), (33, 17, 3, 3), (2, 1, 1, 1))
# For float64, which no library computes: groups with enough channels for products of matrices. By their dimensions.
GROUPED = {
    4: ((2, 4, 4, 5), (16, 2, 3, 3), ((2, 1), (1, 2), (1, 2), 2)),
    5: ((2, 2, 3, 3, 4), (8, 2, 2, 2, 2), ((1, 2, 1), (1, 1, 0), (1, 1, 2), 1)),
}
# Sums of up to about 150 products; oneDNN adds half-precision products in float32, the last bits of which differ.
ULPS = {"float16": 4, "bfloat16": 4, "float32": 16, "float64": 16}


def _output(case: tuple) -> tuple[int, ...]:  # type: ignore[type-arg]
    x, w, args = case
    shape: tuple[int, ...] = reference.convolution(np.zeros(x), np.zeros(w), None, *args).shape
    return shape


def _cases(draw: Draw, cases: Any) -> Any:
    return (*cases, GROUPED[len(cases[0][0])]) if draw.dtype == "float64" and not draw.smooth else cases


def forward(draw: Draw, cases: Any = CASES) -> Iterator[Sample]:
    for i, (x, w, args) in enumerate(_cases(draw, cases)):
        yield Sample(draw(*x), draw(*w), draw(w[0]) if i % 2 else None, *args)
    if not draw.smooth:
        deep = (1,) * (len(cases[0][0]) - 4)
        if not deep:
            x, w, args = WIDE
            yield Sample(draw(*x), draw(*w), draw(w[0]), *args)
        yield Sample(draw(0, 3, *deep, 5, 4), draw(2, 3, *deep, 3, 3), draw(2))
        yield Sample(draw(1, 3, *deep, 0, 4), draw(2, 3, *deep, 3, 3), draw(2), 1, 2)


def backward_input(draw: Draw, cases: Any = CASES) -> Iterator[Sample]:
    for case in _cases(draw, cases):
        yield Sample(draw(*_output(case)), draw(*case[1]), case[0], *case[2])
    if not draw.smooth:
        deep = (1,) * (len(cases[0][0]) - 4)
        yield Sample(draw(0, 2, *deep, 3, 2), draw(2, 3, *deep, 3, 3), (0, 3, *deep, 5, 4))


def backward_weight(draw: Draw, cases: Any = CASES) -> Iterator[Sample]:
    for case in _cases(draw, cases):
        yield Sample(draw(*_output(case)), draw(*case[0]), case[1], *case[2])
    if not draw.smooth:
        deep = (1,) * (len(cases[0][0]) - 4)
        yield Sample(draw(0, 2, *deep, 3, 2), draw(0, 3, *deep, 5, 4), (2, 3, *deep, 3, 3))


X, W = np.ones((1, 4, 5, 5), np.float32), np.ones((6, 4, 3, 3), np.float32)
DEEP_X, DEEP_W = X[:, :, None], W[:, :, None]


def volumes(name: str, forms: Any, samples: Any, *errors: ErrorCase) -> OpSpec:
    """The specification of an op on volumes, of which the one on images has the reference."""
    return OpSpec(
        name=name,
        reference=forms,
        samples=partial(samples, cases=VOLUMES),
        dtypes=FLOATS,
        scale=forms,
        ulps=ULPS,
        errors=errors,
    )


SPECS = [
    OpSpec(
        name="nn::conv2d",
        reference=reference.convolution,
        samples=forward,
        dtypes=FLOATS,
        scale=reference.convolution,
        ulps=ULPS,
        errors=(
            ErrorCase(at.ShapeError, r"\(N, C, H, W\)", X[0], W),
            ErrorCase(at.ShapeError, "input.shape.1. == weight.shape.1. . groups", X[:, :3], W),
            ErrorCase(at.ShapeError, "bias of shape", X, W, np.ones(5, np.float32)),
            ErrorCase(at.ShapeError, "hold a window of 3", X[:, :, :2], W),
            ErrorCase(at.DTypeError, "dtype float32, got float64", X, W.astype(np.float64)),
            ErrorCase(at.DTypeError, "got int64", X.astype(np.int64), W.astype(np.int64)),
            ErrorCase(at.InvalidValueError, "stride", X, W, stride=0),
            ErrorCase(at.InvalidValueError, "padding", X, W, padding=-1),
            ErrorCase(at.InvalidValueError, "groups", X, W, groups=0),
        ),
    ),
    OpSpec(
        name="nn::conv2d_backward_input",
        reference=reference.convolution_backward_input,
        samples=backward_input,
        dtypes=FLOATS,
        scale=reference.convolution_backward_input,
        ulps=ULPS,
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, W, (1, 4, 5, 5)),),
    ),
    OpSpec(
        name="nn::conv2d_backward_weight",
        reference=reference.convolution_backward_weight,
        samples=backward_weight,
        dtypes=FLOATS,
        scale=reference.convolution_backward_weight,
        ulps=ULPS,
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, X, (6, 4, 3, 3)),),
    ),
    volumes(
        "nn::conv3d",
        reference.convolution,
        forward,
        ErrorCase(at.ShapeError, r"\(N, C, D, H, W\)", X, DEEP_W),
        ErrorCase(at.ShapeError, "kernel_d, kernel_h, kernel_w", DEEP_X, W),
        ErrorCase(at.ShapeError, "hold a window of 2", DEEP_X, np.ones((6, 4, 2, 3, 3), np.float32)),
        ErrorCase(at.InvalidValueError, r"stride of at least 1, got \(0, 1, 1\)", DEEP_X, DEEP_W, stride=(0, 1, 1)),
        ErrorCase(at.InvalidValueError, "padding", DEEP_X, DEEP_W, padding=(-1, 0, 0)),
    ),
    volumes(
        "nn::conv3d_backward_input",
        reference.convolution_backward_input,
        backward_input,
        ErrorCase(at.ShapeError, "grad of shape", DEEP_X, DEEP_W, (1, 4, 1, 5, 5)),
    ),
    volumes(
        "nn::conv3d_backward_weight",
        reference.convolution_backward_weight,
        backward_weight,
        ErrorCase(at.ShapeError, "grad of shape", DEEP_X, DEEP_X, (6, 4, 1, 3, 3)),
    ),
]
