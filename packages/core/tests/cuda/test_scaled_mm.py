"""Products of float8 on device "cuda": layouts, sizes, biases, scales, captured graphs, and GPUs that have none."""

from typing import Any

import numpy as np
import pytest

import atled.core as at

RNG = np.random.default_rng(2)
DTYPES = [at.bfloat16, at.float16, at.float32]
EPS = {at.bfloat16: 2**-8, at.float16: 2**-11, at.float32: 2**-20}


def factor(rows: int, columns: int, layout: str, kind: at.dtype = at.float8_e4m3fn) -> at.Tensor:
    """Random numbers of float8 on the CPU."""
    shape = {"transposed": (columns, rows), "gaps": (rows, 2 * columns), "shifted": (rows, columns + 3)}
    made = at.tensor(RNG.standard_normal(shape.get(layout, (rows, columns))).astype(np.float32)).to(kind)
    if layout == "transposed":
        return made.t()
    return made[:, ::2] if layout == "gaps" else made[:, 3:] if layout == "shifted" else made


def moved(t: at.Tensor, gpu: str) -> at.Tensor:
    """On the device, with the same strides."""
    whole = t.new_zeros(sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)) + 4)
    view = whole[3:].as_strided(t.shape, t.stride(), 3)
    view.copy_(t)
    return whole.to(gpu).as_strided(t.shape, t.stride(), 3)


def scale(number: float, gpu: str) -> at.Tensor:
    return at.tensor([0.0, number], device=gpu)[1]


def check(got: at.Tensor, a: at.Tensor, b: at.Tensor, by: Any, bias: Any = 0.0) -> None:
    x, y = a.to(at.float64).numpy(), b.to(at.float64).numpy()
    expected, size = by * (x @ y) + bias, abs(by) * (abs(x) @ abs(y)) + abs(bias)
    error = abs(got.to("cpu").to(at.float64).numpy() - expected)
    assert np.all(error <= EPS[got.dtype] * (abs(expected) + 2**-8 * size) + 1e-12), error.max()


@pytest.mark.parametrize("right", ["plain", "transposed", "gaps", "shifted"])
@pytest.mark.parametrize("left", ["plain", "transposed", "gaps", "shifted"])
def test_layouts(gpu: str, left: str, right: str) -> None:
    for m, k, n in ((32, 48, 16), (5, 48, 64), (7, 9, 11), (1, 16, 1)):
        a, b = factor(m, k, left), factor(k, n, right)
        check(at.scaled_mm(moved(a, gpu), moved(b, gpu), scale(0.5, gpu), scale(3, gpu)), a, b, 1.5)
        check(at.scaled_mm(a.to(gpu), b.to(gpu), scale(0.5, gpu), scale(-3, gpu)), a, b, -1.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [48, 40])
def test_biases(gpu: str, dtype: at.dtype, n: int) -> None:
    a, b = factor(20, 32, "plain"), factor(32, n, "transposed")
    given = at.tensor(RNG.standard_normal(2 * n + 1).astype(np.float32)).to(dtype)
    for bias in (given[:n], given[1 : n + 1], given[: 2 * n : 2]):
        there = given.to(gpu).as_strided(bias.shape, bias.stride(), bias.storage_offset())
        got = at.scaled_mm(a.to(gpu), b.to(gpu), scale(2, gpu), scale(0.25, gpu), there, dtype)
        assert got.dtype is dtype
        check(got, a, b, 0.5, bias.to(at.float64).numpy())


@pytest.mark.parametrize("kinds", [(at.float8_e5m2, at.float8_e4m3fn), (at.float8_e4m3fn, at.float8_e5m2)])
def test_both_formats(gpu: str, kinds: tuple[at.dtype, at.dtype]) -> None:
    a, b = factor(16, 32, "plain", kinds[0]), factor(32, 16, "plain", kinds[1])
    check(at.scaled_mm(a.to(gpu), b.to(gpu), scale(1, gpu), scale(1, gpu), out_dtype=at.float32), a, b, 1)


@pytest.mark.parametrize("n", [32, 21])
def test_scales_of_rows_and_columns(gpu: str, n: int) -> None:
    a, b = factor(20, 32, "plain"), factor(32, n, "transposed")
    rows, columns = (at.rand(*shape) + 0.5 for shape in ((20, 1), (1, n)))
    bias = at.arange(n, dtype=at.float16)
    for left, right in ((rows, columns), (rows, at.tensor(0.25)), (at.tensor(0.25), columns.expand(1, n))):
        got = at.scaled_mm(a.to(gpu), b.to(gpu), left.to(gpu), right.to(gpu), bias.to(gpu), at.float16)
        check(got, a, b, (left.double() * right.double()).numpy(), np.arange(n, dtype=np.float64))


def test_out(gpu: str) -> None:
    a, b = factor(16, 32, "plain"), factor(32, 16, "transposed")
    for out in (at.empty(16, 16, device=gpu).t(), at.empty(16, 17, dtype=at.bfloat16, device=gpu)[:, 1:]):
        assert at.scaled_mm(a.to(gpu), b.to(gpu), scale(1, gpu), scale(1, gpu), out=out) is out
        check(out.to(at.bfloat16), a, b, 1)


@pytest.mark.parametrize("has_float8", [True, False])
def test_gpus_without_float8(gpu: str, has_float8: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLED_EMULATED_FLOAT8", "01"[has_float8])
    k = 80 + 16 * has_float8  # what was chosen for a size is kept
    a, b = factor(24, k, "plain"), factor(k, 32, "transposed")
    for dtype in DTYPES:
        bias = at.arange(32, dtype=dtype)
        got = at.scaled_mm(a.to(gpu), b.to(gpu), scale(2, gpu), scale(0.25, gpu), bias.to(gpu), dtype)
        check(got, a, b, 0.5, np.arange(32.0))


def test_scales_are_read_on_the_device(gpu: str) -> None:
    a, b = factor(16, 32, "plain"), factor(32, 16, "transposed")
    x, y, by, one = a.to(gpu), b.to(gpu), at.tensor(1.0, device=gpu), at.tensor(1.0, device=gpu)
    _ = at.scaled_mm(x, y, by, one)
    graph = at.cuda.CUDAGraph()
    with at.cuda.graph(graph):
        got = at.scaled_mm(x, y, by, one)
    for number in (2.0, 0.5):
        by.fill_(number)
        graph.replay()
        check(got, a, b, number)
    with pytest.raises(at.DeviceError, match="scale_a"):
        at.scaled_mm(x, y, at.tensor(1.0), one)
