"""Corner cases of reading and writing by index on a device, beside NumPy; and the order of threads, which shows in
nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at

DTYPES = ["bool", "uint8", "int16", "int32", "float16", "float32", "int64", "complex64", "complex128"]


def numbers(*shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "b":
        return rng.random(shape) < 0.5
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0, 100, shape).astype(dtype)
    if np.dtype(dtype).kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def ints(*shape: int, low: int, high: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(low, high, shape)


def to_device(values: Any, device: str) -> at.Tensor:
    return at.tensor(np.array(values, order="C")).to(device)


def host(t: at.Tensor) -> Any:
    return t.to("cpu").numpy()


def spread(values: Any, device: str) -> at.Tensor:
    """The same elements, with gaps between them and the dimensions the other way round."""
    t = to_device(np.repeat(values.T, 2, axis=0), device)[::2]
    return t.permute(tuple(reversed(range(t.ndim))))


@pytest.mark.parametrize("place", [to_device, spread])
@pytest.mark.parametrize("dtype", DTYPES)
def test_reading(gpu: str, dtype: str, place: Callable[..., at.Tensor]) -> None:
    x = numbers(6, 5, 8, dtype=dtype)
    t = place(x, gpu)
    i, j = ints(4, 1, low=-6, high=6), ints(3, low=-5, high=5, seed=1)
    mask, mask2 = numbers(6, 5, dtype="bool"), numbers(5, 8, dtype="bool")
    for key in (
        (i,), (slice(None), i), (i, j), (i, slice(None), j), (slice(None), i % 5, j), (Ellipsis, j),
        (np.array(3),), (np.array(-1), np.array([2])), (mask,), (slice(None), mask2), (mask, np.array([7])),
        (mask, np.array(-1)), (np.zeros((0, 2), int),), (np.zeros((6,), bool),),
        (np.arange(6) < 3, slice(None), j), (slice(1, None, 2), j), (None, i), (i, None, j),
    ):  # fmt: skip
        got = t[tuple(place(k, gpu) if isinstance(k, np.ndarray) and k.ndim > 0 else
                      to_device(k, gpu) if isinstance(k, np.ndarray) else k for k in key)]  # fmt: skip
        np.testing.assert_array_equal(host(got), x[key], err_msg=str(key))


@pytest.mark.parametrize("offset", [0, 1, 3])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 16, 33, 700])
def test_rows_of_any_length_and_alignment(gpu: str, columns: int, offset: int) -> None:
    for dtype in ("uint8", "float16", "float32", "complex128"):
        x = numbers(40, columns + offset, dtype=dtype)
        index = ints(70, low=-40, high=40)
        t, i = to_device(x, gpu), to_device(index, gpu)
        np.testing.assert_array_equal(host(t[:, offset:].index_select(0, i)), x[index, offset:])
        np.testing.assert_array_equal(host(t[:, offset:][i.to(at.int32)]), x[index, offset:])
        t[:, offset:] = 0
        t[i[:5], offset:] = to_device(x[index[:5], offset:], gpu)
        want = np.zeros_like(x)
        want[:, :offset] = x[:, :offset]
        want[index[:5], offset:] = x[index[:5], offset:]
        np.testing.assert_array_equal(host(t), want)


def test_more_dimensions_than_join(gpu: str) -> None:
    x = numbers(2, 3, 2, 3, 2, 2, 2)
    t = to_device(x, gpu).permute(6, 4, 2, 0, 1, 3, 5)
    i = ints(3, low=-2, high=2)
    np.testing.assert_array_equal(host(t[:, to_device(i, gpu)]), x.transpose(6, 4, 2, 0, 1, 3, 5)[:, i])


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_values_for_one_place_the_last_stays(gpu: str, dtype: str) -> None:
    # Few places, which keep who was last; and many, where indices are sorted.
    for size, n in ((50, 4000), (90_000, 600)):
        index = ints(n, low=-size, high=size) % 40
        values, x = numbers(n, dtype=dtype, seed=1), numbers(size, dtype=dtype)
        want = x.copy()
        for i, v in zip(index, values, strict=True):
            want[i] = v
        t, i, v = to_device(x, gpu), to_device(index, gpu), to_device(values, gpu)
        for got in (t.index_put((i,), v), t.scatter(0, i, v), t.index_copy(0, i, v)):
            np.testing.assert_array_equal(host(got), want)
    rows = numbers(300, 7, dtype=dtype, seed=2)
    index = ints(300, low=0, high=5)
    want = np.zeros((5, 7), dtype)
    for i, row in zip(index, rows, strict=True):
        want[i] = row
    got = at.zeros(5, 7, dtype=getattr(at, dtype), device=gpu).index_copy(
        0, to_device(index, gpu), to_device(rows, gpu)
    )
    np.testing.assert_array_equal(host(got), want)


CASES = {
    "the same": lambda n, places: np.full(n, places // 2),
    "two": lambda n, places: np.where(np.arange(n) < n // 3, 0, places - 1),
    "random": lambda n, places: ints(n, low=-places, high=places),
    "skewed": lambda n, places: (ints(n, low=0, high=places) ** 3 // places**2).astype(int),
    "each once": lambda n, places: np.random.default_rng(3).permutation(max(n, places))[:n] % places,
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("n", "columns"), [(1, 1), (32, 1), (33, 3), (3000, 1), (1500, 5), (200, 300)])
def test_sums_are_right_and_the_same_every_time(gpu: str, n: int, columns: int, case: str) -> None:
    index = CASES[case](n, 64)
    for dtype in ("float32", "float16", "int32", "uint8", "complex64"):
        source = numbers(n, columns, dtype=dtype, seed=1)
        if dtype == "float16":
            source = (source / 64).astype(dtype)
        want = np.zeros((64, columns), np.float64 if dtype.startswith("float") else dtype)
        np.add.at(want, index, source)
        t = at.zeros(64, columns, dtype=getattr(at, dtype), device=gpu)
        i, s = to_device(index, gpu), to_device(source, gpu)
        got = [host(t.index_add(0, i, s)) for _ in range(3)]
        got += [host(t.index_put((i,), s, accumulate=True))]
        got += [host(t.scatter_add(0, (i % 64).unsqueeze(1).expand(n, columns), s))]
        for other in got[1:4]:
            assert other.tobytes() == got[0].tobytes()
        for other in got:
            if np.dtype(dtype).kind in "iu":
                np.testing.assert_array_equal(other, want)
            else:
                scale = np.zeros(want.shape)
                np.add.at(scale, index, np.abs(source))
                tolerance = {"float16": 2e-3}.get(dtype, 1e-6)
                assert np.all(np.abs(other - want) <= tolerance * (scale + 1e-3))


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("place", [to_device, spread])
def test_scatters_into_any_layout(gpu: str, dim: int, place: Callable[..., at.Tensor]) -> None:
    x, src = numbers(7, 6, 5), numbers(9, 9, 9, seed=1)
    shape = [5, 4, 3]
    shape[dim] = 8
    index = ints(*shape, low=-5, high=5)
    grid = list(np.indices(shape))
    grid[dim] = index
    cut = src[tuple(map(slice, shape))]
    for reduce, apply in (("sum", np.add), ("prod", np.multiply), ("amax", np.maximum), ("amin", np.minimum)):
        want = x.astype(np.float64)
        apply.at(want, tuple(grid), cut)
        got = place(x, gpu).scatter_reduce(dim, place(index, gpu), place(src, gpu), reduce)
        np.testing.assert_allclose(host(got), want, rtol=1e-5)
    target = place(x, gpu)
    target.scatter_add_(dim, place(index, gpu), place(src, gpu))
    want = x.astype(np.float64)
    np.add.at(want, tuple(grid), cut)
    np.testing.assert_allclose(host(target), want, rtol=1e-5, atol=1e-6)
    lines = ints(7, 6, 5, low=0, high=5)
    np.testing.assert_array_equal(host(place(x, gpu).gather(dim, place(lines, gpu))), np.take_along_axis(x, lines, dim))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "bool", "int64", "float16", "float64"])
def test_extremes_of_small_numbers_that_share_words(gpu: str, dtype: str) -> None:
    x = numbers(37, dtype=dtype)
    index, src = ints(500, low=0, high=37), numbers(500, dtype=dtype, seed=1)
    for reduce, apply in (("amax", np.maximum), ("amin", np.minimum)):
        want = x.copy()
        apply.at(want, index, src)
        got = to_device(x, gpu).scatter_reduce(0, to_device(index, gpu), to_device(src, gpu), reduce)
        np.testing.assert_array_equal(host(got), want)
    nan = at.tensor([1.0, float("nan"), 2.0]).to(gpu)
    got = at.zeros(1, device=gpu).scatter_reduce(0, at.zeros(3, dtype=at.int64, device=gpu), nan, "amax")
    assert np.isnan(host(got)[0])


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 4095, 4096, 4097, 20_000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_true_places(gpu: str, n: int, share: float) -> None:
    mask = np.random.default_rng(n).random(n + 1) < share
    for cut in (mask[:n], mask[1:]):
        t = to_device(mask, gpu)[:n] if cut is mask[:n] else to_device(mask, gpu)[1:]
        want = mask[:n] if cut is mask[:n] else mask[1:]
        np.testing.assert_array_equal(host(t.nonzero()), np.argwhere(want))
    x = numbers(n)
    np.testing.assert_array_equal(host(to_device(x, gpu)[to_device(mask[:n], gpu)]), x[mask[:n]])


def test_masks_that_do_not_join(gpu: str) -> None:
    x, mask = numbers(6, 7, 4), numbers(6, 4, dtype="bool")
    t = to_device(x, gpu).permute(0, 2, 1)
    np.testing.assert_array_equal(host(t[to_device(mask, gpu)]), x.transpose(0, 2, 1)[mask])
    t[to_device(mask, gpu)] = to_device(np.arange(7, dtype=np.float32), gpu)
    x.transpose(0, 2, 1)[mask] = np.arange(7)
    np.testing.assert_array_equal(host(t), x.transpose(0, 2, 1))


def test_setting_items(gpu: str) -> None:
    x = numbers(5, 6)
    t, want = to_device(x, gpu), x.copy()
    i, mask = np.array([3, 0, -2]), numbers(5, 6, dtype="bool")
    t[to_device(i, gpu)] = 2
    want[i] = 2
    t[:, to_device(i, gpu)] = to_device(np.arange(3), gpu)
    want[:, i] = np.arange(3)
    t[to_device(mask, gpu)] = -1.5
    want[mask] = -1.5
    t[to_device(mask, gpu)] = to_device(np.arange(mask.sum()), gpu)
    want[mask] = np.arange(mask.sum())
    t[1:, to_device(mask[0], gpu)] = to_device(numbers(4, 1), gpu)
    want[1:, mask[0]] = numbers(4, 1)
    t[to_device(np.array(2), gpu)] = t[0]
    want[2] = want[0]
    np.testing.assert_array_equal(host(t), want)
    with pytest.raises(at.ShapeError):
        t[to_device(i, gpu)] = at.ones(2, device=gpu)


def test_what_is_read_may_be_what_is_written(gpu: str) -> None:
    x = np.array([3, 2, 1, 0])
    t = to_device(x, gpu)
    t[t] = t
    np.testing.assert_array_equal(host(t), np.array([0, 1, 2, 3])[::-1][np.argsort(x)][::-1][x])
    t = to_device(np.arange(8.0), gpu)
    t[to_device(np.arange(1, 8), gpu)] = t[:-1]
    np.testing.assert_array_equal(host(t), [0, 0, 1, 2, 3, 4, 5, 6])


def test_scalars(gpu: str) -> None:
    x, zero = to_device(np.array(3.0), gpu), to_device(np.array(0), gpu)
    assert x.index_select(0, zero).item() == 3
    assert x.gather(0, zero).item() == 3
    assert x.scatter(0, zero, 5.0).item() == 5
    assert x.scatter_add(0, zero, x).item() == 6
    assert x.index_add(0, zero, x).item() == 6
    assert x[to_device(np.array(True), gpu)].shape == (1,)
    assert x[to_device(np.array(False), gpu)].shape == (0,)
    assert x.nonzero().shape == (1, 0)


def test_keys_and_values_from_the_host(gpu: str) -> None:
    x = numbers(4, 5)
    t = to_device(x, gpu)
    np.testing.assert_array_equal(host(t[[2, 0]]), x[[2, 0]])
    np.testing.assert_array_equal(host(t[:, at.tensor([1, -1])]), x[:, [1, -1]])
    np.testing.assert_array_equal(host(t[np.array([True, False, True, True])]), x[[0, 2, 3]])
    assert t[True].shape == (1, 4, 5)
    t[[1, 2], 0] = [7.0, 8.0]
    t[at.tensor(3)] = at.tensor(1.5)
    x[[1, 2], 0] = [7, 8]
    x[3] = 1.5
    np.testing.assert_array_equal(host(t), x)
    with pytest.raises(at.DeviceError):
        t[0] = at.ones(5)


def test_more_places_than_32_bits_number(gpu: str) -> None:
    # Rows that share memory, of which one alone is named.
    memory = at.zeros(131_073, device=gpu)
    t = memory.as_strided((65_537, 65_537), (1, 1))
    columns, values = ints(700, low=0, high=50), numbers(700)
    row, column = to_device(np.full(700, 65_536), gpu), to_device(columns, gpu)
    t[row, column] = to_device(values, gpu)
    want = np.zeros(65_537, np.float32)
    for i, v in zip(columns, values, strict=True):
        want[i] = v
    np.testing.assert_array_equal(host(memory[65_536:]), want)


@pytest.mark.parametrize("shape", [(1, 900), (150, 60), (150, 3)])
def test_lines_are_summed_in_the_order_of_the_cpu(gpu: str, shape: tuple[int, int]) -> None:
    for dtype in ("float16", "float32", "complex64"):
        x, src = (numbers(shape[0], 20, dtype=dtype), numbers(*shape, dtype=dtype, seed=1))
        index = ints(*shape, low=-20, high=20)
        for reduce in ("add", "multiply"):
            arguments = [at.tensor(a) for a in (x, index, src)]
            want = arguments[0].scatter(1, arguments[1], arguments[2], reduce=reduce)
            t, i, s = (a.to(gpu) for a in arguments)
            assert host(t.scatter(1, i, s, reduce=reduce)).tobytes() == want.numpy().tobytes()
            if reduce == "add":
                by_columns = t.T.contiguous().scatter(0, i.T, s.T, reduce=reduce)
                np.testing.assert_allclose(host(by_columns), want.numpy().T, rtol=1e-2, atol=1e-2)
