"""The linalg extension of the array API standard: its functions with its arguments, against NumPy."""

from typing import Any

import numpy as np
import pytest

import atled.core as at
import atled.core.array_api as xp


def of_matrices() -> dict[str, tuple[tuple[Any, ...], dict[str, Any], Any]]:
    """Every function of the linalg extension: arguments, keywords of the standard, and what NumPy makes of them."""
    rng = np.random.default_rng(3)
    x, b = rng.standard_normal((2, 4, 4)), rng.standard_normal((2, 4, 3))
    spd = x @ np.swapaxes(x, -1, -2) + 4 * np.eye(4)
    u, v = rng.standard_normal((2, 5, 3))
    n = np.linalg
    return {
        "cholesky": ((spd,), {"upper": True}, np.swapaxes(n.cholesky(spd), -1, -2)),
        "cross": ((u, v), {"axis": -1}, np.cross(u, v)),
        "det": ((x,), {}, n.det(x)),
        "diagonal": ((x,), {"offset": 1}, np.diagonal(x, 1, -2, -1)),
        "eigh": ((spd,), {}, None),
        "eigvalsh": ((spd,), {}, n.eigvalsh(spd)),
        "eig": ((x,), {}, None),
        "eigvals": ((spd,), {}, None),
        "inv": ((x,), {}, n.inv(x)),
        "matmul": ((x, b), {}, x @ b),
        "matrix_norm": ((x,), {"keepdims": True, "ord": "nuc"}, n.norm(x, "nuc", (-2, -1), True)),
        "matrix_power": ((x, 3), {}, x @ x @ x),
        "matrix_rank": ((x,), {"rtol": 1e-12}, n.matrix_rank(x)),
        "matrix_transpose": ((b,), {}, np.swapaxes(b, -1, -2)),
        "outer": ((u[0], v[1]), {}, np.outer(u[0], v[1])),
        "pinv": ((b,), {"rtol": 1e-12}, n.pinv(b)),
        "qr": ((b,), {"mode": "complete"}, None),
        "slogdet": ((x,), {}, None),
        "solve": ((x, b), {}, n.solve(x, b)),
        "svd": ((b,), {"full_matrices": False}, None),
        "svdvals": ((b,), {}, n.svd(b, compute_uv=False)),
        "tensordot": ((x, b), {"axes": ([0, 1], [0, 1])}, np.tensordot(x, b, ([0, 1], [0, 1]))),
        "trace": ((x,), {"offset": -1, "dtype": "float64"}, np.trace(x, -1, -2, -1)),
        "vecdot": ((u, v), {"axis": 0}, (u * v).sum(0)),
        "vector_norm": (
            (x,),
            {"axis": (0, 2), "keepdims": True, "ord": 3},
            (np.abs(x) ** 3).sum((0, 2), keepdims=True) ** (1 / 3),
        ),
    }


MATRICES = of_matrices()
FIELDS = {
    "eigh": ("eigenvalues", "eigenvectors"),
    "eig": ("eigenvalues", "eigenvectors"),
    "qr": ("Q", "R"),
    "slogdet": ("sign", "logabsdet"),
    "svd": ("U", "S", "Vh"),
}


@pytest.mark.parametrize("name", MATRICES)
def test_linear_algebra(name: str) -> None:
    args, kwargs, expected = MATRICES[name]
    kwargs = {key: at.float64 if value == "float64" else value for key, value in kwargs.items()}
    got = getattr(at.linalg, name)(*(at.asarray(a) if isinstance(a, np.ndarray) else a for a in args), **kwargs)
    if expected is not None:
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)
        return
    if name not in FIELDS:
        assert got.dtype == at.complex128
        return
    a = args[0]
    parts = [getattr(got, field).numpy() for field in FIELDS[name]]
    if name == "slogdet":
        made, a = parts[0] * np.exp(parts[1]), np.linalg.det(a)
    elif name == "qr":
        assert parts[0].shape[-2:] == (4, 4)
        made = parts[0] @ parts[1]
    elif name == "svd":
        made = (parts[0] * parts[1][..., None, :]) @ parts[2]
    else:
        made = (parts[1] * parts[0][..., None, :]) @ np.linalg.inv(parts[1])
    np.testing.assert_allclose(made, a, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_traces_of_unsigned_integers_are_unsigned(dtype: str) -> None:
    x = at.asarray([[2**7, 1], [1, 2**7]], dtype=getattr(at, dtype))
    assert at.linalg.trace(x).dtype == at.uint64 and at.linalg.trace(x).item() == 256
    assert at.linalg.trace(x, dtype=at.int64).dtype == at.int64


def test_solve_takes_a_right_side_of_several_dimensions_for_matrices() -> None:
    x1, x2 = np.random.default_rng(0).normal(size=(2, 3, 3)) + 3 * np.eye(3), np.arange(6.0).reshape(2, 3)
    # PyTorch's: a vector for each matrix.
    np.testing.assert_allclose(
        at.linalg.solve(at.asarray(x1), at.asarray(x2)).numpy(), np.linalg.solve(x1, x2[..., None])[..., 0]
    )
    with pytest.raises(ValueError):
        xp.linalg.solve(at.asarray(x1), at.asarray(x2))
    for a, b in ((x1, x1[0]), (x1[0], x1), (x1, x2[0]), (x1[0], x2[0]), (np.zeros((0, 0, 0)), np.zeros((0, 0)))):
        got = xp.linalg.solve(at.asarray(a), at.asarray(b)).numpy()
        expected = np.linalg.solve(a, b)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert xp.linalg.inv is at.linalg.inv and "svd" in dir(xp.linalg)
