"""Between NumPy arrays and tensors of every dtype and device, and what is known of the dtypes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

import atled.core as at
from atled.core._explained import explained
from atled.core.utils.pytree import tree_leaves

Array = npt.NDArray[Any]

BOOL = ("bool",)
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
SIGNED = ("int8", "int16", "int32", "int64")
INTEGERS = UNSIGNED + SIGNED
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")  # for storage: in none of the lists below
REALS = INTEGERS + FLOATS
NUMBERS = REALS + COMPLEX
ALL = BOOL + NUMBERS

_CATEGORIES = {name: i for i, names in enumerate((BOOL, INTEGERS, FLOATS + FLOAT8, COMPLEX)) for name in names}
_OF_ML_DTYPES = ("bfloat16", *FLOAT8)
_REAL_OF = {"complex64": "float32", "complex128": "float64"}


@explained
@functools.cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's dtype of that name; bfloat16 and float8 come from ml_dtypes."""
    return np.dtype(getattr(ml_dtypes, name) if name in _OF_ML_DTYPES else name)


@explained
def dtype_name(dtype: object) -> str:
    """``float32`` for at.float32, np.float32, np.dtype("float32") or "float32"."""
    if isinstance(dtype, str):
        return dtype
    if isinstance(dtype, at.dtype):
        return dtype.name
    return _numpy_name(dtype)


# NumPy puts a name together each time.
@functools.cache
def _numpy_name(dtype: Any) -> str:
    return str(np.dtype(dtype).name)


@explained
def at_dtype(name: str) -> at.dtype:
    """atled's dtype of that name."""
    found = getattr(at, name)
    assert isinstance(found, at.dtype)
    return found


def category(name: str) -> int:
    """0 for bool, 1 for integers, 2 for floats, 3 for complex."""
    return _CATEGORIES[name]


def real_of(name: str) -> str:
    """The dtype of the parts of a complex dtype; any other dtype itself."""
    return _REAL_OF.get(name, name)


def promote(first: str, *others: str) -> str:
    """The dtype of an operation among tensors of these dtypes.

    Within a category it is the smallest that holds both; between categories the higher category's own dtype,
    widened only where a complex one meets a wider float.
    """
    for other in others:
        low, high = sorted((first, other), key=category)
        if category(low) == category(high):
            first = _within(low, high)
        elif category(high) == 3 and category(low) == 2 and low == "float64":
            first = "complex128"
        else:
            first = high
    return first


def _within(a: str, b: str) -> str:
    if a == b:
        return a
    if {a, b} == {"float16", "bfloat16"}:
        return "float32"
    if "bfloat16" in (a, b):
        return b if a == "bfloat16" else a
    return np.promote_types(a, b).name


def result_dtype(*values: Any) -> str:
    """The dtype of an operation among arrays and Python numbers, which lift it only to a higher kind."""
    arrays = [dtype_name(value.dtype) for value in values if isinstance(value, np.ndarray)]
    dtype = promote(*arrays) if arrays else "bool"
    for value in values:
        if isinstance(value, bool):
            continue
        if isinstance(value, int) and category(dtype) == 0:
            dtype = "int64"
        elif isinstance(value, float) and category(dtype) < 2:
            dtype = "float32"
        elif isinstance(value, complex) and category(dtype) < 3:
            dtype = "complex128" if dtype == "float64" else "complex64"
    return dtype


@explained
def to_numpy(tensor: at.Tensor) -> Array:
    """The tensor's values in an array of its own, on any device and of any dtype."""
    tensor = tensor.to(device="cpu")
    if (name := dtype_name(tensor.dtype)) in _OF_ML_DTYPES:
        return np.array(tensor.to(at.float32).numpy()).astype(numpy_dtype(name))
    return np.array(tensor.numpy())


@explained
def from_numpy(array: Array, device: str = "cpu") -> at.Tensor:
    """A tensor with the array's values; it shares no memory with it."""
    if (name := dtype_name(array.dtype)) in _OF_ML_DTYPES:
        tensor = at.tensor(array.astype(np.float32)).to(at_dtype(name))
    else:
        tensor = at.tensor(array)
    return tensor.to(device=device)


def arrays_in(value: Any) -> Iterator[Array]:
    """Each array in a nest of lists, tuples and dicts."""
    return (leaf for leaf in tree_leaves(value) if isinstance(leaf, np.ndarray))
