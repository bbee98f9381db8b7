"""Arithmetic on one, two and three tensors."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, NUMBERS, REALS, ROUNDED, Draw, ErrorCase, OpSpec, Sample, result_dtype
from atled.testing.samples import binary, binary_finite, nonzero_divisors, ternary, unary

ONES = np.ones((3, 4), np.float32)
BINARY_ERRORS = (
    ErrorCase(at.ShapeError, r"input and other to broadcast, got \(3, 4\) and \(5,\)", ONES, np.ones(5, np.float32)),
    ErrorCase(at.ArgumentError, "other", ONES, "text"),
    ErrorCase(at.ArgumentError, "missing argument other", ONES),
    ErrorCase(at.ArgumentError, "unexpected argument colour", ONES, ONES, colour=1),
    ErrorCase(at.DTypeError, "uint64 and int64", np.ones(2, np.uint64), np.ones(2, np.int64)),
)
NOT_COMPLEX = ErrorCase(at.DTypeError, "complex", np.ones(2, np.complex64), np.ones(2, np.complex64))


def with_alpha(draw: Draw) -> Iterator[Sample]:
    yield from binary(draw)
    if draw.dtype != "bool":
        yield Sample(draw(3, 4), draw(4), alpha=2)
    if draw.dtype in (*FLOATS, "complex64", "complex128"):
        yield Sample(draw(3, 4), draw(4), alpha=-0.5)
    if not draw.smooth:
        yield Sample(2, draw(3))


def division(draw: Draw) -> Iterator[Sample]:
    yield from binary(draw)
    if draw.dtype in REALS:
        for sample in nonzero_divisors(binary_finite)(draw):
            if sample.args[0].size > 5000:
                continue
            for mode in ("trunc", "floor"):
                yield Sample(*sample.args, rounding_mode=mode)


def divide(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return np.floor_divide(a, b)
    if rounding_mode == "trunc":
        # Exact for integers, and the quotient's rounding never crosses an integer the wrong way for floats.
        return (a - np.fmod(a, b)) // b if np.issubdtype(np.result_type(a, b), np.integer) else np.trunc(a / b)
    return np.true_divide(a, b)


def of_operands(sample: Sample) -> str:
    """The result's dtype: alpha and value have no say in it."""
    return result_dtype(*sample.args)


def division_dtype(sample: Sample) -> str:
    return "promote" if sample.kwargs.get("rounding_mode") else "float"


def powers(draw: Draw) -> Iterator[Sample]:
    integral = "int" in draw.dtype
    low = 0 if integral else None
    for a, b in (((), ()), ((3, 4), (4,)), ((2, 0, 3), (3,)), ((1037,), (1037,))):
        yield Sample(draw(*a, low=0.1) if draw.smooth else draw(*a), draw(*b, low=low))
    for exponent in (2, 3, 0, 1) if integral or draw.smooth else (2, 3, 0.5, -1, -2, 0, 1, 1.5):
        yield Sample(draw(3, 4, low=0.1) if draw.smooth else draw(3, 4), exponent)
    if not draw.smooth:
        yield Sample(2, draw(5, low=low))
        if draw.dtype in FLOATS:
            yield Sample(draw.specials()[:, None], draw.specials())


def sign(x: Any) -> Any:
    return x if x.dtype == bool else np.sign(x)


def lerps(draw: Draw) -> Iterator[Sample]:
    yield from ternary(draw)
    yield Sample(draw(3, 4), draw(4), 0.25)


def with_value(draw: Draw) -> Iterator[Sample]:
    yield from ternary(draw)
    yield Sample(draw(3, 4), draw(4), draw(3, 1), value=2)


def away_from_zero(draw: Draw) -> Iterator[Sample]:
    """A denominator that is not small, so that one ulp stays one ulp."""
    for sample in with_value(draw):
        first, second, third = sample.args
        yield Sample(first, second, (np.abs(third) + 1).astype(third.dtype), **sample.kwargs)


FLOATING = (*FLOATS, "complex64", "complex128")

