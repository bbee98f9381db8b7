"""PyTorch's ``.pt`` and ``.pth`` files, read without PyTorch and without running code.

Since version 1.6 they are zip archives: ``data.pkl`` describes the object, and each storage is a record of its own.
Views of one storage stay views of one storage. What is restored of a parameter is its tensor; ``requires_grad`` is not.
Devices in the pickle become their names.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

import atled.core as at
from atled.core import _core
from atled.core._core import ArgumentError, AtledError, FormatError, Tensor, device, dtype

from .archive import Archive
from .memory import Source, check_shape, flat
from .unpickle import Machine, Named

_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that files before PyTorch 1.6 begin with
_STORAGES = {
    "BoolStorage": "bool",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
}
_DTYPES = tuple(kind.name for kind in _core._dtypes)
# Conjugated and negated views are made real; this many times the file may be copied for them.
_COPIES = 4


class PyTorch:
    """The format of ``.pt`` and ``.pth``, for reading."""

    @staticmethod
    def save(obj: Any, file: IO[bytes], metadata: Mapping[str, str]) -> None:
        """Refuses: these files are pickles."""
        raise ArgumentError("save: PyTorch's files are read and not written; use .safetensors, which PyTorch reads too")

    @staticmethod
    def load(file: IO[bytes], device: device, mmap: bool) -> Any:
        """Reads what ``torch.save`` wrote."""
        source = Source(file, mmap)
        begin = source.read(source.start, min(512, source.end - source.start)).tobytes()
        if begin.startswith(_LEGACY) or begin[257:262] == b"ustar":
            raise FormatError(
                "the file is of the format before PyTorch 1.6, which is not read; load it in PyTorch and save it again"
            )
        if not begin.startswith(b"PK"):
            raise FormatError("expected a zip archive; this is no PyTorch file")
        return _Checkpoint(source, device).load()


FORMAT = PyTorch()


class _Checkpoint:
    def __init__(self, source: Source, target: device) -> None:
        self._archive = Archive(source)
        self._target = target
        self._copied = _COPIES * (source.end - source.start)
        pickles = [name for name in self._archive.names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise FormatError("expected one data.pkl in the archive; this is no PyTorch file")
        self._pickle = pickles[0]
        self._root = self._pickle.removesuffix("data.pkl")
        if f"{self._root}constants.pkl" in self._archive:
            raise FormatError("expected data, got a TorchScript program; save its state_dict() instead")
        order = f"{self._root}byteorder"
        written = self._archive.read(order).tobytes() if order in self._archive else b"little"
        if written not in (b"little", b"big"):
            raise FormatError(f"expected byteorder to be little or big, got {written[:20]!r}")
        self._swapped = written.decode() != sys.byteorder
        self._records: dict[str, memoryview] = {}
        self._storages: dict[tuple[str, str], Tensor] = {}
        self._keys: dict[int, str] = {}  # of the storages, by identity

    def load(self) -> Any:
        names = _names()
        for name, function in (
            ("_rebuild_tensor", self._rebuild),
            ("_rebuild_tensor_v2", self._rebuild),
            ("_rebuild_tensor_v3", self._rebuild_untyped),
            ("_rebuild_parameter", lambda machine, data, *rest: data),
            ("_rebuild_parameter_with_state", lambda machine, data, *rest: data),
        ):
            names[f"torch._utils.{name}"] = Named(f"torch._utils.{name}", function)
        return Machine(self._archive.read(self._pickle).tobytes(), names, self._persistent).run()

    def _persistent(self, key: Any) -> Tensor:
        """The storage of ``("storage", class, key, location, number of elements)``, as a 1-d tensor."""
        if type(key) is not tuple or len(key) != 5 or key[0] != "storage" or type(key[2]) is not str:
            raise FormatError(f"expected the id of a storage, got {type(key).__name__}")
        _, kind, name, _, count = key
        if not isinstance(kind, dtype) or type(count) is not int:
            raise FormatError("expected a storage of a class and a number of elements")
        return self._storage(name, kind, count)

    def _storage(self, name: str, kind: dtype, count: int) -> Tensor:
        known = self._storages.get((name, kind.name))
        if known is not None:
            return known
        record = f"{self._root}data/{name}"
        if record not in self._archive:
            raise FormatError(f"storage {name!r} is not in the archive")
        if name not in self._records:
            self._records[name] = self._archive.read(record)
        try:
            tensor = flat(self._records[name], kind, count, swapped=self._swapped).to(device=self._target)
        except FormatError as error:
            raise FormatError(f"storage {name!r}: {error}") from None
        self._storages[name, kind.name] = tensor
        self._keys[id(tensor)] = name
        return tensor

    def _rebuild(
        self,
        machine: Machine,
        storage: Any,
        offset: Any,
        size: Any,
        stride: Any,
        requires_grad: Any = False,
        hooks: Any = None,
        metadata: Any = None,
    ) -> Tensor:
        if id(storage) not in self._keys:
            raise FormatError("expected a tensor to have a storage")
        if not (_is_ints((offset,)) and _is_ints(size) and _is_ints(stride) and len(size) == len(stride)):
            raise FormatError("expected a tensor to have an offset, sizes and strides")
        check_shape(size, storage.itemsize)
        try:
            tensor: Tensor = storage.as_strided(size, stride, offset)
        except AtledError as error:
            raise FormatError(f"a tensor reaches outside its storage: {error}") from None
        flags = metadata or {}
        if not isinstance(flags, dict) or set(flags) - {"conj", "neg"}:
            raise FormatError("expected no metadata of a tensor but conj and neg")
        for flag, op in (("conj", at.conj), ("neg", at.neg)):
            if flags.get(flag):
                self._copied -= tensor.nbytes
                if self._copied < 0:
                    raise FormatError("the file conjugates or negates far more than it holds")
                tensor = op(tensor)
        return tensor

    def _rebuild_untyped(
        self,
        machine: Machine,
        storage: Any,
        offset: Any,
        size: Any,
        stride: Any,
        requires_grad: Any,
        hooks: Any,
        kind: Any,
        metadata: Any = None,
    ) -> Tensor:
        """As `_rebuild`, of a storage without a dtype: those that came after PyTorch's typed classes."""
        name = self._keys.get(id(storage))
        if name is None or not isinstance(kind, dtype):
            raise FormatError("expected a tensor to have a storage and a dtype")
        typed = self._storage(name, kind, self._records[name].nbytes // kind.itemsize)
        return self._rebuild(machine, typed, offset, size, stride, requires_grad, hooks, metadata)


def _is_ints(values: Any) -> bool:
    return type(values) is tuple and all(type(value) is int and 0 <= value < 1 << 63 for value in values)


def _names() -> dict[str, Named]:
    """What a checkpoint may name, beside the makers of tensors."""
    calls: dict[str, Any] = {
        "collections.OrderedDict": _ordered_dict,
        "torch.Size": _size,
        "torch.device": _device,
        "torch.serialization._get_layout": _layout,
        "_codecs.encode": _encode,
    }
    for module in ("builtins", "__builtin__"):
        calls[f"{module}.set"] = _set
        calls[f"{module}.complex"] = _complex
        calls[f"{module}.bytearray"] = _bytearray
    names = {name: Named(name, call) for name, call in calls.items()}
    values = {f"torch.{name}": name for name in _DTYPES} | {f"torch.{name}": kind for name, kind in _STORAGES.items()}
    values["torch.storage.UntypedStorage"] = "uint8"
    return names | {name: Named(name, None, getattr(at, kind)) for name, kind in values.items()}


def _ordered_dict(machine: Machine, items: Any = ()) -> OrderedDict[Any, Any]:
    if type(items) not in (tuple, list) or not all(type(item) in (tuple, list) and len(item) == 2 for item in items):
        raise FormatError("expected an OrderedDict of pairs")
    machine.spend(len(items))
    return OrderedDict((machine.check_key(key), value) for key, value in items)


def _size(machine: Machine, sizes: Any = ()) -> tuple[int, ...]:
    if not _is_ints(sizes):
        raise FormatError("expected torch.Size of a tuple of sizes")
    return tuple(sizes)


def _device(machine: Machine, kind: Any, index: Any = None) -> str:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise FormatError("expected torch.device of a name and an index")
    return kind if index is None else f"{kind}:{index}"


def _layout(machine: Machine, name: Any) -> str:
    if type(name) is not str:
        raise FormatError("expected the name of a layout")
    return name


def _encode(machine: Machine, text: Any, encoding: Any = None) -> bytes:
    """How protocol 2 writes bytes."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise FormatError("expected _codecs.encode to make bytes of latin1")
    machine.spend(len(text))
    return text.encode("latin1")


def _bytearray(machine: Machine, content: Any = b"", encoding: Any = None) -> bytearray:
    """Of bytes, or of text as protocol 2 writes it; never of a length."""
    if type(content) is str:
        content = _encode(machine, content, encoding)
    if type(content) is not bytes:
        raise FormatError("expected a bytearray of bytes")
    machine.spend(len(content))
    return bytearray(content)


def _set(machine: Machine, items: Any = ()) -> set[Any]:
    if type(items) not in (tuple, list):
        raise FormatError("expected a set of a list")
    machine.spend(len(items))
    return set(map(machine.check_key, items))


def _complex(machine: Machine, real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise FormatError("expected a complex number of two floats")
    return complex(real, imaginary)
