"""The layouts that check_op lays arguments out in: the same values, and strides as odd as their names say."""

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.testing import ALL, _layouts, from_numpy, numpy_dtype, to_numpy


@pytest.mark.parametrize("layout", _layouts.LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4), (0,), (2, 0, 3), (1, 1)])
@pytest.mark.parametrize("dtype", ["bool", "int16", "bfloat16", "float32", "complex64"])
def test_values_are_kept(layout: Any, shape: tuple[int, ...], dtype: str) -> None:
    array = (np.arange(np.prod(shape)).reshape(shape) % 2).astype(numpy_dtype(dtype))
    np.testing.assert_array_equal(to_numpy(layout(array, "cpu")), array)


def test_strides_are_odd() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert _layouts.transposed(array, "cpu").stride() == (1, 3)
    stepped = _layouts.stepped(array, "cpu")
    assert stepped.stride()[1] == 2 and stepped.storage_offset() == 2
    assert _layouts.reversed_(array, "cpu").stride() == (-4, -1)
    same_rows = np.broadcast_to(np.arange(4.0), (3, 4)).copy()
    assert _layouts.expanded(same_rows, "cpu").stride() == (0, 1)


@pytest.mark.parametrize("dtype", ALL)
def test_conversion_there_and_back(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(numpy_dtype(dtype))
    tensor = from_numpy(array)
    assert tensor.dtype == getattr(at, dtype)
    back = to_numpy(tensor)
    assert back.dtype == array.dtype and back.tobytes() == array.tobytes()
    back[0, 0] = 1
    assert to_numpy(tensor)[0, 0] == array[0, 0]
