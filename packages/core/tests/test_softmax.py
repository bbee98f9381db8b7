"""Softmax of short rows, which are computed as columns, for every number of rows that fills the last group or not."""

import numpy as np
import pytest

import atled.core as at


@pytest.mark.parametrize("dtype", [at.float64, at.float32, at.bfloat16])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 17, 32, 79, 80])
@pytest.mark.parametrize("rows", [1, 7, 8, 63, 64, 65, 130])
def test_short_rows(rows: int, n: int, dtype: at.dtype) -> None:
    random = np.random.default_rng(rows * 100 + n)
    x = at.tensor(random.standard_normal((rows, n)) * 5).to(dtype)
    grad = at.tensor(random.standard_normal((rows, n))).to(dtype)
    wide, g = x.to(at.float64).numpy(), grad.to(at.float64).numpy()
    y = np.exp(wide - wide.max(1, keepdims=True))
    y /= y.sum(1, keepdims=True)
    near = 16 * at.finfo(dtype).eps

    def expect(got: at.Tensor, expected: np.ndarray) -> None:
        np.testing.assert_allclose(got.to(at.float64).numpy(), expected, rtol=near, atol=near)

    expect(at.softmax(x, 1), y)
    expect(at.log_softmax(x, 1), np.log(y))
    ops = at.ops.core
    expect(ops.softmax_backward(grad, at.softmax(x, 1), 1), (g - (g * y).sum(1, keepdims=True)) * y)
    expect(ops.log_softmax_backward(grad, at.log_softmax(x, 1), 1), g - y * g.sum(1, keepdims=True))


@pytest.mark.parametrize("n", [3, 10, 79])
def test_short_rows_and_columns_give_the_same_bits(n: int) -> None:
    x = at.tensor(np.random.default_rng(n).standard_normal((100, n)).astype(np.float32))
    turned = x.T.contiguous()
    for op in (at.softmax, at.log_softmax):
        assert op(x, 1).tolist() == op(turned, 0).T.tolist()


@pytest.mark.parametrize("n", [31, 32, 63, 511, 1023])
def test_equal_elements_whose_sums_all_round_the_same_way(n: int) -> None:
    x = np.repeat(np.linspace(-6, 0, 3000).astype(np.float32)[:, None], n, 1)
    x[:, 0] = 0
    y = np.exp(x.astype(np.float64))
    y /= y.sum(1, keepdims=True)
    got = at.softmax(at.from_numpy(x), 1).numpy()
    assert (np.abs(got - y) / np.spacing(y.astype(np.float32))).max() < 8


@pytest.mark.parametrize("width", [2, 100])
@pytest.mark.parametrize("dtype", [at.float32, at.float16, at.bfloat16])
def test_down_to_the_least_number(dtype: at.dtype, width: int) -> None:
    """Results below the normal numbers are rounded once; what is less than half the least is 0."""
    x = np.full((4000, width), -np.inf, np.float32)
    x[:, 0], x[:, -1] = 0, -np.linspace(0, 110, 4000)
    t = at.from_numpy(x).to(dtype)
    wide = t.to(at.float64).numpy()
    y = np.exp(wide)
    y /= y.sum(1, keepdims=True)
    info = at.finfo(dtype)
    got = at.softmax(t, 1).to(at.float64).numpy()
    assert (np.abs(got - y) <= 4 * info.eps * y + info.smallest_normal * info.eps).all()


@pytest.mark.parametrize("n", [3, 79, 80, 97, 600])
def test_rows_of_infinities_and_nan(n: int) -> None:
    x = np.zeros((5, n), np.float32)
    x[0, -1], x[1, 0], x[2, -1], x[3] = np.nan, np.inf, -np.inf, -np.inf
    x[4, -1] = 1e30
    got = at.softmax(at.from_numpy(x), 1).numpy()
    assert np.isnan(got[0]).all() and np.isnan(got[1]).any() and np.isnan(got[3]).all()
    assert got[2, -1] == 0 and np.abs(got[2, :-1] - 1 / (n - 1)).max() < 1e-6
    assert got[4, -1] == 1 and (got[4, :-1] == 0).all()
