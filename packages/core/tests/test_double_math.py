"""float64 functions against those of longer numbers, over numbers of every size, in units in the last place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import atled.core as at

longer = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 60, reason="needs a long double that is longer than a double"
)


def erf_and_erfc(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By the series of positive terms up to 2 and the continued fraction beyond (Abramowitz & Stegun 7.1.6, 7.1.14)."""
    root = np.sqrt(4 * np.arctan(np.longdouble(1)))
    y = np.clip(x, -2, 2).astype(np.longdouble)
    near, term = y * 0, 2 * y * np.exp(-y * y) / root
    for k in range(40):
        near, term = near + term, term * (2 * y * y / (2 * k + 3))
    a = np.clip(np.abs(x), 2, 30).astype(np.longdouble)
    high = a.astype(np.float32).astype(np.longdouble)  # whose square is exact
    fraction = a
    for k in range(60, 0, -1):
        fraction = a + k / (2 * fraction)
    far = np.exp(-high * high) * np.exp(-(a - high) * (a + high)) / root / fraction
    size, beyond = np.where(x < 0, 2 - far, far), np.abs(x) > 2
    return np.where(beyond, 1 - size, near), np.where(beyond, size, 1 - near)


FUNCTIONS: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "exp": (np.exp, 1.0),
    "exp2": (np.exp2, 1.5),
    "expm1": (np.expm1, 1.5),
    "log": (np.log, 1.0),
    "log2": (np.log2, 1.0),
    "log10": (np.log10, 1.0),
    "log1p": (np.log1p, 1.0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2.5),
    "tanh": (np.tanh, 3.0),
    "sinh": (np.sinh, 3.0),
    "cosh": (np.cosh, 1.5),
    "sin": (np.sin, 1.0),
    "cos": (np.cos, 1.0),
    "tan": (np.tan, 2.5),
    "asin": (np.arcsin, 3.0),
    "acos": (np.arccos, 2.0),
    "atan": (np.arctan, 2.5),
    "asinh": (np.arcsinh, 2.0),
    "acosh": (np.arccosh, 2.0),
    "atanh": (np.arctanh, 2.0),
    "erf": (lambda x: erf_and_erfc(x)[0], 2.5),
    "erfc": (lambda x: erf_and_erfc(x)[1], 3.5),
}


def ulps(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The distance of float64 results from longer ones, in the spacing of float64 there."""
    nearest = exact.astype(np.float64)
    same = (got == nearest) | (np.isnan(got) & np.isnan(exact))
    spacing = np.spacing(np.minimum(np.abs(nearest), np.finfo(np.float64).max)).astype(np.longdouble)
    distance: np.ndarray = np.where(same, 0.0, np.abs(got.astype(np.longdouble) - exact) / spacing)
    return distance


def numbers() -> np.ndarray:
    """All exponents, both signs, subnormals; around 0 and 1; multiples of pi / 2 and of ln 2; special values."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, 100_000, dtype=np.uint64).view(np.float64)
    sizes = np.exp2(rng.uniform(-60, 20, 100_000)) * rng.choice([-1, 1], 100_000)
    k = np.concatenate([np.arange(1, 2000), rng.integers(2000, 600_000, 10_000)])
    turns = (k * (np.longdouble(np.pi) / 2 + np.longdouble(6.123233995736766e-17))).astype(np.float64)
    halves = np.arange(-2200, 2200) * (np.log(2) / 2)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 5e-324, -5e-324, 22.0, -22.0, 1e6, 1000000.1]
    special += [709.78, 709.79, 710.47, 710.48, -745.1, -745.2, 1023.9, 1024.0, -1074.0, -1076.0, 1.0 - 2.0**-53]
    return np.concatenate([bits, sizes, 1 + sizes, turns, np.nextafter(turns, 0), halves, np.array(special)])


@longer
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_size_of_double(name: str) -> None:
    function, bound = FUNCTIONS[name]
    x = numbers()
    with np.errstate(all="ignore"):
        exact = np.asarray(function(x.astype(np.longdouble)))
        got = getattr(at, name)(at.from_numpy(x)).numpy()
        error = ulps(got, exact)
    assert np.max(error) <= bound, x[np.argmax(error)]


@longer
def test_atan2_in_all_quadrants() -> None:
    """Sizes of every exponent, and the special values of either side beside each other."""
    rng = np.random.default_rng(0)
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 1e-323, 1.7e308, -1.7e308])
    y, x = (np.ldexp(rng.uniform(-1, 1, 100_000), rng.integers(-1074, 1024, 100_000)) for _ in "yx")
    pairs = np.array(np.meshgrid(special, special)).reshape(2, -1)
    with np.errstate(all="ignore"):
        near = x * np.exp2(rng.integers(-4, 4, x.size)) * rng.uniform(0.5, 1, x.size)
        y, x = np.concatenate([y, near, pairs[0]]), np.concatenate([x, x, pairs[1]])
        exact = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
        got = at.atan2(at.from_numpy(y), at.from_numpy(x)).numpy()
        assert np.max(ulps(got, exact)) <= 2.5
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(exact[got == 0]))


