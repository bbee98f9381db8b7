"""Parameters that are computed from others: a module's tensor becomes the output of modules of its own.

>>> import atled.core as at
>>> from atled import nn
>>> class Symmetric(nn.Module):
...     def forward(self, x):
...         return x.triu() + x.triu(1).mT
>>> layer = nn.Linear(3, 3)
>>> _ = register_parametrization(layer, "weight", Symmetric())
>>> bool((layer.weight == layer.weight.mT).all()), list(layer.state_dict())
(True, ['bias', 'parametrizations.weight.original'])
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._module import Module
from .._parameter import Parameter, detached, requires_grad
from ..modules._containers import ModuleDict, ModuleList

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

# What `cached` keeps, by module and name; None outside.
_kept: dict[tuple[int, str], Tensor] | None = None
_depth = 0


@contextmanager
def cached() -> Iterator[None]:
    """Within it every parametrized tensor is computed once, at its first use; for layers that run many times a step.

    Assigning to a tensor within has it computed anew.

    >>> from atled import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> with cached():
    ...     layer.weight is layer.weight
    True
    >>> layer.weight is layer.weight
    False
    """
    global _kept, _depth
    _depth += 1
    _kept = {} if _kept is None else _kept
    try:
        yield
    finally:
        _depth -= 1
        if _depth == 0:
            _kept = None


class ParametrizationList(ModuleList):
    """What one tensor is computed from: ``original`` (or ``original0``, ``original1``, ...), then module by module.

    Made by `register_parametrization`, it is ``module.parametrizations[name]``; calling it computes the tensor.

    >>> from atled import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> steps = layer.parametrizations["weight"]
    >>> [part.shape for part in steps.originals()], steps().shape
    ([(2, 1), (2, 3)], (2, 3))
    """

    def __init__(self, modules: Iterable[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        value: Tensor | Sequence[Tensor] = detached(original)
        with suppress(at.NotImplementedOpError):  # of such maps, the value itself is the start
            value = self._inverse(original)
        self.is_tensor = isinstance(value, Tensor)
        self.ntensors = 1 if isinstance(value, Tensor) else len(value)
        if isinstance(value, Tensor):
            if isinstance(original, Parameter):
                original.data = detached(value)  # the same object, which an optimizer may have
                self.register_parameter("original", original)
            else:
                self.register_buffer("original", value)
            return
        for i, part in enumerate(value):
            name = f"original{i}"
            if isinstance(original, Parameter):
                self.register_parameter(name, Parameter(detached(part), requires_grad(original)))
            else:
                self.register_buffer(name, part)

    def originals(self) -> list[Tensor]:
        """The tensors that it starts from."""
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        return [self.__dict__[name] for name in names]

    def _inverse(self, value: Tensor) -> Tensor | Sequence[Tensor]:
        """What the modules would make the value of; itself for those that do not say."""
        found: Any = detached(value)
        for module in reversed(self._list()):
            inverse = getattr(module, "right_inverse", None)
            if inverse is None:
                continue
            found = inverse(found)
            many = isinstance(found, (tuple, list)) and all(isinstance(part, Tensor) for part in found)
            if not isinstance(found, Tensor) and not (many and module is self[0]):
                raise at.ArgumentError(
                    f"expected right_inverse of {type(module).__name__} to answer a tensor, or the first one's "
                    f"several, got {type(found).__name__}"
                )
        return found  # type: ignore[no-any-return]

    def right_inverse(self, value: Tensor) -> None:
        """Sets the originals so that the tensor becomes the value, as far as the modules can say how."""
        found = self._inverse(value)
        parts = [found] if isinstance(found, Tensor) else list(found)
        if len(parts) != self.ntensors:
            raise at.ArgumentError(f"expected right_inverse to answer {self.ntensors} tensors, got {len(parts)}")
        for original, part in zip(self.originals(), parts, strict=True):
            if part.dtype != original.dtype:
                raise at.DTypeError(f"expected a value of dtype {original.dtype.name}, got {part.dtype.name}")
            original.data = detached(part)

    def forward(self) -> Tensor:
        """The tensor."""
        first, *others = self._list()
        value: Tensor = first(*self.originals())
        for module in others:
            value = module(value)
        return value


def _property(name: str) -> property:
    def get(self: Module) -> Tensor:
        steps: Module = self.__dict__["parametrizations"][name]
        if _kept is None:
            return steps()  # type: ignore[no-any-return]
        key = id(self), name
        if key not in _kept:
            _kept[key] = steps()
        return _kept[key]

    def put(self: Module, value: Tensor) -> None:
        if _kept is not None:
            _kept.pop((id(self), name), None)
        self.__dict__["parametrizations"][name].right_inverse(value)

    return property(get, put)


def _inject(module: Module) -> None:
    """Gives a module a class of its own, for its properties to live in."""
    kind = type(module)

    def no_pickle(self: Module, protocol: Any) -> Any:
        raise at.AtledError(
            f"{kind.__name__}: expected no parametrizations where a module is pickled; save its state_dict()"
        )

    def deepcopy(self: Module, memo: dict[int, Any]) -> Module:
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        _own_class(other)
        return other

    members = {"__reduce_ex__": no_pickle, "__deepcopy__": deepcopy}
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), members)


def _own_class(module: Module) -> None:
    """A class that no other module shares, with the same properties."""
    kind = type(module)
    module.__class__ = type(kind.__name__, kind.__bases__, dict(kind.__dict__))


@explained
def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the tensor of that name, or without a name any of the module, is computed by parametrizations.

    >>> from atled import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> is_parametrized(layer), is_parametrized(layer, "bias")
    (True, False)
    """
    steps = module.__dict__.get("parametrizations")
    if not isinstance(steps, ModuleDict):
        return False
    return len(steps) > 0 if tensor_name is None else tensor_name in steps


