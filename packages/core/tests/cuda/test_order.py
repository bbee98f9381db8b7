"""What the specifications' small samples do not reach: lines longer than a block sorts, in batches and in rounds."""

import numpy as np
import pytest

import atled.core as at

DTYPES = ("uint8", "int16", "float16", "float32", "int64", "float64")


def _numbers(dtype: str, *shape: int, few: int = 0) -> np.ndarray:
    rng = np.random.default_rng(len(shape) + few)
    if few:
        return rng.integers(0, few, shape).astype(dtype)
    if np.dtype(dtype).kind == "f":
        x = rng.standard_normal(shape).astype(dtype)
        x.flat[:: max(1, x.size // 7)] = np.nan
        x.flat[1 :: max(2, x.size // 5)] = -0.0
        return x
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def _stable(x: np.ndarray, descending: bool = False) -> np.ndarray:
    if not descending:
        return np.argsort(x, -1, kind="stable")
    return x.shape[-1] - 1 - np.argsort(x[..., ::-1], -1, kind="stable")[..., ::-1]


# One line and several, which one radix sort takes on at once; within a block, just beyond, and far beyond.
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2049,), (5, 3000), (300, 2100), (3, 2048), (7, 33), (1, 1)])
@pytest.mark.parametrize("descending", [False, True])
def test_sorted_lines(gpu: str, dtype: str, shape: tuple[int, ...], descending: bool) -> None:
    for few in (0, 3):
        x = _numbers(dtype, *shape, few=few)
        values, indices = at.tensor(x, device=gpu).sort(-1, descending)
        expected = _stable(x, descending)
        np.testing.assert_array_equal(indices.cpu().numpy(), expected)
        sorted_ = np.take_along_axis(x, expected, -1)
        assert values.cpu().numpy().tobytes() == sorted_.tobytes()  # zeros keep their signs


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize(("n", "k"), [(2048, 2000), (2049, 1), (70000, 7), (9000, 256), (9000, 257), (9000, 9000)])
def test_the_first_of_long_lines(gpu: str, dtype: str, n: int, k: int) -> None:
    x = _numbers(dtype, 3, n)
    values, indices = at.tensor(x, device=gpu).topk(k)
    expected = _stable(x, True)[:, :k]
    np.testing.assert_array_equal(indices.cpu().numpy(), expected)
    np.testing.assert_array_equal(values.cpu().numpy(), np.take_along_axis(x, expected, -1))


@pytest.mark.parametrize("k", [1, 10, 256])
@pytest.mark.parametrize("kind", ["falling", "rising", "equal", "few"])
def test_the_first_of_lines_in_order(gpu: str, kind: str, k: int) -> None:
    n = 20_000
    x = {"falling": np.arange(n, 0, -1), "rising": np.arange(n), "equal": np.ones(n), "few": np.arange(n) % 3}[kind]
    lines = np.stack([x, x + 1]).astype(np.float32)
    for largest in (False, True):
        values, indices = at.tensor(lines, device=gpu).topk(k, largest=largest)
        expected = _stable(lines, largest)[:, :k]
        np.testing.assert_array_equal(indices.cpu().numpy(), expected)
        np.testing.assert_array_equal(values.cpu().numpy(), np.take_along_axis(lines, expected, -1))


@pytest.mark.parametrize("n", [100, 5000])
def test_medians_and_modes(gpu: str, n: int) -> None:
    x = _numbers("float32", 4, n)
    x[1:] = np.nan_to_num(x[1:])
    here, there = at.tensor(x), at.tensor(x, device=gpu)
    assert [r.tolist() for r in there.kthvalue(n // 3, 1)] == [r.tolist() for r in here.kthvalue(n // 3, 1)]
    few = at.tensor(_numbers("int32", 4, n, few=9))
    for one, other in zip(few.to(gpu).mode(1), few.mode(1), strict=True):
        assert one.tolist() == other.tolist()
    for one, other in zip(there.median(1), here.median(1), strict=True):
        np.testing.assert_array_equal(one.cpu().numpy(), other.cpu().numpy())


def test_unique_of_many(gpu: str) -> None:
    x = at.tensor(_numbers("int32", 70000, few=5000))
    for one, other in zip(at.unique_all(x.to(gpu)), at.unique_all(x), strict=True):
        np.testing.assert_array_equal(one.cpu().numpy(), other.cpu().numpy())
    np.testing.assert_array_equal(at.unique_values(x.to(gpu)).cpu().numpy(), at.unique_values(x).cpu().numpy())
    rows = at.tensor(_numbers("uint8", 3000, 3, few=6))
    for one, other in zip(
        at.unique(rows.to(gpu), return_inverse=True, return_counts=True, dim=0),
        at.unique(rows, return_inverse=True, return_counts=True, dim=0),
        strict=True,
    ):
        np.testing.assert_array_equal(one.cpu().numpy(), other.cpu().numpy())


@pytest.mark.parametrize("bins", [7, 20000])
def test_counts_and_weights(gpu: str, bins: int) -> None:
    x, weights = _numbers("int64", 50000, few=bins), np.linspace(0, 1, 50000)
    there = at.tensor(x, device=gpu)
    np.testing.assert_array_equal(there.bincount().cpu().numpy(), np.bincount(x))
    first = there.bincount(at.tensor(weights, device=gpu)).cpu().numpy()
    np.testing.assert_allclose(first, np.bincount(x, weights), rtol=1e-13)
    again = there.bincount(at.tensor(weights, device=gpu)).cpu().numpy()
    assert first.tobytes() == again.tobytes()
