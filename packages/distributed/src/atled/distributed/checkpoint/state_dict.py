"""State dicts of models and optimizers that may be sharded, under the model's own names.

Every rank calls these functions, with the same model. State dicts are sharded, with this rank's rows of what is sharded
as ``ShardedTensor``, or with ``full_state_dict=True`` whole, as one process would have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor

from .._errors import DistError
from .._objects import broadcast_object_list
from .._world import get_rank, group_or_default
from .._zero import ZeroRedundancyOptimizer
from ..fsdp._fully_shard import FSDPModule
from ..fsdp._shard import Shard, shard_of
from ..fsdp._sharded_tensor import ShardedTensor, gathered
from ._flat import flattened, unflattened

__all__ = [
    "StateDictOptions",
    "get_model_state_dict",
    "get_optimizer_state_dict",
    "get_state_dict",
    "set_model_state_dict",
    "set_optimizer_state_dict",
    "set_state_dict",
]


@dataclass
class StateDictOptions:
    """What state dicts are to be like.

    ``full_state_dict``: whole tensors in place of this rank's rows. ``cpu_offload``: tensors on cpu; with
    ``full_state_dict`` rank 0 alone gets the state dict, and the others an empty one. ``ignore_frozen_params``: without
    parameters that require no grad. ``strict``: as in ``Module.load_state_dict``. ``broadcast_from_rank0``: rank 0's
    state dict is set on all ranks, whatever the others pass; it is whole. ``flatten_optimizer_state_dict``: an
    optimizer's state as one dict, with keys such as ``state.NAME.exp_avg`` and ``param_groups.NAME.lr``, so that it can
    be loaded where parameters are in other groups.

    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    >>> whole = StateDictOptions(full_state_dict=True)
    >>> tuple(get_model_state_dict(dist.fully_shard(nn.Linear(4, 6)), options=whole)["weight"].shape)
    (6, 4)
    """

    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False


def get_model_state_dict(model: Any, *, options: StateDictOptions | None = None) -> dict[str, Any]:
    """The parameters and persistent buffers of a model by their names in it, without those of a wrapper.

    Values are tensors over the model's memory, or as ``options`` say; those of shards are ``ShardedTensor``. Every rank
    calls it. Raises ArgumentError for what is no module, and for other options, DistError without a job.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> from atled.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    >>> whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    >>> state = get_model_state_dict(model, options=whole)
    >>> at.save(state, "model.safetensors") if dist.get_rank() == 0 else None
    >>> sorted(state) == (["bias", "weight"] if dist.get_rank() == 0 else [])
    True
    """
    options = _checked(options)
    _reshard(model)
    state = model.state_dict(keep_vars=True)
    if options.ignore_frozen_params:
        frozen = {id(parameter) for parameter in model.parameters() if not parameter.requires_grad}
        state = {key: value for key, value in state.items() if id(value) not in frozen}
    return _kept({key: _given(value, shard_of(value), options) for key, value in state.items()}, options)


def set_model_state_dict(
    model: Any, model_state_dict: Mapping[str, Any], *, options: StateDictOptions | None = None
) -> Any:
    """Copies a state dict into a model, each rank its rows; answers what ``Module.load_state_dict`` does.

    Its tensors are whole, or those of ``get_model_state_dict`` of as many ranks. Raises InvalidValueError for a sharded
    parameter's tensor of neither shape, ArgumentError for what is no state dict, and what ``load_state_dict`` raises.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> from atled.distributed.checkpoint.state_dict import set_model_state_dict
    >>> set_model_state_dict(model, {"weight": at.ones((6, 4)), "bias": at.zeros((6,))})
    <All keys matched successfully>
    >>> model.weight.sum().item()  # of this rank's three rows
    12.0
    """
    options = _checked(options)
    _reshard(model)
    own = model.state_dict(keep_vars=True)
    given = _from_rank_0(model_state_dict) if options.broadcast_from_rank0 else model_state_dict
    if not isinstance(given, Mapping):
        raise ArgumentError(f"set_model_state_dict: expected a state dict, got {type(given).__name__}")
    rows = {key: _rows(key, value, shard_of(own.get(key))) for key, value in given.items()}
    return model.load_state_dict(rows, strict=options.strict)


def get_optimizer_state_dict(model: Any, optimizers: Any, *, options: StateDictOptions | None = None) -> dict[str, Any]:
    """The state of a model's optimizer, or of several, with the parameters' names where they have numbers.

    An optimizer that has made no step gives the state that one without gradients leaves, so that there is something to
    load into. Every rank calls it. Raises DistError for a ZeroRedundancyOptimizer, which has a
    ``consolidate_state_dict``, InvalidValueError for an optimizer of other parameters, ArgumentError for what is none.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> from atled.distributed.checkpoint.state_dict import get_optimizer_state_dict
    >>> state = get_optimizer_state_dict(model, optim.AdamW(model.parameters(), lr=1e-3))
    >>> tuple(state["state"]["weight"]["exp_avg"].shape), state["state"]["weight"]["exp_avg"].full_shape
    ((3, 4), (6, 4))
    >>> state["param_groups"][0]["params"]
    ['weight', 'bias']
    """
    options = _checked(options)
    _reshard(model)
    state: dict[str, Any] = {}
    groups: list[dict[str, Any]] = []
    for optimizer in _listed(optimizers):
        names, params = _names(model, optimizer), _params(optimizer)
        found = _state_of(optimizer, params)
        for number, entries in sorted(found["state"].items()):
            param = params[number]
            if options.ignore_frozen_params and not param.requires_grad:
                continue
            shard = shard_of(param)
            state[names[number]] = {
                key: _given(value, shard if _is_like(value, param) else None, options) for key, value in entries.items()
            }
        groups += [group | {"params": [names[n] for n in group["params"]]} for group in found["param_groups"]]
    found = {"state": state, "param_groups": groups}
    return _kept(flattened(found) if options.flatten_optimizer_state_dict else found, options)


def set_optimizer_state_dict(
    model: Any, optimizers: Any, optim_state_dict: Mapping[str, Any], *, options: StateDictOptions | None = None
) -> None:
    """Takes over what ``get_optimizer_state_dict`` gave, each rank its rows of what is sharded.

    Raises InvalidValueError where it has no group of a group's parameters, or is no such state, and what
    `get_optimizer_state_dict` raises.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> from atled.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
    >>> optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    >>> state = get_optimizer_state_dict(model, optimizer)
    >>> state["param_groups"][0]["lr"] = 0.5
    >>> set_optimizer_state_dict(model, optimizer, state)
    >>> optimizer.param_groups[0]["lr"]
    0.5
    """
    options = _checked(options)
    _reshard(model)
    given = _from_rank_0(optim_state_dict) if options.broadcast_from_rank0 else optim_state_dict
    if options.flatten_optimizer_state_dict and isinstance(given, Mapping):
        given = unflattened(given, [names for each in _listed(optimizers) for names in _groups(model, each)])
    if not isinstance(given, Mapping) or not {"state", "param_groups"} <= set(given):
        raise InvalidValueError("set_optimizer_state_dict: expected what get_optimizer_state_dict gives, got other")
    by_names = {tuple(group["params"]): group for group in given["param_groups"]}
    for optimizer in _listed(optimizers):
        numbers = {name: number for number, name in enumerate(_names(model, optimizer))}
        state: dict[int, Any] = {}
        for (name, number), param in zip(numbers.items(), _params(optimizer), strict=True):
            if not given["state"].get(name):
                continue
            shard = shard_of(param)
            state[number] = {
                key: _rows(f"{name}.{key}", value, shard if _is_for_each(key, value, shard) else None)
                for key, value in given["state"][name].items()
            }
        groups = []
        for own in _groups(model, optimizer):
            found = by_names.get(tuple(own))
            if found is None:
                raise InvalidValueError(
                    f"set_optimizer_state_dict: expected a group of the parameters {own}, got groups of "
                    f"{[list(each) for each in by_names]}"
                )
            groups.append({**found, "params": [numbers[name] for name in own]})
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def get_state_dict(
    model: Any, optimizers: Any, *, options: StateDictOptions | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of `get_model_state_dict` and `get_optimizer_state_dict`, whose errors it raises.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> from atled.distributed.checkpoint.state_dict import get_state_dict
    >>> model_state, optimizer_state = get_state_dict(model, optim.AdamW(model.parameters(), lr=1e-3))
    >>> sorted(model_state), sorted(optimizer_state)
    (['bias', 'weight'], ['param_groups', 'state'])
    """
    return get_model_state_dict(model, options=options), get_optimizer_state_dict(model, optimizers, options=options)


