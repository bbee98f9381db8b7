"""x[key] and x[key] = value against NumPy: slices, integers, None, ..., masks and index tensors, in all mixtures."""

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.testing import to_numpy

SHAPE = (4, 3, 5)


def values() -> Any:
    return np.arange(60).reshape(SHAPE)


def split(key: Any) -> tuple[Any, Any]:
    """PyTorch applies integers before index tensors; to NumPy they are index arrays themselves."""
    parts = key if isinstance(key, tuple) else (key,)
    arrays = any(isinstance(part, (np.ndarray, list)) for part in parts)
    if not arrays or not any(type(part) is int for part in parts):
        return (), key
    first: list[Any] = []
    for part in parts:
        if part is None:
            continue
        dims = part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1
        first += [part] if type(part) is int or part is ... else [slice(None)] * dims
    return tuple(first), tuple(part for part in parts if type(part) is not int)


def convert(key: Any) -> Any:
    """A NumPy key with tensors in place of arrays."""
    if isinstance(key, tuple):
        return tuple(map(convert, key))
    return at.tensor(key) if isinstance(key, np.ndarray) else key


MASK = values() % 3 == 0
ROWS = np.array([True, False, True, True])
KEYS: list[Any] = [
    0,
    -1,
    (1, 2, 3),
    slice(None),
    slice(1, 3),
    slice(None, None, 2),
    slice(None, None, -1),
    slice(3, None, -2),
    slice(10, 20),
    slice(-100, 100, 3),
    (slice(None), 1),
    (..., 0),
    (0, ...),
    ...,
    None,
    (None, 0, None),
    (slice(1, 2), None, ..., slice(None, None, -2)),
    (),
    np.array([0, 2, -1]),
    np.array([[0, 1], [2, 3]]),
    (np.array([0, 1]), np.array([2, 0])),
    (slice(None), np.array([2, 0, 0])),
    (np.array([0, 1]), slice(None), np.array([4, -5])),
    (0, slice(None), np.array([1, 1])),
    (np.array([0, 3]), 1, slice(1, 4)),
    (np.array([[0], [3]]), np.array([0, 1, 2])),
    (None, np.array([0, 1]), ...),
    (..., np.array([0, 1]), np.array([3, 4])),
    (np.array([0, 1]), None, np.array([2, 0])),
    MASK,
    ROWS,
    (ROWS, 0),
    (ROWS, slice(None), np.array([0, 4, 2])),
    (slice(None), np.array([True, False, True])),
    (slice(1, 3), np.array([True, False, True]), None),
    np.zeros(4, bool),
    np.zeros(0, np.int64),
    True,
    False,
    (np.array(2), slice(None)),
    np.array([3, 1], np.uint8),
    [0, 2],
    [True, False, True, False],
    (slice(None), [0, 2]),
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_getitem(key: Any) -> None:
    first, rest = split(key)
    expected = values()[first][rest]
    result = at.tensor(values())[convert(key)]
    assert isinstance(result, at.Tensor) and result.shape == expected.shape
    np.testing.assert_array_equal(to_numpy(result), expected)


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
@pytest.mark.parametrize("kind", ["number", "0-d", "whole", "broadcast", "float"])
def test_setitem(key: Any, kind: str) -> None:
    whole, actual = values(), at.tensor(values())
    first, rest = split(key)
    expected = whole[first]
    shape = expected[rest].shape
    fill: Any = -np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    if kind == "number":
        fill = -7
    elif kind == "0-d":
        fill = np.array(-7)
    elif kind == "broadcast":
        fill = fill[..., :1] if fill.ndim else fill
    elif kind == "float":
        fill = fill + 0.5
    if expected[rest].size == 0 and kind == "broadcast":
        fill = np.zeros(1, np.int64)
    expected[rest] = fill
    actual[convert(key)] = at.tensor(fill) if isinstance(fill, np.ndarray) else fill
    np.testing.assert_array_equal(to_numpy(actual), whole)


def random_key(rng: np.random.Generator) -> Any:
    """A key of NumPy's that is in range, and says the same to both."""
    parts: list[Any] = []
    left = list(SHAPE)
    arrays = rng.integers(1, 3, 2)
    while left:
        n = left[0]
        match rng.integers(0, 7):
            case 0:
                parts.append(int(rng.integers(-n, n)))
            case 1 | 2:
                bounds = [None if rng.random() < 0.3 else int(v) for v in rng.integers(-n - 2, n + 3, 2)]
                parts.append(slice(*bounds, int(rng.choice([-2, -1, 1, 2, 3]))))
            case 3:
                parts.append(rng.integers(-n, n, arrays))
            case 4:
                parts.append(None)
                continue
            case 5:
                break
            case _:
                parts.append(slice(None))
        left.pop(0)
    if rng.random() < 0.2:
        parts.append(...)
    return tuple(parts)


def test_random_keys() -> None:
    rng = np.random.default_rng(7)
    for _ in range(1500):
        key = random_key(rng)
        whole, actual = values(), at.tensor(values())
        first, rest = split(key)
        expected = whole[first]
        np.testing.assert_array_equal(to_numpy(actual[convert(key)]), expected[rest], err_msg=str(key))
        expected[rest], actual[convert(key)] = -1, -1
        np.testing.assert_array_equal(to_numpy(actual), whole, err_msg=str(key))


def test_basic_keys_are_views_and_advanced_ones_copies() -> None:
    x = at.zeros(4, 3)
    for key in (0, slice(1, 3), (slice(None), 1), None, ..., (0, ..., None), slice(None, None, -1)):
        assert x[key].shares_storage(x), key
    for advanced in (at.tensor([0, 1]), at.ones(4, dtype=at.bool), [0, 1]):
        assert not x[advanced].shares_storage(x)
    x[1:, 0].fill_(5)
    assert x[:, 0].tolist() == [0.0, 5.0, 5.0, 5.0]


def test_assignment_converts_and_checks() -> None:
    x = at.zeros(3, dtype=at.int32)
    x[1] = 2.9
    assert x.tolist() == [0, 2, 0]
    with pytest.raises(at.ShapeError):
        x[:2] = at.ones(3)
    with pytest.raises(at.ArgumentError):
        x[0] = "text"


def test_assignment_from_a_view_of_itself() -> None:
    for make in (lambda x: x[1:], lambda x: x[:-1], lambda x: x[::-1][:-1]):
        x, y = at.arange(6), np.arange(6)
        x[:-1], y[:-1] = make(x), make(y).copy()
        assert x.tolist() == y.tolist()
    x = at.arange(6).reshape(2, 3)
    x[:, at.tensor([2, 0])] = x[:, :2]
    assert x.tolist() == [[1, 1, 0], [4, 4, 3]]


def test_augmented_assignment_through_a_key() -> None:
    x = at.zeros(3)
    x[1:] += 2
    x[at.tensor([0, 0])] += 1  # as NumPy has it: the last write wins
    assert x.tolist() == [1.0, 2.0, 2.0]


def test_iteration_length_and_membership() -> None:
    x = at.arange(6).reshape(3, 2)
    assert len(x) == 3 and [row.tolist() for row in x] == [[0, 1], [2, 3], [4, 5]]
    assert 5 in x and 6 not in x
    a, b, c = x
    assert b.shares_storage(x) and (a + c).tolist() == [4, 6]
