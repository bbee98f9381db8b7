"""Sums of floating-point numbers that no order changes: on the host, and into places that indices name at random."""

import ctypes
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import atled.core as at

DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
# Every finite number is below 2^E for an E in this range.
EXPONENTS = {"float16": (-13, 16), "bfloat16": (-125, 128), "float32": (-125, 128), "float64": (-1021, 1024)}
dtypes = pytest.mark.parametrize("dtype", DIGITS)
INF, NAN = math.inf, math.nan


def rounded(values: Any, dtype: str) -> Any:
    """The nearest numbers of a dtype, as float64."""
    if dtype != "bfloat16":
        return np.asarray(values).astype(dtype).astype(np.float64)
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(np.float64)


def wide(*shape: int, dtype: str, seed: int = 0) -> Any:
    """Of all magnitudes that leave room for sums."""
    rng = np.random.default_rng(seed)
    low, high = EXPONENTS[dtype]
    with np.errstate(under="ignore"):
        return rounded(np.ldexp(rng.normal(size=shape), rng.integers(low - DIGITS[dtype], high - 6, shape)), dtype)


def exponent(x: float, dtype: str) -> int:
    return max(math.frexp(x)[1], EXPONENTS[dtype][0])


def check(got: float, held: float, values: Any, points: int, dtype: str) -> None:
    """Whether held + the sum of values is right to what functors/fixed_sum.h promises for one of so many points."""
    total = sum(map(Fraction, map(float, values)), Fraction())
    exact = Fraction(held) + total
    bits = min(52, 62 - points.bit_length()) * (2 if dtype == "float64" else 1)
    bound = len(values) * Fraction(2) ** (exponent(max(abs(v) for v in values), dtype) - bits - 1)
    bound += (abs(total) + abs(Fraction(held))) / 2 ** (52 if dtype != "float64" else 100)
    bound += Fraction(2) ** (exponent(got, dtype) - DIGITS[dtype] - 1) * Fraction(1001, 1000)
    assert abs(Fraction(float(got)) - exact) <= bound, (got, float(exact), held, values)


def on_host(host: ctypes.CDLL, dtype: str, held: float, values: Any, points: int = 0) -> float:
    def encoded(x: Any) -> Any:
        if dtype == "bfloat16":
            return (np.asarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return np.asarray(x).astype(dtype)

    place, numbers = encoded([held]), encoded(values)
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (numbers, place)]
    count = ctypes.c_int64(points or len(values))
    getattr(host, f"sum_{dtype}")(pointers[0], ctypes.c_int64(len(values)), count, pointers[1])
    if dtype == "bfloat16":
        place = (place.astype(np.uint32) << 16).view(np.float32)
    return float(place[0])


@dtypes
def test_sums_are_as_exact_as_they_say(host: ctypes.CDLL, dtype: str) -> None:
    rng = np.random.default_rng(0)
    low, high = EXPONENTS[dtype]
    for trial in range(600):
        n, points = int(rng.integers(1, 30)), 2 ** int(rng.integers(5, 32)) + 30
        middle, spread = int(rng.integers(low, high - 6)), int(rng.choice([1, 12, 40, 90]))
        powers = np.clip(rng.integers(middle - spread, middle + 1, n + 1), low - DIGITS[dtype], high - 6)
        with np.errstate(under="ignore"):
            held, *values = rounded(np.ldexp(rng.uniform(-1, 1, n + 1), powers), dtype)
        if trial % 3 == 0:  # what cancels
            values += [-v for v in values[: int(rng.integers(n + 1))]]
        if trial % 5 == 0:
            held = 0.0
        if any(values):
            got = on_host(host, dtype, held, values, points)
            check(got, held, values, points, dtype)
            assert got == on_host(host, dtype, held, rng.permutation(values), points)


