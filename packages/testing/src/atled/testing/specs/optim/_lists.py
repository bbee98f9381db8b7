"""Lists of tensors, as the ops take them."""

from typing import Any

import numpy as np

from atled.testing import Draw, Sample, dtype_name

X, Y = np.ones(3, np.float32), np.ones((2, 2), np.float32)
SHAPES = ((5,), (3, 4), (), (0, 2), (40_000,))


def lists(draw: Draw, count: int) -> list[list[Any]]:
    """`count` lists with one array of each shape."""
    return [[draw(*shape) for shape in SHAPES] for _ in range(count)]


def sizes(arrays: list[Any]) -> list[Any]:
    """Without their signs."""
    return [np.asarray(abs(x)) for x in arrays]


def as_params(sample: Sample) -> tuple[str, ...]:
    """The dtypes of what an op returns: those of the first list."""
    return tuple(dtype_name(p.dtype) for p in sample.args[0])
