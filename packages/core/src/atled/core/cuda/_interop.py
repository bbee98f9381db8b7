"""Memory of others and of the host: pinned tensors, copies in the background, ``__cuda_array_interface__``."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int64, c_void_p
from typing import Any

from atled.core import _core
from atled.core._ops import ops

from ._devices import device, is_available
from ._native import ask, loaded, native
from ._streams import ExternalStream, current_stream

_KINDS = {"b": "bool", "u": "uint", "i": "int", "f": "float", "c": "complex"}
_CAPSULE = b"dltensor_versioned"

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [c_void_p, ctypes.c_char_p, c_void_p]


def pinned_empty(shape: tuple[int, ...], strides: tuple[int, ...], dtype: _core.dtype) -> _core.Tensor:
    """Uninitialised page-locked memory of the CPU, which GPUs copy from and to while the CPU goes on."""
    n, out = len(shape), c_void_p()
    dims = c_int64 * n
    native().host_tensor(_core._dtypes.index(dtype), n, dims(*shape), dims(*strides), byref(out))
    made: _core.Tensor = _core.from_dlpack(_new_capsule(out.value, _CAPSULE, None))
    return made


def pinned_like(tensor: _core.Tensor, dtype: _core.dtype | None = None) -> _core.Tensor:
    """Uninitialised page-locked memory for a tensor's elements, in the same order."""
    plan = ops.core.empty_like(tensor, device="meta")
    return pinned_empty(plan.shape, plan.stride(), dtype or tensor.dtype)


def pin_memory(tensor: _core.Tensor) -> _core.Tensor:
    """The tensor in page-locked memory: itself where it lies there."""
    if tensor.device.type != "cpu":
        raise _core.DeviceError(f"pin_memory: expected a tensor on cpu, got one on {tensor.device}")
    native()
    return tensor if is_pinned(tensor) else pinned_like(tensor).copy_(tensor)


def is_pinned(tensor: _core.Tensor) -> bool:
    """Whether the memory is page-locked for a GPU."""
    if tensor.device.type != "cpu" or not loaded():
        return False
    return bool(tensor.numel() and ask("host_pinned", tensor.data_ptr()))


def to_host(tensor: _core.Tensor, dtype: _core.dtype | None) -> _core.Tensor:
    """``to("cpu", non_blocking=True)``: a copy into page-locked memory, complete once the stream has come so far."""
    source = tensor if dtype is None else tensor.to(dtype)
    if tensor.device.type != "cuda":
        return source.to("cpu")
    return pinned_like(source).copy_(source, non_blocking=True)


def record_stream(tensor: _core.Tensor, stream: Any) -> None:
    """Keeps the memory, once it is freed, until the stream is done with what it has been given by then."""
    if tensor.device.type != "cuda":
        raise _core.DeviceError(f"record_stream: expected a tensor on cuda, got one on {tensor.device}")
    if tensor.numel():
        native().record_stream(tensor.device.index, tensor.data_ptr(), stream.cuda_stream)


def interface(tensor: _core.Tensor) -> dict[str, Any]:
    """``Tensor.__cuda_array_interface__``, version 3."""
    if tensor.device.type != "cuda":
        raise AttributeError(f"__cuda_array_interface__: expected a tensor on cuda, got one on {tensor.device}")
    kind = next((letter for letter, name in _KINDS.items() if tensor.dtype.name.rstrip("0123456789") == name), None)
    if kind is None:
        raise AttributeError(f"__cuda_array_interface__: it has no {tensor.dtype.name}; use DLPack")
    return {
        "typestr": f"{'|' if tensor.itemsize == 1 else '<'}{kind}{tensor.itemsize}",
        "shape": tensor.shape,
        "strides": None if tensor.is_contiguous() else tuple(step * tensor.itemsize for step in tensor.stride()),
        "data": (tensor.data_ptr() if tensor.numel() else 0, tensor.is_readonly),
        "stream": current_stream(tensor.device).cuda_stream or 1,
        "version": 3,
    }


def from_interface(source: Any) -> _core.Tensor:
    """A tensor over the memory of an object with ``__cuda_array_interface__``, whose stream is waited for."""
    said = source.__cuda_array_interface__
    kind, size = said["typestr"][1], int(said["typestr"][2:])
    name = "bool" if kind == "b" else f"{_KINDS.get(kind, kind)}{8 * size}"
    if name not in {known.name for known in _core._dtypes} or said["typestr"][0] == ">" or said.get("mask") is not None:
        raise _core.DTypeError(
            f"asarray: expected numbers in native byte order, without a mask, got {said['typestr']!r}"
        )
    dtype: _core.dtype = getattr(_core, name)
    shape, (address, readonly) = tuple(said["shape"]), said["data"]
    strides = said.get("strides")
    if strides is None:
        steps = ops.core.empty(shape, device="meta").stride()
    elif any(step % size for step in strides):
        raise _core.DTypeError(f"asarray: expected strides of whole elements, got {strides} bytes for {name}")
    else:
        steps = tuple(step // size for step in strides)
    if not is_available():
        _core.device("cuda")
    index = ask("pointer_device", address) if address else -1
    if address and index < 0:
        raise _core.DeviceError(f"asarray: expected memory of a GPU, got address {address:#x}, which is none")
    place = _core.device("cuda", index) if address else _core.device("cuda")
    stream = said.get("stream")
    if stream is not None and address:
        if stream == 0:
            raise _core.InvalidValueError("asarray: expected a stream other than 0, which may mean several")
        with device(place):
            current_stream(place).wait_stream(ExternalStream(0 if stream == 1 else stream, place))
    made: _core.Tensor = _core._from_address(source, address or 0, dtype, shape, steps, place, bool(readonly))
    return made
