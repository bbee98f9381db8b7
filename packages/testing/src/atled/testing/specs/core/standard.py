"""Specifications of the array API's forms of ops that PyTorch has otherwise."""

from collections.abc import Iterator

import numpy as np

import atled.core as at

from ..._convert import result_dtype
from ..._spec import Draw, ErrorCase, OpSpec, Sample

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def joined(draw: Draw) -> Iterator[Sample]:
    yield Sample([draw(2, 3), draw(1, 3)])
    yield Sample([draw(2, 3), draw(2, 1)], 1)
    yield Sample([draw(2, 3), draw(2), draw()], None)
    yield Sample([draw(2, 3), draw(2, 2, dtype="bool")], dim=None)


def along(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(2, 3), np.array([[2, 0], [1, 1]]))
    yield Sample(draw(2, 3), np.array([[1, 0, 1]]), 0)
    yield Sample(draw(2, 3), np.array([[-1], [0]]), dim=1)


def spread(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(2, 3), 1)
    yield Sample(draw(2, 3), -3)
    yield Sample(draw(2, 3), (4, 0, -3))
    yield Sample(draw(), (1, 0))
    yield Sample(draw(2), ())


SPECS = [
    OpSpec(
        name="concat",
        reference=lambda tensors, dim=0: np.concatenate(tensors, dim),
        samples=joined,
        errors=[ErrorCase(at.BoundsError, "dim", [X, X], 2), ErrorCase(at.InvalidValueError, "at least one", [])],
        result=lambda sample: result_dtype(*sample.args[0]),
        ulps=0,
    ),
    OpSpec(
        name="take_along_axis",
        reference=lambda x, indices, dim=-1: np.take_along_axis(x, indices, dim),
        samples=along,
        errors=[ErrorCase(at.BoundsError, "4", X, np.full((2, 1), 4))],
        result="input",
        ulps=0,
        differentiable=("input",),
    ),
    OpSpec(
        name="expand_dims",
        reference=np.expand_dims,
        samples=spread,
        errors=[
            ErrorCase(at.BoundsError, "dim", X, 3),
            ErrorCase(at.BoundsError, "dim", X, (0, 4)),
            ErrorCase(at.InvalidValueError, "dim 1 twice", X, (1, -3)),
        ],
        result="input",
        ulps=0,
        differentiable=("input",),
    ),
]
