"""default_collate and default_convert, against the documented rules and NumPy."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.data import default_collate, default_convert

Point = namedtuple("Point", "x y")


class Metres(float):
    """A float by another name."""


class Count(int):
    """An int by another name."""


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([True, False], at.bool),
        ([1, 2, 3], at.int64),
        ([1.0, 2.5], at.float64),
        ([1.0, 2], at.float64),
        ([1, True], at.int64),
        ([Metres(1.5), Metres(2.5)], at.float64),
        ([1, Metres(2.5)], at.float64),
        ([Count(1), True], at.int64),
        ([np.float32(1), np.float32(2)], at.float32),
        ([np.int16(1), np.int16(2)], at.int16),
    ],
)
def test_numbers_become_a_vector(samples: list[Any], dtype: Any) -> None:
    batch = default_collate(samples)
    assert batch.dtype == dtype
    assert batch.tolist() == samples


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
@pytest.mark.parametrize("make", [np.asarray, at.from_numpy], ids=["array", "tensor"])
def test_arrays_are_stacked(dtype: str, shape: tuple[int, ...], make: Any) -> None:
    arrays = [np.full(shape, value, dtype=dtype) for value in range(4)]
    batch = default_collate([make(array) for array in arrays])
    assert isinstance(batch, at.Tensor)
    assert batch.dtype == getattr(at, dtype)
    np.testing.assert_array_equal(batch.numpy(), np.stack(arrays))


def test_the_batch_is_a_copy() -> None:
    array = np.zeros(3)
    batch = default_collate([array, array])
    array[:] = 1
    assert batch.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_structures_are_kept() -> None:
    sample = {"a": (1, "x"), "b": [2.0, b"y"], "p": Point(3, np.zeros(2))}
    batch = default_collate([sample, sample])
    assert batch["a"][0].tolist() == [1, 1]
    assert batch["a"][1] == ["x", "x"]
    assert isinstance(batch["a"], list)
    assert batch["b"][1] == [b"y", b"y"]
    assert isinstance(batch["p"], Point)
    assert tuple(batch["p"].y.shape) == (2, 2)


def test_other_mappings_keep_their_type() -> None:
    assert isinstance(default_collate([OrderedDict(a=1), OrderedDict(a=2)]), OrderedDict)
    batch = default_collate([defaultdict(int, a=1), defaultdict(int, a=2)])
    assert batch["a"].tolist() == [1, 2]
    assert batch["b"] == 0
    assert default_collate([np.str_("x"), np.str_("y")]) == ["x", "y"]


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], at.InvalidValueError, "expected at least one sample, got none"),
        ([None], at.DTypeError, "got NoneType at sample;"),
        ([{"a": [object()]}], at.DTypeError, r"got object at sample\['a'\]\[0\]"),
        ([np.array("x")], at.DTypeError, "expected numbers, got an array of <U1"),
        ([1, "a"], at.DTypeError, "got str in sample 1 of the batch"),
        (
            [at.ones(2), np.ones(2)],
            at.DTypeError,
            "expected tensors at sample, as in .*, got ndarray in sample 1",
        ),
        ([[1], [1, 2]], at.ShapeError, r"sequences of one length at sample, got lengths \[1, 2\]"),
        ([{"a": 1}, {"b": 1}], at.InvalidValueError, "one without 'a'"),
        (
            [(0, np.zeros((2, 3))), (0, np.zeros((2, 3))), (0, np.zeros((2, 4)))],
            at.ShapeError,
            r"expected shape \(2, 3\) at sample\[1\], as in sample 0, got \(2, 4\) in sample 2",
        ),
    ],
)
def test_errors_say_what_and_where(samples: list[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(samples)


def test_convert_turns_arrays_into_tensors() -> None:
    text = np.array(["x"])
    result = default_convert(
        {"a": [np.zeros(2), 1], "b": (np.float32(2), "s"), "p": Point(np.ones(1), None), "t": text}
    )
    assert isinstance(result["a"][0], at.Tensor)
    assert result["a"][1] == 1
    assert result["b"][0].dtype == at.float32
    assert result["b"][1] == "s"
    assert isinstance(result["p"], Point)
    assert result["p"].x.tolist() == [1.0]
    assert result["t"] is text
