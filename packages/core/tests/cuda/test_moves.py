"""Transposes in tiles, and many pieces joined by one launch."""

import numpy as np
import pytest

import atled.core as at


@pytest.mark.parametrize("dtype", ["bool", "float16", "int32", "float64", "complex128"])
@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((33, 65), (1, 0)),
        ((16, 300), (1, 0)),
        ((15, 300), (1, 0)),
        ((3, 64, 31), (0, 2, 1)),
        ((17, 3, 40), (2, 1, 0)),
        ((2, 20, 3, 50), (0, 3, 2, 1)),
        ((2, 20, 3, 50), (3, 0, 1, 2)),
        ((129, 257), (1, 0)),
    ],
)
def test_transposes(gpu: str, dtype: str, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape)).reshape(shape) % (2 if dtype == "bool" else 1999)
    x = x.astype(dtype)
    expected = np.ascontiguousarray(x.transpose(order))
    there = at.tensor(x, device=gpu)
    np.testing.assert_array_equal(there.permute(order).contiguous().cpu().numpy(), expected)
    # Into a part of something larger, and from one.
    room = at.zeros([n + 3 for n in expected.shape], dtype=there.dtype, device=gpu)
    part = room[tuple(slice(1, n + 1) for n in expected.shape)]
    part.copy_(there.permute(order))
    assert room.cpu().numpy().astype(np.complex128).sum() == expected.astype(np.complex128).sum()
    np.testing.assert_array_equal(part.cpu().numpy(), expected)
    np.testing.assert_array_equal(part.permute(tuple(np.argsort(order))).contiguous().cpu().numpy(), x)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_many_pieces(gpu: str, count: int, dim: int, dtype: str) -> None:
    pieces = []
    for i in range(count):
        shape = [3, 2, 4]
        shape[dim] = i % 5
        x = (np.arange(np.prod(shape)) + i).reshape(shape).astype(dtype)
        pieces.append(x)
    there = [at.tensor(x, device=gpu) for x in pieces]
    np.testing.assert_array_equal(at.cat(there, dim).cpu().numpy(), np.concatenate(pieces, dim))
    # A strided piece and one of another dtype among them.
    odd = np.arange(24).reshape(4, 2, 3).astype(dtype)
    odd_there = at.tensor(odd, device=gpu).permute(2, 1, 0)
    other = at.tensor(np.ones((3, 2, 4), np.int16), device=gpu)
    whole = at.cat([*there, odd_there, other, odd_there], dim).cpu().numpy()
    np.testing.assert_array_equal(
        whole, np.concatenate([*pieces, odd.transpose(2, 1, 0), np.ones((3, 2, 4)), odd.transpose(2, 1, 0)], dim)
    )
    stacked = at.stack([odd_there.contiguous()] * count, dim)
    np.testing.assert_array_equal(stacked.cpu().numpy(), np.stack([odd.transpose(2, 1, 0)] * count, dim))


def test_distances_beyond_a_tile(gpu: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 70, 37)), rng.standard_normal((2, 131, 37))
    for p in (0.0, 1.0, 2.0, 3.5, float("inf")):
        expected = np.linalg.norm(x[:, :, None] - y[:, None], p, -1)
        found = at.cdist(at.tensor(x, device=gpu), at.tensor(y, device=gpu), p)
        np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=1e-13)


def test_triangles(gpu: str) -> None:
    for rows, columns, offset in ((40, 30, 0), (30, 40, -7), (30, 40, 5), (5, 5, 9), (5, 5, -9)):
        for make in (at.tril_indices, at.triu_indices):
            here, there = make(rows, columns, offset), make(rows, columns, offset, device=gpu)
            np.testing.assert_array_equal(there.cpu().numpy(), here.cpu().numpy())