@explained
def type_before_parametrizations(module: Module) -> type:
    """The module's class without those that parametrizations have given it.

    >>> from atled import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> type(layer).__name__, type_before_parametrizations(layer).__name__
    ('ParametrizedLinear', 'Linear')
    """
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


@explained
def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Has ``module.<tensor_name>`` computed by ``parametrization`` from a tensor that is learnt in its place.

    module: has a parameter or buffer of that name. parametrization: a module from tensors to one; further ones take
    what the one before has made. Where it has ``right_inverse``, the tensor keeps its value as far as that says how,
    and may be assigned to. The state dict has ``parametrizations.<tensor_name>.original`` in its place. ArgumentError
    where there is no such tensor; ShapeError or DTypeError where the result is unlike it, unless ``unsafe``. Nothing
    has changed then.

    >>> from atled import nn
    >>> layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    >>> layer.parametrizations.weight.original.data.fill_(-1.0).tolist(), layer.weight.tolist()
    ([[-1.0, -1.0]], [[0.0, 0.0]])
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        steps: ParametrizationList = module.__dict__["parametrizations"][tensor_name]
        before = steps()
        if not unsafe:
            _check(tensor_name, before, parametrization(before))
            inverse = getattr(parametrization, "right_inverse", None)
            if inverse is not None:
                _check(tensor_name, before, inverse(detached(before)))
        steps.append(parametrization)
        steps.unsafe |= unsafe
        if hasattr(parametrization, "right_inverse"):
            steps.right_inverse(before)
        return module
    kind = module._kinds.get(tensor_name)
    original = module.__dict__.get(tensor_name)
    if kind not in ("parameter", "buffer") or original is None:
        raise at.ArgumentError(f"{type(module).__name__} has no parameter or buffer {tensor_name!r} to parametrize")
    value = detached(original)
    steps = ParametrizationList([parametrization], original, unsafe)
    if not unsafe:
        try:
            _check(tensor_name, value, steps())
        except Exception:
            original.data = value
            raise
    _install(module, tensor_name, steps)
    return module


def _install(module: Module, name: str, steps: ParametrizationList) -> None:
    """Puts ``steps`` in the place of the tensor, if there is one."""
    if name in module._kinds:
        delattr(module, name)
    if not is_parametrized(module):
        _inject(module)
        module.register_module("parametrizations", ModuleDict())
    setattr(type(module), name, _property(name))
    module.__dict__["parametrizations"][name] = steps


def _check(name: str, before: Tensor, after: Any) -> None:
    if not isinstance(after, Tensor):
        raise at.ArgumentError(f"expected a parametrization of {name!r} to answer a tensor, got {type(after).__name__}")
    if after.dtype != before.dtype:
        raise at.DTypeError(
            f"expected a parametrization of {name!r} to answer dtype {before.dtype.name}, got {after.dtype.name}; "
            "unsafe=True allows it"
        )
    if tuple(after.shape) != tuple(before.shape):
        raise at.ShapeError(
            f"expected a parametrization of {name!r} to answer shape {tuple(before.shape)}, got {tuple(after.shape)}; "
            "unsafe=True allows it"
        )


@explained
def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Makes a tensor an ordinary parameter or buffer again: with its value, or as the original that it came from.

    ArgumentError where it is not parametrized, or where the original is asked for and there are several.

    >>> from atled import nn
    >>> layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    >>> remove_parametrizations(layer, "weight")
    Linear(in_features=2, out_features=1, bias=True)
    >>> list(layer.state_dict()), bool((layer.weight >= 0).all())
    (['bias', 'weight'], True)
    """
    if not is_parametrized(module, tensor_name):
        raise at.ArgumentError(f"{type(module).__name__} has no parametrization of {tensor_name!r}")
    steps: ParametrizationList = module.__dict__["parametrizations"][tensor_name]
    first = steps.originals()[0]
    if not leave_parametrized and not steps.is_tensor:
        raise at.ArgumentError(f"expected leave_parametrized=True where {tensor_name!r} comes from several tensors")
    result: Tensor = first
    if leave_parametrized:
        value = detached(steps())
        if isinstance(first, Parameter) and steps.is_tensor:
            first.data = value  # the same object, which an optimizer may have
        else:
            result = Parameter(value, requires_grad(first)) if isinstance(first, Parameter) else value
    del module.__dict__["parametrizations"][tensor_name]
    delattr(type(module), tensor_name)
    if not len(module.__dict__["parametrizations"]):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    if isinstance(result, Parameter):
        module.register_parameter(tensor_name, result)
    else:
        module.register_buffer(tensor_name, result)
    return module


@explained
def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Gives another module copies of the parametrizations of one, or of one of its tensors, with their originals.

    Answers the other module. ArgumentError for a name that is not parametrized.

    >>> from atled import nn
    >>> layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    >>> other = transfer_parametrizations_and_params(layer, nn.Linear(2, 1))
    >>> bool((other.weight == layer.weight).all()), other.weight is layer.weight
    (True, False)
    """
    names = list(from_module.__dict__["parametrizations"]) if is_parametrized(from_module) else []
    if tensor_name is not None:
        if tensor_name not in names:
            raise at.ArgumentError(f"{type(from_module).__name__} has no parametrization of {tensor_name!r}")
        names = [tensor_name]
    for name in names:
        _install(to_module, name, copy.deepcopy(from_module.__dict__["parametrizations"][name]))
    return to_module
