"""The error function's inverse; its relatives are in special."""

from collections.abc import Iterator

import numpy as np
from scipy import special

from atled.testing import FLOATS, Draw, Sample
from atled.testing.samples import unary

from .gamma import function


def near_one(draw: Draw) -> Iterator[Sample]:
    yield from unary(draw)
    if draw.dtype in FLOATS and not draw.smooth:
        yield Sample((1 - np.exp2(draw(50, low=0, high=1).astype(np.float64) * 9 - 10)).astype(draw(1).dtype))


SPECS = [function("erfinv", special.erfinv, samples=near_one, domain=(-0.99, 0.99))]
