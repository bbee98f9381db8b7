"""Modules as functions of their parameters; they are whatever keeps tensors as PyTorch's modules do (atled.nn's)."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import atled.core as at
from atled.core._explained import explained

Tensors = Mapping[str, at.Tensor]


@explained
def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Tensors | Sequence[Tensors],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls a module with other tensors in the place of its parameters and buffers, which come back afterwards.

    parameter_and_buffer_dicts: tensors by name (``"0.weight"``), or several such dicts without a common name; what they
    leave out keeps its value.
    args: the positional arguments; what is no tuple is the only one.
    tie_weights: give a tensor that the module has under several names its new value under all of them.
    strict: raise RuntimeError for names that are missing.
    Raises RuntimeError for names that the module has not, InvalidValueError for one that two dicts have. Not to be
    called on one module by several threads at once.

    >>> import atled.core as at, atled.nn as nn
    >>> from atled.autograd.func import functional_call, grad
    >>> layer = nn.Linear(3, 1)
    >>> loss = lambda params, x: functional_call(layer, params, x).sum()
    >>> grad(loss)(dict(layer.named_parameters()), at.ones(2, 3))["bias"].tolist()
    [2.0]
    """
    _expect_module("functional_call", module)
    given = _merged(parameter_and_buffer_dicts)
    positional = args if isinstance(args, tuple) else () if args is None else (args,)
    with _exchanged(module, given, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


def _expect_module(function: str, module: Any) -> None:
    if not hasattr(module, "named_parameters"):
        got = type(module).__name__
        raise at.ArgumentError(f"{function}: expected a module, such as one of atled.nn, got {got}")


def _merged(dicts: Tensors | Sequence[Tensors]) -> dict[str, at.Tensor]:
    if isinstance(dicts, Mapping):
        return dict(dicts)
    merged: dict[str, at.Tensor] = {}
    for one in dicts:
        twice = merged.keys() & one.keys()
        if twice:
            raise at.InvalidValueError(
                f"functional_call: expected each name in one dict, got {sorted(twice)[0]} in two"
            )
        merged |= one
    return merged


def _named(module: Any) -> dict[str, at.Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


@contextmanager
def _exchanged(module: Any, given: dict[str, at.Tensor], tie_weights: bool, strict: bool) -> Iterator[None]:
    own = _named(module)
    unknown = given.keys() - own.keys()
    missing = own.keys() - given.keys()
    if unknown:
        raise RuntimeError(
            f"functional_call: expected names of parameters and buffers, got {', '.join(sorted(unknown))}"
        )
    if tie_weights:
        by_tensor = {id(own[name]): tensor for name, tensor in given.items()}
        given = {name: by_tensor[id(tensor)] for name, tensor in own.items() if id(tensor) in by_tensor} | given
        missing -= given.keys()
    if strict and missing:
        raise RuntimeError(
            f"functional_call: expected all parameters and buffers, {', '.join(sorted(missing))} missing"
        )
    places = [(_holder(module, name), name.rpartition(".")[2]) for name in given]
    before = [holder[name] for holder, name in places]
    try:
        for (holder, name), tensor in zip(places, given.values(), strict=True):
            holder[name] = tensor
        yield
    finally:
        for (holder, name), tensor in zip(places, before, strict=True):
            holder[name] = tensor


def _holder(module: Any, name: str) -> dict[str, Any]:
    for part in name.split(".")[:-1]:
        module = getattr(module, part)
    attributes: dict[str, Any] = module.__dict__
    return attributes


@explained
def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, at.Tensor], dict[str, at.Tensor]]:
    """The parameters and the buffers of modules of one class, stacked along a new first dimension, for `vmap`.

    The stacked parameters are leaves, which require grad where the modules' do.
    Raises InvalidValueError for no modules, or ones of different classes or modes.

    >>> import atled.core as at, atled.nn as nn
    >>> from atled.autograd.func import functional_call, stack_module_state, vmap
    >>> models = [nn.Linear(3, 2) for _ in range(4)]
    >>> parameters, buffers = stack_module_state(models)
    >>> one = lambda p, b, x: functional_call(models[0], (p, b), x)
    >>> vmap(one, in_dims=(0, 0, None))(parameters, buffers, at.ones(5, 3)).shape
    (4, 5, 2)
    """
    if not models:
        raise at.InvalidValueError("stack_module_state: expected at least one module, got none")
    for model in models:
        _expect_module("stack_module_state", model)
    if len({type(model) for model in models}) > 1 or len({model.training for model in models}) > 1:
        raise at.InvalidValueError("stack_module_state: expected modules of one class, all in training mode or none")
    parameters = {}
    for name, first in models[0].named_parameters():
        stacked = at.stack([dict(model.named_parameters())[name].detach() for model in models])
        parameters[name] = stacked.requires_grad_(first.requires_grad)
    buffers = {
        name: at.stack([dict(model.named_buffers())[name] for model in models]) for name, _ in models[0].named_buffers()
    }
    return parameters, buffers


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Has all batch norms of a module use the statistics of their batch alone, and answers the module.

    Running averages are changed in place, which `vmap` cannot do for a tensor that it does not map over.

    >>> import atled.nn as nn
    >>> from atled.autograd.func import replace_all_batch_norm_modules_
    >>> layer = replace_all_batch_norm_modules_(nn.BatchNorm1d(3))
    >>> layer.running_mean is None, list(layer.state_dict())
    (True, ['weight', 'bias'])
    """
    _expect_module("replace_all_batch_norm_modules_", root)
    for module in root.modules():
        if "track_running_stats" in module.__dict__:
            module.running_mean = None
            module.running_var = None
            module.num_batches_tracked = None
            module.track_running_stats = False
    return root


@explained
def rearrange(tensor: at.Tensor | Sequence[at.Tensor], pattern: str, **axes_lengths: int) -> at.Tensor:
    """Reorders, splits and joins dimensions by names, as ``einops.rearrange``, which does it (``pip install einops``).

    >>> import atled.core as at
    >>> from atled.autograd.func import rearrange
    >>> rearrange(at.zeros(2, 12), "b (h w) -> b w h", h=3).shape  # doctest: +SKIP
    (2, 4, 3)
    """
    try:
        einops = importlib.import_module("einops.array_api")
    except ImportError:
        raise ImportError("rearrange: expected the package einops, which is not there: pip install einops") from None
    arranged: at.Tensor = einops.rearrange(tensor, pattern, **axes_lengths)
    return arranged
