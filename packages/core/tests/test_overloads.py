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
