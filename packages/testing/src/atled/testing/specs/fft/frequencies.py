"""What goes with the transforms: their frequencies and the order of their points."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample


def lengths(draw: Draw) -> Iterator[Sample]:
    for n in (1, 2, 5, 8, 1001):
        yield Sample(n, dtype=draw.dtype)
    yield Sample(6, 0.25, dtype=draw.dtype)
    yield Sample(7, d=3, dtype=draw.dtype)


def frequencies(reference: Callable[..., Any]) -> Callable[..., Any]:
    return lambda n, d=1.0, dtype=None: reference(n, d)


def shifts(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(5))
    yield Sample(draw(4, 3))
    yield Sample(draw(2, 3, 4), (0, -1))
    yield Sample(draw(2, 3), dim=1)
    yield Sample(draw(0, 3))


def shifted(reference: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None: reference(x, dim)


def of_lengths(name: str, reference: Callable[..., Any]) -> OpSpec:
    return OpSpec(
        name=f"fft::{name}",
        samples=lengths,
        reference=frequencies(reference),
        dtypes=FLOATS,
        result=lambda sample: sample.kwargs["dtype"],
        ulps=1,
        errors=(
            ErrorCase(at.InvalidValueError, "expected n >= 1, got 0", 0),
            ErrorCase(at.DTypeError, "floating-point dtype, got int64", 4, dtype="int64"),
        ),
        differentiable=False,
    )


def of_shifts(name: str, reference: Callable[..., Any]) -> OpSpec:
    return OpSpec(
        name=f"fft::{name}",
        samples=shifts,
        reference=shifted(reference),
        result="input",
        ulps=0,
        errors=(ErrorCase(at.BoundsError, "dim", np.ones(3), (1,)),),
    )


SPECS = [
    of_lengths("fftfreq", np.fft.fftfreq),
    of_lengths("rfftfreq", np.fft.rfftfreq),
    of_shifts("fftshift", np.fft.fftshift),
    of_shifts("ifftshift", np.fft.ifftshift),
]
