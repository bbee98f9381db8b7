"""Reductions too long for one block: every path through memory, and the last block's combining."""

import numpy as np
import pytest

import atled.core as at
from atled.core.cuda import CUDAGraph, Stream

# Shape, order of dimensions in memory, what is reduced.
LAYOUTS = [
    ((40_000,), (0,), None),
    ((3, 20_000), (0, 1), 1),
    ((20_000, 3), (0, 1), 0),
    ((700, 150), (0, 1), 0),
    ((8, 16, 20, 20), (0, 1, 2, 3), (0, 2, 3)),
    ((8, 16, 20, 21), (0, 1, 2, 3), (0, 2, 3)),
    ((9, 3, 50, 40), (0, 1, 2, 3), (1, 3)),
    ((60, 70, 11), (2, 0, 1), (0, 2)),
]


def _input(shape: tuple[int, ...], order: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(len(shape))
    x = rng.integers(-9, 10, [shape[d] for d in order]).astype(dtype)
    return x.transpose(np.argsort(order))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "complex128"])
@pytest.mark.parametrize(("shape", "order", "dim"), LAYOUTS)
def test_sums_are_exact(gpu: str, dtype: str, shape: tuple[int, ...], order: tuple[int, ...], dim: object) -> None:
    x = _input(shape, order, dtype)
    there = at.tensor(x, device=gpu)
    assert there.stride() == at.tensor(x).stride()
    for part, here in ((there, x), (there[..., 1:], x[..., 1:])):
        wide = np.complex128 if dtype == "complex128" else np.float64
        expected = here.astype(wide).sum(axis=dim)
        if dtype == "float16":
            expected = expected.astype(dtype)
        np.testing.assert_array_equal(part.sum(dim).cpu().numpy(), expected)


@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
@pytest.mark.parametrize(("shape", "order", "dim"), LAYOUTS)
def test_statistics(gpu: str, dtype: str, shape: tuple[int, ...], order: tuple[int, ...], dim: object) -> None:
    x = _input(shape, order, dtype)
    there = at.tensor(x, device=gpu)
    np.testing.assert_array_equal(there.amax(dim).cpu().numpy(), x.max(axis=dim))
    if dim is None or isinstance(dim, int):
        # Few different values, so that the first of many equal ones is looked for.
        np.testing.assert_array_equal(there.argmax(dim).cpu().numpy(), x.argmax(axis=dim))
        np.testing.assert_array_equal(there.argmin(dim).cpu().numpy(), x.argmin(axis=dim))
    if dtype == "int8":
        return
    there, x = there * 0.125 + 1000, x.astype(np.float64) * 0.125 + 1000
    rtol = 1e-5 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(there.var(dim).cpu().numpy(), x.var(axis=dim, ddof=1), rtol=rtol)
    np.testing.assert_allclose(
        there.logsumexp(dim).cpu().numpy(), np.log(np.exp(x - 1000).sum(axis=dim)) + 1000, rtol=1e-6
    )


def test_the_first_of_nans_and_infinities(gpu: str) -> None:
    x = np.full(70_000, -np.inf, np.float32)
    assert at.tensor(x, device=gpu).argmax().item() == 0
    x[[66_000, 40_001]] = np.nan
    assert at.tensor(x, device=gpu).argmax().item() == 40_001
    assert at.tensor(x, device=gpu).argmin().item() == 40_001
    assert np.isnan(at.tensor(x, device=gpu).logsumexp(0).item())


@pytest.mark.parametrize(("m", "k"), [(1, 50_001), (3, 70_000), (130, 40_000)])
def test_long_products_with_a_vector(gpu: str, m: int, k: int) -> None:
    rng = np.random.default_rng(k)
    a, v = rng.integers(-3, 4, (m, k)).astype(np.float32), rng.integers(-3, 4, k).astype(np.float32)
    found = at.tensor(a, device=gpu) @ at.tensor(v, device=gpu)
    np.testing.assert_array_equal(found.cpu().numpy(), a @ v)


def test_streams_and_graphs_do_not_share_what_blocks_count_by(gpu: str) -> None:
    x = at.ones(50_000, device=gpu)
    at.cuda.synchronize()
    sides = [Stream() for _ in range(3)]
    sums = []
    for _ in range(3):
        for side in sides:
            with at.cuda.stream(side):
                sums.append((x * 2).sum())
    graph = CUDAGraph()
    with at.cuda.graph(graph):
        captured = (x + 1).sum()
    for side in sides:
        with at.cuda.stream(side):
            graph.replay()
        sums.append(x.sum() * 2)
        side.synchronize()
        assert captured.item() == 100_000
    assert [s.item() for s in sums] == [100_000] * 12
    del sides  # their streams' counters go with them
    assert x.sum().item() == 50_000