@dtypes
def test_the_largest_numbers_leave_room_for_each_other(host: ctypes.CDLL, dtype: str) -> None:
    digits, (low, high) = DIGITS[dtype], EXPONENTS[dtype]
    largest = math.ldexp(1 - 2.0**-digits, high)
    for n in (1, 2, 1023, 1024, 5000):
        values = [largest] * n
        assert on_host(host, dtype, 0.0, values) == (largest if n == 1 else INF)
        assert on_host(host, dtype, 0.0, np.negative(values)) == (-largest if n == 1 else -INF)
        # No sum is too large on the way.
        assert on_host(host, dtype, 0.0, [*values, *np.negative(values)]) == 0
        assert on_host(host, dtype, -largest, [*values, *np.negative(values), largest, largest]) == largest
        below = rounded([math.ldexp(largest, low - high)] * n, dtype)
        check(on_host(host, dtype, 0.0, below), 0.0, below, n, dtype)
    for points, bits in ((1, 52), (1023, 52), (1024, 51), (2**24, 37), (2**32 - 1, 30)):
        assert host.unit_bits(ctypes.c_int64(points)) == bits
        assert points * 2**bits < 2**62


@pytest.mark.parametrize(("dtype", "bits"), [("bfloat16", 30), ("float32", 30), ("float64", 60)])
def test_numbers_are_rounded_to_the_nearest_unit(host: ctypes.CDLL, dtype: str, bits: int) -> None:
    unit = 2.0**-bits  # among 2^32 points, of numbers below 1
    assert on_host(host, dtype, -0.5, [0.5, *[unit * 0.75] * 40], 2**32 - 1) == 40 * unit
    assert on_host(host, dtype, -0.5, [0.5, *[unit * 0.25] * 40], 2**32 - 1) == 0


