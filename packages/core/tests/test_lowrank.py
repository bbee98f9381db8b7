"""svd_lowrank and pca_lowrank against NumPy's singular values, and the matrices that they make together."""

from typing import Any

import numpy as np
import pytest

import atled.core as at


def of_rank(shape: tuple[int, ...], rank: int, dtype: str = "float64") -> Any:
    rng = np.random.default_rng(0)
    made = [rng.standard_normal(s) for s in ((*shape[:-1], rank), (*shape[:-2], rank, shape[-1]))]
    if dtype.startswith("complex"):
        made = [m + 1j * rng.standard_normal(m.shape) for m in made]
    return (made[0] @ made[1]).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (2, 3, 15, 15)])
def test_a_matrix_of_low_rank_is_found(shape: tuple[int, ...], dtype: str) -> None:
    a = of_rank(shape, 4, dtype)
    u, s, v = at.svd_lowrank(at.asarray(a), q=5)
    assert u.shape == (*shape[:-1], 5) and s.shape == (*shape[:-2], 5) and v.shape == (*shape[:-2], shape[-1], 5)
    tolerance = 200 * float(np.finfo(dtype).eps)
    wanted = np.linalg.svd(a, compute_uv=False)[..., :5]
    np.testing.assert_allclose(s.numpy(), wanted, atol=tolerance * wanted.max(), rtol=0)
    np.testing.assert_allclose(((u * s.unsqueeze(-2)) @ v.mH).numpy(), a, atol=tolerance * np.abs(a).max(), rtol=0)
    for vectors in (u, v):
        np.testing.assert_allclose((vectors.mH @ vectors).numpy() - np.eye(5), 0, atol=tolerance)


def test_more_iterations_find_values_that_fall_slowly() -> None:
    rng = np.random.default_rng(1)
    ends = [np.linalg.qr(rng.standard_normal((60, 60)))[0] for _ in range(2)]
    values = 1 / np.arange(1.0, 61)
    a = at.asarray((ends[0] * values) @ ends[1])
    errors = []
    for niter in (0, 2, 20):
        at.manual_seed(0)
        errors.append(np.abs(at.svd_lowrank(a, 8, niter)[1].numpy() - values[:8]).max())
    assert errors[0] > 2 * errors[1] > 20 * errors[2] and errors[2] < 1e-3


def test_what_is_taken_away() -> None:
    a, m = of_rank((12, 9), 3), of_rank((1, 9), 1)
    s = at.svd_lowrank(at.asarray(a), q=9, M=at.asarray(m))[1]
    np.testing.assert_allclose(s.numpy(), np.linalg.svd(a - m, compute_uv=False), atol=1e-12)


def test_principal_components() -> None:
    a = of_rank((40, 7), 7) + 3
    variances, directions = np.linalg.eigh(np.cov(a.T))
    _, s, v = at.pca_lowrank(at.asarray(a), q=7)
    np.testing.assert_allclose(s.numpy() ** 2 / 39, variances[::-1], rtol=1e-9)
    np.testing.assert_allclose(np.abs(v.numpy()), np.abs(directions[:, ::-1]), atol=1e-9)
    s = at.pca_lowrank(at.asarray(a), q=7, center=False)[1]
    np.testing.assert_allclose(s.numpy(), np.linalg.svd(a, compute_uv=False), rtol=1e-9)
    assert at.pca_lowrank(at.ones(2, 9, 4))[1].shape == (2, 4) and at.pca_lowrank(at.ones(9, 8))[1].shape == (6,)


def test_sizes_and_seeds() -> None:
    assert at.svd_lowrank(at.ones(3, 4))[1].shape == (3,) and at.svd_lowrank(at.ones(9, 9), None, None)[1].shape == (6,)
    assert at.svd_lowrank(at.ones(3, 4), q=0)[0].shape == (3, 0)
    found = []
    for _ in range(2):
        at.manual_seed(5)
        found.append(at.svd_lowrank(at.asarray(of_rank((9, 9), 9)), q=3)[1].tolist())
    assert found[0] == found[1]


def test_what_they_refuse() -> None:
    for function in (at.svd_lowrank, at.pca_lowrank):
        name = function.__name__
        with pytest.raises(at.ShapeError, match=f"^{name}: expected A of at least two dimensions, got shape"):
            function(at.ones(3))
        with pytest.raises(at.DTypeError, match="floating or complex, got int64"):
            function(at.ones(3, 3, dtype=at.int64))
        with pytest.raises(at.InvalidValueError, match="got -1 and 2"):
            function(at.ones(3, 3), q=-1)
        with pytest.raises(at.InvalidValueError, match="got 2 and -1"):
            function(at.ones(3, 3), q=2, niter=-1)
        with pytest.raises(at.ArgumentError, match=f"^{name}: expected A to be Tensor"):
            function(None)
    with pytest.raises(at.InvalidValueError, match=r"q in \[0, 3\]"):
        at.pca_lowrank(at.ones(3, 4), q=4)
