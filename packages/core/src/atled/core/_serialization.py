"""Saving and loading: safetensors files here, other formats through the entry-point group ``atled.formats``.

A format is an object with ``save(obj, path, metadata)`` and ``load(path, device, mmap)``, registered under the suffix
of its files (``.npz``). Nothing here ever runs code from a file.
"""

from __future__ import annotations

import contextlib
import io
import mmap as memory_map
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol, cast

import atled.core as at

from . import _safetensors, _structure
from ._core import ArgumentError, FormatError, Tensor, device

Target = str | os.PathLike[str] | IO[bytes]
_SUFFIX = ".safetensors"
_STRUCTURE = "atled.structure"  # our keys in the metadata
_COMPLEX128 = "atled.complex128"


class Format(Protocol):
    """What an entry point of the group ``atled.formats`` is."""

    def save(self, obj: Any, path: Path, metadata: Mapping[str, str]) -> None: ...
    def load(self, path: Path, device: device, mmap: bool) -> Any: ...


def save(obj: Any, f: Target, *, metadata: Mapping[str, str] | None = None) -> None:
    """Saves a tensor, a dict of tensors, or nested dicts, lists, tuples, numbers, strings and None around tensors.

    A path is written whole or not at all: into a temporary file beside it, flushed to the disk, then renamed. Its
    suffix chooses the format: ``.safetensors``, or one that an installed wheel provides. A dict of tensors becomes a
    plain safetensors file; of anything else, the structure goes into the file's metadata as JSON. `metadata` maps
    strings to strings. Raises ArgumentError for what cannot be saved without running code at loading.

    >>> at.save({"weight": at.ones(2, 3), "epoch": 3}, folder / "state.safetensors")
    >>> at.load(folder / "state.safetensors")["epoch"]
    3
    """
    given = dict(metadata or {})
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str) or key in (_STRUCTURE, _COMPLEX128):
            raise ArgumentError(f"save: expected metadata of strings with keys of your own, got {key!r}: {value!r}")
    if not isinstance(f, (str, os.PathLike)):
        _write(obj, f, given)
        return
    path = Path(f)
    if other := _other_format(path, "save"):
        other.save(obj, path, given)
        return
    with _replacing(path) as file:
        _write(obj, file, given)


def load(f: Target, map_location: str | device | None = None, *, mmap: bool = False) -> Any:
    """What `save` was given, on `map_location` (the CPU unless told otherwise).

    With `mmap`, a path's tensors are mapped from the file and read when first used; writing to them changes the memory
    alone. Raises FormatError, saying what is wrong, when the file is truncated or not what it says.
    """
    target = at.device("cpu" if map_location is None else map_location)
    if isinstance(f, (str, os.PathLike)) and (other := _other_format(Path(f), "load")):
        return other.load(Path(f), target, mmap)
    with _reading(f) as file:
        mapped = None
        if mmap and file is not f and _remaining(file) > 0:
            mapped = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY)
        return _read(file, target, mapped)


def load_metadata(f: Target) -> dict[str, str]:
    """The metadata that `save` was given, without reading the tensors."""
    with _reading(f) as file:
        header = _safetensors.read_header(file.read, _remaining(file))
    return {key: value for key, value in header.metadata.items() if key not in (_STRUCTURE, _COMPLEX128)}


@contextlib.contextmanager
def _reading(f: Target) -> Iterator[IO[bytes]]:
    try:
        if isinstance(f, (str, os.PathLike)):
            with open(f, "rb") as file:
                yield file
        else:
            yield f
    except FormatError as error:
        name = os.fspath(f) if isinstance(f, (str, os.PathLike)) else getattr(f, "name", type(f).__name__)
        raise FormatError(f"load: {name}: {error}") from None


