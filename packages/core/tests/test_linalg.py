"""What the specifications of linear algebra do not say: errors as others' programs catch them, large matrices, NaN."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.core import linalg


def matrix(n: int, dtype: str = "float64") -> Any:
    return np.random.default_rng(n).standard_normal((n, n)).astype(dtype)


@pytest.mark.parametrize("caught", [linalg.LinAlgError, at.AtledError, RuntimeError, ValueError])
def test_a_singular_matrix_is_caught_as_pytorchs_and_numpys_users_do(caught: type[Exception]) -> None:
    with pytest.raises(caught, match=r"^inv: expected an invertible matrix, got a singular one$"):
        linalg.inv(at.zeros(2, 2))


def test_the_first_matrix_at_fault_is_named() -> None:
    batch = at.eye(2).expand(3, 4, 2, 2).clone()
    batch[1, 2] = 0
    batch[2, 0] = 0
    with pytest.raises(linalg.LinAlgError, match=r"at batch index \(1, 2\)"):
        linalg.solve(batch, at.ones(2, 1))
    info = linalg.solve_ex(batch, at.ones(2, 1)).info
    assert info.nonzero().tolist() == [[1, 2], [2, 0]]


GIVES_NAN: dict[str, Callable[[at.Tensor], at.Tensor]] = {
    "solve": lambda a: linalg.solve(a, at.ones(a.shape[-1], dtype=a.dtype)),
    "inv": linalg.inv,
    "det": linalg.det,
    "lu": lambda a: linalg.lu(a).U,
    "qr": lambda a: linalg.qr(a).R,
    "matrix_exp": linalg.matrix_exp,
    "solve_triangular": lambda a: linalg.solve_triangular(a, at.eye(a.shape[-1], dtype=a.dtype), upper=True),
}
REFUSES_NAN = ("cholesky", "eigh", "eigvalsh", "svd", "svdvals", "eig", "eigvals", "pinv", "matrix_rank", "cond")


@pytest.mark.parametrize("dtype", [at.float32, at.complex128])
@pytest.mark.parametrize("n", [2, 9, 40])
def test_nan_goes_on_or_is_refused(n: int, dtype: Any) -> None:
    a = at.full((n, n), math.nan, dtype=dtype)
    for name, call in GIVES_NAN.items():
        assert bool(at.isnan(call(a)).any()), name
    for name in REFUSES_NAN:
        with pytest.raises(linalg.LinAlgError):
            getattr(linalg, name)(a)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_one_large_matrix(dtype: str) -> None:
    """Which OpenBLAS's own threads work on; the pool's work is right after it too."""
    n = 300
    a = matrix(n, dtype) + n * np.eye(n, dtype=dtype)
    tolerance = 200 * np.finfo(dtype).eps
    t = at.asarray(a)
    np.testing.assert_allclose(linalg.solve(t, t @ at.ones(n, dtype=t.dtype)).numpy(), 1, rtol=10 * tolerance)
    q, r = linalg.qr(t)
    np.testing.assert_allclose((q @ r).numpy(), a, atol=n * tolerance)
    u, s, vh = linalg.svd(t)
    np.testing.assert_allclose(((u * s) @ vh).numpy(), a, atol=n * tolerance)
    w, v = linalg.eigh(t + t.mT)
    np.testing.assert_allclose(((v * w) @ v.mH).numpy(), a + a.T, atol=2 * n * tolerance)


def test_norms_of_empty_matrices() -> None:
    for shape in ((0, 0), (3, 0), (0, 3)):
        for ord in (1, 2, math.inf, "fro", "nuc"):
            assert linalg.norm(at.zeros(shape), ord).item() == 0
            assert linalg.matrix_norm(at.zeros(2, *shape), ord, keepdim=True).tolist() == [[[0]], [[0]]]
    with pytest.raises(at.ShapeError, match="at least one element"):
        linalg.matrix_norm(at.zeros(0, 0), -2)


def test_names_of_the_array_api() -> None:
    x = at.tensor([[3.0, 4.0], [0.0, 5.0]])
    assert linalg.vector_norm(x, axis=1, keepdims=True, ord=1).tolist() == [[7], [5]]
    assert linalg.matrix_norm(x, keepdims=True, ord=math.inf).tolist() == [[7]]
    assert linalg.cholesky(at.eye(2), upper=True).tolist() == [[1, 0], [0, 1]]
    assert linalg.cross(at.tensor([1, 0, 0]), at.tensor([0, 1, 0]), axis=0).tolist() == [0, 0, 1]
    assert linalg.trace(x, offset=1, dtype=at.float64).item() == 4
    assert linalg.svd(x, full_matrices=False).S.shape == (2,)
    assert linalg.pinv(x, rtol=1e-3).shape == (2, 2)
    assert linalg.matrix_rank(x, rtol=1e-3).item() == 2
    assert linalg.vecdot(x, x, axis=0).tolist() == [9, 41]
    assert linalg.outer(at.ones(2), at.ones(3)).shape == (2, 3)
    assert linalg.matrix_transpose(x).tolist() == [[3, 0], [4, 5]]
    assert linalg.tensordot(x, x, axes=1).shape == (2, 2)


def test_tolerances_by_position_are_pytorchs() -> None:
    x = at.tensor([[4.0, 0.0], [0.0, 1.0]])
    assert linalg.pinv(x, 0.5).tolist() == [[0.25, 0], [0, 0]]  # relative to the largest
    assert linalg.pinv(x, 0.1, True).tolist() == [[0.25, 0], [0, 1]]
    assert linalg.matrix_rank(x, 2.0).item() == 1  # absolute
    assert linalg.matrix_rank(x, 0.5, True).item() == 2


def test_results_have_names() -> None:
    names = {
        "eigh": ("eigenvalues", "eigenvectors"),
        "eig": ("eigenvalues", "eigenvectors"),
        "svd": ("U", "S", "Vh"),
        "slogdet": ("sign", "logabsdet"),
        "qr": ("Q", "R"),
        "lu": ("P", "L", "U"),
        "lu_factor_ex": ("LU", "pivots", "info"),
    }
    for op, parts in names.items():
        result = getattr(linalg, op)(at.eye(2))
        assert len(result) == len(parts) and all(getattr(result, part) is not None for part in parts), op


def test_shapes_without_data() -> None:
    a = at.empty(5, 4, 3, device="meta")
    assert [tuple(t.shape) for t in linalg.svd(a)] == [(5, 4, 4), (5, 3), (5, 3, 3)]
    assert [tuple(t.shape) for t in linalg.qr(a, "complete")] == [(5, 4, 4), (5, 4, 3)]
    square = at.empty(5, 3, 3, device="meta")
    assert linalg.solve(square, at.empty(3, 2, device="meta")).shape == (5, 3, 2)
    assert linalg.inv(square).shape == linalg.cholesky(square).shape == (5, 3, 3)


def test_lu_without_pivots() -> None:
    a = matrix(4) + 8 * np.eye(4)
    _, lower, upper = linalg.lu(at.asarray(a), pivot=False)
    np.testing.assert_allclose((lower @ upper).numpy(), a, rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 4, 7, 16, 17])
def test_many_small_matrices_give_what_each_gives_alone(n: int, dtype: str) -> None:
    rng = np.random.default_rng(n)
    a, b = (rng.standard_normal((75, n, columns)).astype(dtype) for columns in (n, 3))
    eps = float(np.finfo(dtype).eps) * 8 * n * np.linalg.cond(a.astype("float64"))[:, None, None]
    exact = np.linalg.inv(a.astype("float64"))
    assert (
        np.abs(at.linalg.inv(at.asarray(a)).numpy() - exact) <= eps * np.abs(exact).max((1, 2), keepdims=True)
    ).all()
    np.testing.assert_allclose(linalg.det(at.asarray(a)).numpy(), np.linalg.det(a.astype("float64")), float(eps.max()))
    a[7] = 0
    a[30, -1] = a[30, 0]
    a[31, 0, 0], a[40, -1, -1], a[50, :, 0] = np.nan, np.inf, 0
    for call in (
        lambda a, b: linalg.solve_ex(a, b),
        lambda a, b: linalg.solve_ex(a.mT, b.mT, left=False),
        lambda a, b: linalg.solve_ex(a, b[..., 0]),
        lambda a, b: linalg.inv_ex(a),
        lambda a, b: (linalg.det(a),),
        lambda a, b: linalg.slogdet(a),
    ):
        together = call(at.asarray(a), at.asarray(b))
        for i in range(75):
            for whole, alone in zip(together, call(at.asarray(a[i : i + 1]), at.asarray(b[i : i + 1])), strict=True):
                np.testing.assert_array_equal(whole[i : i + 1].numpy(), alone.numpy())
