"""Softmax and scans along one dimension, in every layout that the device's kernels tell apart, against NumPy."""

import math

import numpy as np
import pytest

import atled.core as at

# Rows in registers, of one lane and of many; lines that are read twice; lines that blocks share; columns.
SHAPES = [
    ((7, 1), 1),
    ((5, 3), 1),
    ((70, 33), 1),
    ((9, 128), 1),
    ((3, 1000), 1),
    ((2, 8192), 1),
    ((2, 8200), 1),
    ((1, 140_000), 1),
    ((2, 20, 40), 1),
    ((300, 2), 0),
    ((4, 5, 300), 1),
    ((2, 3000, 3), 1),
    ((20_000, 1), 0),
    ((16, 2, 3), 0),
]
INF = math.inf


def _numbers(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape) * 5


def _check(found: at.Tensor, expected: np.ndarray, ulps: float, least: float = 0) -> None:
    result = np.asarray(found.cpu())
    assert result.shape == expected.shape
    bound = ulps * np.spacing(np.maximum(np.abs(expected), least).astype(result.dtype)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        same = (result == expected) | (np.abs(result.astype(np.float64) - expected) <= bound)
    assert (same | (np.isnan(result) & np.isnan(expected))).all()


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax(gpu: str, shape: tuple[int, ...], dim: int, dtype: str) -> None:
    x = _numbers(shape).astype(dtype)
    wide = x.astype(np.longdouble)
    e = np.exp(wide - wide.max(dim, keepdims=True))
    t = at.tensor(x, device=gpu)
    _check(t.softmax(dim), (e / e.sum(dim, keepdims=True)).astype(np.float64), 8)
    log = wide - wide.max(dim, keepdims=True) - np.log(e.sum(dim, keepdims=True))
    _check(t.log_softmax(dim), log.astype(np.float64), 8, 1)


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_gradients_of_softmax(gpu: str, shape: tuple[int, ...], dim: int, dtype: str) -> None:
    g, x = _numbers(shape).astype(dtype), _numbers(shape, 1).astype(dtype)
    for op, backward in (
        (at.softmax, at.ops.core.softmax_backward),
        (at.log_softmax, at.ops.core.log_softmax_backward),
    ):
        result = op(at.tensor(x), dim)
        y, wide = np.asarray(result).astype(np.longdouble), g.astype(np.longdouble)
        if op is at.softmax:
            expected = (wide - (wide * y).sum(dim, keepdims=True)) * y
        else:
            expected = wide - np.exp(y) * wide.sum(dim, keepdims=True)
        found = backward(at.tensor(g, device=gpu), result.to(gpu), dim)
        _check(found, expected.astype(np.float64), 16, float(np.abs(g).max()))


@pytest.mark.parametrize("n", [5, 200, 9000, 140_000])
def test_softmax_of_infinities(gpu: str, n: int) -> None:
    rows = np.zeros((5, n), np.float32)
    rows[0, n - 2] = INF
    rows[1, 2] = np.nan
    rows[2] = -INF
    rows[3] = -INF
    rows[3, n - 1] = 3
    rows[4, : n // 2] = -INF
    for x in (rows, np.ascontiguousarray(rows.T)):
        dim = 1 if x is rows else 0
        t = at.tensor(x)
        for op in (at.softmax, at.log_softmax):
            _check(op(t.to(gpu), dim), np.asarray(op(t, dim)).astype(np.float64), 8, float(op is at.log_softmax))


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_sums_and_products(gpu: str, shape: tuple[int, ...], dim: int) -> None:
    x = _numbers(shape, 1)
    exact = at.tensor(np.cumsum(x.astype(np.longdouble), dim).astype(np.float64))
    assert at.allclose(at.tensor(x, device=gpu).cumsum(dim).cpu(), exact, rtol=1e-12, atol=1e-9)
    signs = np.where(x > 0, 1, -1).astype(np.int8)
    np.testing.assert_array_equal(np.asarray(at.tensor(signs, device=gpu).cumsum(dim).cpu()), signs.cumsum(dim))
    np.testing.assert_array_equal(np.asarray(at.tensor(signs, device=gpu).cumprod(dim).cpu()), signs.cumprod(dim))
    narrow = at.tensor(signs, device=gpu).cumsum(dim, dtype=at.int8)
    np.testing.assert_array_equal(np.asarray(narrow.cpu()), signs.cumsum(dim, dtype=np.int8))


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_extremes(gpu: str, shape: tuple[int, ...], dim: int) -> None:
    x = at.tensor(_numbers(shape, 2).round().astype(np.float32))  # many of them equal
    x.reshape(-1)[-1] = math.nan
    for t in (x, x.to(at.bfloat16), x.nan_to_num().to(at.int16)):
        for op in (at.cummax, at.cummin):
            found, expected = op(t.to(gpu), dim), op(t, dim)
            np.testing.assert_array_equal(*(np.asarray(r.values.float().cpu()) for r in (found, expected)))
            np.testing.assert_array_equal(*(np.asarray(r.indices.cpu()) for r in (found, expected)))


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_log_sums(gpu: str, shape: tuple[int, ...], dim: int) -> None:
    x = _numbers(shape, 3) * 40
    expected = np.logaddexp.accumulate(x.astype(np.longdouble), dim).astype(np.float64)
    assert at.allclose(at.tensor(x, device=gpu).logcumsumexp(dim).cpu(), at.tensor(expected), rtol=1e-13, atol=1e-13)
    ends = at.tensor([-INF, -INF, 1.0, INF, INF, 2.0])
    np.testing.assert_array_equal(*(np.asarray(t.logcumsumexp(0).cpu()) for t in (ends.to(gpu), ends)))


def test_the_same_at_every_run(gpu: str) -> None:
    x = at.tensor(_numbers((1, 40_000)), device=gpu)
    first = np.asarray(x.cumsum(1).cpu())
    for _ in range(3):
        np.testing.assert_array_equal(np.asarray(x.cumsum(1).cpu()), first)


def test_in_place(gpu: str) -> None:
    for shape, dim in (((3, 20_000), 1), ((2000, 3), 0)):
        x = _numbers(shape).round()
        t = at.tensor(x, device=gpu)
        t.cumsum_(dim)
        np.testing.assert_array_equal(np.asarray(t.cpu()), x.cumsum(dim))
