"""float32 functions against float64 ones of NumPy and SciPy, over floats of every size, in units in the last place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import atled.core as at

special = pytest.importorskip("scipy.special")

FUNCTIONS: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "exp": (np.exp, 1.0),
    "exp2": (np.exp2, 1.5),
    "expm1": (np.expm1, 1.5),
    "log": (np.log, 1.0),
    "log2": (np.log2, 1.5),
    "log10": (np.log10, 2.0),
    "log1p": (np.log1p, 1.0),
    "sigmoid": (special.expit, 2.5),
    "tanh": (np.tanh, 1.5),
    "erf": (special.erf, 1.5),
    "erfc": (special.erfc, 1.0),
    "sin": (np.sin, 1.5),
    "cos": (np.cos, 1.5),
    "tan": (np.tan, 1.0),
    "asin": (np.arcsin, 0.51),
    "acos": (np.arccos, 0.51),
    "atan": (np.arctan, 0.51),
    "sinh": (np.sinh, 0.51),
    "cosh": (np.cosh, 0.51),
    "asinh": (np.arcsinh, 0.51),
    "acosh": (np.arccosh, 0.51),
    "atanh": (np.arctanh, 0.51),
    "sqrt": (np.sqrt, 0.51),
}


def ulps(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The distance of float32 results from float64 ones, in the spacing of float32 there."""
    nearest = exact.astype(np.float32)
    same = (got == nearest) | (np.isnan(got) & np.isnan(exact))
    spacing = np.spacing(np.minimum(np.abs(nearest), np.finfo(np.float32).max)).astype(np.float64)
    return np.where(same, 0.0, np.abs(got.astype(np.float64) - exact) / spacing)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_size_of_float(name: str) -> None:
    """Every 4099th bit pattern: all exponents, both signs, subnormals, infinities and NaN."""
    function, bound = FUNCTIONS[name]
    x = np.arange(0, 2**32, 4099, dtype=np.uint32).view(np.float32)
    x = np.concatenate([x, np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0], np.float32)])
    with np.errstate(all="ignore"):
        exact = function(x.astype(np.float64))
        got = getattr(at, name)(at.from_numpy(x)).numpy()
        assert np.max(ulps(got, exact)) <= bound


def test_pow_of_positive_bases_is_correctly_rounded() -> None:
    """Products in double leave nothing but the last rounding."""
    rng = np.random.default_rng(0)
    base = np.exp2(rng.uniform(-140, 127, 200_000)).astype(np.float32)
    exponent = rng.uniform(-3, 3, base.size).astype(np.float32)
    with np.errstate(all="ignore"):
        exact = np.power(base.astype(np.float64), exponent.astype(np.float64))
        got = at.pow(at.from_numpy(base), at.from_numpy(exponent)).numpy()
        assert np.max(ulps(got, exact)) <= 0.501


def test_atan2_is_correctly_rounded_in_all_quadrants() -> None:
    """Sizes of every exponent, and the special values of either side beside each other."""
    rng = np.random.default_rng(0)
    special_values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38], np.float32)
    y, x = (np.ldexp(rng.uniform(-1, 1, 200_000), rng.integers(-148, 124, 200_000)).astype(np.float32) for _ in "yx")
    near = (x * np.exp2(rng.integers(-4, 4, x.size))).astype(np.float32)
    pairs = np.array(np.meshgrid(special_values, special_values)).reshape(2, -1)
    y, x = np.concatenate([y, near, pairs[0]]), np.concatenate([x, x, pairs[1]])
    exact = np.arctan2(y.astype(np.float64), x.astype(np.float64))
    got = at.atan2(at.from_numpy(y), at.from_numpy(x)).numpy()
    assert np.max(ulps(got, exact)) <= 0.51
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(exact[got == 0]))


