"""Values that the array API standard names and array-api-strict, which is NumPy, does not all give."""

from __future__ import annotations

import math

import pytest

import atled.core as at
import atled.core.array_api as xp

INF, NAN = math.inf, math.nan

# Of the tables of special cases; where the standard leaves a sign open the row has None for it.
EXPM1 = [
    (complex(INF, 0.0), INF, 0.0),
    (complex(INF, -0.0), INF, -0.0),
    (complex(-INF, INF), -1.0, None),
    (complex(-INF, NAN), -1.0, None),
    (complex(INF, INF), None, NAN),
    (complex(INF, NAN), None, NAN),
    (complex(NAN, 0.0), NAN, 0.0),
    (complex(NAN, 1.0), NAN, NAN),
    (complex(1.0, INF), NAN, NAN),
    (complex(INF, 2.0), -INF, INF),
    (complex(-INF, 2.0), -1.0, 0.0),
    (complex(1000.0, 0.0), INF, 0.0),
]


def same(got: float, expected: float | None) -> bool:
    if expected is None:
        return True
    if math.isnan(expected):
        return math.isnan(got)
    return got == expected and math.copysign(1, got) == math.copysign(1, expected)


@pytest.mark.parametrize("dtype", [at.complex64, at.complex128], ids=str)
def test_expm1_of_complex_numbers(dtype: at.dtype) -> None:
    got = xp.expm1(xp.asarray([z for z, _, _ in EXPM1], dtype=dtype)).tolist()
    for (z, real, imag), value in zip(EXPM1, got, strict=True):
        assert same(value.real, real) and same(value.imag, imag), (z, value)
    assert math.isinf(got[4].real) and math.isinf(got[5].real)
