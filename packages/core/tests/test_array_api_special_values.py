"""Values that the array API standard names, some of which array-api-strict, which is NumPy, does not give."""

from __future__ import annotations

import math
from collections.abc import Callable

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


TOP = 2**64 - 1


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: at.add(x, 2**63), [2**63 + 1, 2**63 + 7]),
        (lambda x: at.sub(TOP, other=x), [TOP - 1, TOP - 7]),
        (lambda x: at.bitwise_or(input=x, other=2**63), [2**63 + 1, 2**63 + 7]),
        (lambda x: at.maximum(x, TOP), [TOP, TOP]),
        (lambda x: at.where(x > 1, TOP, x), [1, TOP]),
        (lambda x: xp.clip(x, 2, 2**63 + 1), [2, 7]),
        (lambda x: x.clone().fill_(TOP), [TOP, TOP]),
        (lambda x: xp.full_like(x, TOP - 1), [TOP - 1, TOP - 1]),
        (lambda x: xp.full((2,), TOP, dtype=at.uint64), [TOP, TOP]),
        (lambda x: at.isin(x, TOP), [False, False]),
    ],
)
def test_integers_that_only_uint64_has(function: Callable[[at.Tensor], at.Tensor], expected: list[int]) -> None:
    got = function(at.asarray([1, 7], dtype=at.uint64))
    assert got.tolist() == expected and got.dtype in (at.uint64, at.bool)


def test_such_integers_are_written() -> None:
    x = at.zeros(3, dtype=at.uint64)
    x[0] = TOP
    x[x == 0] = 2**63
    assert x.tolist() == [TOP, 2**63, 2**63]
    assert at.result_type(x, TOP) == at.uint64


def test_such_integers_beside_other_dtypes() -> None:
    x = at.ones(2)
    x[1] = 2**70
    assert x.tolist() == [1.0, 2.0**70] and at.mul(x, 2**64)[0].item() == 2.0**64
    assert xp.full((1,), 2**70, dtype=at.float64).item() == 2.0**70
    for call in (lambda: at.add(at.asarray([1]), 2**63), lambda: at.zeros(2, dtype=at.int8).fill_(2**63)):
        with pytest.raises(ValueError, match="fits 64 bits"):
            call()
    with pytest.raises(ValueError, match="setitem: expected an integer that fits 64 bits"):
        at.asarray([1, 2])[0] = 2**63
    with pytest.raises(ValueError, match="fit uint64"):
        at.add(at.zeros(1, dtype=at.uint64), 2**64)


@pytest.mark.parametrize("function", [xp.std, xp.var], ids=["std", "var"])
def test_spread_of_no_more_elements_than_the_correction(function: Callable[..., at.Tensor]) -> None:
    x = at.asarray([[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]], dtype=at.float64)
    for correction in (3, 3.5, 10):
        assert all(map(math.isnan, function(x, axis=1, correction=correction).tolist()))
        assert function(x, axis=1, correction=correction, keepdims=True).shape == (2, 1)
    assert all(map(math.isnan, function(x, axis=0, correction=2).tolist()))
    assert math.isnan(function(x, correction=6).item()) and math.isnan(function(x, correction=6.5).item())
    assert math.isfinite(function(x, correction=5.5).item()) and math.isfinite(
        function(x, axis=1, correction=2)[0].item()
    )
    assert function(at.zeros(0, 3), axis=0, correction=1).shape == (3,) and math.isnan(function(at.zeros(0)).item())


def test_dlpack_to_a_device_that_is_not_there() -> None:
    x = at.ones(2)
    with pytest.raises(BufferError, match=r"one that tensors can move to, got \(10, 0\)"):
        x.__dlpack__(dl_device=(10, 0))
    assert isinstance(xp.__array_namespace_info__().devices(), tuple)


@pytest.mark.parametrize("dtype", [at.float32, at.float64, at.complex64, at.complex128], ids=str)
@pytest.mark.parametrize("num", [1, 2, 3, 10, 49])
def test_linspace_without_its_end_is_the_start_of_a_longer_one(num: int, dtype: at.dtype) -> None:
    for start, stop in ((0.0, 1.0), (-1.3, 7.7), (1e-3, -1e6)):
        longer = xp.linspace(start, stop, num + 1, dtype=dtype)
        assert xp.linspace(start, stop, num, dtype=dtype, endpoint=False).tolist() == longer[:-1].tolist()
        assert longer[-1].item() == xp.asarray(stop, dtype=dtype).item()


def test_roll_by_one_shift_for_several_axes() -> None:
    x = at.arange(6).reshape(2, 3)
    assert xp.roll(x, 1, axis=(0, 1)).tolist() == xp.roll(x, (1, 1), axis=(0, 1)).tolist() == [[5, 3, 4], [2, 0, 1]]
    assert xp.roll(x, 1, axis=(1,)).tolist() == xp.roll(x, 1, axis=1).tolist()