@pytest.mark.parametrize(("dtype", "half"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_results_are_rounded_once(host: ctypes.CDLL, dtype: str, half: float) -> None:
    # Above the middle between two, but in float32 just there.
    assert on_host(host, dtype, 1.0, [half, 2.0**-24]) == 1 + 2 * half
    assert on_host(host, dtype, -1.0, [-half, -(2.0**-24)]) == -1 - 2 * half


@dtypes
def test_subnormal_numbers_are_exact(host: ctypes.CDLL, dtype: str) -> None:
    least = math.ldexp(1.0, EXPONENTS[dtype][0] - DIGITS[dtype])
    largest = 2.0 ** (DIGITS[dtype] - 1)
    values = np.array([1, 1, -3, largest - 1, largest, largest + 1, 7]) * least
    want = float(sum(map(Fraction, map(float, values)), Fraction()))
    for held in (0.0, least, -want):
        got = on_host(host, dtype, held, values, 2**31)
        assert got == float(rounded(want + held, dtype))
    assert on_host(host, dtype, 0.0, [least, -least]) == 0


@dtypes
def test_what_is_no_number(host: ctypes.CDLL, dtype: str) -> None:
    for held, values, want in (
        (0.0, [1, INF, 2], INF), (0.0, [-INF, 5], -INF), (0.0, [INF, -INF, 1], NAN), (0.0, [NAN, 1], NAN),
        (0.0, [NAN, INF], NAN), (INF, [1, 2], INF), (-INF, [-0.0], -INF), (INF, [-INF], NAN), (NAN, [1], NAN),
        (INF, [3, -3], INF), (1.0, [INF], INF),
    ):  # fmt: skip
        np.testing.assert_equal(on_host(host, dtype, held, values), want)
        np.testing.assert_equal(on_host(host, dtype, held, values[::-1]), want)


@dtypes
def test_zeros_keep_their_signs(host: ctypes.CDLL, dtype: str) -> None:
    for held, values, sign in (
        (-0.0, [-0.0, -0.0], -1), (-0.0, [-0.0, 0.0], 1), (0.0, [-0.0], 1), (-0.0, [2, -2], 1), (-0.0, [-0.0, 2, -2], 1)
    ):  # fmt: skip
        got = on_host(host, dtype, held, values)
        assert got == 0
        assert math.copysign(1, got) == sign


def test_float64_cancels_within_its_window(host: ctypes.CDLL) -> None:
    # 2 S bits below the largest exponent are kept: 104 of few points, 60 of as many as there may be.
    for points, bits in ((100, 104), (2**32 - 1, 60)):
        for kept in (1, bits // 2, bits - 1):
            large = 2.0 ** (kept - 1)  # the largest exponent is `kept`
            assert on_host(host, "float64", 0.0, [large, 1, -large], points) == 1
            assert on_host(host, "float64", -large, [large, 1], points) == 1
        large = 2.0 ** (bits + 5)
        assert on_host(host, "float64", 0.0, [large, 1, -large], points) == 0
    assert on_host(host, "float64", 0.0, [1e300, 1, -1e300]) == 0
    assert on_host(host, "float64", 1e-300, [1e300, -1e300]) == 1e-300
    assert on_host(host, "float64", 0.0, [1e15, 1.25, -1e15]) == 1.25


# ---- on a device ----


def to_device(values: Any, dtype: str, device: str) -> at.Tensor:
    return at.tensor(np.array(values, np.float64, order="C")).to(getattr(at, dtype)).to(device)


def spread(values: Any, dtype: str, device: str) -> at.Tensor:
    """The same elements, with gaps between them and the dimensions the other way round."""
    t = to_device(np.repeat(np.transpose(values), 2, axis=0), dtype, device)[::2]
    return t.permute(tuple(reversed(range(t.ndim))))


def host_of(t: at.Tensor) -> Any:
    return t.to("cpu").to(at.float64).numpy()


def bits_of(t: at.Tensor) -> bytes:
    t = t.to("cpu")
    return (t.to(at.float32) if t.dtype == at.bfloat16 else t).numpy().tobytes()


def indices(values: Any, device: str) -> at.Tensor:
    return at.tensor(np.array(values, order="C")).to(device)


def check_places(got: Any, held: Any, index: Any, values: Any, points: int, dtype: str) -> None:
    order = np.argsort(index, kind="stable")
    named, starts = np.unique(index[order], return_index=True)
    for place, its in zip(named, np.split(values[order], starts[1:]), strict=True):
        check(got[place], held[place], its, points, dtype)
    rest = np.setdiff1d(np.arange(len(held)), named)
    np.testing.assert_array_equal(got[rest], held[rest])


CASES: dict[str, Callable[[int, int], Any]] = {
    "random": lambda n, places: np.random.default_rng(1).integers(0, places, n),
    "skewed": lambda n, places: np.random.default_rng(1).integers(0, places, n) ** 3 // places**2,
    "mostly one": lambda n, places: np.where(np.arange(n) % 5 < 3, 7, np.arange(n) % places),
    "the same": lambda n, places: np.full(n, places // 2),
    "runs": lambda n, places: np.sort(np.random.default_rng(1).integers(0, places, n)),
}


@pytest.mark.parametrize("case", CASES)
@dtypes
def test_sums_are_the_same_in_any_order(gpu: str, dtype: str, case: str) -> None:
    n, places = 5000, 700
    index = CASES[case](n, places)
    values, held = wide(n, dtype=dtype) / 64, wide(places, dtype=dtype, seed=1)
    values = rounded(values, dtype)
    t, i, v = to_device(held, dtype, gpu), indices(index, gpu), to_device(values, dtype, gpu)
    got = [t.index_put((i,), v, accumulate=True) for _ in range(3)]
    got += [t.index_add(0, i, v), t.index_put((i - places,), v, accumulate=True)]
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(n)
        i, v = indices(index[order], gpu), to_device(values[order], dtype, gpu)
        got.append(t.index_put((i,), v, accumulate=True))
    assert len(set(map(bits_of, got))) == 1
    check_places(host_of(got[0]), held, index, values, n, dtype)


@dtypes
def test_places_are_as_exact_as_their_own_numbers(gpu: str, dtype: str) -> None:
    # Numbers of one place are alike; those of others are as large or as small as they can be.
    n, places = 3000, 500
    low, high = EXPONENTS[dtype]
    rng = np.random.default_rng(0)
    scale = np.linspace(low + 2, high - 8, places).astype(int)
    index = rng.integers(0, places, n)
    values = rounded(np.ldexp(rng.uniform(1, 2, n), scale[index] - 1), dtype)
    t = to_device(np.zeros(places), dtype, gpu)
    got = host_of(t.scatter_add(0, indices(index, gpu), to_device(values, dtype, gpu)))
    want = [math.fsum(values[index == place]) for place in range(places)]
    np.testing.assert_allclose(got, want, rtol=2.0 ** -DIGITS[dtype] * 1.01)


def test_as_numpy_adds(gpu: str) -> None:
    rng = np.random.default_rng(0)
    n, places = 20_000, 9000  # more than lines are summed for
    index, values = rng.integers(0, places, n), rng.normal(size=n).astype(np.float32)
    want, size = np.ones(places), np.zeros(places)
    np.add.at(want, index, values)
    np.add.at(size, index, np.abs(values))
    t, i, v = to_device(np.ones(places), "float32", gpu), indices(index, gpu), to_device(values, "float32", gpu)
    for got in (t.scatter_add(0, i, v), t.scatter_reduce(0, i, v, "sum"), t.clone().index_add_(0, i, v)):
        assert np.all(np.abs(host_of(got) - want) <= 2.0**-24 * 1.001 * np.abs(want) + 2.0**-45 * size)


@pytest.mark.parametrize("place", [to_device, spread])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_any_layout(gpu: str, dtype: str, place: Callable[..., at.Tensor]) -> None:
    rng = np.random.default_rng(0)
    shape, n = (6, 7, 30), 2000
    held = rounded(rng.normal(size=shape), dtype)
    values = rounded(rng.normal(size=(n // 10, 10)), dtype)
    t, v = place(held, dtype, gpu), place(values, dtype, gpu)
    keys = [rng.integers(-size, size, (n // 10, 10)) for size in shape]
    flat = np.ravel_multi_index([k % size for k, size in zip(keys, shape, strict=True)], shape).ravel()
    on = [indices(k.T, gpu).T.to(d) for k, d in zip(keys, (at.int64, at.int32, at.int64), strict=True)]
    got = t.index_put(tuple(on), v, accumulate=True)
    check_places(host_of(got).ravel(), held.ravel(), flat, values.ravel(), n, dtype)
    # In place, and with a source that stands for many.
    for source in (values[:1], values[:1, :1]):
        target = place(held, dtype, gpu)
        target.index_put_(tuple(on), place(source, dtype, gpu).expand(n // 10, 10), accumulate=True)
        whole = np.broadcast_to(source, (n // 10, 10)).ravel()
        check_places(host_of(target).ravel(), held.ravel(), flat, whole, n, dtype)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("place", [to_device, spread])
def test_scatters(gpu: str, dim: int, place: Callable[..., at.Tensor]) -> None:
    rng = np.random.default_rng(dim)
    shape, size = [70, 90], [60, 80]
    size[dim] = 400
    held, values = rng.normal(size=shape), rng.normal(size=[500, 500])
    index = rng.integers(0, shape[dim], size)
    grid = list(np.indices(size))
    grid[dim] = index
    cut = values[: size[0], : size[1]]
    want = held.copy()
    np.add.at(want, tuple(grid), cut)
    target, i = place(held, "float64", gpu), indices(index, gpu)
    target.scatter_add_(dim, i, place(values, "float64", gpu))
    np.testing.assert_allclose(host_of(target), want, rtol=1e-12, atol=1e-14)


@dtypes
def test_numbers_that_are_none_and_zeros(gpu: str, dtype: str) -> None:
    places = 64
    held = np.linspace(-2, 2, places)
    held[:9] = [1, 1, 1, 1, INF, NAN, -0.0, -0.0, -0.0]
    held = rounded(held, dtype)
    index = np.array([0, 0, 1, 1, 2, 2, 2, 3, 4, 5, 6, 6, 7, 7, 8, 8])
    values = np.array([INF, 3, -INF, 3, INF, -INF, 1, NAN, -INF, 1, -0.0, -0.0, -0.0, 0.0, 2, -2])
    want = held.copy()
    want[:9] = [INF, -INF, NAN, NAN, NAN, NAN, -0.0, 0.0, 0.0]
    got = to_device(held, dtype, gpu).index_put((indices(index, gpu),), to_device(values, dtype, gpu), accumulate=True)
    np.testing.assert_array_equal(host_of(got), want)
    np.testing.assert_array_equal(np.signbit(host_of(got)[6:9]), [True, False, False])


def test_float16_goes_to_infinity_at_the_end_alone(gpu: str) -> None:
    index, values = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([60000.0, 60000, -60000, 60000, 60000, 65504, 8])
    t = to_device(np.zeros(20), "float16", gpu)
    got = t.index_put((indices(index, gpu),), to_device(values, "float16", gpu), accumulate=True)
    np.testing.assert_array_equal(host_of(got)[:4], [60000, INF, 65504, 0])
