"""The caching allocator: blocks are used again, counted, limited and given back."""

import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

import atled.core as at

unsanitized = pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer holds memory of its own"
)

MIB = 2**20


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    at.trim_memory()


def test_fresh_outputs_do_not_go_to_the_system_again() -> None:
    x = at.ones(4 * MIB)
    y = x + x
    del y
    before = at.memory_stats()["system_calls"]
    for _ in range(20):
        y = x + x
        del y
    assert at.memory_stats()["system_calls"] == before


def test_live_and_peak_bytes() -> None:
    at.reset_peak_memory()
    start = at.memory_stats()["live_bytes"]
    x = at.empty(8 * MIB, dtype=at.uint8)
    held = at.memory_stats()["live_bytes"] - start
    assert 8 * MIB <= held <= 10 * MIB
    del x
    stats = at.memory_stats()
    assert stats["live_bytes"] == start and stats["peak_bytes"] >= start + 8 * MIB
    at.reset_peak_memory()
    assert at.memory_stats()["peak_bytes"] == start


def test_trim_gives_cached_blocks_back() -> None:
    x = at.empty(8 * MIB, dtype=at.uint8)
    del x
    assert at.memory_stats()["cached_bytes"] >= 8 * MIB
    at.trim_memory()
    assert at.memory_stats()["cached_bytes"] == 0


def test_views_keep_their_storage() -> None:
    start = at.memory_stats()["live_bytes"]
    x = at.ones(MIB)
    row = x[5:6]
    del x
    assert at.memory_stats()["live_bytes"] - start >= 4 * MIB
    assert row.item() == 1.0
    del row
    assert at.memory_stats()["live_bytes"] == start


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 1000, 65_536, 65_537, 3 * MIB])
def test_blocks_of_every_size_are_aligned_and_apart(n: int) -> None:
    blocks = [at.full((n,), i, dtype=at.uint8) for i in range(5)]
    assert all(block.data_ptr() % 64 == 0 for block in blocks)
    assert all(n == 0 or int(block[-1].item()) == i for i, block in enumerate(blocks))


def test_memory_that_is_not_there() -> None:
    with pytest.raises(at.OutOfMemoryError, match="empty: .*bytes"):
        at.empty(2**46, dtype=at.float64)
    assert at.ones(3).tolist() == [1.0] * 3


def test_many_small_tensors_come_and_go() -> None:
    kept = [at.full((3,), i) for i in range(10_000)]
    assert [int(t[0].item()) for t in kept[::1000]] == list(range(0, 10_000, 1000))


@pytest.fixture
def no_limit_after() -> Iterator[None]:
    yield
    at.set_memory_limit(0)


@pytest.mark.usefixtures("no_limit_after")
def test_the_limit_says_what_was_asked_what_is_held_and_what_is_allowed() -> None:
    held = at.memory_stats()["held_bytes"]
    limit = held + 64 * MIB
    at.set_memory_limit(limit)
    assert at.memory_stats()["limit_bytes"] == limit
    kept = at.empty(40 * MIB, dtype=at.uint8)
    message = rf"empty: expected {40 * MIB} bytes to fit the memory limit of {limit} bytes, but \d+ are held"
    with pytest.raises(at.OutOfMemoryError, match=message):
        at.empty(40 * MIB, dtype=at.uint8)
    with pytest.raises(at.OutOfMemoryError, match="add: .*memory limit"):
        kept + kept
    assert kept.numel() == 40 * MIB and at.ones(3).tolist() == [1.0] * 3
    at.set_memory_limit(0)
    assert at.empty(40 * MIB, dtype=at.uint8).numel() == 40 * MIB


@pytest.mark.usefixtures("no_limit_after")
def test_cached_blocks_make_room_below_the_limit() -> None:
    at.set_memory_limit(at.memory_stats()["held_bytes"] + 64 * MIB)
    for size in (40, 20, 55, 3, 50):
        assert at.empty(size * MIB, dtype=at.uint8).numel() == size * MIB


@pytest.mark.usefixtures("no_limit_after")
def test_a_limit_below_what_is_held_takes_nothing_away() -> None:
    x = at.ones(8 * MIB)
    at.set_memory_limit(1)
    with pytest.raises(at.OutOfMemoryError, match="limit of 1 bytes"):
        at.empty(8 * MIB)
    at.set_memory_limit(0)
    assert x[-1].item() == 1.0
    with pytest.raises(at.InvalidValueError, match="set_memory_limit: expected at least 0, got -1"):
        at.set_memory_limit(-1)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1000000000", 10**9),
        ("1.5G", 3 * 2**29),
        ("64M", 2**26),
        ("2K", 2**11),
        ("", 0),
        ("much", 0),
        ("1GB", 0),
        ("-1", 0),
    ],
)
def test_the_limit_of_the_environment(text: str, limit: int) -> None:
    code = "from atled.core import _core; print(_core.memory_stats()['limit_bytes'])"
    environment = {**os.environ, "ATLED_MEMORY_LIMIT": text}
    if 0 < limit < 2**20:
        code = "import atled.core as at; at.empty(2**20)"
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
        assert "MemoryError" in done.stderr or "limit of 2048 bytes" in done.stderr
        return
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{limit}\n"


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
@unsanitized
def test_trimming_leaves_little_more_than_what_is_live() -> None:
    sizes = random.Random(0)
    at.trim_memory()
    before, live = resident(), at.memory_stats()["live_bytes"]
    kept = [at.ones(sizes.randrange(20_000, MIB)) for _ in range(40)]
    wanted = sum(x.nbytes for x in kept)
    gone = [at.ones(sizes.randrange(1, MIB)) for _ in range(40)]
    gone += [at.ones(sizes.randrange(1, 1000)) for _ in range(5000)]
    del gone
    at.trim_memory()
    # Blocks are up to a quarter larger than asked for; pages that nobody touches are not resident.
    assert at.memory_stats()["live_bytes"] - live < 1.25 * wanted
    assert 0.9 * wanted < resident() - before < 1.1 * wanted
    del kept


@unsanitized
def test_a_training_loop_of_changing_sizes_causes_few_page_faults() -> None:
    first, second = at.randn(128, 256), at.randn(256, 128)

    def step(rows: int) -> None:
        x = at.randn(rows, 128)
        hidden = (x @ first).relu()
        error = hidden.softmax(1) @ second - x
        first.sub_(x.T @ hidden * (error.square().mean() * 1e-9))

    sizes = random.Random(0)
    rows = [sizes.randrange(300, 3000) for _ in range(110)]
    for n in rows[:50]:
        step(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for n in rows[50:]:
        step(n)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before <= 10 * 60
