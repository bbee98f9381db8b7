"""Parameters: tensors that a module learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import atled.core as at

_differentiable: bool | None = None


def _autograd_installed() -> bool:
    """Whether some wheel provides ``Tensor.requires_grad_``; looked up once."""
    global _differentiable
    if _differentiable is None:
        # Imported late: it brings importlib.metadata, which takes longer than all of nn.
        from atled.core import _registry

        _differentiable = "requires_grad_" in _registry.names("atled.tensor_attributes")
    return _differentiable


def set_requires_grad(tensor: at.Tensor, requires_grad: bool) -> None:
    """Marks a tensor for differentiation, or remembers the wish where atled-autograd is not installed."""
    if _autograd_installed():
        tensor.requires_grad_(requires_grad)
    elif isinstance(tensor, Parameter):
        tensor.__dict__["_requires_grad"] = requires_grad


def requires_grad(tensor: at.Tensor) -> bool:
    """Whether a tensor is to be learnt, with or without atled-autograd."""
    if _autograd_installed():
        return bool(tensor.requires_grad)
    return bool(getattr(tensor, "__dict__", {}).get("_requires_grad", False))


def gradient(tensor: at.Tensor) -> at.Tensor | None:
    """``tensor.grad``, and None without atled-autograd."""
    return tensor.grad if _autograd_installed() else None


def recording(*tensors: at.Tensor | None) -> bool:
    """Whether what is computed of these tensors is recorded for a gradient."""
    return (
        _autograd_installed() and at.is_grad_enabled() and any(t is not None and bool(t.requires_grad) for t in tensors)
    )


def constant(tensor: at.Tensor) -> at.Tensor:
    """The tensor as one that nothing depends on, for any layer; the tensor itself without atled-autograd."""
    plain: at.Tensor = tensor.detach() if _autograd_installed() else tensor
    return plain


def detached(tensor: at.Tensor) -> at.Tensor:
    """A plain tensor over the same memory, which no layer (such as autograd) records."""
    return at.Tensor(tensor)


class Parameter(at.Tensor):
    """A tensor that becomes part of ``Module.parameters()`` when it is assigned to a module's attribute.

    It shares the memory of ``data`` and requires a gradient, unless ``requires_grad`` is false or atled-autograd is not
    installed; without ``data`` it is empty, of shape ``(0,)``.

    >>> import atled.core as at
    >>> from atled import nn
    >>> layer = nn.Module()
    >>> layer.scale = Parameter(at.ones(2))
    >>> [(name, parameter.shape) for name, parameter in layer.named_parameters()]
    [('scale', (2,))]
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        """A parameter over the memory of ``data``; an empty one for None."""
        self = at.Tensor.__new__(cls, at.empty(0) if data is None else data)  # type: ignore[call-arg]
        set_requires_grad(self, requires_grad)
        return self

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        pass

    def __repr__(self) -> str:
        return f"Parameter containing:\n{at.Tensor.__repr__(self)}"

    __str__ = __repr__

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(detached(self).clone(), requires_grad(self))
        copied: Parameter = memo[id(self)]
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (detached(self), requires_grad(self))


def _rebuild(data: at.Tensor, requires_grad: bool) -> Parameter:
    return Parameter(data, requires_grad)


class UninitializedParameter(Parameter):
    """A lazy layer's parameter of a shape that its first input will tell; of shape ``(0,)`` until then.

    It becomes a `Parameter`, the same object, so that an optimizer may have it before.

    >>> later = UninitializedParameter()
    >>> later.materialize((2, 3))
    >>> type(later).__name__, later.shape
    ('Parameter', (2, 3))
    """

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: at.dtype | None = None
    ) -> UninitializedParameter:
        """Of what will be known: whether it is learnt, its device and its dtype."""
        return super().__new__(cls, at.empty(0, device=device, dtype=dtype), requires_grad)  # type: ignore[return-value]

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: at.dtype | None = None) -> None:
        pass

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: at.dtype | None = None) -> None:
        """Makes it a `Parameter` of a shape, whose content is whatever was there."""
        self.become(at.empty(tuple(shape), device=device or self.device, dtype=dtype or self.dtype))

    def become(self, data: at.Tensor) -> None:
        """Makes it a `Parameter` over the memory of ``data``."""
        self.data = data
        self.__class__ = Parameter  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(requires_grad(self), self.device, self.dtype)
        copied: Parameter = memo[id(self)]
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (requires_grad(self), str(self.device), self.dtype)
