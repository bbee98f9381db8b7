"""The same numbers come out whatever the number of threads."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import atled.core as at

RNG = np.random.default_rng(0)


def tensor(*shape: int) -> at.Tensor:
    return at.asarray(RNG.standard_normal(shape).astype(np.float32))


X, Y, V = tensor(700, 900), tensor(900, 500), tensor(900)
ROWS = at.asarray(RNG.integers(0, 50, 20_000))
LINES = at.asarray(RNG.integers(0, 50, (20_000, 8)))
SOURCE = tensor(20_000, 8)
LONG = tensor(300_001)
BATCH = tensor(40, 60, 50)

CASES: dict[str, Callable[[], at.Tensor]] = {
    "matmul": lambda: X @ Y,
    "matmul of transposed": lambda: Y.T @ X.T,
    "matrix by vector": lambda: X @ V,
    "vector by matrix": lambda: V @ Y,
    "dot": lambda: LONG @ LONG,
    "batches": lambda: BATCH @ BATCH.mT,
    "index_add": lambda: at.zeros(50, 8).index_add(0, ROWS, SOURCE),
    "scatter_add": lambda: at.zeros(50, 8).scatter_add(0, LINES, SOURCE),
    "index_put": lambda: at.zeros(50, 8).index_put((ROWS,), SOURCE),
    "sum of narrow columns": lambda: LONG[:300_000].reshape(-1, 6).sum(0),
    "sum of columns of halves": lambda: LONG[:300_000].half().reshape(-1, 1000).sum(0),
    "sort": lambda: LONG.sort().values,
    "randn": lambda: at.randn(100_003),
    "randn float64": lambda: at.randn(100_003, dtype=at.float64),
    "rand": lambda: at.rand(100_003),
    "randint": lambda: at.randint(-5, 2**40, (100_003,)),
    "bernoulli": lambda: at.bernoulli(at.full((100_003,), 0.3)),
    "poisson": lambda: at.poisson(at.full((10_003,), 3.0)),
    "randperm": lambda: at.randperm(10_003),
    "randperm in piles": lambda: at.randperm(200_003),
    "bernoulli of one chance": lambda: at.empty(100_003).bernoulli_(0.3),
    "binomial": lambda: at.binomial(at.full((10_003,), 50.0), at.full((1,), 0.4)),
    "cauchy": lambda: at.empty(100_003).cauchy_(),
    "log_normal": lambda: at.empty(100_003).log_normal_(),
    "geometric": lambda: at.empty(100_003).geometric_(0.2),
}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = at.get_num_threads()
    yield
    at.set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
def test_threads_do_not_matter(name: str) -> None:
    results = []
    for count in (1, 2, 3, 5):
        at.set_num_threads(count)
        at.manual_seed(7)
        results.append(CASES[name]().numpy())
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_a_draw_moves_the_generator_on() -> None:
    at.manual_seed(3)
    first, second = at.rand(10), at.rand(10)
    assert not at.equal(first, second)
    at.manual_seed(3)
    assert at.equal(at.rand(10), first)


def test_a_longer_draw_begins_like_a_shorter_one() -> None:
    at.manual_seed(3)
    short = at.randn(1001)
    at.manual_seed(3)
    assert at.equal(at.randn(4003)[:1001], short)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("sizes", [(257, 301, 129), (1000, 500, 333), (130, 1100, 64), (700, 129, 1), (512, 512, 700)])
def test_threads_do_not_matter_to_tiles(sizes: tuple[int, int, int], dtype: str) -> None:
    m, n, k = sizes
    x, y = tensor(m, k).to(getattr(at, dtype)), tensor(n, k).to(getattr(at, dtype)).mT
    results = []
    for threads in (1, 2, 3, 4, 7, 16):
        at.set_num_threads(threads)
        results.append((x @ y).numpy())
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
