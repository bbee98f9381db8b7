"""What the array API's ``__array_namespace_info__`` answers."""

from __future__ import annotations

import contextlib
from typing import Any

from . import _core
from ._core import device, dtype
from ._dtypes import isdtype

_DTYPES = tuple(
    getattr(_core, name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
    )
)
# The standard knows these by name; the others are ours.
_EXTRA = ("float16", "bfloat16")


class NamespaceInfo:
    """What atled.core offers as a namespace of the array API: devices, dtypes, capabilities."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean indexing and data-dependent shapes work; "max dimensions" is the greatest number of dimensions."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> device:
        """Where tensors are made that nothing else places."""
        return _core.get_default_device()

    def devices(self) -> tuple[device, ...]:
        """All devices that work here; "meta" is one for shapes alone, and not listed."""
        found = [_core.device("cpu")]
        with contextlib.suppress(_core.DeviceError, _core.PluginError):
            found.append(_core.device("cuda"))
        return tuple(found)

    def default_dtypes(self, *, device: device | str | None = None) -> dict[str, dtype]:
        """The dtypes that functions use where nothing says another."""
        real = _core.get_default_dtype()
        complex_ = _core.complex128 if real == _core.float64 else _core.complex64
        return {
            "real floating": real,
            "complex floating": complex_,
            "integral": _core.int64,
            "indexing": _core.int64,
        }

    def dtypes(
        self, *, device: device | str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, dtype]:
        """The standard's dtypes by name, all of them or those of a kind (see `isdtype`)."""
        known = {found.name: found for found in _DTYPES if found.name not in _EXTRA}
        return known if kind is None else {name: found for name, found in known.items() if isdtype(found, kind)}


def __array_namespace_info__() -> NamespaceInfo:
    """What this namespace offers: devices, dtypes, capabilities."""
    return NamespaceInfo()
