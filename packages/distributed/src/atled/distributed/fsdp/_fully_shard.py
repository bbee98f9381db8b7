"""``fully_shard``, and what a module can do once it is sharded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import NoneType
from typing import Any, NoReturn

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor

from .._errors import DistError
from .._group import ProcessGroup
from .._world import group_or_default
from ..device_mesh import DeviceMesh
from ..tensor import Shard as Placement
from ._members import Members
from ._passes import UNIT
from ._policy import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy
from ._shard import Shard, shard_of
from ._sharded_tensor import ShardedTensor
from ._unit import Unit

__all__ = ["FSDPModule", "UnshardHandle", "fully_shard", "register_fsdp_forward_method"]


class FSDPModule:
    """What `fully_shard` adds to the class of a module.

    Every rank calls these methods in the same order. A copy of the module, and pickling it, are a DistError.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> isinstance(model, nn.Linear), isinstance(model, dist.FSDPModule), tuple(model.weight.shape)
    (True, True, (3, 4))
    >>> model.unshard()
    >>> tuple(model.weight.shape)
    (6, 4)
    >>> model.reshard()
    >>> tuple(model.weight.shape), [name for name, _ in model.named_modules()]
    ((3, 4), [''])
    """

    @property
    def _unit(self) -> Unit:
        unit: Unit = vars(self)[UNIT]
        return unit

    def unshard(self, async_op: bool = False) -> UnshardHandle | None:
        """Makes the parameters of this module, not those of sharded ones within, whole until ``reshard()``.

        With ``async_op`` it only begins to; ``wait()`` of the UnshardHandle that it returns ends it. Changes to whole
        parameters are lost, and those to shards are not seen: call ``reshard()`` before the next step of the optimizer.
        Raises what `all_reduce` raises.
        """
        self._unit.hold()
        handle = UnshardHandle(self._unit)
        if async_op:
            return handle
        handle.wait()
        return None

    def reshard(self) -> None:
        """Leaves each rank its shards of the parameters of this module."""
        self._unit.reshard()

    def set_requires_gradient_sync(self, requires_gradient_sync: bool, *, recurse: bool = True) -> None:
        """Whether backward averages gradients. If not, it adds up whole gradients, which the next that does includes.

        With ``recurse`` it is said of the sharded modules within, too, as by the other methods.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> model = dist.fully_shard(nn.Linear(2, 2, bias=False))
        >>> model.set_requires_gradient_sync(False)  # for all batches of a step but the last
        >>> model(at.full((1, 2), dist.get_rank() + 1.0)).sum().backward()
        >>> model.set_requires_gradient_sync(True)
        >>> model(at.ones((1, 2))).sum().backward()
        >>> model.weight.grad.tolist()  # of the row that this rank has
        [[2.5, 2.5]]
        """
        for unit in self._units(recurse):
            unit.syncs_gradients = requires_gradient_sync

    def set_reshard_after_forward(self, reshard_after_forward: bool, recurse: bool = True) -> None:
        """As the argument of `fully_shard`.

        >>> from atled import distributed as dist, nn
        >>> model = dist.fully_shard(nn.Linear(4, 6))
        >>> model.set_reshard_after_forward(False)  # more memory between forward and backward, less communication
        >>> model.set_reshard_after_backward(False)  # and between the backwards of one step
        """
        for unit in self._units(recurse):
            unit.reshards_after_forward = reshard_after_forward

    def set_reshard_after_backward(self, reshard_after_backward: bool, *, recurse: bool = True) -> None:
        """Whether whole parameters are freed after backward. If not, the next forward takes them as they are.

        That saves communication between the backwards of one step; set it to True before the last of them.
        """
        for unit in self._units(recurse):
            unit.reshards_after_backward = reshard_after_backward

    def set_requires_all_reduce(self, requires_all_reduce: bool, *, recurse: bool = True) -> None:
        """Whether backward averages over the copies of the shards, too, on a mesh of two dimensions.

        If not, it averages over the ranks that share the parameters out, which takes no more memory than the shards;
        the next backward that does includes it.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> mesh = dist.init_device_mesh("cpu", (2, 1), mesh_dim_names=("replicate", "shard"))
        >>> model = dist.fully_shard(nn.Linear(2, 1, bias=False), mesh=mesh)
        >>> model.set_requires_all_reduce(False)
        >>> model(at.full((1, 2), dist.get_rank() + 1.0)).sum().backward()
        >>> model.set_requires_all_reduce(True)
        >>> model(at.ones((1, 2))).sum().backward()
        >>> model.weight.grad.tolist()
        [[2.5, 2.5]]
        """
        for unit in self._units(recurse):
            unit.averaging.includes_replicas = requires_all_reduce

    def set_gradient_divide_factor(self, factor: float) -> None:
        """By what the sum of all ranks' gradients is divided, for this module alone; else it is their number.

        Raises InvalidValueError for what is not above 0.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> model = dist.fully_shard(nn.Linear(2, 2, bias=False))
        >>> model.set_gradient_divide_factor(1.0)  # the sum
        >>> model(at.ones((1, 2))).sum().backward()
        >>> model.weight.grad.tolist()
        [[2.0, 2.0]]
        """
        if not (isinstance(factor, (int, float)) and factor > 0):
            raise InvalidValueError(f"set_gradient_divide_factor: expected a number > 0, got {factor!r}")
        self._unit.averaging.divisor = float(factor)

    def set_reduce_scatter_divide_factor(self, factor: float) -> None:
        """PyTorch's older name of `set_gradient_divide_factor`.

        >>> from atled import distributed as dist, nn
        >>> dist.fully_shard(nn.Linear(2, 2)).set_reduce_scatter_divide_factor(4.0)
        """
        self.set_gradient_divide_factor(factor)

    def set_all_reduce_hook(self, hook: Callable[[Tensor], object], *, stream: object = None) -> None:
        """Has ``hook(gradients)`` see the averaged gradients of this module's shards, flat, before ``grad`` has them.

        It may change them in place: that is where a program averages over further ranks. It is called at the end of
        backward, once for each dtype, and once for each large parameter, whose shard is a MiB or more, in one order on
        all ranks; between one parameter's and the next there may be zeros. ``stream`` is there for PyTorch's programs
        and changes nothing. Raises ArgumentError for what cannot be called.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> model = dist.fully_shard(nn.Linear(2, 2, bias=False))
        >>> model.set_all_reduce_hook(lambda gradients: gradients.clamp_(max=0.5))
        >>> model(at.ones((1, 2))).sum().backward()
        >>> model.weight.grad.tolist()
        [[0.5, 0.5]]
        """
        if not callable(hook):
            raise ArgumentError(f"set_all_reduce_hook: expected hook to be callable, got {hook!r}")
        self._unit.averaging.hook = hook

    def set_modules_to_forward_prefetch(self, modules: list[FSDPModule]) -> None:
        """The sharded modules whose parameters are fetched while this one computes, in forward.

        Else it is the one that came next in the last forward. More than one take more memory, and an empty list none.
        Every rank says the same. Raises ArgumentError for what is no list of sharded modules.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)))
        >>> layers = [dist.fully_shard(layer) for layer in model]
        >>> _ = dist.fully_shard(model)
        >>> layers[0].set_modules_to_forward_prefetch(layers[1:3])
        >>> layers[3].set_modules_to_backward_prefetch(layers[2:0:-1])
        >>> model(at.ones((1, 4))).sum().backward()
        """
        self._unit.forward_prefetch = _units_of("set_modules_to_forward_prefetch", modules)

    def set_modules_to_backward_prefetch(self, modules: list[FSDPModule]) -> None:
        """As `set_modules_to_forward_prefetch`, while this one's gradients are computed in backward."""
        self._unit.backward_prefetch = _units_of("set_modules_to_backward_prefetch", modules)

    def set_unshard_in_backward(self, unshard_in_backward: bool) -> None:
        """Whether this module's parameters are made whole for backward; an embedding's gradients do not need them.

        If they turn out to be needed, they are fetched then, on every rank.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> model = dist.fully_shard(nn.Sequential(dist.fully_shard(nn.Embedding(8, 4)), nn.Linear(4, 4)))
        >>> model[0].set_unshard_in_backward(False)
        >>> model(at.tensor([1, 2])).sum().backward()
        >>> tuple(model[0].weight.grad.shape)
        (4, 4)
        """
        self._unit.unshards_in_backward = unshard_in_backward

    def set_is_last_backward(self, is_last_backward: bool) -> None:
        """There for PyTorch's programs: here each backward waits at its end for the gradients that it has sent.

        >>> from atled import distributed as dist, nn
        >>> dist.fully_shard(nn.Linear(2, 2)).set_is_last_backward(False)
        """

    def named_modules(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, Any]]:
        """As the module's own, by which parameters and state dicts are found, too."""
        self._unit.tidy()
        yield from super().named_modules(*args, **kwargs)  # type: ignore[misc]

    def _units(self, recurse: bool) -> list[Unit]:
        modules: Iterable[Any] = self.modules() if recurse else [self]  # type: ignore[attr-defined]
        return list(dict.fromkeys(module._unit for module in modules if isinstance(module, FSDPModule)))

    def __deepcopy__(self, memo: Any) -> NoReturn:
        self._refuse("copied")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        self._refuse("pickled")

    def _refuse(self, what: str) -> NoReturn:
        raise DistError(
            f"{type(self).__name__}: a sharded module cannot be {what}, for it belongs to the ranks of this job; "
            "make a new one, shard it, and give it the state: get_model_state_dict and set_model_state_dict"
        )


