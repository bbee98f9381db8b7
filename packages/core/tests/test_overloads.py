"""What has one name and several signatures: which op the arguments choose."""

import math

import numpy as np
import pytest

import atled.core as at

X = np.random.default_rng(0).standard_normal((4, 6))


def test_median_of_everything_and_along_a_dimension() -> None:
    x = at.asarray(X)
    assert at.median(x).item() == np.sort(X.ravel())[11]
    values, indices = x.median(1)
    np.testing.assert_array_equal(values.numpy(), np.sort(X, 1)[:, 2])
    np.testing.assert_array_equal(indices.numpy(), np.argsort(X, 1)[:, 2])
    assert x.median(dim=0, keepdim=True).values.shape == (1, 6)
    assert at.tensor([3, 1, 2, 9]).median().item() == 2


def test_medians_and_nan() -> None:
    x = at.tensor([3.0, math.nan, 1.0, 2.0])
    assert math.isnan(x.median().item())
    assert x.nanmedian().item() == 2
    assert x.nanmedian(0).indices.item() == 3
    assert math.isnan(at.median(at.empty(0)).item())
    assert math.isnan(at.nanmedian(at.tensor([math.nan])).item())
    with pytest.raises(at.ShapeError, match="at least one element"):
        at.empty(0, dtype=at.int64).median()


def test_unique() -> None:
    x = np.array([[3, 1], [1, 3], [3, 1]])
    t = at.asarray(x)
    assert at.unique(t).tolist() == [1, 3]
    values, inverse, counts = t.unique(return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(values.numpy()[inverse.numpy()], x)
    assert counts.tolist() == [3, 3]
    assert [part.tolist() for part in at.unique(t, return_counts=True)] == [[1, 3], [3, 3]]
    rows, inverse = at.unique(t, return_inverse=True, dim=0)
    assert rows.tolist() == [[1, 3], [3, 1]] and inverse.tolist() == [1, 0, 1]


def test_unique_consecutive() -> None:
    t = at.tensor([[1, 1], [1, 1], [2, 1]])
    assert t.unique_consecutive().tolist() == [1, 2, 1]
    values, inverse, counts = at.unique_consecutive(t, True, True, 0)
    assert values.tolist() == [[1, 1], [2, 1]] and inverse.tolist() == [0, 0, 1] and counts.tolist() == [2, 1]
