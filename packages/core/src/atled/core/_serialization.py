"""Saving and loading: files by their suffix, each format an object that the entry-point group ``atled.formats`` names.

A format has ``save(obj, file, metadata)`` and ``load(file, device, mmap)``, registered under the suffix of its files
(``.npz``). Nothing here ever runs code from a file.
"""

from __future__ import annotations

import contextlib
import mmap as memory_map
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol, cast

import atled.core as at

from . import _registry
from ._core import ArgumentError, FormatError, InvalidValueError, Tensor, device, dtype

Target = str | os.PathLike[str] | IO[bytes]
_DEFAULT = ".safetensors"


class Format(Protocol):
    """What an entry point of the group ``atled.formats`` is."""

    def save(self, obj: Any, file: IO[bytes], metadata: Mapping[str, str]) -> None:
        """Writes `obj` to a file opened for that; an exception leaves no file behind."""

    def load(self, file: IO[bytes], device: device, mmap: bool) -> Any:
        """Reads from the file's position; with `mmap` the file has a descriptor and begins there."""


def save(obj: Any, f: Target, *, metadata: Mapping[str, str] | None = None, format: str | None = None) -> None:
    """Saves a tensor, a dict of tensors, or nested dicts, lists, tuples, numbers, strings and None around tensors.

    A path is written whole or not at all: into a temporary file beside it, flushed to the disk, then renamed. Its
    suffix chooses the format, unless `format` names another one (``".npz"``); without either it is safetensors, which
    takes everything above. `metadata` maps strings to strings, for formats that have room for it. Raises ArgumentError
    for what the format cannot hold without running code at loading. docs/files.md compares the formats.

    >>> at.save({"weight": at.ones(2, 3), "epoch": 3}, folder / "state.safetensors")
    >>> at.load(folder / "state.safetensors")["epoch"]
    3
    """
    chosen = _format(f, format, "save")
    if not isinstance(f, (str, os.PathLike)):
        chosen.save(obj, f, dict(metadata or {}))
        return
    with _replacing(Path(f)) as file:
        chosen.save(obj, file, dict(metadata or {}))


def load(
    f: Target,
    map_location: str | device | None = None,
    *,
    mmap: bool = False,
    format: str | None = None,
    weights_only: bool = True,
) -> Any:
    """What `save` was given, or what another library wrote, on `map_location` (the CPU unless told otherwise).

    The path's suffix chooses the format, unless `format` names another one. With `mmap`, a path's tensors are mapped
    from the file and read when first used; writing to them changes the memory alone, and the file must stay as it is
    while they live. `weights_only` is PyTorch's and changes nothing: code in a file is never run. Raises FormatError,
    saying what is wrong, when the file is truncated, not what it says, or has other things than data in it.

    >>> at.save({"weight": at.tensor([1.0, 2.0]), "epoch": 3}, folder / "state.safetensors")
    >>> at.load(folder / "state.safetensors")
    {'weight': tensor([1., 2.]), 'epoch': 3}
    """
    is_path = isinstance(f, (str, os.PathLike))
    if mmap and not is_path:
        raise ArgumentError(f"load: expected a path for mmap=True, got {type(f).__name__}")
    if map_location is not None and not isinstance(map_location, (str, device)):
        raise ArgumentError(
            f"load: expected map_location to be a device or its name, got {type(map_location).__name__}; without one, "
            "all tensors come to the CPU"
        )
    target = at.device("cpu" if map_location is None else map_location)
    chosen = _format(f, format, "load")
    with _reading(f, guessed=format is None and not is_path) as file:
        return chosen.load(file, target, mmap)


def load_metadata(f: Target) -> dict[str, str]:
    """The metadata that `save` put into a safetensors file, without reading the tensors.

    f: a path or a binary file. Returns a dict of strings, empty where there is none; FormatError for another kind of
    file.

    >>> at.save(at.zeros(2), folder / "zeros.safetensors", metadata={"author": "me"})
    >>> at.load_metadata(folder / "zeros.safetensors")["author"]
    'me'
    """
    from ._formats.safetensors import read_metadata

    with _reading(f) as file:
        return read_metadata(file)


def from_file(
    filename: str | os.PathLike[str],
    shared: bool | None = None,
    size: int = 0,
    *,
    dtype: dtype | None = None,
) -> Tensor:
    """A 1-d tensor over the first `size` elements of a file, mapped.

    With `shared`, writing to the tensor writes to the file, which is made, or made longer, where it is too short.
    Otherwise writing changes the memory alone, and a file that is too short raises InvalidValueError.

    >>> at.from_file(folder / "numbers.bin", shared=True, size=3, dtype=at.int32).fill_(7)
    tensor([7, 7, 7], dtype=int32)
    """
    kind = at.get_default_dtype() if dtype is None else dtype
    nbytes = size * kind.itemsize
    if not 0 <= nbytes < 1 << 46:
        raise InvalidValueError(
            f"from_file: expected a size of 0 to 2^46 bytes, got {size} elements of {kind.itemsize}"
        )
    with open(filename, "a+b" if shared else "rb") as file:
        there = os.fstat(file.fileno()).st_size
        if there < nbytes and not shared:
            raise InvalidValueError(f"from_file: expected a file of at least {nbytes} bytes, got {there}")
        if size == 0:
            return at.empty(0, dtype=kind)
        if there < nbytes:
            os.truncate(file.fileno(), nbytes)
        access = memory_map.ACCESS_WRITE if shared else memory_map.ACCESS_COPY
        return at.frombuffer(memory_map.mmap(file.fileno(), nbytes, access=access), kind)


@contextlib.contextmanager
def _reading(f: Target, guessed: bool = False) -> Iterator[IO[bytes]]:
    """The file; what is wrong with it is said with its name, and what else to try where its format was `guessed`."""
    try:
        if isinstance(f, (str, os.PathLike)):
            with open(f, "rb") as file:
                yield file
        else:
            yield f
    except FormatError as error:
        name = os.fspath(f) if isinstance(f, (str, os.PathLike)) else getattr(f, "name", type(f).__name__)
        hint = '; for another format than safetensors, pass its suffix, as in format=".pt"' if guessed else ""
        raise FormatError(f"load: {name}: {error}{hint}") from None


def _format(f: Target, given: str | None, op: str) -> Format:
    """The format of that suffix, or of the path's."""
    suffix = given or (Path(f).suffix if isinstance(f, (str, os.PathLike)) else "") or _DEFAULT
    found = _registry.find("atled.formats", suffix)
    if found is None:
        known = ", ".join(_registry.names("atled.formats"))
        name = repr(suffix) if given or not isinstance(f, (str, os.PathLike)) else repr(Path(f).name)
        raise FormatError(f"{op}: expected a file name ending in one of {known}, got {name}; or pass format=")
    return cast(Format, found)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when the block ends well, and leaves no trace when it does not."""
    path = Path(os.path.realpath(path))  # a link stays a link
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
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
