"""Two-dimensional convolution and its gradients."""

from collections.abc import Iterator

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
WIDE = ((2, 17, 9, 9), (33, 17, 3, 3), (2, 1, 1, 1))
# Sums of up to about 150 products; oneDNN adds half-precision products in float32, the last bits of which differ.
ULPS = {"float16": 4, "bfloat16": 4, "float32": 16, "float64": 16}


def _output(case: tuple) -> tuple[int, ...]:  # type: ignore[type-arg]
    x, w, args = case
    shape: tuple[int, ...] = reference.conv2d(np.zeros(x), np.zeros(w), None, *args).shape
    return shape


def forward(draw: Draw) -> Iterator[Sample]:
    for i, (x, w, args) in enumerate(CASES):
        yield Sample(draw(*x), draw(*w), draw(w[0]) if i % 2 else None, *args)
    if not draw.smooth:
        x, w, args = WIDE
        yield Sample(draw(*x), draw(*w), draw(w[0]), *args)
        yield Sample(draw(0, 3, 5, 4), draw(2, 3, 3, 3), draw(2))
        yield Sample(draw(1, 3, 0, 4), draw(2, 3, 3, 3), draw(2), 1, 2)


def backward_input(draw: Draw) -> Iterator[Sample]:
    for case in CASES:
        yield Sample(draw(*_output(case)), draw(*case[1]), case[0], *case[2])
    if not draw.smooth:
        yield Sample(draw(0, 2, 3, 2), draw(2, 3, 3, 3), (0, 3, 5, 4))


def backward_weight(draw: Draw) -> Iterator[Sample]:
    for case in CASES:
        yield Sample(draw(*_output(case)), draw(*case[0]), case[1], *case[2])
    if not draw.smooth:
        yield Sample(draw(0, 2, 3, 2), draw(0, 3, 5, 4), (2, 3, 3, 3))


X, W = np.ones((1, 4, 5, 5), np.float32), np.ones((6, 4, 3, 3), np.float32)

SPECS = [
    OpSpec(
        name="nn::conv2d",
        reference=reference.conv2d,
        samples=forward,
        dtypes=FLOATS,
        scale=reference.conv2d,
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
        reference=reference.conv2d_backward_input,
        samples=backward_input,
        dtypes=FLOATS,
        scale=reference.conv2d_backward_input,
        ulps=ULPS,
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, W, (1, 4, 5, 5)),),
    ),
    OpSpec(
        name="nn::conv2d_backward_weight",
        reference=reference.conv2d_backward_weight,
        samples=backward_weight,
        dtypes=FLOATS,
        scale=reference.conv2d_backward_weight,
        ulps=ULPS,
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, X, (6, 4, 3, 3)),),
    ),
]
