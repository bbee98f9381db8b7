"""Rows too short for a call each: of broadcast operands, and in what copies, joins, selects and gathers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import atled.core as at

RNG = np.random.default_rng(0)
WIDTHS = (*range(1, 18), 31, 32, 33, 63, 64, 65, 127, 128, 129, 300)


@pytest.fixture(params=[1, 2, 3], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = at.get_num_threads()
    at.set_num_threads(request.param)
    yield
    at.set_num_threads(before)


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return RNG.integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "int64", "complex128"])
@pytest.mark.parametrize("rows", [1, 3, 4, 5, 67, 3001])
def test_a_row_or_a_column_beside_rows(rows: int, dtype: str) -> None:
    for n in WIDTHS if rows < 1000 else (3, 8, 15, 33):
        x, row, column = numbers((rows, n), dtype), numbers((n,), dtype), numbers((rows, 1), dtype)
        gaps, reverse, turned = (
            numbers((rows, n + 3), dtype)[:, :n],
            numbers((rows, n), dtype)[::-1, ::-1],
            numbers((n, rows), dtype).T,
        )
        for other in (row, column, gaps, reverse, turned, numbers((1, 1), dtype)):
            np.testing.assert_array_equal((at.asarray(x) + at.asarray(other)).numpy(), x + other, str(n))
            np.testing.assert_array_equal((at.asarray(other) * at.asarray(x)).numpy(), other * x, str(n))
        np.testing.assert_array_equal((at.asarray(column) + at.asarray(row)).numpy(), column + row, str(n))
        into = numbers((rows, n + 1), dtype)
        t = at.asarray(into.copy())
        t[:, 1:] += at.asarray(column)
        into[:, 1:] += column
        np.testing.assert_array_equal(t.numpy(), into, str(n))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 31, 65, 130])
def test_short_rows_in_more_dimensions(n: int) -> None:
    x = numbers((5, 41, n), "float64")
    for shape in ((n,), (41, 1), (41, n), (5, 1, n), (5, 1, 1), (5, 41, 1), (1, 41, 1)):
        other = numbers(shape, "float64")
        np.testing.assert_array_equal((at.asarray(x) - at.asarray(other)).numpy(), x - other, str(shape))
        where = np.where(x > 50, x, other)
        np.testing.assert_array_equal(at.where(at.asarray(x) > 50, at.asarray(x), at.asarray(other)).numpy(), where)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 31, 65, 130, 300])
def test_short_rows_that_are_converted(n: int) -> None:
    """Of float32 in bfloat16, and of integers that are divided: small numbers, whose results are exact."""
    x, column, row = (RNG.integers(0, 8, shape) for shape in ((601, n), (601, 1), (n,)))
    for other in (column, row):
        a, b = at.asarray(x), at.asarray(other)
        got = at.lerp(a.to(at.bfloat16), b.to(at.bfloat16), 0.5).to(at.float64).numpy()
        np.testing.assert_array_equal(got, x + (other - x) * 0.5)
        got = at.addcmul(a.to(at.bfloat16), a.to(at.bfloat16), b.to(at.bfloat16)).to(at.float64).numpy()
        np.testing.assert_array_equal(got, x + x * other)
        np.testing.assert_array_equal((a.to(at.int32) / (b + 1).to(at.int32)).numpy(), (x / (other + 1)).astype("f4"))
        np.testing.assert_array_equal((a.to(at.int32) + b.to(at.float64)).numpy(), x + other)


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "float64", "complex128"])
def test_short_rows_are_moved(dtype: str) -> None:
    for n in WIDTHS:
        x, y = numbers((57, n), dtype), numbers((57, n + 1), dtype)
        a, b = at.asarray(x), at.asarray(y)
        moved: list[tuple[at.Tensor, Any]] = [
            (at.cat((a, b, a), 1), np.concatenate((x, y, x), 1)),
            (at.stack((a, a), 1), np.stack((x, x), 1)),
            (at.stack((a, a), 2), np.stack((x, x), 2)),
            (at.flip(a, (0,)), x[::-1]),
            (at.flip(a, (1,)), x[:, ::-1]),
            (at.flip(a, (0, 1)), x[::-1, ::-1]),
            (at.roll(a, 3, 1), np.roll(x, 3, 1)),
            (b[:, 1:].contiguous(), y[:, 1:]),
            (b[::-2, ::-3].contiguous(), y[::-2, ::-3]),
            (a.mT.contiguous(), x.T),
            (at.tile(a, (2, 3)), np.tile(x, (2, 3))),
            (a[:, None, :].expand(57, 3, n).contiguous(), np.broadcast_to(x[:, None], (57, 3, n))),
            (a[:, :, None].expand(57, n, 3).contiguous(), np.broadcast_to(x[:, :, None], (57, n, 3))),
        ]
        for i, (got, wanted) in enumerate(moved):
            np.testing.assert_array_equal(got.numpy(), wanted, f"{n} {i}")


def test_an_empty_piece_moves_nothing() -> None:
    assert at.cat((at.zeros(5, 0), at.ones(5, 8)), 1).sum().item() == 40
    assert at.flip(at.zeros(0, 8), (1,)).shape == (0, 8) and at.flip(at.zeros(8, 0), (0,)).shape == (8, 0)


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "float64", "complex128"])
def test_short_rows_are_selected(dtype: str) -> None:
    for n in WIDTHS:
        x = numbers((57, n), dtype)
        index = RNG.integers(-57, 57, 90)
        np.testing.assert_array_equal(at.asarray(x)[at.asarray(index)].numpy(), x[index], str(n))
        t, values = at.asarray(x.copy()), numbers((57, n), dtype)
        order = RNG.permutation(57)
        t[at.asarray(order)] = at.asarray(values)
        np.testing.assert_array_equal(t.numpy()[order], values, str(n))


@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("low", [0, -1])
def test_gather_in_short_rows(low: int, dtype: str) -> None:
    for n in WIDTHS:
        for m in (1, 8, 9, n):
            x, index = numbers((301, n), dtype), RNG.integers(n * low, n, (301, m))
            got = at.gather(at.asarray(x), 1, at.asarray(index)).numpy()
            np.testing.assert_array_equal(got, np.take_along_axis(x, index, 1), f"{n} {m}")
            got = at.gather(at.asarray(x), 1, at.asarray(index)[::2]).numpy()
            np.testing.assert_array_equal(got, np.take_along_axis(x[:151], index[::2], 1), f"{n} {m}")


@pytest.mark.parametrize("bad", [8, -9])
@pytest.mark.parametrize("place", [(0, 0), (200, 4), (3000, 7)])
def test_gather_finds_the_index_outside(place: tuple[int, int], bad: int) -> None:
    index = RNG.integers(0, 8, (3001, 8))
    index[place] = bad
    with pytest.raises(at.BoundsError, match=rf"\[-8, 8\), got {bad}"):
        at.gather(at.zeros(3001, 8), 1, at.asarray(index))


@pytest.mark.parametrize(
    "shape", [(), (9,), (0,), (3, 0), (0, 3), (7, 8), (8, 1), (1, 90), (4, 5, 6), (2, 3, 4, 5), (300, 7, 11)]
)
def test_nonzero_finds_places_in_every_row(shape: tuple[int, ...]) -> None:
    for share in (0.0, 0.02, 0.5, 1.0):
        mask = RNG.random(shape) < share
        np.testing.assert_array_equal(at.nonzero(at.asarray(mask)).numpy(), np.argwhere(mask), str(share))
