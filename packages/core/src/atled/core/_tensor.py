"""What Tensor has beside its C methods and the ops: Python's protocols, whose modules are imported when used."""

from __future__ import annotations

from atled.core import _core

# Not typing's own: importing that module takes longer than all of atled.core.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _reduce(self: _core.Tensor, protocol: int) -> tuple[Any, ...]:
    """For pickle and copy: the class, the elements in row-major order, dtype, shape, device and requires_grad."""
    from atled.core._formats.memory import to_bytes

    if self.is_shared() and (passed := _passed_on(self)):
        return passed
    arguments = (type(self), bytes(to_bytes(self)), self.dtype, self.shape, str(self.device), wants_grad(self))
    return _rebuild, arguments, getattr(self, "__dict__", None) or None


def wants_grad(tensor: _core.Tensor) -> bool:
    """Whether the tensor requires grad, where anything knows of that."""
    from atled.core import _registry

    if not (tensor.is_floating_point() or tensor.is_complex()) or not _registry.in_use("atled.tensor_attributes"):
        return False
    return "requires_grad" in _registry.names("atled.tensor_attributes") and bool(tensor.requires_grad)


def _passed_on(self: _core.Tensor) -> tuple[Any, ...] | None:
    """A shared tensor goes as it is to a process that is being spawned."""
    import sys

    context = sys.modules.get("multiprocessing.context")
    if context is None or context.get_spawning_popen() is None:
        return None
    from atled.core.multiprocessing import _sharing

    return _sharing.reduce(self)


def _rebuild(
    cls: type[_core.Tensor], data: bytes, dtype: _core.dtype, shape: tuple[int, ...], device: str, requires_grad: bool
) -> _core.Tensor:
    """A tensor from what `_reduce` said of it."""
    import atled.core as at

    flat = at.frombuffer(bytearray(data), dtype) if data else at.empty(0, dtype=dtype)
    tensor = flat.reshape(shape).to(device=device)
    if cls is not _core.Tensor:
        tensor = cls(tensor)
    return tensor.requires_grad_() if requires_grad else tensor


def _deepcopy(self: _core.Tensor, memo: dict[int, Any]) -> _core.Tensor:
    """For copy.deepcopy: a tensor in memory of its own, which has a copy of the gradient that a leaf has."""
    import copy

    if id(self) in memo:
        known: _core.Tensor = memo[id(self)]
        return known
    if type(self) is _core.Tensor:
        copied = _core.Tensor(self).clone()
        copied = copied.requires_grad_() if wants_grad(self) else copied
    else:
        make, arguments, state = (*self.__reduce_ex__(4), None)[:3]
        copied = make(*arguments)
        if state:
            copied.__dict__.update(copy.deepcopy(state, memo))
    memo[id(self)] = copied
    if wants_grad(self) and self.is_leaf and self.grad is not None:
        copied.grad = copy.deepcopy(self.grad, memo)
    return copied


def _array_namespace(self: _core.Tensor, *, api_version: str | None = None) -> Any:
    """The namespace of the Python array API standard."""
    from atled.core import array_api

    if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12", "2025.12"):
        raise _core.InvalidValueError(f"__array_namespace__: expected a version of the standard, got {api_version!r}")
    return array_api


def _share_memory(self: _core.Tensor) -> _core.Tensor:
    """Moves the elements into memory that processes share; returns the tensor.

    What such a tensor is sent to through a pipe or queue, or inherits it by a fork, sees the same elements.

    >>> at.zeros(2).share_memory_().is_shared()
    True
    """
    from atled.core.multiprocessing import _sharing

    return _sharing.share(self)


def install() -> None:
    """Puts these on Tensor."""
    for name, function in {
        "__reduce_ex__": _reduce,
        "__deepcopy__": _deepcopy,
        "__array_namespace__": _array_namespace,
        "share_memory_": _share_memory,
    }.items():
        setattr(_core.Tensor, name, function)
