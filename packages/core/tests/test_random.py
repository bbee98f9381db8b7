"""Random numbers: the published generator's own numbers, streams that have nothing in common, generators' states."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from scipy import stats

import atled.core as at

# Each test draws with a fixed seed, so one that passes always passes.
LEAST_P = 1e-4


def philox(seed: int, counters: Any) -> Any:
    """Philox4x32-10 (Salmon et al., SC 2011) of each counter, in Python's own words."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    zeros = np.zeros(len(counters), np.uint64)
    c = [counters & low, counters >> high, zeros, zeros]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> high) ^ c[1] ^ np.uint64(key[0]), b & low, (a >> high) ^ c[3] ^ np.uint64(key[1]), a & low]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, -1).ravel()


def words(n: int, generator: at.Generator) -> Any:
    return at.randint(0, 2**32, (n,), generator=generator).numpy()


def test_known_answer() -> None:
    """The first words of the key 0, from Random123's kat_vectors."""
    expected = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert words(4, at.Generator().manual_seed(0)).tolist() == expected


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 0x123456789ABCDEF0, 2**64 - 1])
def test_words_are_philox(seed: int) -> None:
    generator = at.Generator().manual_seed(seed)
    expected = philox(seed, np.arange(300, dtype=np.uint64))
    np.testing.assert_array_equal(words(700, generator), expected[:700])
    np.testing.assert_array_equal(words(500, generator), expected[700:])


def test_what_words_become() -> None:
    """The mapping from words to numbers is part of what a seed means."""
    stream = philox(5, np.arange(1000, dtype=np.uint64))
    wide = (stream[::2] << np.uint64(32) | stream[1::2]).astype(np.uint64)

    def drawn(make: Any) -> Any:
        return make(at.Generator().manual_seed(5)).numpy()

    np.testing.assert_array_equal(drawn(lambda g: at.rand(4000, generator=g)), (stream >> np.uint64(8)) / 2**24)
    np.testing.assert_array_equal(
        drawn(lambda g: at.rand(2000, dtype=at.float64, generator=g)), (wide >> np.uint64(11)) / 2**53
    )
    chances = np.linspace(0, 1, 4000, dtype=np.float32)
    truth = (stream / 2**32 < chances).astype(np.float32)
    np.testing.assert_array_equal(drawn(lambda g: at.bernoulli(at.asarray(chances), generator=g)), truth)
    np.testing.assert_array_equal(drawn(lambda g: at.empty(4000).bernoulli_(0.25, generator=g)), stream < 2**30)
    order = list(range(2000))
    for i in range(1999, 0, -1):
        j = int(wide[i]) * (i + 1) >> 64
        order[i], order[j] = order[j], order[i]
    np.testing.assert_array_equal(drawn(lambda g: at.randperm(2000, generator=g)), order)


def expect_independent(x: Any, y: Any) -> None:
    """Chi-square's test of a 16 by 16 table of pairs of uniform numbers."""
    seen, *_ = np.histogram2d(x, y, bins=16, range=((0, 1), (0, 1)))
    p = stats.chisquare(seen.ravel()).pvalue
    assert p > LEAST_P, f"the numbers hang together (p = {p:.2g})"


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 64, 256, 8192])
def test_numbers_of_a_stream_are_independent(lag: int) -> None:
    x = at.rand(100_000, generator=at.Generator().manual_seed(11)).numpy()
    expect_independent(x[:-lag], x[lag:])


@pytest.mark.parametrize("other", [1, 2, 2**31, 2**32, 2**63])
def test_streams_are_independent(other: int) -> None:
    """Those of neighbouring seeds, and of seeds that differ in one bit anywhere."""
    x, y = (at.rand(50_000, generator=at.Generator().manual_seed(seed)).numpy() for seed in (0, other))
    expect_independent(x, y)
    assert not np.any(x[:1000] == y[:1000]) or np.mean(x == y) < 1e-4


def test_draws_that_follow_one_another_are_independent() -> None:
    generator = at.Generator().manual_seed(2)
    x, y = at.rand(50_000, generator=generator).numpy(), at.rand(50_000, generator=generator).numpy()
    expect_independent(x, y)