def test_ldexp_rounds_once() -> None:
    """Whole exponents, also where the result is subnormal, and fractions; beyond what is quick, too."""
    rng = np.random.default_rng(0)
    x = np.ldexp(rng.uniform(-1, 1, 100_000), rng.integers(-148, 128, 100_000)).astype(np.float32)
    whole, fractions = rng.integers(-320, 320, x.size), rng.uniform(-160, 130, x.size)
    for n, bound in ((whole.astype(np.float32), 0.5), (fractions.astype(np.float32), 0.501)):
        with np.errstate(all="ignore"):
            exact = x.astype(np.float64) * np.exp2(n.astype(np.float64))
            got = at.ldexp(at.from_numpy(x), at.from_numpy(n)).numpy()
            assert np.max(ulps(got, exact)) <= bound


@pytest.mark.parametrize("base2", [False, True])
def test_logaddexp_of_all_distances(base2: bool) -> None:
    rng = np.random.default_rng(0)
    a = (rng.uniform(-1, 1, 100_000) * 80).astype(np.float32)
    b = (a + np.exp(rng.uniform(-20, 5, a.size)) * rng.choice([-1, 1], a.size)).astype(np.float32)
    exact = (np.logaddexp2 if base2 else np.logaddexp)(a.astype(np.float64), b.astype(np.float64))
    got = (at.logaddexp2 if base2 else at.logaddexp)(at.from_numpy(a), at.from_numpy(b)).numpy()
    # Results near 0 are differences of larger numbers.
    assert np.max(np.abs(got - exact) / np.maximum(np.abs(exact), 1)) <= 2.0**-23


def test_normal_distribution_function() -> None:
    x = np.linspace(-15, 15, 200_001).astype(np.float32)
    got = at.special.ndtr(at.from_numpy(x)).numpy()
    assert np.max(ulps(got, special.ndtr(x.astype(np.float64)))) <= 1.0


def test_functions_of_a_part_of_the_line() -> None:
    """Near both ends and around the middle."""
    rng = np.random.default_rng(0)
    near = np.exp2(-rng.uniform(0, 140, 20_000)).astype(np.float32)
    x = np.concatenate([rng.uniform(0, 1, 50_000).astype(np.float32), near, 1 - near, np.array([0, 1, 2], np.float32)])
    with np.errstate(all="ignore"):
        for name, function, bound in (("erfinv", special.erfinv, 0.6), ("logit", special.logit, 1.5)):
            got = getattr(at, name)(at.from_numpy(x)).numpy()
            assert np.max(ulps(got, function(x.astype(np.float64)))) <= bound, name
    np.testing.assert_array_equal(at.erfinv(at.from_numpy(-x)).numpy(), -at.erfinv(at.from_numpy(x)).numpy())


@pytest.mark.parametrize("dtype, digits", [(at.float16, 11), (at.bfloat16, 8)])
def test_float64_is_rounded_to_half_precision_once(dtype: at.dtype, digits: int) -> None:
    """Just above and below halfway between two neighbours, where float32 would fall on the middle."""
    tie, little = 1 + 2.0**-digits, 2.0**-40
    x = [sign * (tie + way * little) * 2.0**k for sign in (1, -1) for way in (1, -1) for k in (0, 5)]
    above = 1 + 2.0 ** (1 - digits)
    expected = [sign * (above if way > 0 else 1.0) * 2.0**k for sign in (1, -1) for way in (1, -1) for k in (0, 5)]
    assert at.tensor(x, dtype=at.float64).to(dtype).tolist() == expected
    assert at.tensor(x, dtype=dtype).tolist() == expected
    assert [at.full((), one, dtype=dtype).item() for one in x] == expected
    smallest = 2.0 ** (-24 if dtype is at.float16 else -133)
    x = [sign * (k + 0.5 + way * little) * smallest for sign in (1, -1) for way in (1, -1) for k in (0, 3, 100)]
    expected = [sign * (k + (way > 0)) * smallest for sign in (1, -1) for way in (1, -1) for k in (0, 3, 100)]
    assert at.tensor(x, dtype=at.float64).to(dtype).tolist() == expected
    edges = [float("inf"), -float("inf"), 1e300, -1e300, 1e-300, -0.0]
    ends = at.tensor(edges, dtype=at.float64).to(dtype).tolist()
    assert ends == [float("inf"), -float("inf"), float("inf"), -float("inf"), 0.0, 0.0]
    assert at.tensor(float("nan"), dtype=at.float64).to(dtype).isnan().item()
