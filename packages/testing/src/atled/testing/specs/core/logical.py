"""Logic on truth values and on bits."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, BOOL, INTEGERS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import binary_finite, unary

BROADCAST = ErrorCase(at.ShapeError, r"got \(2,\) and \(3,\)", np.ones(2, int), np.ones(3, int))
NOT_BITS = ErrorCase(at.DTypeError, "expected integers or bool, got float32", *[np.ones(2, np.float32)] * 2)


def truths(draw: Draw) -> Iterator[Sample]:
    """Half of the elements are zero."""
    for shape, other in (((), ()), ((3, 4), (4,)), ((2, 0), (1,)), ((1037,), (1037,))):
        x, y = draw(*shape), draw(*other)
        x = np.where(draw(*shape, dtype="bool"), x, np.zeros_like(x))
        yield Sample(x, np.where(draw(*other, dtype="bool"), y, np.zeros_like(y)))
    yield Sample(draw(5), False)
    yield Sample(draw(5), draw(5, dtype="float32"))
    if draw.dtype == "float32":
        yield Sample(np.array([np.nan, -0.0, np.inf, 0.0], np.float32), True)


def shifts(draw: Draw) -> Iterator[Sample]:
    for shape, other in (((), ()), ((3, 4), (4,)), ((2, 0), (1,)), ((1037,), (1037,))):
        yield Sample(draw(*shape, low=-100, high=100), draw(*other, low=0, high=8))
    yield Sample(draw(5), 3)


def logic(name: str, reference: Any) -> OpSpec:
    return OpSpec(
        name=name,
        reference=reference,
        samples=truths,
        dtypes=ALL,
        result="bool",
        errors=(BROADCAST,),
        differentiable=False,
    )


def bits(name: str, reference: Any, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"dtypes": (*BOOL, *INTEGERS), "samples": binary_finite, **kwargs}
    return OpSpec(name=name, reference=reference, errors=(BROADCAST, NOT_BITS), differentiable=False, **fields)


SPECS = [
    logic("logical_and", np.logical_and),
    logic("logical_or", np.logical_or),
    logic("logical_xor", np.logical_xor),
    OpSpec(
        name="logical_not",
        reference=np.logical_not,
        samples=lambda draw: (Sample(s.args[0]) for s in truths(draw)),
        result="bool",
        differentiable=False,
    ),
    bits("bitwise_and", np.bitwise_and),
    bits("bitwise_or", np.bitwise_or),
    bits("bitwise_xor", np.bitwise_xor),
    OpSpec(
        name="bitwise_not",
        reference=np.invert,
        samples=unary,
        dtypes=(*BOOL, *INTEGERS),
        errors=(ErrorCase(at.DTypeError, "expected integers or bool", np.ones(2, np.float32)),),
        differentiable=False,
    ),
    bits("bitwise_left_shift", np.left_shift, dtypes=INTEGERS, samples=shifts),
    bits("bitwise_right_shift", np.right_shift, dtypes=INTEGERS, samples=shifts),
]
