"""The safetensors file format: a JSON header with names, dtypes, shapes and offsets, then the tensors' bytes.

Nothing that a file says is believed before it is checked, so the worst that a hostile file does is a FormatError; no
allocation is larger than the file itself. The format is described at https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from atled.core._core import FormatError

#: dtype -> the format's code and the bytes of one element. complex128 has no code.
CODES = {
    "bool": ("BOOL", 1),
    "uint8": ("U8", 1),
    "int8": ("I8", 1),
    "uint16": ("U16", 2),
    "int16": ("I16", 2),
    "uint32": ("U32", 4),
    "int32": ("I32", 4),
    "uint64": ("U64", 8),
    "int64": ("I64", 8),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
    "float32": ("F32", 4),
    "float64": ("F64", 8),
    "complex64": ("C64", 8),
    "float8_e4m3fn": ("F8_E4M3", 1),
    "float8_e5m2": ("F8_E5M2", 1),
}
_DTYPES = {code: (dtype, size) for dtype, (code, size) in CODES.items()}
_LENGTH = struct.Struct("<Q")
_MAX_HEADER = 100_000_000  # the limit of the format's own reader
_MAX_NDIM = 64
_METADATA = "__metadata__"


@dataclass(frozen=True)
class Entry:
    """One tensor in a file; `begin` and `end` count bytes from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file holds, in the order in which it was saved."""

    entries: tuple[Entry, ...]
    metadata: dict[str, str]


def write_header(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> tuple[bytes, list[int]]:
    """The bytes before the tensors' own, for (name, dtype, shape) triples, and the order in which the tensors follow.

    The header keeps the given order; the data is ordered by element size, so that every tensor is aligned to it.
    """
    listed = list(tensors)
    order = sorted(range(len(listed)), key=lambda i: -CODES[listed[i][1]][1])
    offsets: dict[int, list[int]] = {}
    end = 0
    for i in order:
        begin, end = end, end + CODES[listed[i][1]][1] * math.prod(listed[i][2])
        offsets[i] = [begin, end]
    table: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    for i, (name, dtype, shape) in enumerate(listed):
        table[name] = {"dtype": CODES[dtype][0], "shape": list(shape), "data_offsets": offsets[i]}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _MAX_HEADER:
        raise FormatError(
            f"save: expected a header of at most {_MAX_HEADER} bytes, got {len(text)}; save fewer tensors"
        )
    return _LENGTH.pack(len(text)) + text, order


def read_header(read: Any, size: int) -> Header:
    """Parses the header of a file of `size` bytes; `read(n)` gives its next n bytes."""
    if size < _LENGTH.size:
        raise FormatError(f"expected at least {_LENGTH.size} bytes, got {size}; the file is truncated")
    (length,) = _LENGTH.unpack(_exactly(read, _LENGTH.size))
    if length > _MAX_HEADER:
        raise FormatError(
            f"expected a header of at most {_MAX_HEADER} bytes, got {length}; this is no safetensors file"
        )
    if length > size - _LENGTH.size:
        raise FormatError(f"expected a header of {length} bytes, got {size - _LENGTH.size}; the file is truncated")
    table = _parse(_exactly(read, length))
    metadata = table.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError(f"expected {_METADATA} to map strings to strings")
    start = _LENGTH.size + length
    entries = tuple(_entry(name, fields, start) for name, fields in table.items())
    _check_layout(entries, start, size)
    return Header(entries, metadata)


def _exactly(read: Any, n: int) -> bytes:
    data: bytes = read(n)
    if len(data) != n:
        raise FormatError(f"expected {n} bytes, got {len(data)}; the file is truncated")
    return data


def _parse(text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(name for name in names if names.count(name) > 1)
            raise FormatError(f"expected each key of the header once, got {repeated!r} again")
        return table

    def refuse(constant: str) -> Any:
        raise FormatError(f"expected numbers in the header, got {constant}")

    if not text.startswith(b"{"):
        raise FormatError("expected the header to be a JSON object; this is no safetensors file")
    try:
        table = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"expected the header to be valid JSON: {error}") from None
    if not isinstance(table, dict):
        raise FormatError("expected the header to be a JSON object")
    return table


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _entry(name: str, fields: Any, start: int) -> Entry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"tensor {name!r}: expected the fields dtype, shape and data_offsets")
    code, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise FormatError(f"tensor {name!r}: expected a dtype among {', '.join(_DTYPES)}, got {code!r}")
    if not isinstance(shape, list) or len(shape) > _MAX_NDIM or not all(map(_is_size, shape)):
        raise FormatError(f"tensor {name!r}: expected a shape of at most {_MAX_NDIM} sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)) or offsets[0] > offsets[1]:
        raise FormatError(f"tensor {name!r}: expected data_offsets [begin, end] with begin <= end")
    dtype, itemsize = _DTYPES[code]
    # Strides are products of sizes, also of those next to a zero.
    if math.prod(max(n, 1) for n in shape) * itemsize >= 1 << 63:
        raise FormatError(f"tensor {name!r}: the shape is larger than any memory")
    expected, given = math.prod(shape) * itemsize, offsets[1] - offsets[0]
    if expected != given:
        raise FormatError(f"tensor {name!r}: expected {expected} bytes for its shape and dtype, got {given}")
    return Entry(name, dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _check_layout(entries: Iterable[Entry], start: int, size: int) -> None:
    """The tensors lie one after the other, without overlap or gap, up to the end of the file."""
    end = start
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.end > size:
            raise FormatError(f"tensor {entry.name!r}: ends at byte {entry.end} of {size}; the file is truncated")
        if entry.begin != end:
            what = "overlaps the tensor before it" if entry.begin < end else "leaves a gap before it"
            raise FormatError(f"tensor {entry.name!r}: {what} (begins at byte {entry.begin}, expected {end})")
        end = entry.end
    if end != size:
        raise FormatError(f"expected the file to end at byte {end}, got {size} bytes")
