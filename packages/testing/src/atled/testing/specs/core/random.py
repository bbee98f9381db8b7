"""Random numbers: their range, their distribution, their shape and dtype."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats

import atled.core as at
from atled.testing import COMPLEX, FLOATS, INTEGERS, REALS, Draw, ErrorCase, HostErrorCase, OpSpec, Sample

X = np.ones((2, 3), np.float32)
N = 20_000
# Each test draws with a fixed seed, so one that passes always passes.
LEAST_P = 1e-4


def expect_sample_of(values: Any, distribution: Any) -> None:
    """Kolmogorov and Smirnov's test where the dtype is fine enough for it, and mean and variance or else quartiles."""
    wide = values.astype(np.float64).ravel()
    if values.dtype.itemsize >= 4:
        p = stats.kstest(wide, distribution.cdf).pvalue
        assert p > LEAST_P, f"the numbers are not from the distribution (p = {p:.2g})"
    mean, variance = distribution.stats("mv")
    if np.isnan(mean):
        below = [np.mean(wide < distribution.ppf(q)) for q in (0.25, 0.5, 0.75)]
        np.testing.assert_allclose(below, (0.25, 0.5, 0.75), rtol=0, atol=0.02)
        return
    error = 6 * np.sqrt(variance / wide.size) + 1e-2 * abs(mean)
    assert abs(wide.mean() - mean) < error, f"expected mean {mean}, got {wide.mean()}"
    assert abs(wide.var() / variance - 1) < 0.1, f"expected variance {variance}, got {wide.var()}"


def expect_integers(values: Any, low: int, high: int) -> None:
    assert values.min() >= low and values.max() < high, f"expected integers in [{low}, {high}), got {values}"
    if values.size >= N:
        counts = np.bincount(values.astype(np.int64).ravel() - low, minlength=high - low)
        p = stats.chisquare(counts).pvalue
        assert p > LEAST_P, f"the integers are not uniform (p = {p:.2g})"


def floats(distribution: Any, complex_distribution: Any = None) -> Callable[..., None]:
    def check(outs: Any, *args: Any, **kwargs: Any) -> None:
        (values,) = outs
        assert str(kwargs.get("dtype") or "float32") == values.dtype.name
        if values.size < N:
            return
        if values.dtype.kind == "c":
            expect_sample_of(values.real, complex_distribution or distribution)
            expect_sample_of(values.imag, complex_distribution or distribution)
        else:
            expect_sample_of(values, distribution)

    return check


