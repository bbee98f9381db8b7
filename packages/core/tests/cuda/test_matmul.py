"""Products of matrices on device "cuda": layouts, addends, precision, and what is kept between calls."""

import ctypes
import itertools
import threading

import ml_dtypes
import numpy as np
import pytest

import atled.core as at
from atled.core import _cuda

RNG = np.random.default_rng(1)
SIZES = [0, 1, 2, 3, 7, 16, 17, 33, 64, 65]
LAYOUTS = ["plain", "transposed", "gaps", "reversed", "expanded", "shifted"]
DTYPES = ["float32", "float64", "float16", "bfloat16", "complex64", "complex128", "int8", "uint16", "int32", "int64"]
EPS = {"float16": 2**-10, "bfloat16": 2**-7, "complex64": 2**-23, "complex128": 2**-52}


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Random numbers of a dtype, as the array that holds them exactly."""
    if "int" in dtype:
        info = np.iinfo(dtype)
        return RNG.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    if dtype == "bool":
        return RNG.random(shape) < 0.2
    real = RNG.standard_normal(shape)
    if dtype.startswith("c"):
        return (real + 1j * RNG.standard_normal(shape)).astype(dtype)
    return real.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def on(gpu: str, array: np.ndarray, dtype: str) -> at.Tensor:
    wide = array.astype("float32") if dtype == "bfloat16" else array
    return at.asarray(wide).to(gpu).to(getattr(at, dtype))


def operand(gpu: str, shape: tuple[int, ...], layout: str, dtype: str) -> tuple[np.ndarray, at.Tensor]:
    *batch, m, n = shape
    if layout == "transposed":
        array = numbers((*batch, n, m), dtype)
        return np.swapaxes(array, -1, -2), on(gpu, array, dtype).transpose(-1, -2)
    if layout == "gaps":
        array = numbers((*batch, m, 2 * n + 1), dtype)
        return array[..., 1::2], on(gpu, array, dtype)[..., 1::2]
    if layout == "reversed":
        array = numbers((*batch, m, n), dtype)
        return array[..., ::-1, :], on(gpu, array, dtype)[..., ::-1, :]
    if layout == "expanded":
        array = numbers((*batch, 1, n), dtype)
        return np.broadcast_to(array, shape), on(gpu, array, dtype).expand(*shape)
    if layout == "shifted":  # rows with gaps, beginning at an odd address
        array = numbers((*batch, m, n + 3), dtype)
        return array[..., 1 : n + 1], on(gpu, array, dtype)[..., 1 : n + 1]
    array = numbers(shape, dtype)
    return array, on(gpu, array, dtype)


def host(t: at.Tensor) -> np.ndarray:
    t = t.cpu()
    return (t.float() if t.dtype == at.bfloat16 else t).numpy()


def check(got: at.Tensor, a: np.ndarray, b: np.ndarray, dtype: str, eps: float = 0) -> None:
    """Against NumPy in double precision, or in the integers' own dtype."""
    found = host(got)
    if dtype == "bool" or "int" in dtype:
        wanted = (a.astype(np.int64) @ b.astype(np.int64)) > 0 if dtype == "bool" else a @ b
        np.testing.assert_array_equal(found, wanted)
        return
    wide = "complex128" if dtype.startswith("c") else "float64"
    wanted = a.astype(wide) @ b.astype(wide)
    assert found.shape == wanted.shape
    k = a.shape[-1]
    single = 2**-52 if dtype in ("float64", "complex128") else 2**-23
    bound = np.abs(a.astype(wide)) @ np.abs(b.astype(wide)) * ((4 + k) * 2 * single + eps)
    bound = bound + np.abs(wanted) * EPS.get(dtype, 0) + (2.0**-25 if dtype == "float16" else 1e-300)
    assert np.all(np.abs(found - wanted) <= bound), (a.shape, b.shape)


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
@pytest.mark.parametrize(("left", "right"), list(itertools.product(LAYOUTS, repeat=2)))
def test_layouts(gpu: str, dtype: str, left: str, right: str) -> None:
    for _ in range(4):
        m, k, n = (int(RNG.choice(SIZES)) for _ in range(3))
        batch = [(), (2,), (3, 1)][RNG.integers(3)]
        (a, x), (b, y) = operand(gpu, (*batch, m, k), left, dtype), operand(gpu, (*batch[1:], k, n), right, dtype)
        check(x @ y, a, b, dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex128", "uint8", "bool"])
@pytest.mark.parametrize("k", [1, 8, 37, 1024, 40000])
def test_vectors(gpu: str, dtype: str, k: int) -> None:
    layouts = ("plain", "transposed", "gaps") if k < 10000 else ("plain",)
    for rows, layout in itertools.product((1, 300 if k < 1000 else 3), layouts):
        (a, x), (b, y) = operand(gpu, (rows, k), layout, dtype), operand(gpu, (k, 1), layout, dtype)
        check(at.mv(x, y[:, 0]), a, b[:, 0], dtype)
        check(y[:, 0] @ x.T, b[:, 0], a.T, dtype)
        check(x @ y, a, b, dtype)
        check(y.T @ x.T, b.T, a.T, dtype)
    check(at.dot(x[0], y[:, 0]), a[0], b[:, 0], dtype)
    (a, x), (b, y) = operand(gpu, (3, 2, k), "plain", dtype), operand(gpu, (3, k, 1), "plain", dtype)
    check(x @ y, a, b, dtype)
    check(y.mT @ x.mT, np.swapaxes(b, 1, 2), np.swapaxes(a, 1, 2), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64", "int32"])
def test_batches(gpu: str, dtype: str) -> None:
    shapes = [
        ((2, 3, 4, 5), (2, 3, 5, 6)),
        ((2, 3, 4, 5), (3, 5, 6)),
        ((4, 5), (2, 3, 5, 6)),
        ((2, 1, 4, 5), (1, 3, 5, 6)),
        ((6, 1, 2, 4, 5), (1, 7, 1, 5, 6)),
        ((2, 3, 4, 5), (5, 6)),
        ((0, 4, 5), (5, 6)),
        ((2, 4, 0), (2, 0, 6)),
        ((1, 1, 4, 5), (1, 1, 5, 6)),
    ]
    for first, second in shapes:
        a, b = numbers(first, dtype), numbers(second, dtype)
        check(on(gpu, a, dtype) @ on(gpu, b, dtype), a, b, dtype)
    # Heads behind positions, as attention has them: few launches, and more than are done without a copy.
    for many in (3, 9):
        a, b = numbers((many, 5, 10, 8), dtype), numbers((many, 7, 10, 8), dtype)
        q, k = on(gpu, a, dtype).transpose(1, 2), on(gpu, b, dtype).transpose(1, 2)
        check(q @ k.mT, np.swapaxes(a, 1, 2), b.transpose(0, 2, 3, 1), dtype)
    x = on(gpu, numbers((2, 3, 4, 5), dtype), dtype)
    np.testing.assert_array_equal(host(x.expand(4, 2, 3, 4, 5) @ x.mT), np.stack([host(x @ x.mT)] * 4))


def test_more_products_than_a_launch_takes(gpu: str) -> None:
    a, b = numbers((70000, 2, 3), "float32"), numbers((70000, 3, 2), "float32")
    check(on(gpu, a, "float32") @ on(gpu, b, "float32"), a, b, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "complex64", "int64", "bool"])
def test_addends(gpu: str, dtype: str) -> None:
    factors = [(1, 1), (1, 0), (0, 1), (2, 3), (1, -2)]
    if dtype == "bool":
        factors = [(bool(beta), bool(alpha)) for beta, alpha in factors[:3]]
    for (m, k, n), layout in itertools.product([(3, 4, 5), (40, 50, 60), (1, 70, 8), (9, 70, 1), (2, 0, 3)], LAYOUTS):
        (a, x), (b, y) = operand(gpu, (m, k), layout, dtype), operand(gpu, (k, n), "transposed", dtype)
        for shape, (beta, alpha) in itertools.product([(m, n), (n,), (1, n), (m, 1), (1, 1)], factors):
            c = numbers(shape, dtype)
            z = on(gpu, c, dtype)
            results = [at.addmm(z, x, y, beta=beta, alpha=alpha)]
            if shape == (m, n):
                results.append(z.clone().addmm_(x, y, beta=beta, alpha=alpha))
                results.append(z.T.contiguous().T.addmm_(x, y, beta=beta, alpha=alpha))
            exact = "int" in dtype or dtype == "bool"
            wide = c.dtype if exact else "complex128" if dtype.startswith("c") else "float64"
            product = a.astype(wide) @ b.astype(wide)
            wanted = np.asarray(alpha, wide) * product + np.asarray(beta, wide) * np.broadcast_to(
                c.astype(wide), (m, n)
            )
            for got in results:
                if exact:
                    np.testing.assert_array_equal(host(got), wanted)
                else:
                    eps = max(EPS.get(dtype, 0), 2**-22)
                    scale = np.abs(a.astype(wide)) @ np.abs(b.astype(wide)) + np.abs(c.astype(wide)) + 1
                    assert np.all(np.abs(host(got) - wanted) <= 8 * eps * scale), (m, k, n, shape, beta, alpha)


def test_addends_of_vectors_and_batches(gpu: str) -> None:
    a, b, v = numbers((3, 4, 5), "float32"), numbers((3, 5, 6), "float32"), numbers((5,), "float32")
    x, y, w = (on(gpu, array, "float32") for array in (a, b, v))
    for shape in [(3, 4, 6), (4, 6), (6,), (3, 1, 1), (1, 4, 1)]:
        c = numbers(shape, "float32")
        got = at.baddbmm(on(gpu, c, "float32"), x, y, beta=2, alpha=0.5)
        np.testing.assert_allclose(host(got), 0.5 * (a @ b) + 2 * np.broadcast_to(c, (3, 4, 6)), rtol=1e-5, atol=1e-5)
    for shape in [(4,), (1,), ()]:
        c = numbers(shape, "float32")
        got = at.addmv(on(gpu, c, "float32"), x[0], w, beta=2, alpha=0.5)
        np.testing.assert_allclose(host(got), 0.5 * (a[0] @ v) + 2 * c, rtol=1e-5, atol=1e-5)


def test_what_is_not_finite(gpu: str) -> None:
    nan = at.full((2, 2), float("nan"), device=gpu)
    assert (
        at.addmm(nan, at.ones(2, 3, device=gpu), at.ones(3, 2, device=gpu), beta=0).cpu().tolist() == [[3.0, 3.0]] * 2
    )
    infinite = at.full((1, 4), float("inf"), device=gpu)
    assert (infinite @ at.ones(4, 1, device=gpu)).item() == float("inf")
    wide = at.full((3, 4), complex(float("inf"), 0), device=gpu, dtype=at.complex64)
    assert np.isinf(host(wide[:1] @ at.ones(4, 1, device=gpu, dtype=at.complex64)).real).all()


def test_half_precision_sums_in_single(gpu: str) -> None:
    for dtype in (at.float16, at.bfloat16):
        ones = at.ones(3, 5000, dtype=dtype, device=gpu)
        assert (ones[:1] @ ones[:1].T).item() == host(at.tensor(5000.0).to(dtype))
        assert (ones @ ones.T)[0, 0].item() == host(at.tensor(5000.0).to(dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_halves_into_float32(gpu: str, dtype: str, layout: str) -> None:
    for m, k, n in [(3, 5, 7), (1, 33, 4), (4, 33, 1), (17, 64, 9), (2, 0, 3), (2, 1, 3)]:
        (a, x), (b, y) = operand(gpu, (2, m, k), layout, dtype), operand(gpu, (2, k, n), layout, dtype)
        wanted = a.astype(float) @ b.astype(float)
        # A product by powers of two is the same before and after.
        got = [at.bmm(x, y, at.float32), at.baddbmm(x[0, 0, :0].sum(), x, y, at.float32, beta=0.5, alpha=2) / 2]
        got.append(at.stack([at.mm(*pair, at.float32) for pair in zip(x, y, strict=True)]))
        got.append(at.ones(2, m, n, device=gpu).baddbmm_(x, y, at.float32, beta=-1) + 1)
        for each in got:
            assert each.dtype == at.float32
            bound = 4e-7 * (np.abs(a.astype(float)) @ np.abs(b.astype(float)) + 2)
            assert np.all(np.abs(host(each) - wanted) <= bound), (m, k, n)
    zero = at.addmm(at.ones(n, device=gpu), x[0], y[0], at.float32, alpha=0)
    np.testing.assert_array_equal(host(zero), np.ones((m, n)))


def test_out_may_be_an_input_or_of_another_dtype(gpu: str) -> None:
    x = at.arange(9.0, device=gpu).reshape(3, 3)
    expected = host(x) @ host(x)
    wide = at.empty(3, 3, dtype=at.float64, device=gpu)
    at.matmul(x, x, out=wide)
    np.testing.assert_array_equal(host(wide), expected)
    at.matmul(x, x, out=x)
    np.testing.assert_array_equal(host(x), expected)
    mixed = x.to(at.float16)[:, :2] @ at.ones(2, 3, dtype=at.int32, device=gpu)
    assert mixed.dtype == at.float16


def test_the_precision_of_float32(gpu: str) -> None:
    (a, x), (b, y) = operand(gpu, (20, 30), "plain", "float32"), operand(gpu, (30, 40), "transposed", "float32")
    exact = host(x @ y)
    try:
        for precision in ("high", "medium"):
            at.set_float32_matmul_precision(precision)
            coarse = host(x @ y)
            check(x @ y, a, b, "float32", eps=2**-10)
            np.testing.assert_array_equal(host(x.double() @ y.double()), a.astype(float) @ b.astype(float))
        assert not np.array_equal(coarse, exact)
    finally:
        at.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(host(x @ y), exact)


def test_an_algorithm_is_chosen_once(gpu: str) -> None:
    stand_in = _cuda.LIBRARY.with_name("libcublasLt.so.13")
    if not stand_in.exists():
        pytest.skip("the stand-in for cuBLASLt counts")
    x, y = at.ones(11, 12, device=gpu), at.ones(12, 13, device=gpu)
    count = ctypes.CDLL(str(stand_in)).atled_emulator_choices
    _ = x @ y
    before = count()
    for _ in range(3):
        _ = x @ y
        _ = at.addmm(at.ones(11, 13, device=gpu), x, y)
    assert count() == before
    bias = at.ones(13, device=gpu)
    _ = at.addmm(bias, x, y)
    assert count() == before + 1
    _ = at.addmm(bias * 2, x, y)
    _ = x[:, :5] @ y[:5]
    assert count() == before + 2
    # relu is cuBLASLt's, with a bias and without; float64's is not.
    for addend in (bias, None, at.ones(11, 1, device=gpu)):
        _ = at.ops.core.addmm_relu(addend, x, y)
    assert count() == before + 4
    _ = at.ops.core.addmm_relu(None, x.double(), y.double())
    assert count() == before + 5
    _ = x.double() @ y.double()
    assert count() == before + 5
    wide = at.ones(12, 16, device=gpu)
    for addend in (at.ones(16, device=gpu), None):
        _ = at.ops.core.addmm_gelu(addend, x, wide)
    assert count() == before + 7


def test_threads_have_plans_of_their_own(gpu: str) -> None:
    x = at.arange(35.0, device=gpu).reshape(5, 7)
    wanted, failures = host(x @ x.T), []

    def work(number: int) -> None:
        for _ in range(20):
            got = host(at.addmm(at.full((5,), float(number), device=gpu), x, x.T))
            if not np.array_equal(got, wanted + number):
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_another_device(gpu: str) -> None:
    try:
        second = at.device("cuda:1")
    except at.DeviceError as error:
        pytest.skip(str(error))
    x = at.ones(3, 40, device=second)
    assert (x @ x.T).cpu().tolist() == [[40.0] * 3] * 3 and (x[0] @ x[0]).item() == 40


def test_in_a_captured_graph(gpu: str) -> None:
    for k in (9, 90):  # without workspace and with it
        x, y, bias = at.ones(6, k, device=gpu), at.ones(k, 7, device=gpu), at.ones(7, device=gpu)
        graph = at.cuda.CUDAGraph()
        with at.cuda.graph(graph):
            out = at.addmm(bias, x, y)
            row = at.mv(x, y[:, 0])
        x.fill_(2)
        bias.fill_(3)
        graph.replay()
        assert out.tolist() == [[2.0 * k + 3] * 7] * 6 and row.tolist() == [2.0 * k] * 6


def test_on_another_stream(gpu: str) -> None:
    side = at.cuda.Stream()
    x = at.ones(6, 90, device=gpu)
    side.wait_stream(at.cuda.current_stream())
    with at.cuda.stream(side):
        squares = x @ x.T
    side.synchronize()
    assert squares.tolist() == [[90.0] * 6] * 6
