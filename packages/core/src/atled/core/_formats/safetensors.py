"""Safetensors files; of anything but a dict of tensors, the structure goes into the file's metadata as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import atled.core as at
from atled.core._core import ArgumentError, FormatError, Tensor, device

from . import header, structure
from .memory import Source, flat, to_bytes

# Our keys in the metadata.
_STRUCTURE = "atled.structure"
_COMPLEX128 = "atled.complex128"


class Safetensors:
    """The format of ``.safetensors``."""

    @staticmethod
    def save(obj: Any, file: IO[bytes], metadata: Mapping[str, str]) -> None:
        """Writes nested state, and `metadata` whose keys are none of ours."""
        metadata = dict(metadata)
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str) or key in (_STRUCTURE, _COMPLEX128):
                raise ArgumentError(f"save: expected metadata of strings with keys of your own, got {key!r}: {value!r}")
        if _is_flat(obj):
            tensors = dict(obj)
        else:
            metadata[_STRUCTURE], tensors = structure.encode(obj)
        listed: list[tuple[str, str, tuple[int, ...]]] = []
        complex128: list[str] = []
        for name, tensor in tensors.items():
            dtype, shape = tensor.dtype.name, tuple(tensor.shape)
            if dtype == "complex128":  # stored as pairs: the format has no such dtype
                complex128.append(name)
                dtype, shape = "float64", (*shape, 2)
            listed.append((name, dtype, shape))
        if complex128:
            metadata[_COMPLEX128] = structure.encode(complex128)[0]
        text, order = header.write_header(listed, metadata)
        file.write(text)
        for i in order:
            file.write(to_bytes(tensors[listed[i][0]]))

    @staticmethod
    def load(file: IO[bytes], device: device, mmap: bool) -> Any:
        """Reads what `save` wrote."""
        source = Source(file, mmap)
        found = header.read_header(file.read, source.end - source.start)
        stored_complex = set(structure.decode(found.metadata.get(_COMPLEX128, "[]"), {}))
        tensors: dict[str, Tensor] = {}
        for entry in found.entries:
            memory = source.read(source.start + entry.begin, entry.end - entry.begin)
            try:
                tensors[entry.name] = _tensor(memory, entry, entry.name in stored_complex).to(device=device)
            except FormatError as error:
                raise FormatError(f"tensor {entry.name!r}: {error}") from None
        encoded = found.metadata.get(_STRUCTURE)
        return tensors if encoded is None else structure.decode(encoded, tensors)


FORMAT = Safetensors()


def read_metadata(file: IO[bytes]) -> dict[str, str]:
    """The metadata that `save` was given, without reading the tensors."""
    source = Source(file, mapped=False)
    found = header.read_header(file.read, source.end - source.start)
    return {key: value for key, value in found.metadata.items() if key not in (_STRUCTURE, _COMPLEX128)}


def _is_flat(obj: Any) -> bool:
    return (
        isinstance(obj, Mapping)
        and "__metadata__" not in obj
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in obj.items())
    )


def _tensor(memory: memoryview, entry: header.Entry, is_complex: bool) -> Tensor:
    shape, kind = entry.shape, getattr(at, entry.dtype)
    if is_complex:
        if entry.dtype != "float64" or shape[-1:] != (2,):
            raise FormatError("expected complex128 to be stored as pairs of float64")
        shape, kind = shape[:-1], at.complex128
    if not memory.nbytes:
        return at.empty(shape, dtype=kind)
    return flat(memory, kind, memory.nbytes // kind.itemsize).reshape(shape)
