"""How parameters are distributed over buckets."""

from dataclasses import dataclass

import pytest

import atled.core as at
from atled.distributed._buckets import plan

MEBIBYTE = 1024 * 1024


@dataclass
class Case:
    """Sizes in MiB and dtypes of parameters, and the buckets that they should fall into."""

    parameters: list
    cap: float
    buckets: list


CASES = [
    Case([(0.25, at.float32)] * 3, 25, [[2, 1, 0]]),
    Case([(0.25, at.float32)] * 3, 0.25, [[2], [1], [0]]),
    Case([(0.25, at.float32)] * 3, 1e-6, [[2], [1], [0]]),
    # The first bucket holds one MiB, the next ones up to the cap.
    Case([(0.5, at.float32)] * 8, 2, [[7, 6], [5, 4, 3, 2], [1, 0]]),
    Case([(0.5, at.float32), (3, at.float32), (0.5, at.float32)], 1, [[2], [1], [0]]),
    Case([(0.25, at.float32), (0.25, at.float64), (0.25, at.float32)], 25, [[2, 0], [1]]),
    Case([(0, at.float32), (0.25, at.float32)], 25, [[1, 0]]),
]


@pytest.mark.parametrize("case", CASES)
def test_plan(case):
    parameters = [at.zeros((int(size * MEBIBYTE) // dtype.itemsize,), dtype=dtype) for size, dtype in case.parameters]
    assert [list(bucket.indices) for bucket in plan(parameters, case.cap)] == case.buckets


def test_views_share_the_flat_tensor():
    parameters = [at.zeros((2, 3)), at.zeros(()), at.zeros((4,))]
    (bucket,) = plan(parameters, 25)
    assert bucket.flat.numel() == 11
    for value, (index, view) in enumerate(zip(bucket.indices, bucket.views, strict=True)):
        assert view.shape == parameters[index].shape
        view.fill_(float(value))
    assert sorted(bucket.flat.tolist()) == [0.0] * 4 + [1.0] + [2.0] * 6
