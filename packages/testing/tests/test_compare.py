"""Comparisons: in units in the last place, and with tolerances."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import atled.core as at
from atled.testing import assert_close, assert_ulps, promote, result_dtype


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("value", [1.0, -3.75, 1e-4, 60000.0])
def test_ulps_are_counted_in_the_dtype(dtype: str, value: float) -> None:
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    exact = np.array([value]).astype(kind)
    bits = exact.view({2: np.uint16, 4: np.uint32, 8: np.uint64}[exact.itemsize])
    for ulps in (1, 3):
        off = (bits + np.array(ulps, bits.dtype)).view(kind)
        assert_ulps(off, exact.astype(np.float64), ulps)
        with pytest.raises(AssertionError, match=rf"\({ulps} ulp of {dtype}"):
            assert_ulps(off, exact.astype(np.float64), ulps - 0.5)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([1.0, np.nan], [1.0, 2.0]),
        ([1.0, 2.0], [1.0, np.nan]),
        ([np.inf], [-np.inf]),
        ([np.inf], [3e38]),
        ([3e38], [np.inf]),
        ([0.0], [1e-30]),
    ],
)
def test_what_is_never_close(actual: list[float], expected: list[float]) -> None:
    with pytest.raises(AssertionError, match="elements are wrong"):
        assert_ulps(np.array(actual, np.float32), np.array(expected), 100)


def test_what_is_always_close() -> None:
    assert_ulps(np.array([np.nan, np.inf, -0.0], np.float32), np.array([np.nan, np.inf, 0.0]), 0)
    # What float64 holds and the dtype does not.
    assert_ulps(np.array([np.inf], np.float16), np.array([1e9]), 0)
    assert_ulps(np.array([0.0], np.float32), np.array([1e-60]), 0)


def test_integers_are_exact() -> None:
    with pytest.raises(AssertionError, match="1 of 2 elements"):
        assert_ulps(np.array([1, 2], np.int8), np.array([1, 3]), 10)


def test_a_scale_forgives_cancellation() -> None:
    with pytest.raises(AssertionError):
        assert_ulps(np.array([1e-7], np.float32), np.array([0.0]), 1)
    assert_ulps(np.array([1e-7], np.float32), np.array([0.0]), 1, scale=np.array([1.0]))


def test_complex_errors_are_measured_at_the_modulus() -> None:
    assert_ulps(np.array([1 + 1e-8j], np.complex64), np.array([1 + 0j]), 1)
    with pytest.raises(AssertionError):
        assert_ulps(np.array([1 + 1e-5j], np.complex64), np.array([1 + 0j]), 1)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (at.ones(3), at.ones(4), "expected shape"),
        (at.ones(3), at.ones(3, dtype=at.float64), "expected dtype"),
        (at.ones(3), [1.0, 1.0, 1.001], "1 of 3 elements differ"),
        (at.tensor([1, 2]), [1, 3], "1 of 2 elements differ"),
        (at.tensor([float("nan")]), [float("nan")], "differ"),
        ([at.ones(1)], [at.ones(1), at.ones(1)], "expected 2 items"),
        ({"a": at.ones(1)}, {"b": at.ones(1)}, "expected keys"),
    ],
)
def test_assert_close_refuses(actual: Any, expected: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_close(actual, expected)


def test_assert_close_accepts() -> None:
    assert_close(at.ones(3), [1.0, 1.0, 1.0 + 1e-7])
    assert_close(at.tensor([float("nan")]), [float("nan")], equal_nan=True)
    assert_close({"a": [at.ones(1), 2.0]}, {"a": [np.ones(1, np.float32), 2.0]})
    assert_close(at.ones(2, dtype=at.bfloat16), [1.01, 0.99])
    assert_close(1.0, at.tensor(1.5), atol=0.5)


# PyTorch's table, entries of each kind.
@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("bool", "uint8"), "uint8"),
        (("uint8", "int8"), "int16"),
        (("int64", "float16"), "float16"),
        (("float16", "bfloat16"), "float32"),
        (("bfloat16", "float64"), "float64"),
        (("float64", "complex64"), "complex128"),
        (("float16", "complex64"), "complex64"),
        (("int32", "int64", "bool"), "int64"),
    ],
)
def test_promotion(dtypes: tuple[str, ...], expected: str) -> None:
    assert promote(*dtypes) == promote(*dtypes[::-1]) == expected


def test_numbers_are_weak() -> None:
    assert result_dtype(np.ones(2, np.uint8), 1000) == "uint8"
    assert result_dtype(np.ones(2, np.int64), 1.5) == "float32"
    assert result_dtype(np.ones(2, np.float16), 1.5) == "float16"
    assert result_dtype(np.ones(2, np.float64), 1j) == "complex128"
    assert result_dtype(np.ones(2, bool), 1) == "int64"