SPECS = [
    OpSpec(
        name="add",
        reference=lambda a, b, alpha=1: a + alpha * b if alpha != 1 else a + b,
        scale=lambda a, b, alpha=1: np.abs(a) + np.abs(alpha * b),
        samples=with_alpha,
        result=of_operands,
        ulps=ROUNDED,
        errors=(*BINARY_ERRORS, ErrorCase(at.DTypeError, "alpha", np.ones(2, np.int64), 2, alpha=0.5)),
    ),
    OpSpec(
        name="sub",
        reference=lambda a, b, alpha=1: a - alpha * b if alpha != 1 else a - b,
        scale=lambda a, b, alpha=1: np.abs(a) + np.abs(alpha * b),
        samples=lambda draw: (s for s in with_alpha(draw) if s.args[1] is not True),
        result=of_operands,
        dtypes=NUMBERS,
        ulps=ROUNDED,
        errors=(
            *BINARY_ERRORS,
            ErrorCase(at.DTypeError, "expected numbers, got bool", np.ones(2, bool), np.ones(2, bool)),
        ),
    ),
    OpSpec(name="mul", reference=np.multiply, samples=binary, ulps=ROUNDED, errors=BINARY_ERRORS),
    OpSpec(
        name="div",
        reference=divide,
        samples=division,
        result=division_dtype,
        ulps={"default": 2, "complex64": 6, "complex128": 6},
        errors=(*BINARY_ERRORS, ErrorCase(at.InvalidValueError, "rounding_mode", ONES, ONES, rounding_mode="up")),
    ),
    OpSpec(
        name="floor_divide",
        reference=np.floor_divide,
        samples=nonzero_divisors(binary),
        dtypes=REALS,
        ulps=1,
        errors=(
            *BINARY_ERRORS,
            NOT_COMPLEX,
            ErrorCase(at.InvalidValueError, "divisor other than 0", np.ones(3, np.int32), np.zeros(3, np.int32)),
        ),
        differentiable=False,
    ),
    OpSpec(
        name="remainder",
        reference=np.remainder,
        scale=lambda a, b: np.abs(b) + 0 * a,
        samples=nonzero_divisors(binary),
        dtypes=REALS,
        ulps=1,
        errors=(
            *BINARY_ERRORS,
            NOT_COMPLEX,
            ErrorCase(at.InvalidValueError, "divisor other than 0", np.ones(3, np.int32), np.zeros(3, np.int32)),
        ),
    ),
    OpSpec(
        name="fmod",
        reference=np.fmod,
        samples=nonzero_divisors(binary),
        dtypes=REALS,
        ulps=1,
        errors=(*BINARY_ERRORS, NOT_COMPLEX),
    ),
    OpSpec(
        name="pow",
        reference=np.power,
        samples=powers,
        dtypes=NUMBERS,
        ulps={"default": 4, "complex64": 32, "complex128": 32},
        errors=(
            ErrorCase(at.InvalidValueError, "exponent of at least 0", np.ones(3, np.int64), -1),
            ErrorCase(at.ShapeError, "broadcast", ONES, np.ones(5, np.float32)),
        ),
    ),
    OpSpec(
        name="float_power",
        reference=lambda a, b: np.power(np.asarray(a) * 1.0, b),
        samples=powers,
        dtypes=NUMBERS,
        result=lambda sample: "complex128" if any(np.iscomplexobj(arg) for arg in sample.args) else "float64",
        ulps={"float64": 4, "complex128": 32},
        errors=(ErrorCase(at.ShapeError, "broadcast", ONES, np.ones(5, np.float32)),),
    ),
    OpSpec(
        name="rsub",
        reference=lambda a, b, alpha=1: b - alpha * a if alpha != 1 else b - a,
        scale=lambda a, b, alpha=1: np.abs(b) + np.abs(alpha * a),
        samples=lambda draw: (s for s in with_alpha(draw) if s.args[1] is not True and not isinstance(s.args[0], int)),
        result=of_operands,
        dtypes=NUMBERS,
        ulps=ROUNDED,
        errors=(ErrorCase(at.DTypeError, "expected numbers, got bool", np.ones(2, bool), np.ones(2, bool)),),
    ),
    OpSpec(
        name="neg",
        reference=np.negative,
        samples=unary,
        dtypes=NUMBERS,
        ulps=0,
        errors=(ErrorCase(at.DTypeError, "bool", np.ones(2, bool)), ErrorCase(at.ArgumentError, "input", "text")),
    ),
    OpSpec(name="positive", reference=np.positive, samples=unary, dtypes=NUMBERS, ulps=0),
    OpSpec(
        name="abs",
        reference=np.abs,
        samples=unary,
        result="real",
        ulps={"default": 0, "float32": 2, "float64": 2},
        elsewhere=1.5,  # CUDA's hypot
    ),
    OpSpec(name="sign", reference=sign, samples=unary, ulps={"default": 0, "complex64": 4, "complex128": 4}),
    OpSpec(name="square", reference=lambda x: x * x, samples=unary, ulps=ROUNDED),
    OpSpec(
        name="reciprocal",
        reference=np.reciprocal,
        samples=unary,
        result="float",
        ulps={"default": 1, "complex64": 6, "complex128": 6},
    ),
    OpSpec(
        name="maximum",
        reference=np.maximum,
        samples=binary,
        dtypes=("bool", *REALS),
        ulps=0,
        errors=(*BINARY_ERRORS, NOT_COMPLEX),
    ),
    OpSpec(
        name="minimum",
        reference=np.minimum,
        samples=binary,
        dtypes=("bool", *REALS),
        ulps=0,
        errors=(*BINARY_ERRORS, NOT_COMPLEX),
    ),
    OpSpec(
        name="lerp",
        reference=lambda a, b, w: a + w * (b - a),
        scale=lambda a, b, w: a + w * (b + a),
        samples=lerps,
        dtypes=FLOATING,
        errors=(ErrorCase(at.DTypeError, "floating", np.ones(2, int), np.ones(2, int), 1),),
    ),
    OpSpec(
        name="addcmul",
        reference=lambda x, a, b, value=1: x + value * a * b,
        scale=lambda x, a, b, value=1: x + value * a * b,
        samples=with_value,
        result=of_operands,
        dtypes=NUMBERS,
    ),
    OpSpec(
        name="addcdiv",
        reference=lambda x, a, b, value=1: x + value * a / b,
        scale=lambda x, a, b, value=1: x + value * a / b,
        samples=away_from_zero,
        result=of_operands,
        dtypes=FLOATING,
        errors=(ErrorCase(at.DTypeError, "floating", *[np.ones(2, int)] * 3),),
    ),
]
