"""Sizes from which on kernels divide their work: over threads, squares, chunks, and past the cache."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

import atled.core as at

Array = np.ndarray[Any, np.dtype[Any]]


def normal(*shape: int, dtype: str = "float32", seed: int = 0) -> Array:
    return (np.random.default_rng(seed).standard_normal(shape) * 50).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", [(100, 130), (33, 257), (40, 41, 42)])
def test_transposed_operands_are_turned_in_squares(dtype: str, shape: tuple[int, ...]) -> None:
    x = np.abs(normal(*shape)).astype(dtype)
    for order in permutations(range(len(shape))):
        turned = x.transpose(order)
        np.testing.assert_array_equal(at.asarray(x).permute(order).contiguous().numpy(), turned)
        other = np.ones(turned.shape, dtype)
        np.testing.assert_array_equal((at.asarray(x).permute(order) + at.asarray(other)).numpy(), turned + other)
        for dims in range(x.ndim):
            np.testing.assert_array_equal(at.asarray(x).permute(order).flip(dims).numpy(), np.flip(turned, dims))


@pytest.mark.parametrize(
    "dtypes", [("float32", "int64"), ("float32", "bool"), ("bfloat16", "int32"), ("int64", "uint8")]
)
@pytest.mark.parametrize(
    ("shape", "other"),
    [
        *(((700, 130), (130,)), ((700, 130), (700, 1)), ((700, 1), (130,))),
        *(((9000, 8), (8,)), ((9000, 8), (9000, 1)), ((40, 300, 8), (40, 1, 8)), ((40, 300, 8), (8,))),
        *(((9000, 40), (9000, 40)), ((9000, 40), (9000, 2))),
    ],
)
def test_operands_of_two_dtypes_that_are_repeated(shape: Any, other: Any, dtypes: tuple[str, str]) -> None:
    x, y = np.arange(np.prod(shape)).reshape(shape) % 19, np.arange(np.prod(other)).reshape(other) % 2
    a, b = at.tensor(x).to(getattr(at, dtypes[0])), at.tensor(y).to(getattr(at, dtypes[1]))
    if other[-1] == 2:  # every second row of a table that is twice as long
        a, y, b = at.cat((a, a), 1)[:, ::2], y[:, :1], b[:, :1]
        x = np.concatenate((x, x), 1)[:, ::2]
    np.testing.assert_array_equal((a + b).to(at.int64).numpy(), x + y)
    np.testing.assert_allclose(
        (b / (a + 1)).to(at.float64).numpy(), y / (x + 1.0), rtol=4e-3 if "b" in dtypes[0] else 1e-6
    )
    if a.shape == (a + b).shape:
        np.testing.assert_array_equal(a.add_(b).to(at.int64).numpy(), x + y)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int64"])
@pytest.mark.parametrize("layout", ["rows and columns", "every second", "backwards", "long"])
def test_three_operands_that_lie_apart(layout: str, dtype: str) -> None:
    x, y, z = (np.arange(n, n + 300 * 90).reshape(300, 90) % 13 + 1.0 for n in (0, 5, 9))
    tensors = [at.tensor(t).to(getattr(at, dtype)) for t in (x, y, z)]
    if layout == "rows and columns":
        (x, y), tensors[:2] = (x[:, :1], y[:1]), (tensors[0][:, :1], tensors[1][:1])
    elif layout == "every second":
        x, y, tensors = x[:, ::2], y[:, ::2], [tensors[0][:, ::2], tensors[1][:, ::2], tensors[2][:, :45]]
        z = z[:, :45]
    elif layout == "backwards":
        x, tensors[0] = x[:, ::-1], tensors[0][:, ::-1]
        z, tensors[2] = z[0], tensors[2][0]
    a, b, c = tensors
    np.testing.assert_array_equal(at.clamp(a, b, c).to(at.float64).numpy(), np.minimum(np.maximum(x, y), z))
    sums = at.addcmul(a, b, c, value=2).to(at.float64).numpy()
    np.testing.assert_allclose(sums, x + 2 * y * z, rtol=4e-3 if dtype == "bfloat16" else 0)
    if dtype != "int64":
        wanted = x + (y - x) * z
        np.testing.assert_allclose(at.lerp(a, b, c).to(at.float64).numpy(), wanted, rtol=4e-3, atol=1e-2)
        np.testing.assert_allclose(at.lerp(a, b, 0.3).to(at.float64).numpy(), x + (y - x) * 0.3, rtol=4e-3)


@pytest.mark.parametrize("shift", [1, 3, 15, 16, 1024])
def test_long_rows_are_moved_a_little(shift: int) -> None:
    x = normal(3, 1024)
    np.testing.assert_array_equal(at.asarray(x).roll(shift, 1).numpy(), np.roll(x, shift, 1))


def test_outputs_beyond_the_cache_are_whole_wherever_they_begin() -> None:
    n = 5_000_003
    x, y, room = normal(n), normal(n, seed=1), np.empty(n + 32, np.float32)
    for offset in (0, 1, 5, 16):
        at.add(at.asarray(x), at.asarray(y), out=at.asarray(room)[offset : offset + n])
        np.testing.assert_array_equal(room[offset : offset + n], x + y)
    total = at.asarray(x.copy())
    total += at.asarray(y)
    np.testing.assert_array_equal(total.numpy(), x + y)
    rows, row = x[:5_000_000].reshape(1000, 5000), y[:5000]
    np.testing.assert_array_equal((at.asarray(rows) + at.asarray(row)).numpy(), rows + row)


@pytest.mark.parametrize(
    "shape", [(4000, 300), (7, 100_000), (100_000, 9), (20, 30, 40, 5), (64, 64, 256), (33, 2, 2000)]
)
def test_reductions_over_every_axis(shape: tuple[int, ...]) -> None:
    x = normal(*shape) / 50
    wide = x.astype(np.float64)
    for axis in [*range(len(shape)), (0, len(shape) - 1)]:
        for ours, theirs, plain in (
            (at.asarray(x), wide, x),
            (at.asarray(x).mT, wide.swapaxes(-1, -2), x.swapaxes(-1, -2)),
        ):
            np.testing.assert_allclose(ours.sum(axis).numpy(), theirs.sum(axis), rtol=1e-5, atol=1e-4)
            np.testing.assert_array_equal(at.amax(ours, axis).numpy(), plain.max(axis))
            np.testing.assert_allclose(at.var(ours, axis).numpy(), theirs.var(axis, ddof=1), rtol=2e-7)
            expected = np.log(np.exp(theirs).sum(axis))
            np.testing.assert_allclose(at.logsumexp(ours, axis).numpy(), expected, rtol=1e-6, atol=2e-7)
            if isinstance(axis, int):
                np.testing.assert_array_equal(at.argmax(ours, axis).numpy(), plain.argmax(axis))
                softmax = np.exp(theirs) / np.exp(theirs).sum(axis, keepdims=True)
                np.testing.assert_allclose(at.softmax(ours, axis).numpy(), softmax, rtol=1e-6)
                np.testing.assert_allclose(at.cumsum(ours, axis).numpy(), theirs.cumsum(axis), rtol=1e-6, atol=1e-6)


def test_variance_far_from_zero() -> None:
    """Blocks are combined without cancellation."""
    x = 1e6 + normal(300_000, dtype="float64") / 50
    np.testing.assert_allclose(at.var(at.asarray(x)).item(), x.var(ddof=1), rtol=1e-10)


def test_logsumexp_of_ends() -> None:
    x = np.full((3, 2500), -np.inf, np.float32)
    x[1, 2000] = np.inf
    x[2, 2400] = 3.0
    expected = np.array([-np.inf, np.inf, 3.0], np.float32)
    np.testing.assert_array_equal(at.logsumexp(at.asarray(x), 1).numpy(), expected)
    np.testing.assert_array_equal(at.logsumexp(at.asarray(x.T.copy()), 0).numpy(), expected)


def test_a_nan_wins_in_every_block() -> None:
    x = normal(300_001)
    x[[1234, 200_000]] = np.nan
    assert at.argmax(at.asarray(x)).item() == at.argmin(at.asarray(x)).item() == 1234
    assert np.isnan(at.amax(at.asarray(x)).item())


def order(x: Array, descending: bool) -> Array:
    """A stable sort, NaN above all numbers."""
    if x.dtype.kind == "f":
        key = np.nan_to_num(x.astype(np.float64)) * (-1 if descending else 1)
        return np.lexsort((key, np.isnan(x) != descending))
    return np.argsort(-x.astype(np.int64) if descending else x.astype(np.int64), kind="stable")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("scale", [1.0, 1e-2])
@pytest.mark.parametrize("n", [97, 40_000, 300_000])
def test_long_lines_are_sorted_stably(dtype: str, scale: float, n: int) -> None:
    x = np.abs(normal(n) * scale).astype(dtype) if dtype == "uint8" else (normal(n) * scale).astype(dtype)
    if x.dtype.kind == "f":
        x[::7], x[3], x[5] = 0, -0.0, np.nan
    for descending in (False, True):
        expected = order(x, descending)
        values, indices = at.sort(at.asarray(x), descending=descending)
        np.testing.assert_array_equal(indices.numpy(), expected)
        assert values.numpy().tobytes() == x[expected].tobytes()
        top = at.topk(at.asarray(x), 9, largest=descending)
        np.testing.assert_array_equal(top.indices.numpy(), expected[:9])
    np.testing.assert_array_equal(at.unique_values(at.asarray(x)).numpy(), np.unique(x, equal_nan=False))


@pytest.mark.parametrize("n", [70, 5000, 40_000])
@pytest.mark.parametrize("dtype", ["int64", "float64", "int32"])
def test_keys_that_differ_in_few_bits_far_apart_are_sorted_stably(dtype: str, n: int) -> None:
    rng = np.random.default_rng(n)
    bits = np.dtype(dtype).itemsize * 8
    x = sum(rng.integers(0, 3, n) << shift for shift in (0, bits // 3, bits - 6)).astype(f"int{bits}").view(dtype)
    for descending in (False, True):
        values, indices = at.asarray(x).sort(descending=descending)
        np.testing.assert_array_equal(indices.numpy(), order(x, descending))
        np.testing.assert_array_equal(values.numpy(), x[order(x, descending)])
    np.testing.assert_array_equal(at.unique_values(at.asarray(x)).numpy(), np.unique(x))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64", "bool"])
@pytest.mark.parametrize("kept", [1, 10, 17])
def test_the_first_of_many_rows_with_ties(dtype: str, kept: int) -> None:
    rng = np.random.default_rng(kept)
    x = (rng.integers(0, 256, (60, 700)) * (rng.random((60, 1)) < 0.8)).astype(dtype)
    x[3] = np.iinfo(dtype).max if x.dtype.kind in "iu" else np.inf
    if dtype == "float32":
        x[4, ::3] = np.nan
    for largest in (False, True):
        top = at.asarray(x).topk(kept, largest=largest)
        expected = np.stack([order(row, largest)[:kept] for row in x])
        np.testing.assert_array_equal(top.indices.numpy(), expected)
        np.testing.assert_array_equal(top.values.numpy(), np.take_along_axis(x, expected, 1))


@pytest.mark.parametrize("bins", [1, 100, 5000])
def test_counts_of_many_places(bins: int) -> None:
    x = np.random.default_rng(bins).integers(0, bins, 30_001)
    np.testing.assert_array_equal(at.bincount(at.asarray(x)).numpy(), np.bincount(x))
    x[20_000], x[20_001] = -7, -8
    with pytest.raises(ValueError, match="got -7"):
        at.bincount(at.asarray(x))


def test_counts_up_to_the_largest_integer_do_not_fit() -> None:
    with pytest.raises(MemoryError):
        at.bincount(at.tensor([2**63 - 1]))


@pytest.mark.parametrize("n", [0, 1, 2, 30_000])
@pytest.mark.parametrize("dtype", ["int8", "float32", "bool"])
def test_runs_are_given_as_asked_for(dtype: str, n: int) -> None:
    x = (np.random.default_rng(n).integers(0, 3, n) * (np.arange(n) % 1000 < 400)).astype(dtype)
    if dtype == "float32" and n:
        x[-1], x[n // 2 :][:3] = -0.0, np.nan
    firsts = np.flatnonzero(np.r_[True, x[1:] != x[:-1]][:n])
    inverse, counts = np.zeros(n, int), np.diff(np.r_[firsts, n])
    inverse[firsts[1:]] = 1
    t = at.asarray(x)
    np.testing.assert_array_equal(at.unique_consecutive(t).numpy(), x[firsts])
    values, lengths = at.unique_consecutive(t, return_counts=True)
    np.testing.assert_array_equal(values.numpy(), x[firsts])
    np.testing.assert_array_equal(lengths.numpy(), counts)
    _, runs, lengths = at.unique_consecutive(t, True, True)
    np.testing.assert_array_equal(runs.numpy(), np.cumsum(inverse))
    np.testing.assert_array_equal(lengths.numpy(), counts)


def test_an_index_may_be_the_tensor_that_is_written() -> None:
    x = np.arange(1000)[::-1].copy()
    ours = at.asarray(x.copy())
    x[x] = 5 * x
    ours[ours] = 5 * ours
    np.testing.assert_array_equal(ours.numpy(), x)


def test_indices_of_unit_stride_are_read_as_they_are() -> None:
    x, at_ = normal(400, 500), np.random.default_rng(1).integers(0, 400, (30, 100))
    np.testing.assert_array_equal(at.asarray(x)[at.asarray(at_), at.asarray(at_)].numpy(), x[at_, at_])
    flat = x.reshape(-1)
    np.testing.assert_array_equal(at.asarray(flat)[at.asarray(at_)].numpy(), flat[at_])


def test_gather_names_the_first_index_outside() -> None:
    index = np.zeros((2, 3000), np.int64)
    index[1, 2000:] = 9
    with pytest.raises(IndexError, match="got 9"):
        at.gather(at.zeros(2, 9), 1, at.asarray(index))


@pytest.mark.parametrize("layout", ["rows", "columns", "int32", "expanded", "transposed"])
@pytest.mark.parametrize("dtype", ["float64", "int16"])
def test_scatters_and_gathers_of_many_rows(layout: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    index = rng.integers(-70, 70, (600, 80)).astype("int32" if layout == "int32" else "int64")
    x, source = (rng.integers(-99, 99, shape).astype(dtype) for shape in ((600, 70), (600, 80)))
    if layout == "expanded":
        index = np.broadcast_to(index[:, :1], index.shape)
    if layout == "transposed":
        index, x, source = np.ascontiguousarray(index.T).T, np.ascontiguousarray(x.T).T, source[:, ::-1]
    dim = 1
    if layout == "columns":
        index, x, source, dim = index.T, x.T, source.T, 0
    rows = np.arange(600)[:, None] if dim else np.arange(600)
    places = (rows, index) if dim else (index, rows)
    expected = x.copy()
    np.add.at(expected, places, source)
    tensor, where, values = at.asarray(x), at.asarray(index), at.asarray(source.copy())
    np.testing.assert_array_equal(tensor.scatter_add(dim, where, values).numpy(), expected)
    np.testing.assert_array_equal(tensor.gather(dim, where).numpy(), x[places])
    sums = np.zeros_like(x)
    np.add.at(sums, places, source)
    touched = np.zeros(x.shape, bool)
    touched[places] = True
    alone = tensor.scatter_reduce(dim, where, values, "sum", include_self=False)
    np.testing.assert_array_equal(alone.numpy(), np.where(touched, sums, x))
    np.testing.assert_array_equal(tensor.clone().scatter_add_(dim, where, values).numpy(), expected)


def test_a_bad_index_among_many_rows_leaves_the_tensor_as_it_was() -> None:
    index = np.zeros((500, 50), np.int64)
    index[300, 7], index[400, 1] = -8, 12
    x = at.ones(500, 7)
    for scatter in (x.scatter_add, x.scatter_add_):
        with pytest.raises(IndexError, match=r"dim 1 in \[-7, 7\), got -8"):
            scatter(1, at.asarray(index), at.ones(500, 50))
    np.testing.assert_array_equal(x.numpy(), np.ones((500, 7), np.float32))


def test_rows_are_added_in_order() -> None:
    rng = np.random.default_rng(6)
    index, rows = rng.integers(-90, 90, 3000), rng.standard_normal((3000, 40))
    expected = np.zeros((90, 40))
    np.add.at(expected, index, rows)
    np.testing.assert_array_equal(
        at.zeros(90, 40, dtype=at.float64).index_add(0, at.asarray(index), at.asarray(rows)).numpy(), expected
    )


@pytest.mark.parametrize(("m", "n", "k"), [(1, 5000, 3000), (1, 100, 9000), (5000, 1, 3000), (1, 4096, 64)])
def test_products_with_a_vector(m: int, n: int, k: int) -> None:
    a, b = normal(m, k, dtype="float64"), normal(k, n, dtype="float64", seed=1)
    scale = np.abs(a) @ np.abs(b)
    for x, y in ((at.asarray(a), at.asarray(b)), (at.asarray(a.T.copy()).T, at.asarray(b.T.copy()).T)):
        assert np.all(np.abs((x @ y).numpy() - a @ b) <= 1e-14 * scale)


@pytest.mark.parametrize(("m", "n", "k"), [(12, 16, 16), (13, 33, 17), (100, 200, 300), (64, 64, 5001)])
def test_bfloat16_products_sum_in_float32(m: int, n: int, k: int) -> None:
    a, b = (at.asarray(normal(*shape, seed=k)).to(at.bfloat16) for shape in ((m, k), (k, n)))
    expected = a.to(at.float64).numpy() @ b.to(at.float64).numpy()
    scale = np.abs(a.to(at.float64).numpy()) @ np.abs(b.to(at.float64).numpy())
    for x, y in ((a, b), (a.T.contiguous().T, b.T.contiguous().T)):
        error = np.abs((x @ y).to(at.float64).numpy() - expected)
        assert np.all(error <= 2.0**-8 * np.abs(expected) + 1e-6 * scale)
