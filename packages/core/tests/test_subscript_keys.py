"""x[key] and x[key] = value against NumPy, for keys made at random from everything that a key may hold."""

import math
import random
from typing import Any

import numpy as np
import pytest

import atled.core as at

Key = tuple[Any, ...]


def random_key(draw: random.Random, rng: np.random.Generator, shape: tuple[int, ...]) -> Key:
    key: list[Any] = []
    index_shape = draw.choice([(3,), (2, 3), (1,), (2, 1)])
    edges = [None, *range(-6, 7)]
    dim = 0
    while dim < len(shape):
        kind = draw.choice(["slice", "slice", "int", "new", "tensor", "tensor", "mask", "rest", "stop"])
        if kind == "stop":
            break
        if kind == "rest":
            key.append(...)
            break
        if kind == "new":
            key.append(None)
            continue
        if kind == "slice" or shape[dim] == 0 or (kind == "mask" and any(isinstance(k, np.ndarray) for k in key)):
            key.append(slice(draw.choice(edges), draw.choice(edges), draw.choice([None, 1, 2, -1, -3])))
        elif kind == "int":
            key.append(draw.randrange(-shape[dim], shape[dim]))
        elif kind == "tensor":
            key.append(rng.integers(-shape[dim], shape[dim], index_shape))
        else:
            key.append(rng.random(shape[dim]) < 0.5)
        dim += 1
    return tuple(key)


def select_first(array: Any, key: Key) -> tuple[Any, Key]:
    """Integers beside index tensors take their slices first, as in PyTorch; NumPy would count them as index tensors."""
    if not any(isinstance(k, np.ndarray) for k in key):
        return array, key
    integers = tuple(k if isinstance(k, int) or k is ... else slice(None) for k in key if k is not None)
    return array[integers], tuple(k for k in key if not isinstance(k, int))


def tensor_key(key: Key) -> Key:
    return tuple(at.asarray(k) if isinstance(k, np.ndarray) else k for k in key)


@pytest.mark.parametrize("seed", range(60))
def test_random_keys(seed: int) -> None:
    draw, rng = random.Random(seed), np.random.default_rng(seed)
    for _ in range(20):
        shape = tuple(draw.choice([0, 1, 2, 3, 5]) for _ in range(draw.randint(1, 4)))
        array = rng.integers(0, 1000, shape).astype(draw.choice(["int64", "float32", "int16", "complex64"]))
        x = at.asarray(array.copy())
        if draw.random() < 0.4:
            order = [int(i) for i in rng.permutation(len(shape))]
            array, x, shape = array.transpose(order), x.permute(*order), tuple(shape[i] for i in order)
        key = random_key(draw, rng, shape)
        try:
            part, rest = select_first(array, key)
            expected = part[rest]
        except IndexError:  # index tensors that do not broadcast
            with pytest.raises(at.BoundsError):
                x[tensor_key(key)]
            continue
        got = x[tensor_key(key)].numpy()
        np.testing.assert_array_equal(got, expected, err_msg=f"{shape} {key}")
        assert got.shape == expected.shape

        value = rng.integers(0, 1000, expected.shape[draw.randint(0, expected.ndim) :]).astype(array.dtype)
        changed = array.copy()
        part, rest = select_first(changed, key)
        if isinstance(part, np.ndarray):
            part[rest] = value
            x[tensor_key(key)] = at.asarray(value)
            np.testing.assert_array_equal(x.numpy(), changed, err_msg=f"{shape} {key}")


def test_writing_a_view_of_itself() -> None:
    x = at.arange(6)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3, 4]
    x[at.tensor([5, 4])] = x[:2]
    assert x.tolist() == [0, 0, 1, 2, 0, 0]


def test_a_bad_index_leaves_everything_as_it_was() -> None:
    x = at.zeros(5)
    with pytest.raises(at.BoundsError, match=r"expected indices for dim 0 in \[-5, 5\), got 7"):
        x[at.tensor([1, 7])] = 1.0
    with pytest.raises(at.BoundsError):
        x.index_put_((at.tensor([0, -6]),), at.ones(2))
    with pytest.raises(at.BoundsError):
        x.scatter_(0, at.tensor([0, 5]), 1.0)
    assert x.tolist() == [0.0] * 5


def test_the_last_value_for_an_element_stays() -> None:
    index = at.arange(100_000) % 3
    x = at.zeros(3)
    x[index] = at.arange(100_000, dtype=at.float32)
    assert x.tolist() == [99_999.0, 99_997.0, 99_998.0]


@pytest.mark.parametrize(
    ("shape", "mask"),
    [((3,), (0,)), ((3, 4), (0,)), ((3, 4), (3, 0)), ((3, 4), (0, 0)), ((2, 3, 3), (0, 3)), ((4, 0), (0, 0))],
)
def test_a_mask_of_no_elements_chooses_none(shape: tuple[int, ...], mask: tuple[int, ...]) -> None:
    """As NumPy has it and the array API asks: a mask may be of size 0 where the tensor is not."""
    x, key = np.arange(math.prod(shape)).reshape(shape), np.zeros(mask, dtype=bool)
    for k in (key, (..., key), (slice(None, 1), key) if len(mask) < len(shape) else key):
        assert at.asarray(x)[tensor_key(k if isinstance(k, tuple) else (k,))].shape == x[k].shape
    y = at.asarray(x.copy())
    y[at.asarray(key)] = 7
    np.testing.assert_array_equal(y.numpy(), x)


@pytest.mark.parametrize(("shape", "mask"), [((3,), (2,)), ((3, 4), (2, 0)), ((3, 4), (0, 5)), ((3,), (0, 0))])
def test_other_masks_must_fit(shape: tuple[int, ...], mask: tuple[int, ...]) -> None:
    with pytest.raises(IndexError):
        at.ones(shape)[at.zeros(mask, dtype=at.bool)]
    with pytest.raises(IndexError):
        at.ones(shape)[at.zeros(mask, dtype=at.bool)] = 1
