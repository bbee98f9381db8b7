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

    differentiable = self.is_floating_point() or self.is_complex()
    wanted = bool(self.requires_grad) if differentiable and _has_gradients() else False
    arguments = (type(self), bytes(to_bytes(self)), self.dtype, self.shape, str(self.device), wanted)
    return _rebuild, arguments, getattr(self, "__dict__", None) or None


def _has_gradients() -> bool:
    from atled.core import _registry

    return _registry.in_use("atled.tensor_attributes") and "requires_grad" in _registry.names("atled.tensor_attributes")


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


def _array_namespace(self: _core.Tensor, *, api_version: str | None = None) -> Any:
    """The namespace of the Python array API standard."""
    from atled.core import array_api

    if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12", "2025.12"):
        raise _core.InvalidValueError(f"__array_namespace__: expected a version of the standard, got {api_version!r}")
    return array_api


def install() -> None:
    """Puts these on Tensor."""
    for name, function in {
        "__reduce_ex__": _reduce,
        "__array_namespace__": _array_namespace,
    }.items():
        setattr(_core.Tensor, name, function)
