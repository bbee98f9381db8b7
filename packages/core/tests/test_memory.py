"""The caching allocator: blocks are used again, counted and given back."""

import pytest

import atled.core as at

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
