"""Products of float8 with scales."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import Draw, ErrorCase, OpSpec, Sample, at_dtype, numpy_dtype

KINDS = (("float8_e4m3fn", "float8_e4m3fn"), ("float8_e5m2", "float8_e4m3fn"), ("float8_e4m3fn", "float8_e5m2"))
SHAPES = ((16, 32, 48), (3, 5, 7), (1, 16, 16), (17, 33, 9), (0, 4, 5), (3, 0, 5), (3, 4, 0))


def float8(draw: Draw, *shape: int, kind: str = "float8_e4m3fn") -> Any:
    return draw(*shape, dtype="float32").astype(numpy_dtype(kind))


def scale(number: float, *shape: int) -> Any:
    return np.full(shape, number, np.float32)


def samples(draw: Draw) -> Iterator[Sample]:
    asked = at_dtype(draw.dtype)
    for m, k, n in SHAPES:
        a, b = float8(draw, m, k), float8(draw, k, n)
        yield Sample(a, b, scale(0.75), scale(1.5, 1), out_dtype=asked)
        yield Sample(a, b, scale(2.0, 1, 1), scale(0.125), draw(n), asked)
        rows, columns = (abs(draw(*shape, dtype="float32")) for shape in ((m, 1), (1, n)))
        yield Sample(a, b, rows, columns, out_dtype=asked)
        yield Sample(a, b, rows, scale(0.5), draw(n), asked)
    for first, second in KINDS:
        yield Sample(
            float8(draw, 32, 16, kind=first), float8(draw, 16, 16, kind=second), scale(3), scale(1), None, asked
        )
    if draw.dtype == "bfloat16":
        yield Sample(float8(draw, 4, 8), float8(draw, 8, 4), scale(1), scale(1))


def reference(a: Any, b: Any, scale_a: Any, scale_b: Any, bias: Any = 0.0, out_dtype: Any = None) -> Any:
    one_a, one_b = (x.reshape(()) if x.size == 1 else x for x in (scale_a, scale_b))
    product = np.matmul(a, b) * (one_a * one_b)
    return product if bias is None else product + bias


def result(sample: Sample) -> str:
    asked = sample.kwargs.get("out_dtype") or (sample.args[5] if len(sample.args) > 5 else at.bfloat16)
    return str(asked.name)


def made(*shape: int, kind: str = "float8_e4m3fn") -> Any:
    return np.ones(shape, numpy_dtype(kind))


def refused(error: type[Exception], match: str, *args: Any, **kwargs: Any) -> ErrorCase:
    given = [made(3, 4), made(4, 5), scale(1), scale(1)]
    given[: len(args)] = args
    return ErrorCase(error, match, *given, **kwargs)


E5M2 = "float8_e5m2"

SPECS = [
    OpSpec(
        name="scaled_mm",
        reference=reference,
        scale=reference,
        samples=samples,
        dtypes=("bfloat16", "float16", "float32"),
        domain=(-2, 2),
        result=result,
        ulps={"default": 8, "bfloat16": 1, "float16": 1},
        differentiable=False,
        errors=(
            refused(
                at.ShapeError,
                r"mat_a\.shape\[1\] == mat_b\.shape\[0\], got \(3, 4\) and \(5, 4\)",
                made(3, 4),
                made(5, 4),
            ),
            refused(at.ShapeError, r"mat_a of 2 dimensions, got shape \(4,\)", made(4)),
            refused(
                at.DTypeError,
                "mat_a to be float8_e4m3fn or float8_e5m2, got float32; .*mm",
                np.ones((3, 4), np.float32),
            ),
            refused(at.DTypeError, "at most one factor of float8_e5m2", made(3, 4, kind=E5M2), made(4, 5, kind=E5M2)),
            refused(
                at.ShapeError,
                r"scale_b to be one number .*, or of shape \(1, 5\), got shape \(5,\)",
                made(3, 4),
                made(4, 5),
                scale(1),
                scale(1, 5),
            ),
            refused(at.DTypeError, "scale_a of float32, got float64", made(3, 4), made(4, 5), np.ones((), np.float64)),
            refused(at.DTypeError, "out_dtype to be bfloat16, float16 or float32, got float64", out_dtype=at.float64),
            refused(at.DTypeError, "out_dtype to be .* got float8_e5m2", out_dtype=at.float8_e5m2),
            refused(
                at.ShapeError, r"bias of shape \(5,\), got \(4,\)", bias=np.ones(4, np.float32), out_dtype=at.float32
            ),
            refused(at.DTypeError, "bias of the result's dtype bfloat16, got float32", bias=np.ones(5, np.float32)),
        ),
    )
]