def test_a_dependence_is_found() -> None:
    """The test of independence is one that can fail."""
    x = at.rand(50_000, generator=at.Generator().manual_seed(2)).numpy()
    for y in (x, 1 - x, (x + np.random.default_rng(0).random(50_000)) % 1 * 0.9 + 0.1 * x):
        with pytest.raises(AssertionError, match="hang together"):
            expect_independent(x, y)


def test_an_integer_dtype_holds_what_is_drawn() -> None:
    assert at.randint(-128, 128, (1000,), dtype=at.int8).unique().numel() > 200
    assert at.randperm(256, dtype=at.uint8).sort().values.tolist() == list(range(256))
    assert at.zeros(9, dtype=at.bool).random_(2).dtype == at.bool


def test_short_permutations_are_all_as_likely() -> None:
    generator = at.Generator().manual_seed(4)
    drawn = np.stack([at.randperm(4, generator=generator).numpy() for _ in range(6000)])
    _, counts = np.unique(drawn @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > LEAST_P


def test_long_permutations_are_uniform() -> None:
    """Where each element lands, how often neighbours change order, and fixed points, for permutations made in piles."""
    n, generator = 70_001, at.Generator().manual_seed(6)
    landed, descents, fixed = [], [], 0
    for _ in range(60):
        order = at.randperm(n, generator=generator).numpy()
        np.testing.assert_array_equal(np.bincount(order, minlength=n), 1)
        landed.append(np.argsort(order)[:: n // 100] / n)
        descents.append(np.count_nonzero(np.diff(order) < 0))
        fixed += np.count_nonzero(order == np.arange(n))
    assert stats.kstest(np.concatenate(landed), "uniform").pvalue > LEAST_P
    z = (np.array(descents) - (n - 1) / 2) / np.sqrt((n + 1) / 12)
    assert stats.kstest(z, "norm").pvalue > LEAST_P
    assert stats.poisson(60).cdf(fixed) > LEAST_P < stats.poisson(60).sf(fixed)


def test_states() -> None:
    generator = at.Generator().manual_seed(9)
    assert generator.initial_seed() == 9
    at.rand(5, generator=generator)
    state, twin = generator.get_state(), generator.clone_state()
    expected = at.rand(5, generator=generator)
    assert at.equal(at.rand(5, generator=twin), expected)
    assert at.equal(at.rand(5, generator=generator.set_state(state)), expected)
    assert state.dtype == at.uint8 and state.shape == (16,)
    for wrong in (state[:8], state.to(at.int8), (9, 5)):
        with pytest.raises(at.ArgumentError, match=r"uint8 tensor of shape \(16,\)"):
            generator.set_state(wrong)
    other = at.Generator()
    assert other.seed() == other.initial_seed() != at.Generator().seed()
    assert at.equal(at.rand(5, generator=other.set_state(state)), expected)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_forked_generator_leaves_later_numbers_alone(enabled: bool) -> None:
    at.random.manual_seed(3)
    _, expected = at.rand(2), at.rand(2)
    at.random.manual_seed(3)
    at.rand(2)
    with pytest.raises(KeyError), at.random.fork_rng(devices=[], enabled=enabled):
        at.rand(7)
        raise KeyError
    assert bool((at.rand(2) == expected).all()) == enabled


def test_threads_share_a_generator() -> None:
    """No two draws get the same part of the stream, whichever thread makes them."""
    generator, drawn = at.Generator().manual_seed(1), []

    def draw() -> None:
        drawn.extend(at.randint(0, 2**62, (8,), generator=generator).tolist() for _ in range(200))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(numbers) for numbers in drawn}) == 800


def test_geometric_numbers_stay_in_their_dtype() -> None:
    drawn = at.empty(1000, dtype=at.int8).geometric_(1e-6, generator=at.Generator().manual_seed(1)).numpy()
    np.testing.assert_array_equal(drawn, 127)


def test_binomial_of_large_counts() -> None:
    """Counts beyond what factorials hold: still the normal distribution that they tend to."""
    count, p = 1e15, 0.3
    drawn = at.binomial(at.full((20_000,), count, dtype=at.float64), at.tensor(p, dtype=at.float64)).numpy()
    assert stats.kstest((drawn - count * p) / np.sqrt(count * p * (1 - p)), "norm").pvalue > LEAST_P