@longer
def test_hypot_of_every_size() -> None:
    """Sizes of every exponent, near and apart, and the special values of either side beside each other."""
    rng = np.random.default_rng(0)
    special = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 5e-324, 1e-323, 1e308, -1.7e308])
    x = np.ldexp(rng.uniform(-1, 1, 200_000), rng.integers(-1074, 1024, 200_000))
    pairs = np.array(np.meshgrid(special, special)).reshape(2, -1)
    with np.errstate(all="ignore"):
        y = np.ldexp(rng.uniform(-1, 1, x.size) * np.abs(x), rng.integers(-20, 4, x.size))
        x, y = np.concatenate([x, pairs[0]]), np.concatenate([y, pairs[1]])
        exact = np.hypot(x.astype(np.longdouble), y.astype(np.longdouble))
        got = at.hypot(at.from_numpy(x), at.from_numpy(y)).numpy()
        assert np.max(ulps(got, exact)) <= 1.0
        np.testing.assert_array_equal(np.isinf(got), np.isinf(exact.astype(np.float64)))


@longer
def test_logit_is_exact_around_a_half() -> None:
    rng = np.random.default_rng(0)
    half = 0.5 + rng.choice([-1, 1], 100_000) * np.exp2(rng.uniform(-52, -1, 100_000))
    x = np.concatenate([half, np.exp2(rng.uniform(-1074, 0, 100_000)), [0.0, 1.0, 0.25, 0.75, -0.5, 1.5, np.nan]])
    y = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        middle = np.log1p((2 * y - 1) / (1 - y))
        exact = np.where(np.abs(y - 0.5) < 0.3, middle, np.log(y) - np.log1p(-y))
        assert np.max(ulps(at.logit(at.from_numpy(x)).numpy(), exact)) <= 2.0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zeros_keep_their_sign(name: str) -> None:
    function, _ = FUNCTIONS[name]
    x = np.array([0.0, -0.0] * 20)
    with np.errstate(all="ignore"):
        expected = function(x)
        got = getattr(at, name)(at.from_numpy(x)).numpy()
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(expected[number]))


@pytest.mark.parametrize(
    "name, reference", [("fmod", np.fmod), ("remainder", np.mod), ("floor_divide", np.floor_divide)]
)
def test_remainders_are_exact(name: str, reference: Callable[..., np.ndarray]) -> None:
    """Quotients of all sizes, whole ones and their neighbours, halves, subnormal numbers and special values."""
    rng = np.random.default_rng(0)
    b = rng.uniform(-1, 1, 200_000)
    a = b * rng.choice([1e-3, 1.0, 1e3, 1e6, 1e9], b.size) * rng.uniform(-1, 1, b.size)
    whole = b * rng.integers(-100_000, 100_000, b.size)
    tiny = rng.integers(-(2**40), 2**40, b.size) * 5e-324
    special = np.array([0.0, -0.0, 1.0, -1.0, 3.5, np.inf, -np.inf, np.nan, 5e-324, 1e308, 1e301])
    pairs = np.array(np.meshgrid(special, special)).reshape(2, -1)
    x = np.concatenate([a, whole, np.nextafter(whole, 0), whole + b / 2, tiny, tiny, pairs[0]])
    y = np.concatenate([b, b, b, b, np.roll(tiny, 1) // 3e-318 * 5e-324, b, pairs[1]])
    with np.errstate(all="ignore"):
        expected = reference(x, y)
        got = getattr(at, name)(at.from_numpy(x), at.from_numpy(y)).numpy()
    known = np.isfinite(x) & np.isfinite(y) & (y != 0)  # the others' conventions are tested with the operators
    np.testing.assert_array_equal(got[known], expected[known])
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(expected[known]))


@longer
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_quotients_of_all_sizes(dtype: type) -> None:
    rng = np.random.default_rng(0)
    reach = 30 if dtype is np.complex64 else 250

    def drawn() -> np.ndarray:
        parts = rng.uniform(-1, 1, (100_000, 2)) * np.exp2(rng.integers(-reach, reach, (100_000, 2)))
        return parts.astype(dtype(0).real.dtype).view(dtype)[:, 0]

    a, b = drawn(), drawn()
    exact = a.astype(np.clongdouble) / b.astype(np.clongdouble)
    allowed = 3 * np.finfo(dtype).eps
    assert np.max(np.abs(at.div(at.from_numpy(a), at.from_numpy(b)).numpy() - exact) / np.abs(exact)) <= allowed
    inverse = 1 / b.astype(np.clongdouble)
    assert np.max(np.abs(at.reciprocal(at.from_numpy(b)).numpy() - inverse) / np.abs(inverse)) <= allowed


def test_complex_quotients_of_special_values() -> None:
    """Where a part overflows, is infinite or 0, they are the library's."""
    parts = [0.0, 1.0, -2.0, 1e308, 1e-308, np.inf, np.nan]
    numbers = [complex(a, b) for a in parts for b in parts]
    a = np.array([x for x in numbers for _ in numbers])
    b = np.array([x for _ in numbers for x in numbers])
    got = at.div(at.from_numpy(a), at.from_numpy(b)).numpy()
    one_by_one = np.array([at.div(at.tensor(x), at.tensor(y)).item() for x, y in zip(a, b, strict=True)])
    np.testing.assert_array_equal(got, one_by_one)
    finite = np.isfinite(a) & np.isfinite(b) & (b != 0)
    with np.errstate(all="ignore"):
        exact = a[finite].astype(np.clongdouble) / b[finite].astype(np.clongdouble)
    fits = np.abs(exact) < 1e300
    np.testing.assert_allclose(got[finite][fits], exact[fits].astype(np.complex128), rtol=1e-15, atol=1e-320)
