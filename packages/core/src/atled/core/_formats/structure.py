"""Nested state (dicts, lists, numbers, strings, None) around tensors, written as JSON for a file's metadata.

JSON's own types stand for themselves. Everything else is an object with one key: ``{"$tensor": name}``,
``{"$tuple": [...]}``, ``{"$dict": [[key, value], ...]}`` (keys that are not all plain strings), ``{"$float": "nan"}``,
``{"$complex": [real, imag]}``, ``{"$bytes": hex}``, ``{"$dtype": "float32"}``, ``{"$device": "cuda:0"}``.
NumPy's scalars, such as a mean of losses, are written as Python's.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from atled.core import _core
from atled.core._core import ArgumentError, FormatError, Tensor

from .keys import Keys


def encode(state: Any) -> tuple[str, dict[str, Tensor]]:
    """The JSON of a nested state, and its tensors by the names that the JSON gives them (their dotted paths)."""
    tensors: dict[str, Tensor] = {}
    keys = Keys()

    def name_of(path: tuple[str, ...]) -> str:
        name = stem = ".".join(path) or "tensor"
        count = 1
        while name in tensors or name == "__metadata__":
            count += 1
            name = f"{stem}#{count}"
        return name

    def visit(value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Tensor):
            name = name_of(path)
            tensors[name] = value
            return {"$tensor": name}
        if isinstance(value, Mapping):
            items = [(keys.check(key), visit(item, (*path, str(key)))) for key, item in value.items()]
            if all(type(key) is str and not key.startswith("$") for key, _ in items):
                return dict(items)
            return {"$dict": [[visit(key, path), item] for key, item in items]}
        if isinstance(value, (list, tuple)):
            listed = [visit(item, (*path, str(i))) for i, item in enumerate(value)]
            return listed if isinstance(value, list) else {"$tuple": listed}
        return _scalar(value, path)

    try:
        return json.dumps(visit(state, ()), ensure_ascii=False, separators=(",", ":")), tensors
    except FormatError as error:
        raise ArgumentError(f"save: {error}") from None
    except RecursionError:
        raise ArgumentError("save: expected a state without cycles, of moderate depth") from None


def _scalar(value: Any, path: tuple[str, ...]) -> Any:
    if (np := sys.modules.get("numpy")) and isinstance(value, np.generic):  # without loading it for the question
        value = value.item()
    # A subclass (such as an enum) would come back as something else.
    if type(value) in (str, int, bool, type(None)):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if type(value) is complex:
        return {"$complex": [_scalar(value.real, path), _scalar(value.imag, path)]}
    if type(value) is bytes:
        return {"$bytes": value.hex()}
    if isinstance(value, _core.dtype):
        return {"$dtype": value.name}
    if isinstance(value, _core.device):
        return {"$device": str(value)}
    where = f" at {'.'.join(path)!r}" if path else ""
    raise ArgumentError(
        "save: expected tensors, dicts, lists, tuples, numbers, strings, bytes or None, "
        f"got {type(value).__name__}{where}; save its state_dict(), or turn it into one of these"
    )


def decode(text: str, tensors: Mapping[str, Tensor]) -> Any:
    """The state that `encode` was given; FormatError when the JSON is not of its making."""
    try:
        return _decode(json.loads(text), tensors, Keys())
    except (FormatError, _core.DTypeError, _core.DeviceError):
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"expected a structure as save writes it: {type(error).__name__}: {error}") from None


def _decode(value: Any, tensors: Mapping[str, Tensor], keys: Keys) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors, keys) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not next(iter(value)).startswith("$"):
        return {key: _decode(item, tensors, keys) for key, item in value.items()}
    (kind, content), *_ = value.items()
    match kind:
        case "$tensor":
            return tensors[content]
        case "$tuple":
            return tuple(_decode(item, tensors, keys) for item in content)
        case "$dict":
            return {keys.check(_decode(key, tensors, keys)): _decode(item, tensors, keys) for key, item in content}
        case "$float":
            return float(content)
        case "$complex":
            return complex(*(_decode(part, tensors, keys) for part in content))
        case "$bytes":
            return bytes.fromhex(content)
        case "$dtype":
            return _dtype(content)
        case "$device":
            return _core.device(content)
    raise FormatError(f"expected a structure as save writes it, got {kind!r}")


def _dtype(name: str) -> _core.dtype:
    found = getattr(_core, name, None)
    if not isinstance(found, _core.dtype):
        raise FormatError(f"expected the name of a dtype, got {name!r}")
    return found