def set_state_dict(
    model: Any,
    optimizers: Any,
    *,
    model_state_dict: Mapping[str, Any],
    optim_state_dict: Mapping[str, Any],
    options: StateDictOptions | None = None,
) -> Any:
    """`set_model_state_dict`, whose answer it gives, and `set_optimizer_state_dict`; their errors.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> from atled.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
    >>> optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    >>> of_model, of_optimizer = get_state_dict(model, optimizer)
    >>> set_state_dict(model, optimizer, model_state_dict=of_model, optim_state_dict=of_optimizer)
    <All keys matched successfully>
    """
    answer = set_model_state_dict(model, model_state_dict, options=options)
    set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return answer


def _checked(options: Any) -> StateDictOptions:
    if not isinstance(options, (StateDictOptions, NoneType)):
        raise ArgumentError(f"state dict: expected options to be StateDictOptions, got {type(options).__name__}")
    return options or StateDictOptions()


def _reshard(model: Any) -> None:
    """Leaves only shards, which state dicts are about."""
    if not any(isinstance(each, at.nn.Module) for each in (model, getattr(model, "module", None))):
        raise ArgumentError(f"state dict: expected a module, got {type(model).__name__}")
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _given(value: Any, shard: Shard | None, options: StateDictOptions) -> Any:
    """A value of the module or optimizer as a state dict has it."""
    if not isinstance(value, Tensor):
        return value
    plain = value.detach() if getattr(value, "requires_grad", False) else Tensor(value)
    if shard is None:
        return plain.cpu() if options.cpu_offload else plain
    if options.full_state_dict:
        whole = gathered(plain, shard)
        if not options.cpu_offload:
            return whole
        return whole.cpu() if get_rank() == 0 else None
    return ShardedTensor(plain.cpu() if options.cpu_offload else plain, shard)


