"""Joining, reversing, moving and repeating."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import Draw, ErrorCase, OpSpec, Sample, result_dtype

from .views import flexible

X = np.ones((2, 3), np.float32)


def joined(draw: Draw) -> Iterator[Sample]:
    yield Sample([draw(2, 3), draw(4, 3)])
    yield Sample([draw(2, 3), draw(2, 1), draw(2, 0)], 1)
    yield Sample([draw(2, 3, 4), draw(2, 5, 4)], dim=-2)
    yield Sample([draw(3)])
    yield Sample((draw(0, 3), draw(2, 3)), 0)
    if not draw.smooth:
        yield Sample([draw(3), draw(2, dtype="float64"), draw(1, dtype="bool")])
        yield Sample([draw(200, 100), draw(300, 100)])
        yield Sample([draw(500, 70), draw(500, 30)], 1)


def stacks(draw: Draw) -> Iterator[Sample]:
    for dim in (0, 1, -1, 2):
        yield Sample([draw(2, 3), draw(2, 3), draw(2, 3)], dim)
    yield Sample([draw(), draw()])
    yield Sample([draw(0, 2)])


def flips(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(2, 3, 4), (0,))
    yield Sample(draw(2, 3, 4), 0, -1)
    yield Sample(draw(2, 3, 4))
    yield Sample(draw(5), [0])
    yield Sample(draw(0, 3), (0, 1))


def rolls(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(5), 2)
    yield Sample(draw(2, 3), -1)
    yield Sample(draw(2, 3, 4), (1, -2), (0, 2))
    yield Sample(draw(2, 3), 7, 1)
    yield Sample(draw(0, 3), 1, 1)


def repeats(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3), (2,))
    yield Sample(draw(2, 3), 2, 1)
    yield Sample(draw(2, 3), (2, 3, 1))
    yield Sample(draw(), (3,))
    yield Sample(draw(2), (0,))


def tiles(draw: Draw) -> Iterator[Sample]:
    yield from repeats(draw)
    yield Sample(draw(2, 3), (2,))


def interleaves(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(2, 3), 2)
    yield Sample(draw(2, 3), 3, 1)
    yield Sample(draw(2, 3), np.array([2, 0, 1]), dim=1)
    yield Sample(draw(3), np.array([0, 1, 2]), 0, output_size=3)


def grids(draw: Draw) -> Iterator[Sample]:
    yield Sample([draw(3), draw(4)])
    yield Sample([draw(3), draw(), draw(2)])
    yield Sample([draw(3), draw(4)], indexing="xy")
    yield Sample([draw(3), draw(0)])


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "input", "ulps": 0, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


def promoted(sample: Sample) -> str:
    return result_dtype(*sample.args[0])


SPECS = [
    op(
        "cat",
        lambda tensors, dim=0: np.concatenate(tensors, dim),
        joined,
        ErrorCase(at.ShapeError, r"agree but for dim 0, got \(2, 3\) and, as tensor 1, \(2, 4\)", [X, np.ones((2, 4))]),
        ErrorCase(at.ShapeError, "0-d", [np.ones(()), np.ones(())]),
        ErrorCase(at.InvalidValueError, "at least one", []),
        ErrorCase(at.BoundsError, "dim", [X, X], 2),
        result=promoted,
    ),
    op(
        "stack",
        lambda tensors, dim=0: np.stack(tensors, dim),
        stacks,
        ErrorCase(at.ShapeError, "equal shapes", [X, np.ones((2, 4), np.float32)]),
        ErrorCase(at.InvalidValueError, "at least one", []),
        result=promoted,
    ),
    op(
        "flip",
        lambda x, *dims: np.flip(x, None if not dims else dims if isinstance(dims[0], int) else tuple(dims[0])),
        flips,
        ErrorCase(at.BoundsError, "", X, (2,)),
        ErrorCase(at.AtledError, "", X, (0, 0)),
    ),
    op(
        "roll",
        np.roll,
        rolls,
        ErrorCase(at.ShapeError, "as many shifts as dims", X, (1, 2), (0,)),
        ErrorCase(at.BoundsError, "dims", X, 1, 2),
    ),
    op(
        "repeat",
        flexible(np.tile),
        repeats,
        ErrorCase(at.ShapeError, "repeats", X, (2,)),
        ErrorCase(at.InvalidValueError, "repeats >= 0", X, (2, -1)),
    ),
    op("tile", flexible(np.tile), tiles, ErrorCase(at.InvalidValueError, ">= 0", X, (2, -1))),
    OpSpec(
        name="repeat_indices",
        reference=lambda repeats: np.repeat(np.arange(len(repeats)), repeats),
        samples=lambda draw: iter([Sample(np.array([2, 0, 3])), Sample(np.zeros(0, np.int64)), Sample(np.array([0]))]),
        dtypes=("int64",),
        result="int64",
        errors=(ErrorCase(at.InvalidValueError, "", np.array([1, -1])),),
        differentiable=False,
    ),
    op(
        "repeat_interleave",
        lambda x, repeats, dim=None, output_size=None: np.repeat(x, repeats, dim),
        interleaves,
        ErrorCase(at.AtledError, "", X, -1),
        ErrorCase(at.AtledError, "", X, np.array([1, 2]), 1),
        differentiable=("input",),
    ),
    op(
        "meshgrid",
        lambda tensors, indexing="ij": np.meshgrid(*tensors, indexing=indexing),
        grids,
        ErrorCase(at.InvalidValueError, "indexing", [np.ones(2)], indexing="ji"),
        ErrorCase(at.ShapeError, "", [X]),
    ),
]
