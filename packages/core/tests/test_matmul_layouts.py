"""Matrix products of every layout, size and broadcast against NumPy in double precision."""

import ctypes
import itertools
import mmap
import sys

import numpy as np
import pytest

import atled.core as at

RNG = np.random.default_rng(1)
# What the own kernel and OpenBLAS handle, and the borders of tiles.
SIZES = [0, 1, 2, 3, 7, 16, 17, 33, 64, 65, 130]


def operand(shape: tuple[int, ...], layout: str, dtype: str) -> tuple[np.ndarray, at.Tensor]:
    def numbers(*sizes: int) -> np.ndarray:
        if dtype.startswith("int"):
            return RNG.integers(-5, 5, sizes).astype(dtype)
        real = RNG.standard_normal(sizes)
        return (real + 1j * RNG.standard_normal(sizes)).astype(dtype) if dtype.startswith("c") else real.astype(dtype)

    *batch, m, n = shape
    if layout == "transposed":
        array = numbers(*batch, n, m)
        return np.swapaxes(array, -1, -2), at.asarray(array).transpose(-1, -2)
    if layout == "gaps":
        array = numbers(*batch, m, 2 * n + 1)
        return array[..., 1::2], at.asarray(array)[..., 1::2]
    if layout == "reversed":
        array = numbers(*batch, m, n)
        return array[..., ::-1, :], at.asarray(array)[..., ::-1, :]
    if layout == "expanded":
        array = numbers(*batch, 1, n)
        return np.broadcast_to(array, shape), at.asarray(array).expand(*shape)
    array = numbers(*shape)
    return array, at.asarray(array)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int32", "int8"])
@pytest.mark.parametrize(
    ("left", "right"), list(itertools.product(["plain", "transposed", "gaps", "reversed", "expanded"], repeat=2))
)
def test_layouts(dtype: str, left: str, right: str) -> None:
    for _ in range(12):
        m, k, n = (int(RNG.choice(SIZES)) for _ in range(3))
        batch = [(), (2,), (3, 1)][RNG.integers(3)]
        (a, x), (b, y) = operand((*batch, m, k), left, dtype), operand((*batch[1:], k, n), right, dtype)
        wide = "complex128" if dtype.startswith("c") else "float64"
        expected = a.astype(wide) @ b.astype(wide)
        got = (x @ y).numpy()
        assert got.shape == expected.shape
        if dtype.startswith("int"):
            np.testing.assert_array_equal(got, expected.real.astype(np.int64).astype(dtype))
        else:
            eps = np.finfo(dtype).eps
            bound = np.abs(a.astype(wide)) @ np.abs(b.astype(wide)) * (4 + k) * 2 * eps
            assert np.all(np.abs(got - expected) <= bound + eps), (m, k, n, batch)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_add_forms_in_place_and_not(dtype: str) -> None:
    for m, k, n in [(3, 4, 5), (40, 50, 60), (1, 70, 200), (200, 70, 1), (2, 0, 3)]:
        (a, x), (b, y) = operand((m, k), "plain", dtype), operand((k, n), "transposed", dtype)
        for shape in [(m, n), (n,), (1, 1)]:
            c = np.ones(shape, dtype) * 3
            expected = 2 * np.broadcast_to(c, (m, n)) + 3 * (a @ b)
            np.testing.assert_allclose(
                at.addmm(at.asarray(c), x, y, beta=2, alpha=3).numpy(), expected, rtol=1e-4, atol=1e-3
            )
        z = at.ones(n, m, dtype=x.dtype).T
        z.addmm_(x, y, beta=2, alpha=3)
        np.testing.assert_allclose(z.numpy(), 2 + 3 * (a @ b), rtol=1e-4, atol=1e-3)


def test_beta_zero_ignores_what_was_there() -> None:
    x = at.full((2, 2), float("nan"))
    assert at.addmm(x, at.ones(2, 3), at.ones(3, 2), beta=0).tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_out_may_be_an_input() -> None:
    x = at.arange(9.0).reshape(3, 3)
    expected = x.numpy() @ x.numpy()
    at.matmul(x, x, out=x)
    np.testing.assert_array_equal(x.numpy(), expected)


def test_half_precision_sums_in_single() -> None:
    ones = at.ones(1, 5000, dtype=at.float16)
    assert (ones @ ones.T).item() == 5000.0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are taken away by Linux's calls")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "int32", "uint8"])
@pytest.mark.parametrize("n", [3, 8, 12, 16])
def test_nothing_behind_the_operands_is_read(dtype: str, n: int) -> None:
    """Operands that end where a page ends, and the next page must not be touched."""
    libc = ctypes.CDLL(None, use_errno=True)
    page = mmap.PAGESIZE

    def at_the_end(transposed: bool) -> at.Tensor:
        memory = mmap.mmap(-1, 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        assert libc.mprotect(ctypes.c_void_p(start + page), ctypes.c_size_t(page), 0) == 0
        guarded.append(memory)
        count = n * n
        offset = page - count * np.dtype(dtype).itemsize
        x = np.frombuffer(memory, dtype, count, offset).reshape(n, n)
        x[...] = RNG.integers(0, 5, (n, n))
        return at.from_numpy(x).mT if transposed else at.from_numpy(x)

    guarded: list[mmap.mmap] = []
    for left, right in itertools.product([False, True], repeat=2):
        a, b = at_the_end(left), at_the_end(right)
        np.testing.assert_array_equal((a @ b).numpy(), a.numpy() @ b.numpy())