def _kept(state: dict[str, Any], options: StateDictOptions) -> dict[str, Any]:
    """The state dict, on the ranks that are to have it."""
    return state if get_rank() == 0 or not (options.full_state_dict and options.cpu_offload) else {}


def _rows(key: str, value: Any, shard: Shard | None) -> Any:
    """This rank's rows of what a state dict says."""
    if shard is None or not isinstance(value, Tensor):
        return value
    if isinstance(value, ShardedTensor) and (value.full_shape, value.shard_dim, value.begin, value.end) == (
        shard.shape,
        shard.dim,
        shard.begin,
        shard.end,
    ):
        return Tensor(value)
    if isinstance(value, ShardedTensor) or tuple(value.shape) != shard.shape:
        raise InvalidValueError(
            f"set_model_state_dict: {key}: expected the whole tensor of shape {shard.shape}, or this rank's rows "
            f"{shard.begin} to {shard.end} along dimension {shard.dim} as get_model_state_dict gives them, got shape "
            f"{tuple(value.shape)}"
        )
    return shard.part_of(value)


def _is_like(value: Any, param: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == param.shape


def _is_for_each(key: str, value: Any, shard: Shard | None) -> bool:
    """Whether an optimizer's value is one for each element of the parameter, rather than one for all of them."""
    if shard is None or not isinstance(value, Tensor):
        return False
    return value.ndim > 0 or (shard.shape == () and key != "step")


def _listed(optimizers: Any) -> list[Any]:
    listed = list(optimizers) if isinstance(optimizers, Iterable) else [optimizers]
    for optimizer in listed:
        if not isinstance(optimizer, at.optim.Optimizer):
            raise ArgumentError(f"optimizer state dict: expected optimizers, got {type(optimizer).__name__}")
        if isinstance(optimizer, ZeroRedundancyOptimizer):
            raise DistError(
                "optimizer state dict: a ZeroRedundancyOptimizer has the whole one itself; call "
                "consolidate_state_dict() on every rank, and then its state_dict() on rank 0"
            )
    return listed


def _params(optimizer: Any) -> list[Tensor]:
    return [param for group in optimizer.param_groups for param in group["params"]]


def _names(model: Any, optimizer: Any) -> list[str]:
    """The name of each parameter of the optimizer, in its order."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    params = _params(optimizer)
    unknown = [tuple(param.shape) for param in params if id(param) not in names]
    if unknown:
        raise InvalidValueError(
            f"optimizer state dict: expected parameters of the model, got others of shapes {unknown}"
        )
    return [names[id(param)] for param in params]


def _groups(model: Any, optimizer: Any) -> list[list[str]]:
    """The names of each group of parameters."""
    names = iter(_names(model, optimizer))
    return [[next(names) for _ in group["params"]] for group in optimizer.param_groups]


def _state_of(optimizer: Any, params: list[Tensor]) -> dict[str, Any]:
    """The optimizer's state dict, with the state of a step that changes nothing where it has made none."""
    if optimizer.state or any(param.grad is not None for param in params):
        found: dict[str, Any] = optimizer.state_dict()
        return found
    rates = [group.get("lr") for group in optimizer.param_groups]
    try:
        for group in optimizer.param_groups:
            if "lr" in group:
                group["lr"] = 0.0
            for param in group["params"]:
                param.grad = at.zeros_like(param.detach()) if param.requires_grad else None
        optimizer.step()
        found = optimizer.state_dict()
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            if "lr" in group:
                group["lr"] = rate
            for param in group["params"]:
                param.grad = None
        optimizer.state.clear()
    for group, rate in zip(found["param_groups"], rates, strict=True):
        if "lr" in group:
            group["lr"] = rate
    return found


def _from_rank_0(state: Mapping[str, Any]) -> dict[str, Any]:
    """Rank 0's state dict, on every rank."""
    world = group_or_default(None, "broadcast_from_rank0")
    tensors: list[Tensor] = []
    plan: list[Any] = [_without_tensors(state, tensors) if world.rank == 0 else None]
    broadcast_object_list(plan, src=0)
    if not isinstance(plan[0], dict):
        raise ArgumentError(f"broadcast_from_rank0: expected a state dict on rank 0, got {type(plan[0]).__name__}")
    return {key: _with_tensors(value, tensors, world) for key, value in plan[0].items()}


@dataclass
class _Absent:
    """Stands for a tensor that is sent by itself."""

    shape: tuple[int, ...]
    dtype: str
    device: str


def _without_tensors(value: Any, tensors: list[Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors.append(value)
        return _Absent(tuple(value.shape), value.dtype.name, value.device.type)
    if isinstance(value, Mapping):
        return {key: _without_tensors(each, tensors) for key, each in value.items()}
    return [_without_tensors(each, tensors) for each in value] if isinstance(value, list) else value


def _with_tensors(value: Any, tensors: list[Tensor], world: Any) -> Any:
    if isinstance(value, _Absent):
        own = (
            tensors.pop(0)
            if world.rank == 0
            else at.empty(value.shape, dtype=getattr(at, value.dtype), device=value.device)
        )
        world.broadcast(own, 0).wait()
        return own
    if isinstance(value, dict):
        return {key: _with_tensors(each, tensors, world) for key, each in value.items()}
    return [_with_tensors(each, tensors, world) for each in value] if isinstance(value, list) else value