def _other_format(path: Path, op: str) -> Format | None:
    """The format that another wheel provides for the path's suffix; None when it is our own."""
    if path.suffix in ("", _SUFFIX):
        return None
    from . import _registry

    found = _registry.find("atled.formats", path.suffix)
    if found is None:
        known = ", ".join([_SUFFIX, *_registry.names("atled.formats")])
        raise FormatError(f"{op}: expected a file name ending in one of {known}, got {path.name!r}; rename the file")
    return cast(Format, found)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when the block ends well, and leaves no trace when it does not."""
    path = Path(os.path.realpath(path))  # a link stays a link
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_flat(obj: Any) -> bool:
    return (
        isinstance(obj, Mapping)
        and "__metadata__" not in obj
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in obj.items())
    )


def _write(obj: Any, file: IO[bytes], metadata: dict[str, str]) -> None:
    if _is_flat(obj):
        tensors = dict(obj)
    else:
        metadata[_STRUCTURE], tensors = _structure.encode(obj)
    listed: list[tuple[str, str, tuple[int, ...]]] = []
    complex128: list[str] = []
    for name, tensor in tensors.items():
        dtype, shape = tensor.dtype.name, tuple(tensor.shape)
        if dtype == "complex128":  # stored as pairs: the format has no such dtype
            complex128.append(name)
            dtype, shape = "float64", (*shape, 2)
        listed.append((name, dtype, shape))
    if complex128:
        metadata[_COMPLEX128] = _structure.encode(complex128)[0]
    header, order = _safetensors.write_header(listed, metadata)
    file.write(header)
    for i in order:
        file.write(to_bytes(tensors[listed[i][0]]))


def to_bytes(tensor: Tensor) -> memoryview:
    """The elements in row-major order; a view of the tensor's own memory where that is possible."""
    # An alias that no layer knows of: saving a tensor must leave no trace in a graph.
    host = at.from_dlpack(tensor).to(device="cpu").contiguous()
    if host.dtype != at.bfloat16:
        return memoryview(host)
    import numpy as np

    # The buffer protocol has no bfloat16; its bits are the upper half of float32's.
    bits = (host.to(at.float32).numpy().view(np.uint32) >> 16).astype(np.uint16)
    return bits.data


def _remaining(file: IO[bytes]) -> int:
    here = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(here)
    return end - here


def _read(file: IO[bytes], target: device, mapped: memory_map.mmap | None) -> Any:
    start = file.tell()
    header = _safetensors.read_header(file.read, _remaining(file))
    stored_complex = set(_structure.decode(header.metadata.get(_COMPLEX128, "[]"), {}))
    tensors: dict[str, Tensor] = {}
    for entry in header.entries:
        size = entry.end - entry.begin
        if mapped is None:
            file.seek(start + entry.begin)
            raw = bytearray(size)
            if file.readinto(raw) != size:  # type: ignore[attr-defined]
                raise FormatError(f"tensor {entry.name!r}: the file is truncated")
            buffer, offset = memoryview(raw), 0
        else:
            buffer, offset = memoryview(mapped), entry.begin
        tensor = _from_buffer(buffer, offset, entry, entry.name in stored_complex)
        tensors[entry.name] = tensor.to(device=target)
    structure = header.metadata.get(_STRUCTURE)
    return tensors if structure is None else _structure.decode(structure, tensors)


def _from_buffer(buffer: memoryview, offset: int, entry: _safetensors.Entry, is_complex: bool) -> Tensor:
    size, shape, dtype = entry.end - entry.begin, entry.shape, entry.dtype
    if dtype == "bool":
        # Any byte but 0 and 1 is no bool, and would be undefined behaviour in C++.
        content = bytes(buffer[offset : offset + size])
        if content.count(0) + content.count(1) != size:
            raise FormatError(f"tensor {entry.name!r}: expected bytes 0 and 1 in a bool tensor")
    if is_complex:
        if dtype != "float64" or shape[-1:] != (2,):
            raise FormatError(f"tensor {entry.name!r}: expected complex128 to be stored as pairs of float64")
        shape, dtype = shape[:-1], "complex128"
    kind = getattr(at, dtype)
    if size == 0:
        return at.empty(shape, dtype=kind)
    # Other writers do not align what they write, and a mapped file is what it is.
    if offset % kind.itemsize:
        buffer, offset = memoryview(bytearray(buffer[offset : offset + size])), 0
    return at.frombuffer(buffer, kind, size // kind.itemsize, offset).reshape(shape)
