"""Rounding to whole numbers and to decimals."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import COMPLEX, FLOATS, INTEGERS, REALS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import unary

ERRORS = (
    ErrorCase(at.DTypeError, "expected real numbers, got complex64", np.ones(2, np.complex64)),
    ErrorCase(at.DTypeError, "expected real numbers, got bool", np.ones(2, bool)),
)


def halves(draw: Draw) -> Iterator[Sample]:
    """Ties, and values beyond the last fraction that the dtype holds."""
    yield from unary(draw)
    if draw.dtype in FLOATS and not draw.smooth:
        ties = np.arange(-6, 7) / 2
        yield Sample(ties.astype(draw(1).dtype))
        yield Sample((ties * 2**14).astype(draw(1).dtype))


def decimals(draw: Draw) -> Iterator[Sample]:
    yield from halves(draw)
    if draw.dtype in ("float32", "float64"):
        yield Sample(draw(50), decimals=2)
        yield Sample(draw(50, low=-999, high=999), decimals=-1)
    if draw.dtype in INTEGERS:
        yield Sample(draw(50, low=-99, high=99), decimals=-1)


def rounding(name: str, reference: Any, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"samples": halves, "ulps": 0, "dtypes": REALS, "errors": ERRORS, **kwargs}
    return OpSpec(name=name, reference=reference, **fields)


SPECS = [
    rounding("floor", np.floor),
    rounding("ceil", np.ceil),
    rounding("trunc", np.trunc),
    rounding(
        "frac",
        lambda x: x - np.trunc(x),
        dtypes=FLOATS,
        errors=(ErrorCase(at.DTypeError, "floating", np.ones(2, int)), ERRORS[0]),
    ),
    rounding(
        "round",
        np.round,
        samples=decimals,
        ulps={"default": 0, "float32": 1, "float64": 1},
        dtypes=(*REALS, *COMPLEX),
        errors=(
            ErrorCase(at.DTypeError, "real numbers for decimals, got complex64", np.ones(2, np.complex64), decimals=1),
            ERRORS[1],
        ),
    ),
]