def sizes(draw: Draw) -> Iterator[Sample]:
    for size in ((), (3,), (2, 0), (N // 100, 100)):
        yield Sample(size, dtype=draw.dtype)


def likes(draw: Draw) -> Iterator[Sample]:
    for size in ((), (2, 3), (N // 100, 100)):
        yield Sample(draw(*size), dtype=draw.dtype)


def check_like(distribution: Any, complex_distribution: Any = None) -> Callable[..., None]:
    check = floats(distribution, complex_distribution)

    def check_both(outs: Any, x: Any, **kwargs: Any) -> None:
        assert outs[0].shape == x.shape
        check(outs, **kwargs)

    return check_both


def integer_ranges(draw: Draw) -> Iterator[Sample]:
    yield Sample(10, (N,), dtype=draw.dtype)
    yield Sample(3, 100, (N // 100, 100), dtype=draw.dtype)
    yield Sample(1, 2, (3, 0), dtype=draw.dtype)


def check_randint(outs: Any, *args: Any, dtype: str) -> None:
    low, high, size = args if len(args) == 3 else (0, *args)
    assert outs[0].shape == size and outs[0].dtype.name == dtype
    if outs[0].size:
        expect_integers(outs[0], low, high)


def check_randint_like(outs: Any, x: Any, low: int, high: int | None = None) -> None:
    assert outs[0].shape == x.shape and outs[0].dtype == x.dtype
    expect_integers(outs[0], *((low, high) if high is not None else (0, low)))


def check_permutation(outs: Any, n: int, dtype: str = "int64") -> None:
    assert outs[0].dtype.name == dtype
    np.testing.assert_array_equal(np.sort(outs[0]), np.arange(n))
    assert n < 50 or not np.array_equal(outs[0], np.arange(n)), "the permutation leaves everything in place"


def probabilities(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(N, low=0, high=1))
    yield Sample(np.array([0.0, 1.0, 0.0]).astype(draw(1).dtype))
    yield Sample(draw(N, low=0, high=1), 0.25)


def check_bernoulli(outs: Any, x: Any, p: float | None = None) -> None:
    (values,) = outs
    assert values.shape == x.shape and values.dtype == x.dtype
    chance = np.broadcast_to(x.astype(np.float64) if p is None else p, x.shape)
    values = values.astype(np.float64)
    assert set(np.unique(values)) <= {0.0, 1.0}
    np.testing.assert_array_equal(values[chance == 0], 0)
    np.testing.assert_array_equal(values[chance == 1], 1)
    error = 5 * np.sqrt((chance * (1 - chance)).sum()) + 1e-9
    assert abs(values.sum() - chance.sum()) <= error


def weights(draw: Draw) -> Iterator[Sample]:
    yield Sample(np.array([0.0, 3, 1]).astype(draw(1).dtype), 4000, True)
    yield Sample(draw(3, 5, low=0.1, high=1), 5)
    yield Sample(draw(2, 4, low=0.1, high=1), 2, replacement=False)


def check_multinomial(outs: Any, x: Any, num_samples: int, replacement: bool = False) -> None:
    (drawn,) = outs
    assert drawn.shape == (*x.shape[:-1], num_samples) and drawn.dtype == np.int64
    assert drawn.min() >= 0 and drawn.max() < x.shape[-1]
    for row, chances in zip(np.atleast_2d(drawn), np.atleast_2d(x.astype(np.float64)), strict=True):
        assert np.all(chances[row] > 0), "an index of weight 0 was drawn"
        if not replacement:
            assert len(set(row.tolist())) == num_samples, "an index was drawn twice"
        elif num_samples > 1000:
            share, expected = np.mean(row == 1), chances[1] / chances.sum()
            assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / num_samples)


def rates(draw: Draw) -> Iterator[Sample]:
    for rate in (0.5, 4.0, 30.0):
        yield Sample(np.full(N, rate).astype(draw(1).dtype))
    yield Sample(np.zeros(3).astype(draw(1).dtype))


def check_poisson(outs: Any, x: Any) -> None:
    (values,) = outs
    assert values.shape == x.shape and values.dtype == x.dtype
    values, rate = values.astype(np.float64), float(x.ravel()[0])
    np.testing.assert_array_equal(values, np.rint(values))
    assert abs(values.mean() - rate) <= 6 * np.sqrt(rate / values.size)
    assert rate == 0 or abs(values.var() / rate - 1) < 0.1


def counts(draw: Draw) -> Iterator[Sample]:
    """Small means, large ones, chances above 1/2; what is certain; broadcasting."""
    dtype = draw(1).dtype
    for count, chance in ((12, 0.25), (1000, 0.004), (200, 0.3), (120, 0.8), (1, 0.5)):
        yield Sample(np.full(N, count).astype(dtype), np.full(1, chance).astype(dtype))
    yield Sample(np.array([0, 7, 100]).astype(dtype), np.array([0.0, 1.0, 1.0]).astype(dtype))


def expect_counts_of(values: Any, distribution: Any) -> None:
    """Chi-square's test over the numbers that are likely enough, the others together in one."""
    first, last = int(distribution.ppf(1e-3)), int(distribution.ppf(1 - 1e-3))
    inside = np.arange(first, last + 1)
    expected = np.append(distribution.pmf(inside), 1 - distribution.pmf(inside).sum()) * values.size
    seen = np.array([np.count_nonzero(values == k) for k in inside])
    seen = np.append(seen, values.size - seen.sum())
    p = stats.chi2.sf(((seen - expected) ** 2 / np.maximum(expected, 1e-9)).sum(), len(seen) - 1)
    assert p > LEAST_P, f"the numbers are not from the distribution (p = {p:.2g})"


def check_binomial(outs: Any, count: Any, prob: Any) -> None:
    (values,) = outs
    assert values.shape == np.broadcast_shapes(count.shape, prob.shape) and values.dtype == count.dtype
    if values.size < N:
        np.testing.assert_array_equal(values, [0, 7, 100])
    elif values.dtype.itemsize > 2 or count[0] < 256:  # bfloat16 rounds beyond
        expect_counts_of(values.astype(np.float64), stats.binom(float(count[0]), float(prob[0])))


def check_geometric(outs: Any, x: Any, p: float) -> None:
    assert outs[0].shape == x.shape and outs[0].dtype == x.dtype
    if x.size and x.dtype != bool:
        expect_counts_of(outs[0].astype(np.float64), stats.geom(p))


def normals(draw: Draw) -> Iterator[Sample]:
    yield Sample(2.0, 3.0, (N,))
    yield Sample(np.full((N // 2, 1), 2.0, np.float32), np.full(2, 3.0, np.float32))
    yield Sample(np.full(N, 2.0, np.float32), 3.0)


def check_normal(outs: Any, mean: Any, std: Any, size: Any = None) -> None:
    shape = size or np.broadcast_shapes(np.shape(mean), np.shape(std))
    assert outs[0].shape == tuple(shape)
    expect_sample_of(outs[0], stats.norm(2, 3))


def fills(*args: float) -> Callable[[Draw], Iterator[Sample]]:
    def generate(draw: Draw) -> Iterator[Sample]:
        yield Sample(draw(N), *args)
        yield Sample(draw(2, 0), *args)

    return generate


def check_fill(distribution: Any) -> Callable[..., None]:
    def check(outs: Any, x: Any, *args: float) -> None:
        assert outs[0].shape == x.shape and outs[0].dtype == x.dtype
        parts = [outs[0].real, outs[0].imag] if outs[0].dtype.kind == "c" else [outs[0]]
        for part in parts if x.size else []:
            expect_sample_of(part, distribution(*args, part is not outs[0] and outs[0].dtype.kind == "c"))

    return check


def check_integers_fill(outs: Any, x: Any, low: int, high: int) -> None:
    assert outs[0].shape == x.shape and outs[0].dtype == x.dtype
    if x.size:
        expect_integers(outs[0], low, high)


def op(name: str, check: Any, samples: Any, *errors: ErrorCase, dtypes: Any = FLOATS) -> OpSpec:
    return OpSpec(name=name, check=check, samples=samples, dtypes=dtypes, errors=errors, differentiable=False)


UNIFORM, NORMAL, HALF_NORMAL = stats.uniform(0, 1), stats.norm(0, 1), stats.norm(0, np.sqrt(0.5))
FLOATING = (*FLOATS, *COMPLEX)

SPECS = [
    op(
        "rand",
        floats(UNIFORM),
        sizes,
        ErrorCase(at.ShapeError, "", (-1,)),
        ErrorCase(at.DTypeError, "floating", (2,), dtype="int64"),
        dtypes=FLOATING,
    ),
    op("randn", floats(NORMAL, HALF_NORMAL), sizes, ErrorCase(at.DTypeError, "", (2,), dtype="bool"), dtypes=FLOATING),
    op("rand_like", check_like(UNIFORM), likes, ErrorCase(at.DTypeError, "floating", np.ones(2, int)), dtypes=FLOATING),
    op("randn_like", check_like(NORMAL, HALF_NORMAL), likes, dtypes=FLOATING),
    op(
        "randint",
        check_randint,
        integer_ranges,
        ErrorCase(at.InvalidValueError, "low < high", 5, 5, (2,)),
        ErrorCase(at.InvalidValueError, r"\[0, 255\], which uint8 holds, got 0 and 256", 257, (2,), dtype="uint8"),
        dtypes=REALS,
    ),
    op(
        "randint_like",
        check_randint_like,
        lambda draw: iter([Sample(draw(N), 9), Sample(draw(N), 3, 50)]),
        ErrorCase(at.InvalidValueError, "", X, 3, 3),
        dtypes=REALS,
    ),
    op(
        "randperm",
        check_permutation,
        lambda draw: iter([*(Sample(n, dtype=draw.dtype) for n in (0, 1, 2, 100)), Sample(10_000)]),
        ErrorCase(at.InvalidValueError, "n >= 0", -1),
        ErrorCase(at.InvalidValueError, "at most 128 for int8, got 129", 129, dtype="int8"),
        dtypes=INTEGERS,
    ),
    op("bernoulli", check_bernoulli, probabilities, ErrorCase(at.DTypeError, "", np.ones(2, int))),
    op(
        "multinomial",
        check_multinomial,
        weights,
        ErrorCase(at.InvalidValueError, "without replacement", X, 4),
        ErrorCase(at.InvalidValueError, "num_samples >= 1", X, 0),
        ErrorCase(at.ShapeError, "1 or 2 dimensions", np.ones((1, 1, 1), np.float32), 1),
        ErrorCase(at.InvalidValueError, "", np.array([1.0, -1.0], np.float32), 1),
    ),
    op("poisson", check_poisson, rates, ErrorCase(at.InvalidValueError, "", np.array([-1.0], np.float32))),
    op(
        "binomial",
        check_binomial,
        counts,
        ErrorCase(at.InvalidValueError, "counts >= 0, got -1", np.array([-1.0]), np.array([0.5])),
        ErrorCase(at.InvalidValueError, "counts >= 0, got 2.5", np.array([2.5]), np.array([0.5])),
        ErrorCase(at.InvalidValueError, r"probabilities in \[0, 1\], got 1.5", np.array([2.0]), np.array([1.5])),
        ErrorCase(at.DTypeError, "count to be floating", np.array([2]), np.array([0.5])),
    ),
    op(
        "normal",
        check_normal,
        normals,
        ErrorCase(at.ShapeError, "", X, np.ones(2, np.float32)),
        ErrorCase(at.InvalidValueError, "std >= 0, got -1", X, -1.0),
        HostErrorCase(at.InvalidValueError, "std >= 0, got -2", X, np.array([1, -2, 3], np.float32)),
        HostErrorCase(at.InvalidValueError, "std >= 0, got nan", X, X * np.nan),
        ErrorCase(at.DTypeError, "std to be real", X, X.astype(np.complex64)),
        ErrorCase(at.DTypeError, "std to be real", 0.0, 1j, (2,)),
        ErrorCase(at.DTypeError, "expected a real mean for float32", 1j, 1.0, (2,)),
        ErrorCase(at.DTypeError, "floating-point dtype, got int64", np.ones(2, int), 1),
        ErrorCase(at.ArgumentError, "expected a size", 0.0, 1.0),
        ErrorCase(at.ArgumentError, "expected no size", X, 1.0, (2,)),
        dtypes=("float32",),
    ),
    op(
        "uniform_",
        check_fill(lambda low, high, _: stats.uniform(low, high - low)),
        fills(-2.0, 3.0),
        ErrorCase(at.AtledError, "", X, 3.0, 1.0),
        ErrorCase(at.InvalidValueError, "finite range, got 0 to inf", X, 0.0, np.inf),
        ErrorCase(at.DTypeError, "", np.ones(2, int)),
    ),
    op(
        "normal_",
        check_fill(lambda mean, std, half: stats.norm(mean, std * (np.sqrt(0.5) if half else 1))),
        fills(0.0, 3.0),
        ErrorCase(at.InvalidValueError, "std", X, 0.0, -1.0),
        dtypes=FLOATING,
    ),
    op(
        "exponential_",
        check_fill(lambda lambd, _: stats.expon(0, 1 / lambd)),
        fills(2.0),
        ErrorCase(at.InvalidValueError, "lambd", X, 0.0),
    ),
    op(
        "cauchy_",
        check_fill(lambda median, sigma, _: stats.cauchy(median, sigma)),
        fills(0.5, 2.0),
        ErrorCase(at.InvalidValueError, "sigma > 0, got 0", X, 0.0, 0.0),
        ErrorCase(at.DTypeError, "", np.ones(2, int)),
    ),
    op(
        "log_normal_",
        check_fill(lambda mean, std, _: stats.lognorm(std, 0, np.exp(mean))),
        fills(0.25, 0.5),
        ErrorCase(at.InvalidValueError, "std > 0, got -1", X, 0.0, -1.0),
    ),
    op(
        "geometric_",
        check_geometric,
        fills(0.3),
        ErrorCase(at.InvalidValueError, r"p in \(0, 1\), got 1", X, 1.0),
        ErrorCase(at.DTypeError, "expected input to be real", np.ones(2, complex), 0.5),
        dtypes=REALS,
    ),
    op(
        "random_",
        check_integers_fill,
        fills(3, 60),
        ErrorCase(at.InvalidValueError, "low < high", X, 3, 3),
        ErrorCase(at.InvalidValueError, "which int8 holds, got -129 and 0", np.ones(2, np.int8), -129, 1),
        dtypes=REALS,
    ),
    op(
        "bernoulli_",
        lambda outs, x, p=0.5: check_bernoulli(outs, np.broadcast_to(p, x.shape).astype(x.dtype)),
        lambda draw: iter(
            [Sample(draw(N), 0.25), Sample(draw(N)), Sample(draw(3), np.array([0.0, 1.0, 1.0], np.float32))]
        ),
        ErrorCase(at.InvalidValueError, "", X, 1.5),
        ErrorCase(at.DTypeError, "p to be real", X, 0.5j),
        ErrorCase(at.DTypeError, "p to be real", X, X.astype(np.complex64)),
    ),
]
