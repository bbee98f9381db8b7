"""NumPy's files: ``.npy`` with one array and ``.npz`` with several, written and read without pickle.

The format is NEP 1 and ``numpy.lib.format``. It has no bfloat16: those are written as NumPy writes ml_dtypes' arrays,
as opaque elements of two bytes (``V2``), which are read as bfloat16 again. ``numpy.load(...).view("bfloat16")`` reads
them once ml_dtypes is imported. float8 is not written: one opaque byte would not say which of the two it is.
"""

from __future__ import annotations

import math
import re
import struct
import sys
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import atled.core as at
from atled.core._core import ArgumentError, DTypeError, FormatError, Tensor, device

from .archive import Archive, add
from .memory import Source, check_shape, flat, to_bytes

_MAGIC = b"\x93NUMPY"
_ORDER = "<" if sys.byteorder == "little" else ">"
_CODES = {
    "bool": "b1",
    "uint8": "u1",
    "int8": "i1",
    "uint16": "u2",
    "int16": "i2",
    "uint32": "u4",
    "int32": "i4",
    "uint64": "u8",
    "int64": "i8",
    "float16": "f2",
    "bfloat16": "V2",
    "float32": "f4",
    "float64": "f8",
    "complex64": "c8",
    "complex128": "c16",
}
_DTYPES = {code: name for name, code in _CODES.items()}
_MAX_HEADER = 10_000  # numpy.load's own limit
_FIELD = re.compile(
    rb"\s*(['\"])(\w+)\1\s*:\s*('[^']*'|\"[^\"]*\"|\[.*\]|True|False|\([\d\s,L]*\))\s*(?:,|(?=}))", re.DOTALL
)


class Npy:
    """The format of ``.npy``: one tensor."""

    @staticmethod
    def save(obj: Any, file: IO[bytes], metadata: Mapping[str, str]) -> None:
        """Writes a tensor in row-major order."""
        _no_metadata(metadata, ".npy")
        if not isinstance(obj, Tensor):
            raise ArgumentError(
                f"save: expected a tensor for a .npy file, got {type(obj).__name__}; use .npz or .safetensors"
            )
        file.write(_header(obj))
        file.write(to_bytes(obj))

    @staticmethod
    def load(file: IO[bytes], device: device, mmap: bool) -> Tensor:
        """Reads a tensor; one in column-major order becomes a view of its transpose."""
        source = Source(file, mmap)
        return _parse(source.read(source.start, source.end - source.start)).to(device=device)


class Npz:
    """The format of ``.npz``: a dict of tensors."""

    @staticmethod
    def save(obj: Any, file: IO[bytes], metadata: Mapping[str, str]) -> None:
        """Writes each tensor, uncompressed, where its elements are aligned for mapping."""
        _no_metadata(metadata, ".npz")
        if not isinstance(obj, Mapping) or not all(
            isinstance(key, str) and isinstance(value, Tensor) for key, value in obj.items()
        ):
            raise ArgumentError(
                f"save: expected a dict of names and tensors for a .npz file, got {type(obj).__name__}; "
                "use .safetensors for nested state"
            )
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, tensor in obj.items():
                add(archive, f"{name}.npy", _header(tensor), to_bytes(tensor))

    @staticmethod
    def load(file: IO[bytes], device: device, mmap: bool) -> dict[str, Tensor]:
        """Reads every tensor; compressed ones are never mapped."""
        archive = Archive(Source(file, mmap))
        tensors: dict[str, Tensor] = {}
        for name in archive.names:
            if not name.endswith(".npy"):
                raise FormatError(f"expected members that end in .npy, got {name!r}")
            try:
                tensors[name.removesuffix(".npy")] = _parse(archive.read(name)).to(device=device)
            except FormatError as error:
                raise FormatError(f"{name!r}: {error}") from None
        return tensors


NPY, NPZ = Npy(), Npz()


def _no_metadata(metadata: Mapping[str, str], suffix: str) -> None:
    if metadata:
        raise ArgumentError(f"save: {suffix} files hold no metadata; use .safetensors")


def _header(tensor: Tensor) -> bytes:
    code = _CODES.get(tensor.dtype.name)
    if code is None:
        raise DTypeError(
            f"save: expected a dtype that NumPy's files have, got {tensor.dtype.name}; "
            "save tensor.view(at.uint8), or use .safetensors"
        )
    order = "|" if tensor.dtype.itemsize == 1 else _ORDER
    text = f"{{'descr': '{order}{code}', 'fortran_order': False, 'shape': {tuple(tensor.shape)!r}, }}".encode()
    # Padded as NumPy does, so that the elements begin at a multiple of 64.
    text += b" " * (-(len(_MAGIC) + 4 + len(text) + 1) % 64) + b"\n"
    return _MAGIC + b"\x01\x00" + struct.pack("<H", len(text)) + text


def _parse(memory: memoryview) -> Tensor:
    text, begin = _header_text(memory)
    fields: dict[bytes, bytes] = {}
    position = 1
    while match := _FIELD.match(text, position):
        fields[match[2]] = match[3]
        position = match.end()
    if text[:1] != b"{" or text[position:].strip() != b"}" or set(fields) != {b"descr", b"fortran_order", b"shape"}:
        raise FormatError("expected a header with descr, fortran_order and shape")
    descr = fields[b"descr"].decode("latin1").strip("'\"")
    order, code = descr[:1], descr[1:]
    if order not in "<>|=" or code not in _DTYPES:
        hint = "; arrays of objects are pickles, which are never read" if "O" in descr else ""
        raise FormatError(f"expected a dtype that atled has, got {descr!r}{hint}")
    kind = getattr(at, _DTYPES[code])
    if len(fields[b"shape"]) > 2000:
        raise FormatError("expected a shape of at most 64 sizes")
    shape = tuple(int(size) for size in re.findall(rb"\d+", fields[b"shape"]))
    check_shape(shape, kind.itemsize)
    elements = flat(memory, kind, math.prod(shape), begin, swapped=order not in ("|", "=", _ORDER))
    if memory.nbytes != begin + elements.nbytes:
        raise FormatError(f"expected {elements.nbytes} bytes for shape {shape}, got {memory.nbytes - begin}")
    if fields[b"fortran_order"] == b"True":
        return elements.reshape(shape[::-1]).permute(tuple(range(len(shape)))[::-1])
    return elements.reshape(shape)


def _header_text(memory: memoryview) -> tuple[bytes, int]:
    """The header, and where the elements begin."""
    start = memory[:12].tobytes()
    if not start.startswith(_MAGIC):
        raise FormatError("expected a file that begins with \\x93NUMPY; this is no .npy file")
    if len(start) < 12:
        raise FormatError("expected a header; the file is truncated")
    if start[6] not in (1, 2, 3):
        raise FormatError(f"expected format version 1 to 3, got {start[6]}.{start[7]}")
    width = 2 if start[6] == 1 else 4
    size, begin = int.from_bytes(start[8 : 8 + width], "little"), 8 + width
    if size > _MAX_HEADER:
        raise FormatError(f"expected a header of at most {_MAX_HEADER} bytes, got {size}")
    text = memory[begin : begin + size].tobytes()
    if len(text) != size:
        raise FormatError("expected a whole header; the file is truncated")
    return text.strip(), begin + size
