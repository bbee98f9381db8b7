"""More than 2^31 elements in one tensor: sizes, offsets and indices are 64 bits wide throughout.

Takes 4 GiB of memory at most, and is left out where there is less than twice that.
"""

import os
from collections.abc import Iterator

import pytest

import atled.core as at

N = 2**31 + 1
AVAILABLE = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(AVAILABLE < 2**33, reason=f"needs 8 GiB of free memory, there are {AVAILABLE / 2**30:.1f}"),
]


@pytest.fixture(scope="module")
def big() -> Iterator[at.Tensor]:
    """Zeros with a 7 at the last place and a 3 at index 5."""
    tensor = at.zeros(N, dtype=at.uint8)
    tensor[-1], tensor[5] = 7, 3
    yield tensor


def test_reductions(big: at.Tensor) -> None:
    assert big.sum().item() == 10
    assert big.argmax().item() == N - 1
    assert big.count_nonzero().item() == 2
    assert big.amax().item() == 7


def test_reading_past_two_to_the_31(big: at.Tensor) -> None:
    assert big[2**31].item() == 7
    assert big[at.tensor([2**31, 5])].tolist() == [7, 3]
    assert big.nonzero().tolist() == [[5], [2**31]]
    assert big[2**31 - 1 :].tolist() == [0, 7]
    assert big[:: 2**31].tolist() == [0, 7]
    with pytest.raises(at.BoundsError, match=str(N)):
        big[N]


def test_element_by_element_and_in_place(big: at.Tensor) -> None:
    doubled = big + big
    assert doubled[-1].item() == 14 and doubled[5].item() == 6
    assert doubled.sub_(big).sum().item() == 10
    assert doubled.eq_(big).all().item()


def test_two_dimensions(big: at.Tensor) -> None:
    column = big.reshape(N, 1)
    assert column.sum(0).tolist() == [10]
    # A view of rows that lie far apart, without a copy.
    assert big.as_strided((2, 3), (2**31 - 2, 1)).tolist() == [[0, 0, 0], [0, 0, 7]]
    assert column.expand(N, 2**20).shape == (N, 2**20)


def test_scatter_and_take(big: at.Tensor) -> None:
    target = at.zeros(N, dtype=at.uint8)
    target.index_fill_(0, at.tensor([2**31, 1]), 9)
    assert target[-1].item() == 9 and target[1].item() == 9
    assert target.index_select(0, at.tensor([2**31])).tolist() == [9]
    assert at.gather(target, 0, at.tensor([2**31, 0])).tolist() == [9, 0]
