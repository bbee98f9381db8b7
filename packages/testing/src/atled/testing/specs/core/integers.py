"""Divisors and multiples of integers."""

from collections.abc import Iterator

import numpy as np

import atled.core as at
from atled.testing import INTEGERS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import BROADCASTS

FLOAT = np.ones(2, np.float32)
NOT_INTEGERS = ErrorCase(at.DTypeError, "expected integers, got float32", FLOAT, FLOAT)


def whole_numbers(draw: Draw) -> Iterator[Sample]:
    for a, b in BROADCASTS[:8]:
        yield Sample(draw(*a, low=-100, high=100), draw(*b, low=-100, high=100))
    yield Sample(draw(3, 4, low=0, high=50), 6)
    yield Sample(draw.specials(), draw(4)[:, None])


SPECS = [
    OpSpec(
        name="gcd",
        reference=np.gcd,
        samples=whole_numbers,
        dtypes=INTEGERS,
        errors=(NOT_INTEGERS, ErrorCase(at.ShapeError, "broadcast", np.ones((3, 4), int), np.ones(5, int))),
        differentiable=False,
    ),
    OpSpec(
        name="lcm",
        reference=lambda a, b: np.abs(np.lcm(a, b)),  # as PyTorch has it where the product wraps
        samples=whole_numbers,
        dtypes=INTEGERS,
        errors=(NOT_INTEGERS,),
        differentiable=False,
    ),
]