def _units_of(what: str, modules: Any) -> list[Unit]:
    if not isinstance(modules, (list, tuple)) or not all(isinstance(module, FSDPModule) for module in modules):
        raise ArgumentError(f"{what}: expected a list of modules that fully_shard has sharded, got {modules!r}")
    return [module._unit for module in modules]


class UnshardHandle:
    """Parameters on their way, of ``unshard(async_op=True)``.

    >>> from atled import distributed as dist, nn
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> handle = model.unshard(async_op=True)
    >>> handle.wait()  # after computing something else
    >>> tuple(model.weight.shape)
    (6, 4)
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def wait(self) -> None:
        """Blocks until the parameters are whole; raises what `all_reduce` raises."""
        self._unit.show_held()


def fully_shard(
    module: Any,
    *,
    mesh: DeviceMesh | None = None,
    reshard_after_forward: bool | None = None,
    shard_placement_fn: Callable[[Tensor], Placement | None] | None = None,
    mp_policy: MixedPrecisionPolicy | None = None,
    offload_policy: OffloadPolicy | None = None,
    ignored_params: Iterable[Any] | None = None,
) -> Any:
    """Shares the parameters of a module out over the ranks, with their gradients and optimizer state; returns it.

    Each rank keeps some rows of each parameter, along the first dimension. Before forward all ranks' rows are gathered
    into whole parameters, which are freed after it, gathered again for backward, and freed; gradients are averaged over
    the ranks, each of which gets those of its rows in ``grad``. This is ZeRO's third stage (Rajbhandari et al. 2020,
    section 5.3), done for one module after the other as in PyTorch FSDP (Zhao et al. 2023). Shard the layers first and
    the model that holds them last: what a module's own call does not share out, that of the next one outside does, and
    what one shares out is in memory together.

    ``module`` stays the same object, of a class that is an FSDPModule, too, and so do its parameters, which now hold
    this rank's rows; ``state_dict()`` has them as ShardedTensors. Optimizers that change each element by itself work as
    they are, made before or after; those that look at whole matrices do not. ``clip_grad_norm_`` of
    ``atled.distributed``, ``atled.optim`` and ``atled.nn.utils`` counts all ranks. All ranks begin with rank 0's
    values, feed parts of the batch of one size, and call the same modules in the same order.

    A list of modules is sharded as one, and returned: within a forward of what holds them their parameters travel
    together and stay whole until all of them have been called, and backward averages their gradients together.

    ``mesh``: of one dimension, or of two: copies along the first, shards along the second; None is all ranks.
    Parameters and buffers go to its type of device. ``reshard_after_forward``: whether whole parameters are freed
    between forward and backward; None is True but for the outermost module. ``shard_placement_fn(parameter)`` answers
    ``tensor.Shard(dim)`` where a parameter is to be shared out along another dimension than the first, and else None.
    ``mp_policy``: dtypes to compute and communicate in. ``offload_policy``: ``CPUOffloadPolicy()`` where the shards are
    to be on cpu, whatever the device that the module computes on. ``ignored_params``: those to leave alone.

    Raises InvalidValueError for a module that is sharded already or has no forward, for a mesh of more dimensions, for
    lazy parameters, and for a parameter that a module outside shares with one that is sharded alone; ArgumentError for
    arguments of other types (names in place of parameters, say), DeviceError for parameters where the backend takes
    none, DistError without a job.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> for layer in (model[0], model[2], model):
    ...     _ = dist.fully_shard(layer)
    >>> model(at.ones((8, 4))).sum().backward()
    >>> tuple(model[0].weight.shape), tuple(model[0].weight.grad.shape)  # three of six rows
    ((3, 4), (3, 4))
    >>> model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    >>> _ = dist.fully_shard([model[1], model[2]]), dist.fully_shard(model)
    >>> model(at.ones((8, 4))).sum().backward()
    """
    what = "fully_shard"
    modules: Sequence[Any] = module if isinstance(module, (list, tuple)) else [module]
    for each in modules:
        _check_module(what, each)
    if not modules or len(set(map(id, modules))) < len(modules):
        raise InvalidValueError(f"{what}: expected a list of different modules, got {modules}")
    for name, value, kind in (
        ("reshard_after_forward", reshard_after_forward, bool),
        ("mesh", mesh, DeviceMesh),
        ("mp_policy", mp_policy, MixedPrecisionPolicy),
        ("offload_policy", offload_policy, OffloadPolicy),
    ):
        if not isinstance(value, (kind, NoneType)):
            raise ArgumentError(f"{what}: expected {name} of type {kind.__name__}, got {type(value).__name__}")
    if shard_placement_fn is not None and not callable(shard_placement_fn):
        raise ArgumentError(f"{what}: expected shard_placement_fn to be callable, got {shard_placement_fn!r}")
    if mesh is None:
        group, replicas = group_or_default(None, what), None
    elif mesh.ndim > 2:
        raise InvalidValueError(f"{what}: expected a mesh of one or two dimensions, got {mesh}")
    else:
        group, replicas = mesh.get_group(mesh.ndim - 1), mesh.get_group(0) if mesh.ndim == 2 else None
    ignored = {id(parameter) for parameter in _tensors("ignored_params", ignored_params)}
    found = _own_parameters(modules, ignored)
    # Before anything is sent or changed, so that a wrong answer leaves the module as it is.
    dims = [_dim_of(parameter, shard_placement_fn) for parameter, _ in found]
    device = None if mesh is None else mesh.device_type
    if device is not None:
        for each in modules:
            _move_buffers(each, device)
    shards = [
        _shared_out(parameter, slots, group, replicas, device, dim, offload_policy)
        for (parameter, slots), dim in zip(found, dims, strict=True)
    ]
    name = ", ".join(type(each).__name__ for each in modules)
    members, copies = Members(group, name), None if replicas is None else Members(replicas, name)
    policy = mp_policy or MixedPrecisionPolicy()
    unit = Unit(shards, members, copies, reshard_after_forward, policy, len(modules))
    for each in modules:
        vars(each)[UNIT] = unit
        each.register_forward_pre_hook(unit.enter_forward, prepend=True, with_kwargs=True)
        each.register_forward_hook(lambda _, args, output: unit.leave_forward(output), always_call=True)
        each.register_state_dict_post_hook(_mark_shards)
        each.__class__ = _sharded_class(type(each))
    return module


def _check_module(what: str, module: Any) -> None:
    if isinstance(module, FSDPModule):
        raise InvalidValueError(f"{what}: expected a module that is not sharded yet, got a {type(module).__name__}")
    if not isinstance(module, at.nn.Module):
        raise InvalidValueError(f"{what}: expected a module, got {type(module).__name__}")
    if type(module).forward is at.nn.Module.forward:
        raise InvalidValueError(
            f"{what}: expected a module with a forward of its own, got {type(module).__name__}; shard what is in it"
        )


def _tensors(name: str, values: Any) -> list[Any]:
    """What is given as a set or list of tensors; names, say, would be ignored."""
    given = values if isinstance(values, Tensor) else list(values or ())
    if isinstance(given, Tensor) or not all(isinstance(each, Tensor) for each in given):
        raise ArgumentError(f"fully_shard: expected {name} to be a set of parameters, got {given!r}")
    return given


def register_fsdp_forward_method(module: Any, method_name: str) -> None:
    """Lets a method of a sharded module other than ``forward`` be called on whole parameters, too.

    Does nothing for a module that is not sharded. Raises AttributeError for a method that there is not.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.fsdp import register_fsdp_forward_method
    >>> class Embedding(nn.Linear):
    ...     def encode(self, x):
    ...         return x @ self.weight.T
    >>> model = dist.fully_shard(Embedding(4, 6))
    >>> register_fsdp_forward_method(model, "encode")
    >>> tuple(model.encode(at.ones((1, 4))).shape)
    (1, 6)
    """
    if not isinstance(module, FSDPModule):
        return
    method, unit = getattr(module, method_name), module._unit

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        output = None
        args, kwargs = unit.enter_forward(module, args, kwargs)
        try:
            output = method(*args, **kwargs)
        finally:
            output = unit.leave_forward(output)
        return output

    vars(module)[method_name] = call


def _mark_shards(module: Any, state_dict: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    """The hook of state dicts: what is of shards says so, or it would be taken for the whole."""
    for name, parameter in module.named_parameters(remove_duplicate=False):
        shard, value = shard_of(parameter), state_dict.get(prefix + name)
        if shard is not None and value is not None and value is not parameter and not isinstance(value, ShardedTensor):
            state_dict[prefix + name] = ShardedTensor(value, shard)


_classes: dict[type, type] = {}


def _sharded_class(cls: type) -> type:
    if cls not in _classes:
        names = {"__module__": cls.__module__, "__doc__": cls.__doc__}
        _classes[cls] = type(f"FSDP{cls.__name__}", (FSDPModule, cls), names)
    return _classes[cls]


def _own_parameters(modules: Sequence[Any], ignored: set[int]) -> list[tuple[Any, list[tuple[Any, str]]]]:
    """The parameters of modules but for those of sharded ones within, with the modules and names that hold each."""
    found: dict[int, tuple[Any, list[tuple[Any, str]]]] = {}
    waiting, seen = list(modules), set(map(id, modules))
    while waiting:
        each = waiting.pop(0)
        for name, parameter in each._parameters.items():
            if parameter is None or id(parameter) in ignored:
                continue
            if shard_of(parameter) is not None:
                raise InvalidValueError(
                    f"fully_shard: {type(each).__name__}.{name} is also a parameter of a module that is sharded by "
                    "itself; shard the smallest module that holds both, and not that one"
                )
            if hasattr(parameter, "materialize"):
                raise InvalidValueError(
                    f"fully_shard: {type(each).__name__}.{name} has no shape yet; run the module once before"
                )
            found.setdefault(id(parameter), (parameter, []))[1].append((each, name))
        for child in each.children():
            if id(child) not in seen and not isinstance(child, FSDPModule):
                seen.add(id(child))
                waiting.append(child)
    return list(found.values())


def _dim_of(parameter: Any, placed: Callable[[Tensor], Placement | None] | None) -> int:
    """The dimension that a parameter is shared out along."""
    placement = None if placed is None else placed(parameter)
    if placement is None:
        return 0
    if not isinstance(placement, Placement):
        raise ArgumentError(
            f"fully_shard: expected shard_placement_fn to answer tensor.Shard(dim) or None, got {placement!r}"
        )
    ndim: int = max(parameter.ndim, 1)
    if not -ndim <= placement.dim < ndim:
        raise InvalidValueError(
            f"fully_shard: expected shard_placement_fn to answer a dimension of a parameter of shape "
            f"{tuple(parameter.shape)}, got {placement}"
        )
    return placement.dim % ndim


def _move_buffers(module: Any, device: str) -> None:
    for buffer in module.buffers():
        if buffer.device.type not in (device, "meta"):
            buffer.data = buffer.to(device)


def _shared_out(
    parameter: Any,
    slots: list[tuple[Any, str]],
    group: ProcessGroup,
    replicas: ProcessGroup | None,
    device: str | None,
    dim: int,
    offload: OffloadPolicy | None,
) -> Shard:
    """Leaves this rank its part of a parameter, of rank 0's values."""
    full = parameter.detach()
    home = full.device if device is None else at.empty(0, device=device).device
    if full.device.type != "meta":
        full = full if device is None else full.to(device)
        for members in (replicas, group):
            if members is not None:
                members.broadcast(full, 0).wait()
    offload = offload if isinstance(offload, CPUOffloadPolicy) and home.type not in ("cpu", "meta") else None
    shard = Shard(parameter, slots, group, replicas, dim, None if offload is None else home)
    own = shard.own(full)
    if offload is not None and own.device.type != "meta":
        own = own.cpu().pin_memory() if offload.pin_memory else own.cpu()
    parameter.data = own
    parameter.grad = None
    return shard
