"""Slopes and histograms of many dimensions, against NumPy's."""

from typing import Any

import numpy as np
import pytest

import atled.core as at

X = np.random.default_rng(0).standard_normal((5, 6, 7))
PLACES = np.sort(np.random.default_rng(1).random(6))


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient(edge_order: Any) -> None:
    found = at.gradient(at.asarray(X), spacing=(0.5, at.asarray(PLACES), 2), edge_order=edge_order)
    for got, wanted in zip(found, np.gradient(X, 0.5, PLACES, 2, edge_order=edge_order), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-11, atol=1e-11)


def test_gradient_along_some_dimensions() -> None:
    x = at.asarray(X)
    np.testing.assert_allclose(at.gradient(x, dim=-1, spacing=3)[0].numpy(), np.gradient(X, 3, axis=-1), rtol=1e-13)
    first, second = at.gradient(x, dim=(2, 0), spacing=None)
    np.testing.assert_allclose(first.numpy(), np.gradient(X, axis=2), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(second.numpy(), np.gradient(X, axis=0), rtol=1e-13, atol=1e-15)
    assert at.gradient(at.tensor([1, 4]))[0].tolist() == [3, 3]


def test_gradient_refuses() -> None:
    x = at.ones(3, 1)
    with pytest.raises(at.InvalidValueError, match="edge_order 1 or 2"):
        at.gradient(x, edge_order=3)
    with pytest.raises(at.ShapeError, match="at least 2 samples along dim 1"):
        at.gradient(x)
    with pytest.raises(at.BoundsError, match="dim"):
        at.gradient(x, dim=2)
    with pytest.raises(at.InvalidValueError, match=r"each dim once, got \(1, -1\)"):
        at.gradient(at.ones(3, 3), dim=(1, -1))
    with pytest.raises(at.ArgumentError, match="gradient: expected input to be Tensor, got None"):
        at.gradient(None)  # type: ignore[arg-type]
    with pytest.raises(at.ArgumentError, match="spacing for each of 2"):
        at.gradient(x, spacing=[1.0])
    with pytest.raises(at.ShapeError, match="3 places for dim 0"):
        at.gradient(x, dim=0, spacing=[at.ones(2)])


@pytest.mark.parametrize("density", [False, True])
def test_histogramdd(density: bool) -> None:
    points, weight = X.reshape(-1, 2), np.abs(X.reshape(-1, 2)[:, 0])
    ranges = (-2.0, 2.0, -1.0, 3.0)
    got = at.histogramdd(at.asarray(points), (4, 6), range=ranges, weight=at.asarray(weight), density=density)
    wanted, edges = np.histogramdd(points, (4, 6), ((-2, 2), (-1, 3)), density, weight)
    np.testing.assert_allclose(got.hist.numpy(), wanted, rtol=1e-13)
    for mine, theirs in zip(got.bin_edges, edges, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-15)


def test_histogramdd_with_edges_and_without_a_range() -> None:
    points = X.reshape(-1, 2)
    edges = [np.array([-1.0, 0, 0.5]), np.array([-2.0, 2])]
    got = at.histogramdd(at.asarray(points), [at.asarray(e) for e in edges])
    np.testing.assert_array_equal(got.hist.numpy(), np.histogramdd(points, edges)[0])
    np.testing.assert_array_equal(at.histogramdd(at.asarray(points), 3).hist.numpy(), np.histogramdd(points, 3)[0])


def test_histogramdd_refuses() -> None:
    with pytest.raises(at.ShapeError, match=r"shape \(\.\.\., D\)"):
        at.histogramdd(at.ones(3), 2)
    with pytest.raises(at.ArgumentError, match="for 2 dimensions"):
        at.histogramdd(at.ones(3, 2), [2])
