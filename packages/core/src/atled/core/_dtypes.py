"""What can be known of dtypes: their limits, their kinds, and what they become together."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any

from . import _core
from ._core import ArgumentError, DTypeError, InvalidValueError, Tensor
from ._core import dtype as Dtype

# (bits of the mantissa after the point, least exponent of normal numbers, largest number, decimal digits that survive)
_FLOATS = {
    "float16": (10, -14, 65504.0, 3),
    "bfloat16": (7, -126, (2 - 2.0**-7) * 2.0**127, 2),
    "float32": (23, -126, (2 - 2.0**-23) * 2.0**127, 6),
    "float64": (52, -1022, (2 - 2.0**-52) * 2.0**1023, 15),
    "float8_e4m3fn": (3, -6, 448.0, 0),
    "float8_e5m2": (2, -14, 57344.0, 0),
}
_PARTS = {"complex64": "float32", "complex128": "float64"}


@dataclass(frozen=True)
class FloatInfo:
    """The limits of a floating-point dtype, or of a complex one's parts."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    tiny: float
    resolution: float
    dtype: Dtype

    def __repr__(self) -> str:
        numbers = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{n}={getattr(self, n):g}' for n in numbers)}, dtype={self.dtype.name})"


@dataclass(frozen=True)
class IntegerInfo:
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: Dtype

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype.name})"


def _named(function: str, type: Any) -> Dtype:
    if type is None:
        return _core.get_default_dtype()
    if isinstance(type, Tensor):
        return type.dtype
    if isinstance(type, Dtype):
        return type
    if isinstance(type, builtins.type) and type in (bool, int, float, complex):
        return {bool: _core.bool, int: _core.int64, float: _core.float64, complex: _core.complex128}[type]
    raise ArgumentError(f"{function}: expected a dtype or a tensor, got {builtins.type(type).__name__}")


def finfo(type: Dtype | Tensor | None = None, /) -> FloatInfo:
    """The limits of a floating-point dtype, or of the parts of a complex one; of a tensor's; or of the default dtype.

    DTypeError for other dtypes.

    >>> finfo(_core.float16).max
    65504.0
    """
    asked = _named("finfo", type)
    name = _PARTS.get(asked.name, asked.name)
    if name not in _FLOATS:
        raise DTypeError(f"finfo: expected a floating-point or complex dtype, got {name}; use iinfo")
    mantissa, low, largest, digits = _FLOATS[name]
    dtype: Dtype = getattr(_core, name)
    smallest = 2.0**low
    return FloatInfo(
        dtype.itemsize * 8, 2.0**-mantissa, largest, -largest, smallest, smallest, float(f"1e-{digits}"), dtype
    )


def iinfo(type: Dtype | Tensor, /) -> IntegerInfo:
    """The limits of an integer dtype, or of a tensor's; DTypeError for other dtypes.

    >>> iinfo(_core.int8).min
    -128
    """
    dtype = _named("iinfo", type)
    if not isdtype(dtype, "integral"):
        raise DTypeError(f"iinfo: expected an integer dtype, got {dtype.name}; use finfo")
    bits = dtype.itemsize * 8
    low = -(1 << (bits - 1)) if dtype.is_signed else 0
    return IntegerInfo(bits, low + (1 << bits) - 1, low, dtype)


_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": tuple(_FLOATS),
    "complex floating": tuple(_PARTS),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]


def isdtype(dtype: Dtype, kind: Dtype | str | tuple[Dtype | str, ...]) -> bool:
    """Whether a dtype is of a kind: a dtype, a name such as "integral" or "real floating", or any of a tuple of them.

    >>> isdtype(_core.float32, ("real floating", "complex floating"))
    True
    """
    if not isinstance(dtype, Dtype):
        raise ArgumentError(f"isdtype: expected a dtype, got {type(dtype).__name__}")
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, Dtype):
        return dtype == kind
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InvalidValueError(f"isdtype: expected a dtype or a kind among {', '.join(_KINDS)}, got {kind!r}")
    return dtype.name in _KINDS[kind]


def promote_types(type1: Dtype, type2: Dtype) -> Dtype:
    """The dtype that both can be converted to.

    DTypeError where there is none: for uint64 with a signed integer, and for float8 with any other dtype.

    >>> promote_types(_core.uint8, _core.int8)
    atled.int16
    """
    return _core._promote(type1, type2)


def result_type(*arrays_and_dtypes: Any) -> Dtype:
    """The dtype of a result of tensors, dtypes and Python numbers together; numbers change only the kind.

    >>> result_type(_core.int8, 1.5)
    atled.float32
    """
    if not arrays_and_dtypes:
        raise ArgumentError("result_type: expected at least one tensor, dtype or number")
    numbers: list[Any] = []
    found: Dtype | None = None
    for value in arrays_and_dtypes:
        if isinstance(value, (Tensor, Dtype)):
            dtype = value.dtype if isinstance(value, Tensor) else value
            found = dtype if found is None else promote_types(found, dtype)
        else:
            numbers.append(value)
    for number in numbers:
        alone = _core._promote_scalar(None, number)
        found = alone if found is None else _core._promote_scalar(found, number)
    assert found is not None
    return found


def can_cast(from_: Dtype | Tensor, to: Dtype) -> bool:
    """Whether values keep their kind in another dtype: bool < integers < floats < complex, of whatever size.

    PyTorch's rule; that of the array API (also no smaller size) is ``atled.core.array_api.can_cast``.

    >>> can_cast(_core.int64, _core.int8), can_cast(_core.float32, _core.int64)
    (True, False)
    """
    source, target = _named("can_cast", from_), _named("can_cast", to)

    def rank(dtype: Dtype) -> int:
        kinds = ("bool", "integral", "real floating", "complex floating")
        return next(i for i, kind in enumerate(kinds) if isdtype(dtype, kind))

    return rank(source) <= rank(target)
