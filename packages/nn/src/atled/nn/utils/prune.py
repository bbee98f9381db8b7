"""Pruning: elements of a parameter, or whole channels, are held at zero by a mask while the others are learnt.

A pruned ``weight`` is the product of the parameter ``weight_orig`` and the buffer ``weight_mask``, taken anew before
each forward. Pruning again prunes of what is left, and `remove` makes it final.

>>> import atled.core as at
>>> from atled import nn
>>> layer = nn.Linear(2, 2, bias=False)
>>> _ = layer.weight.data.copy_(at.tensor([[1.0, -4.0], [3.0, 2.0]]))
>>> l1_unstructured(layer, "weight", amount=2).weight.tolist()
[[0.0, -4.0], [3.0, 0.0]]
>>> list(layer.state_dict())
['weight_orig', 'weight_mask']
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import ExplainsInit, explained

from .._module import Module
from .._parameter import Parameter, detached
from ._vector import parameters_to_vector

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ExplainsInit, ABC):
    """Base of the ways to prune: the hook of a module that multiplies one of its parameters by a mask.

    A subclass has ``compute_mask(t, default_mask)``, which answers the mask (1 for what is kept) by the values of ``t``
    or scores in their place, and ``PRUNING_TYPE``, which says what of a tensor that was pruned before it is given:
    ``"unstructured"`` the elements that are left, as a vector; ``"structured"`` the channels along its ``dim`` that are
    not all zero; ``"global"`` all.

    >>> import atled.core as at
    >>> from atled import nn
    >>> class Negative(BasePruningMethod):
    ...     PRUNING_TYPE = "unstructured"
    ...     def compute_mask(self, t, default_mask):
    ...         return default_mask * (t >= 0)
    >>> layer = nn.Linear(3, 2)
    >>> _ = Negative.apply(layer, "weight")
    >>> bool((layer.weight >= 0).all())
    True
    """

    PRUNING_TYPE: str
    _tensor_name: str | None = None

    def __call__(self, module: Module, inputs: Any) -> None:
        """Computes the tensor anew: a forward pre-hook."""
        setattr(module, self._name(), self.apply_mask(module))

    def _name(self) -> str:
        if self._tensor_name is None:
            raise at.OperationError(f"{type(self).__name__}: expected it to be applied to a module before, by apply()")
        return self._tensor_name

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for ``t``, whose shape and that of ``default_mask``, the mask so far, it has."""

    def apply_mask(self, module: Module) -> Tensor:
        """The original times the mask."""
        original: Tensor = getattr(module, f"{self._name()}_orig")
        mask: Tensor = getattr(module, f"{self._name()}_mask")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prunes a parameter by ``cls(*args, **kwargs)``; answers the hook.

        ``importance_scores``, of the parameter's shape, are looked at in the place of its values. ArgumentError where
        there is no such parameter, ShapeError for scores of another shape; nothing has changed then.
        """
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        key = _key_of_hook(module, name)
        if key is None and (module._kinds.get(name) != "parameter" or module.__dict__[name] is None):
            raise at.ArgumentError(f"{type(module).__name__} has no parameter {name!r} to prune")
        tensor: Tensor = getattr(module, name)
        scores = _scores(tensor, importance_scores)
        if key is None:
            mask = method.compute_mask(scores, default_mask=at.ones_like(detached(tensor)))
            original = module._parameters.pop(name)
            module.register_parameter(f"{name}_orig", original)
        else:
            before = module._forward_pre_hooks[key][0]
            method = PruningContainer(*(before if isinstance(before, PruningContainer) else [before]), method)
            mask = method.compute_mask(scores, default_mask=getattr(module, f"{name}_mask").clone())
            del module._forward_pre_hooks[key]
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """``t`` with what the method prunes at zero; nothing is kept of it."""
        scores = _scores(t, importance_scores)
        mask = at.ones_like(detached(t)) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=mask)

    def remove(self, module: Module) -> None:
        """Makes the tensor an ordinary parameter again, with its zeros; the hook stays, which `remove` takes away."""
        name = self._name()
        value = detached(self.apply_mask(module))
        original: Parameter = getattr(module, f"{name}_orig")
        for each in (name, f"{name}_orig", f"{name}_mask"):
            delattr(module, each)
        original.data = value  # the same object, which an optimizer may have
        module.register_parameter(name, original)


def _scores(tensor: Tensor, scores: Tensor | None) -> Tensor:
    """What a method goes by."""
    if scores is not None and tuple(scores.shape) != tuple(tensor.shape):
        raise at.ShapeError(f"prune: expected importance_scores of shape {tensor.shape}, got {scores.shape}")
    return detached(tensor if scores is None else scores)


def _key_of_hook(module: Module, name: str) -> int | None:
    """Where among the forward pre-hooks that one is which prunes a tensor."""
    if module._hooks is None:
        return None
    for key, (hook, _) in module._hooks.before.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return key
    return None


class PruningContainer(BasePruningMethod):
    """What was applied to one tensor, in order: each prunes of what those before it have left.

    Pruning a tensor for the second time makes one. It has a length, and items.

    >>> from atled import nn
    >>> layer = random_unstructured(nn.Linear(10, 10), "weight", 0.5)
    >>> methods = L1Unstructured.apply(layer, "weight", 0.2)
    >>> [type(method).__name__ for method in methods], layer.weight_mask.sum().item()
    (['RandomUnstructured', 'L1Unstructured'], 40.0)
    """

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Adds one, which prunes next; ArgumentError for what is none, InvalidValueError for one of another tensor."""
        if not isinstance(method, BasePruningMethod):
            raise at.ArgumentError(f"PruningContainer: expected a BasePruningMethod, got {type(method).__name__}")
        if method._tensor_name != self._tensor_name:
            raise at.InvalidValueError(
                f"PruningContainer: expected methods of the tensor {self._tensor_name!r}, got one of "
                f"{method._tensor_name!r}"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` without what the last method prunes of what it leaves."""
        method = self._pruning_methods[-1]
        kind = method.PRUNING_TYPE
        left: Any
        if kind == "unstructured":
            left = default_mask != 0
        elif kind == "structured":
            dim = _structured_dim(t, method.dim)  # type: ignore[attr-defined]
            left = (*[slice(None)] * dim, (default_mask != 0).movedim(dim, 0).flatten(1).any(1))
        elif kind == "global":
            left = ...
        else:
            raise at.InvalidValueError(
                f"{type(method).__name__}: expected PRUNING_TYPE 'unstructured', 'structured' or 'global', got {kind!r}"
            )
        mask = default_mask.clone()
        mask[left] = method.compute_mask(t[left], default_mask=default_mask[left]).to(mask.dtype)
        return mask


def _structured_dim(t: Tensor, dim: int) -> int:
    if t.ndim < 2:
        raise at.ShapeError(f"prune: expected a tensor of at least two dimensions, got {tuple(t.shape)}")
    if not -t.ndim <= dim < t.ndim:
        raise at.BoundsError(f"prune: expected dim in [{-t.ndim}, {t.ndim - 1}], got {dim}")
    return dim % t.ndim


class _ByAmount(BasePruningMethod):
    """Prunes those of the least scores: so many, or such a part of all."""

    def __init__(self, amount: int | float | Tensor) -> None:
        if isinstance(amount, Tensor):  # of which floats, too, have an __index__
            amount = amount.item()
        self.amount, self._is_part = amount, not hasattr(amount, "__index__")
        if not amount >= 0 or (self._is_part and amount > 1):
            raise at.InvalidValueError(
                f"{type(self).__name__}: expected amount to be a number of 0 or more, or a part in [0.0, 1.0], got "
                f"{amount}"
            )

    def _least(self, scores: Tensor) -> Tensor:
        """The indices of what is to be pruned, in a vector of scores."""
        count = round(self.amount * len(scores)) if self._is_part else int(self.amount)
        if count > len(scores):
            raise at.InvalidValueError(
                f"{type(self).__name__}: expected amount of at most {len(scores)}, as many as are left, got {count}"
            )
        return scores.topk(count, largest=False).indices


class _Unstructured(_ByAmount):
    PRUNING_TYPE = "unstructured"

    @abstractmethod
    def _rank(self, t: Tensor) -> Tensor:
        """The score of each element."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask``, with 0 for the elements that are pruned."""
        mask = default_mask.flatten().clone()
        mask[self._least(self._rank(t).flatten())] = 0
        return mask.reshape(default_mask.shape)


class _Structured(_ByAmount):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: int | float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    @abstractmethod
    def _rank(self, t: Tensor, dim: int) -> Tensor:
        """The score of each channel."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask``, with 0 for the channels that are pruned; ShapeError for fewer than two dimensions."""
        dim = _structured_dim(t, self.dim)
        return default_mask.index_fill(dim, self._least(self._rank(t, dim)), 0)


class Identity(BasePruningMethod):
    """Prunes nothing; `identity` by its class.

    >>> import atled.core as at
    >>> Identity().prune(at.tensor([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask``."""
        return default_mask


class RandomUnstructured(_Unstructured):
    """Prunes elements at random; `random_unstructured` by its class.

    >>> import atled.core as at
    >>> RandomUnstructured(0.25).prune(at.ones(2, 4)).sum().item()
    6.0
    """

    def _rank(self, t: Tensor) -> Tensor:
        return at.rand(t.shape, device=t.device)


class L1Unstructured(_Unstructured):
    """Prunes the elements that are nearest to zero; `l1_unstructured` by its class.

    >>> import atled.core as at
    >>> L1Unstructured(amount=1).prune(at.tensor([2.0, -1.0, 3.0])).tolist()
    [2.0, -0.0, 3.0]
    """

    def _rank(self, t: Tensor) -> Tensor:
        return at.abs(t)


class RandomStructured(_Structured):
    """Prunes channels at random; `random_structured` by its class.

    >>> import atled.core as at
    >>> RandomStructured(amount=1, dim=0).prune(at.ones(3, 2)).sum().item()
    4.0
    """

    def _rank(self, t: Tensor, dim: int) -> Tensor:
        return at.rand(t.shape[dim], device=t.device)


class LnStructured(_Structured):
    """Prunes the channels of the least norms; `ln_structured` by its class.

    >>> import atled.core as at
    >>> LnStructured(amount=1, n=1, dim=0).prune(at.tensor([[3.0, 4.0], [6.0, 0.0]])).tolist()
    [[3.0, 4.0], [0.0, 0.0]]
    """

    def __init__(self, amount: int | float, n: float | str, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _rank(self, t: Tensor, dim: int) -> Tensor:
        return at.norm(t, self.n, dim=[d for d in range(t.ndim) if d != dim])


class CustomFromMask(BasePruningMethod):
    """Prunes where a mask is 0; `custom_from_mask` by its class.

    >>> import atled.core as at
    >>> CustomFromMask(at.tensor([1, 0])).prune(at.tensor([2.0, 3.0])).tolist()
    [2.0, 0.0]
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` times the mask; ShapeError where their shapes differ."""
        if tuple(self.mask.shape) != tuple(default_mask.shape):
            raise at.ShapeError(f"prune: expected a mask of shape {default_mask.shape}, got {self.mask.shape}")
        return default_mask * self.mask.to(default_mask.dtype)


@explained
def identity(module: Module, name: str) -> Module:
    """Has a parameter made of an original and a mask, of which all is 1 yet; answers the module.

    >>> from atled import nn
    >>> identity(nn.Linear(3, 1), "bias").bias_mask.tolist()
    [1.0]
    """
    Identity.apply(module, name)
    return module


@explained
def random_unstructured(module: Module, name: str, amount: int | float) -> Module:
    """Prunes elements of a parameter at random: a number of them, or a part in [0.0, 1.0]; answers the module.

    Errors: InvalidValueError for an amount outside of that, or of more than are left; ArgumentError where there is no
    such parameter.

    >>> from atled import nn
    >>> random_unstructured(nn.Linear(3, 4), "weight", amount=0.25).weight_mask.sum().item()
    9.0
    """
    RandomUnstructured.apply(module, name, amount)
    return module


@explained
def l1_unstructured(module: Module, name: str, amount: int | float, importance_scores: Tensor | None = None) -> Module:
    """Prunes the elements of a parameter that are nearest to zero, or those of the scores; answers the module.

    ``amount`` and errors are as for `random_unstructured`; ShapeError for ``importance_scores`` of another shape.

    >>> import atled.core as at
    >>> from atled import nn
    >>> layer = l1_unstructured(nn.Linear(1, 3), "bias", 1, importance_scores=at.tensor([3.0, -1.0, 2.0]))
    >>> layer.bias_mask.tolist()
    [1.0, 0.0, 1.0]
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


@explained
def random_structured(module: Module, name: str, amount: int | float, dim: int) -> Module:
    """Prunes channels of a parameter, its indices along ``dim``, at random; answers the module.

    ``amount``, of channels, and errors are as for `random_unstructured`; ShapeError for fewer than two dimensions.

    >>> from atled import nn
    >>> random_structured(nn.Linear(3, 4), "weight", amount=1, dim=0).weight_mask.sum().item()
    9.0
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


@explained
def ln_structured(
    module: Module,
    name: str,
    amount: int | float,
    n: float | str,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prunes the channels of a parameter that have the least norms; answers the module.

    n: which norm, as for `atled.core.norm`. All else is as for `random_structured` and `l1_unstructured`.

    >>> import atled.core as at
    >>> from atled import nn
    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.weight.data.copy_(at.tensor([[3.0, 1.0], [4.0, 0.5]]))
    >>> ln_structured(layer, "weight", amount=0.5, n=2, dim=1).weight.tolist()
    [[3.0, 0.0], [4.0, 0.0]]
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


@explained
def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prunes a parameter where a mask of its shape is 0; answers the module. ShapeError for another shape.

    >>> import atled.core as at
    >>> from atled import nn
    >>> custom_from_mask(nn.Linear(5, 3), "bias", at.tensor([0, 1, 0])).bias_mask.tolist()
    [0.0, 1.0, 0.0]
    """
    CustomFromMask.apply(module, name, mask)
    return module


@explained
def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Mapping[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prunes several parameters as if they were one, so that some lose more than others.

    parameters: modules and names. pruning_method: a class whose ``PRUNING_TYPE`` is ``"unstructured"``, which is called
    with ``kwargs``; ArgumentError for others. importance_scores: of some of them, by module and name.

    >>> from atled import nn
    >>> net = nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 1))
    >>> global_unstructured([(net[0], "weight"), (net[1], "weight")], L1Unstructured, amount=10)
    >>> sum(int((mask == 0).sum()) for mask in net.buffers())
    10
    """
    pairs = list(parameters)
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise at.ArgumentError(
            f"global_unstructured: expected a pruning_method of PRUNING_TYPE 'unstructured', got "
            f"{pruning_method.__name__} of {method.PRUNING_TYPE!r}"
        )
    given = importance_scores or {}
    scores = [_scores(getattr(module, name), given.get((module, name))) for module, name in pairs]
    masks = [
        getattr(module, f"{name}_mask", at.ones_like(score))
        for (module, name), score in zip(pairs, scores, strict=True)
    ]
    whole = PruningContainer(method).compute_mask(parameters_to_vector(scores), parameters_to_vector(masks))
    parts = whole.split([mask.numel() for mask in masks])
    for (module, name), mask, part in zip(pairs, masks, parts, strict=True):
        custom_from_mask(module, name, part.reshape(mask.shape))


@explained
def remove(module: Module, name: str) -> Module:
    """Makes a pruned tensor an ordinary parameter again, whose zeros stay but are learnt; answers the module.

    InvalidValueError where it is not pruned.

    >>> from atled import nn
    >>> layer = remove(random_unstructured(nn.Linear(3, 4), "weight", 0.25), "weight")
    >>> list(layer.state_dict()), int((layer.weight == 0).sum())
    (['bias', 'weight'], 3)
    """
    key = _key_of_hook(module, name)
    if key is None:
        raise at.InvalidValueError(f"remove: expected {name!r} of {type(module).__name__} to be pruned before")
    module._forward_pre_hooks.pop(key)[0].remove(module)
    return module


@explained
def is_pruned(module: Module) -> bool:
    """Whether a parameter of a module, or of one within, is pruned.

    >>> from atled import nn
    >>> net = nn.Sequential(nn.Linear(3, 4))
    >>> before = is_pruned(net)
    >>> _ = identity(net[0], "bias")
    >>> before, is_pruned(net)
    (False, True)
    """
    hooks = [hook for each in module.modules() if each._hooks for hook, _ in each._hooks.before.values()]
    return any(isinstance(hook, BasePruningMethod) for hook in hooks)
