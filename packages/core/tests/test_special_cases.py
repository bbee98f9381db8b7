"""Zeros of both signs, infinities, NaN: what the Python array API standard (2025.12) and C99's annex F lay down.

Each row is one case: the function, its arguments, the result, whose sign counts too.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import atled.core as at

INF, NAN, PI = math.inf, math.nan, math.pi

UNARY: dict[str, list[tuple[float, float]]] = {
    "abs": [(-0.0, 0.0), (-INF, INF), (NAN, NAN)],
    "acos": [(1.0, 0.0), (1.5, NAN), (-1.5, NAN), (NAN, NAN)],
    "acosh": [(1.0, 0.0), (0.5, NAN), (INF, INF), (NAN, NAN)],
    "asin": [(0.0, 0.0), (-0.0, -0.0), (1.5, NAN), (-1.5, NAN)],
    "asinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)],
    "atan": [(0.0, 0.0), (-0.0, -0.0), (INF, PI / 2), (-INF, -PI / 2), (NAN, NAN)],
    "atanh": [(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-1.5, NAN)],
    "ceil": [(0.0, 0.0), (-0.0, -0.0), (-0.5, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "cosh": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, INF), (NAN, NAN)],
    "digamma": [(0.0, -INF), (-0.0, INF), (-1.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN)],
    "erfc": [(INF, 0.0), (-INF, 2.0), (NAN, NAN)],
    "erfinv": [(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (NAN, NAN)],
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN)],
    "exp2": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (NAN, NAN)],
    "floor": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)],
    "frac": [(0.0, 0.0), (-0.0, 0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "i0": [(0.0, 1.0), (INF, INF), (-INF, INF), (NAN, NAN)],
    "lgamma": [(1.0, 0.0), (2.0, 0.0), (0.0, INF), (-3.0, INF), (INF, INF), (-INF, INF), (NAN, NAN)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "log10": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (INF, INF), (NAN, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-1.5, NAN), (INF, INF), (NAN, NAN)],
    "log2": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (INF, INF), (NAN, NAN)],
    "logit": [(0.0, -INF), (0.5, 0.0), (1.0, INF), (-0.5, NAN), (1.5, NAN), (NAN, NAN)],
    "nan_to_num": [(NAN, 0.0), (-0.0, -0.0), (0.0, 0.0)],
    "neg": [(0.0, -0.0), (-0.0, 0.0), (INF, -INF), (NAN, NAN)],
    "positive": [(-0.0, -0.0), (NAN, NAN)],
    "reciprocal": [(0.0, INF), (-0.0, -INF), (INF, 0.0), (-INF, -0.0), (NAN, NAN)],
    "relu": [(-1.0, 0.0), (INF, INF), (-INF, 0.0), (NAN, NAN)],
    "round": [(0.0, 0.0), (-0.0, -0.0), (0.5, 0.0), (-0.5, -0.0), (1.5, 2.0), (2.5, 2.0), (INF, INF), (NAN, NAN)],
    "rsqrt": [(0.0, INF), (-0.0, -INF), (INF, 0.0), (-1.0, NAN), (NAN, NAN)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (NAN, NAN)],
    "sign": [(0.0, 0.0), (-0.0, 0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "sinc": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (NAN, NAN)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)],
    "sqrt": [(0.0, 0.0), (-0.0, -0.0), (-1.0, NAN), (INF, INF), (NAN, NAN)],
    "square": [(-0.0, 0.0), (-INF, INF), (NAN, NAN)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN)],
    "trunc": [(0.0, 0.0), (-0.0, -0.0), (-0.5, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)],
}

BINARY: dict[str, list[tuple[float, float, float]]] = {
    "add": [
        *((INF, -INF, NAN), (-INF, INF, NAN), (INF, INF, INF), (-INF, -INF, -INF), (INF, 1.0, INF), (NAN, 1.0, NAN)),
        *((-0.0, -0.0, -0.0), (-0.0, 0.0, 0.0), (0.0, -0.0, 0.0), (0.0, 0.0, 0.0), (1.0, -1.0, 0.0)),
    ],
    "sub": [(INF, INF, NAN), (-INF, -INF, NAN), (0.0, 0.0, 0.0), (-0.0, 0.0, -0.0), (0.0, -0.0, 0.0)],
    "mul": [
        *((INF, 0.0, NAN), (-INF, -0.0, NAN), (INF, -INF, -INF), (-2.0, 0.0, -0.0), (-2.0, -0.0, 0.0)),
        *((INF, 2.0, INF), (INF, -2.0, -INF), (NAN, 0.0, NAN)),
    ],
    "div": [
        *((INF, INF, NAN), (0.0, 0.0, NAN), (-0.0, 0.0, NAN), (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (0.0, -2.0, -0.0)),
        *((1.0, 0.0, INF), (1.0, -0.0, -INF), (-1.0, 0.0, -INF), (-1.0, -0.0, INF), (INF, -1.0, -INF)),
        *((1.0, INF, 0.0), (-1.0, INF, -0.0), (1.0, -INF, -0.0), (NAN, 1.0, NAN)),
    ],
    "floor_divide": [
        *((INF, INF, NAN), (0.0, 0.0, NAN), (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (0.0, -2.0, -0.0), (-0.0, -2.0, 0.0)),
        *((1.0, 0.0, INF), (1.0, -0.0, -INF), (-1.0, 0.0, -INF), (-1.0, -0.0, INF)),
        *((1.0, INF, 0.0), (-1.0, INF, -1.0), (1.0, -INF, -1.0), (-1.0, -INF, 0.0), (NAN, 1.0, NAN), (1.0, NAN, NAN)),
        *((7.0, -2.0, -4.0), (-7.0, 2.0, -4.0), (9.0, 0.5, 18.0)),
    ],
    "remainder": [
        *((INF, 1.0, NAN), (INF, INF, NAN), (0.0, 0.0, NAN), (1.0, 0.0, NAN), (NAN, 1.0, NAN), (1.0, NAN, NAN)),
        *((0.0, 2.0, 0.0), (-0.0, 2.0, 0.0), (0.0, -2.0, -0.0), (-0.0, -2.0, -0.0)),
        *(
            (1.0, INF, 1.0),
            (-1.0, INF, INF),
            (1.0, -INF, -INF),
            (-1.0, -INF, -1.0),
            (-7.0, 2.0, 1.0),
            (7.0, -2.0, -1.0),
        ),
    ],
    "fmod": [
        *((INF, 1.0, NAN), (1.0, 0.0, NAN), (1.0, INF, 1.0), (-1.0, INF, -1.0), (-0.0, 2.0, -0.0), (0.0, -2.0, 0.0)),
        *((-7.0, 2.0, -1.0), (7.0, -2.0, 1.0), (-4.0, 2.0, -0.0), (NAN, 1.0, NAN)),
    ],
    "pow": [
        *((1.0, NAN, 1.0), (1.0, INF, 1.0), (NAN, 0.0, 1.0), (NAN, -0.0, 1.0), (NAN, 1.0, NAN), (0.0, 0.0, 1.0)),
        *((-1.0, INF, 1.0), (-1.0, -INF, 1.0), (2.0, INF, INF), (2.0, -INF, 0.0), (0.5, INF, 0.0), (0.5, -INF, INF)),
        *((INF, 2.0, INF), (INF, -2.0, 0.0), (-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, 0.5, INF)),
        *(
            (-INF, -3.0, -0.0),
            (-INF, -2.0, 0.0),
            (0.0, 3.0, 0.0),
            (-0.0, 3.0, -0.0),
            (-0.0, 2.0, 0.0),
            (-0.0, 0.5, 0.0),
        ),
        *(
            (0.0, -2.0, INF),
            (0.0, -3.0, INF),
            (-0.0, -3.0, -INF),
            (-0.0, -2.0, INF),
            (-2.0, 0.5, NAN),
            (-2.0, 3.0, -8.0),
        ),
    ],
    "atan2": [
        *((0.0, 1.0, 0.0), (-0.0, 1.0, -0.0), (0.0, -1.0, PI), (-0.0, -1.0, -PI), (0.0, 0.0, 0.0), (-0.0, 0.0, -0.0)),
        *((0.0, -0.0, PI), (-0.0, -0.0, -PI), (1.0, 0.0, PI / 2), (1.0, -0.0, PI / 2), (-1.0, 0.0, -PI / 2)),
        *((1.0, INF, 0.0), (-1.0, INF, -0.0), (1.0, -INF, PI), (-1.0, -INF, -PI), (INF, 1.0, PI / 2)),
        *(
            (INF, INF, PI / 4),
            (INF, -INF, 3 * PI / 4),
            (-INF, INF, -PI / 4),
            (-INF, -INF, -3 * PI / 4),
            (NAN, 1.0, NAN),
        ),
    ],
    "hypot": [(INF, NAN, INF), (NAN, -INF, INF), (0.0, -0.0, 0.0), (-3.0, 4.0, 5.0), (NAN, 1.0, NAN)],
    "copysign": [
        *((1.0, -0.0, -1.0), (-1.0, 0.0, 1.0), (0.0, -1.0, -0.0), (-0.0, 1.0, 0.0), (INF, -1.0, -INF)),
        (NAN, -1.0, NAN),
    ],
    "maximum": [
        (NAN, 1.0, NAN),
        (1.0, NAN, NAN),
        (INF, 1.0, INF),
        (-INF, 1.0, 1.0),
        (1.0, -NAN, NAN),
        (-2.0, -1.0, -1.0),
    ],
    "minimum": [
        (NAN, 1.0, NAN),
        (1.0, NAN, NAN),
        (INF, 1.0, 1.0),
        (-INF, 1.0, -INF),
        (1.0, -NAN, NAN),
        (-2.0, 1.0, -2.0),
    ],
    "fmax": [(NAN, 1.0, 1.0), (1.0, NAN, 1.0), (NAN, NAN, NAN), (-INF, NAN, -INF), (-NAN, -1.0, -1.0)],
    "fmin": [(NAN, 1.0, 1.0), (1.0, NAN, 1.0), (NAN, NAN, NAN), (INF, NAN, INF), (-2.0, -1.0, -2.0)],
    "logaddexp": [
        *((INF, INF, INF), (-INF, -INF, -INF), (INF, -INF, INF), (-INF, 2.0, 2.0), (2.0, -INF, 2.0), (NAN, 1.0, NAN)),
        (1.0, NAN, NAN),
    ],
    "logaddexp2": [(INF, INF, INF), (-INF, -INF, -INF), (-INF, 2.0, 2.0), (1.0, 1.0, 2.0), (NAN, INF, NAN)],
    "nextafter": [(1.0, NAN, NAN), (NAN, 1.0, NAN), (0.0, -0.0, -0.0), (-0.0, 0.0, 0.0), (INF, INF, INF)],
    "ldexp": [(0.0, INF, 0.0), (-0.0, 5.0, -0.0), (INF, -5.0, INF), (NAN, 0.0, NAN), (1.0, -INF, 0.0), (3.0, 0.0, 3.0)],
    "xlogy": [(0.0, 0.0, 0.0), (0.0, INF, 0.0), (0.0, -1.0, 0.0), (0.0, NAN, NAN), (1.0, 0.0, -INF), (2.0, 1.0, 0.0)],
    "heaviside": [(0.0, 0.5, 0.5), (-0.0, 0.5, 0.5), (-1.0, NAN, 0.0), (1.0, NAN, 1.0), (0.0, NAN, NAN)],
    "igamma": [(0.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, NAN), (2.0, INF, 1.0), (-1.0, 1.0, NAN), (INF, 1.0, 0.0)],
    "igammac": [(0.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 0.0, NAN), (2.0, INF, 0.0), (-1.0, 1.0, NAN), (INF, 1.0, 1.0)],
    "float_power": [(1.0, NAN, 1.0), (NAN, 0.0, 1.0), (-0.0, -3.0, -INF)],
}

ROWS = [(name, row[:-1], row[-1]) for name, rows in itertools.chain(UNARY.items(), BINARY.items()) for row in rows]


def same(got: np.ndarray, wanted: float, dtype: str) -> bool:
    """Equal to the nearest number of the dtype within 2 ulp, with the sign of a zero."""
    if math.isnan(wanted):
        return bool(np.isnan(got))
    nearest = np.asarray(wanted, got.dtype)
    if wanted == 0 or math.isinf(wanted):
        return bool(got == nearest and np.signbit(got) == np.signbit(nearest))
    return bool(abs(got.astype(np.float64) - wanted) <= 2 * np.spacing(np.abs(nearest)).astype(np.float64))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("name", "arguments", "wanted"), ROWS, ids=lambda value: str(value))
def test_floats(name: str, arguments: tuple[float, ...], wanted: float, dtype: str) -> None:
    # Both alone and in a row that vector code takes.
    for count in (1, 37):
        tensors = [at.full((count,), number, dtype=getattr(at, dtype)) for number in arguments]
        got = getattr(at, name)(*tensors).numpy()
        assert all(same(one, wanted, dtype) for one in got), f"expected {wanted!r}, got {got[0]!r}"


def test_nan_to_num_stays_in_the_dtype() -> None:
    for dtype, limit in (
        (at.float16, 65504.0),
        (at.bfloat16, 3.3895313892515355e38),
        (at.float32, 3.4028234663852886e38),
    ):
        assert at.nan_to_num(at.tensor([INF, -INF], dtype=dtype)).tolist() == [limit, -limit]


COMPLEX = {
    "exp": [(0j, 1 + 0j), (complex(-INF, INF), 0j), (complex(INF, 0), complex(INF, 0))],
    "log": [(complex(-1, 0.0), complex(0, PI)), (complex(-1, -0.0), complex(0, -PI)), (0j, complex(-INF, 0))],
    "sqrt": [(complex(-1, 0.0), 1j), (complex(-1, -0.0), -1j), (complex(INF, 1), complex(INF, 0))],
    "abs": [(complex(INF, NAN), INF), (complex(NAN, -INF), INF), (complex(-3, 4), 5.0)],
    "tanh": [(complex(INF, 0), 1 + 0j), (0j, 0j)],
}


@pytest.mark.parametrize("dtype", [at.complex64, at.complex128], ids=str)
@pytest.mark.parametrize("name", COMPLEX)
def test_branch_cuts_and_infinities_of_complex_functions(name: str, dtype: at.dtype) -> None:
    for argument, wanted in COMPLEX[name]:
        got = complex(getattr(at, name)(at.tensor([argument], dtype=dtype)).item())
        wanted = complex(wanted)
        for part, exact in ((got.real, wanted.real), (got.imag, wanted.imag)):
            assert part == pytest.approx(exact, rel=1e-6, abs=1e-6), f"{name}({argument}): expected {wanted}, got {got}"


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_integers_are_not_divided_by_zero(name: str) -> None:
    for dtype in (at.int8, at.uint8, at.int32, at.int64, at.uint64):
        with pytest.raises(at.InvalidValueError, match=f"{name}: expected an integer divisor other than 0"):
            getattr(at, name)(at.ones(40, dtype=dtype), at.zeros(40, dtype=dtype))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_the_lowest_integer(dtype: str) -> None:
    """It has no positive counterpart: results wrap, nothing traps."""
    low = np.iinfo(dtype).min
    x = at.tensor([low], dtype=getattr(at, dtype))
    minus = at.tensor([-1], dtype=x.dtype)
    assert at.abs(x).item() == low
    assert at.neg(x).item() == low
    assert at.floor_divide(x, minus).item() == low
    assert at.div(x, minus, rounding_mode="trunc").item() == low
    assert at.remainder(x, minus).item() == 0
    assert at.fmod(x, minus).item() == 0
    assert at.gcd(x, at.zeros_like(x)).item() == low
    assert at.sign(x).item() == -1


def test_shifts_by_more_than_all_bits() -> None:
    x = at.tensor([-1, 5], dtype=at.int32)
    assert at.bitwise_left_shift(x, 32).tolist() == [0, 0]
    assert at.bitwise_right_shift(x, 32).tolist() == [-1, 0]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_shifts_of_every_count(dtype: str) -> None:
    """By Python's integers, which have no end; also of one number beside many, and in rows of no vector's length."""
    info = np.iinfo(dtype)
    values = [*range(max(info.min, -130), min(info.max, 130)), info.min, info.min + 1, info.max]
    counts = [c for c in {*range(-70, 70), 127, info.min, info.max} if info.min <= c <= info.max]
    x, n = np.array(values, dtype)[:, None], np.array(counts, dtype)
    wrap = [[(v << c) & (2**info.bits - 1) if 0 <= c < info.bits else 0 for c in counts] for v in values]
    left = np.array(wrap, f"uint{info.bits}").astype(dtype)
    right = np.array([[v >> c if 0 <= c < info.bits else -(v < 0) for c in counts] for v in values]).astype(dtype)
    np.testing.assert_array_equal(at.bitwise_left_shift(at.asarray(x), at.asarray(n)).numpy(), left)
    np.testing.assert_array_equal(at.bitwise_right_shift(at.asarray(x), at.asarray(n)).numpy(), right)
    for i, count in enumerate(counts):
        np.testing.assert_array_equal((at.asarray(x[:, 0]) << count).numpy(), left[:, i])
        np.testing.assert_array_equal((at.asarray(x[:, 0]) >> count).numpy(), right[:, i])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
def test_integers_are_divided_as_python_does(dtype: str, threads: int) -> None:
    """Every pair of numbers at the ends, near 0 and between, in any layout; the lowest by -1 wraps."""
    info, random = np.iinfo(dtype), np.random.default_rng(0)
    ends = [info.min + k for k in range(4)] + [info.max - k for k in range(4)]
    small = list(range(max(info.min, -9), 10))
    values = np.array([*ends, *small, *random.integers(info.min, info.max, 40, dtype)], dtype)
    a, b = (grid.ravel() for grid in np.meshgrid(values, values[values != 0]))
    pairs = [(int(x), int(y)) for x, y in zip(a, b, strict=True)]
    toward_zero = [abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1) for x, y in pairs]

    def wrapped(numbers: list[int]) -> np.ndarray:
        return np.array([n % 2**info.bits for n in numbers], f"uint{info.bits}").astype(dtype)

    expected = {
        "floor_divide": wrapped([x // y for x, y in pairs]),
        "remainder": wrapped([x % y for x, y in pairs]),
        "fmod": wrapped([x - y * q for (x, y), q in zip(pairs, toward_zero, strict=True)]),
        "trunc": wrapped(toward_zero),
    }
    ops = {name: getattr(at, name) for name in ("floor_divide", "remainder", "fmod")}
    ops["trunc"] = lambda x, y: at.div(x, y, rounding_mode="trunc")
    before = at.get_num_threads()
    at.set_num_threads(threads)
    try:
        for name, op in ops.items():
            x, y, wanted = at.asarray(a), at.asarray(b), expected[name]
            np.testing.assert_array_equal(op(x, y).numpy(), wanted, name)
            np.testing.assert_array_equal(op(x[::-3], y[::-3]).numpy(), wanted[::-3], name)
            into = at.zeros(2 * len(a), dtype=x.dtype)[::2]
            into.copy_(x)
            if name != "trunc":
                getattr(into, f"{name}_")(y)
                np.testing.assert_array_equal(into.numpy(), wanted, name)
            for n in (0, 1, 7, 8, 9, 511, 512, 513):
                np.testing.assert_array_equal(op(x[:n], y[:n]).numpy(), wanted[:n], f"{name} {n}")
            for number in (3, 7, int(info.max)):
                one = wanted[b == number]
                if one.size:
                    np.testing.assert_array_equal(op(x[at.asarray(b == number)], number).numpy(), one, name)
            with pytest.raises(at.InvalidValueError, match="divisor other than 0"):
                op(x, at.where(at.arange(len(a)) == len(a) - 1, at.zeros_like(y), y))
    finally:
        at.set_num_threads(before)
