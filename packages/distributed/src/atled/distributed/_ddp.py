"""Data-parallel training: one copy of a module on each rank, gradients averaged over the ranks."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import NoneType
from typing import Any, NoReturn, Protocol

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor
from atled.core._explained import explained

from ._buckets import CAP_MB, plan
from ._comm_hook import CommHook, Hook
from ._errors import DistError, MismatchError
from ._graph import unused_parameters
from ._group import ProcessGroup
from ._join import Attendance
from ._objects import all_gather_object
from ._reducer import Reducer
from ._trees import mapped
from ._world import group_or_default
from .device_mesh import DeviceMesh
from .fsdp._shard import check_whole

__all__ = ["DistributedDataParallel", "ModuleLike"]


class ModuleLike(Protocol):
    """What is asked of a module; ``atled.nn.Module`` has it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def named_parameters(self) -> Iterable[tuple[str, Tensor]]: ...
    def buffers(self) -> Iterable[Tensor]: ...


class DistributedDataParallel:
    """Wraps a module so that ``backward`` averages its gradients over the ranks of a group.

    Every rank feeds its own part of the batch. Where all parts are of one size and the loss is a mean, the gradients
    are those of the whole batch. Gradients travel in buckets of ``bucket_cap_mb`` MiB while backward computes the next
    (Li et al. 2020, "PyTorch Distributed", section 3.2). ``optimizer.step()`` then does the same on each rank.

    ``init_sync`` copies parameters and buffers of rank 0 to all ranks now; ``broadcast_buffers`` copies buffers again
    before each forward in training mode. Every parameter that requires grad must take part in each loss, or else
    ``find_unused_parameters`` must be True, which walks the graph of each output.

    ``module`` is on a device that the group's backend takes, and stays there. ``device_ids=[device]`` names it, as a
    device or the index of a GPU: then tensors among the arguments of a call are moved to it. ``process_group`` are the
    ranks (None: all), or those of ``device_mesh``, of one dimension. ``output_device``, ``dim``, ``check_reduction``
    and ``gradient_as_bucket_view`` are there for PyTorch's programs and change nothing. With ``static_graph``
    parameters may be unused, as with ``find_unused_parameters``.

    Everything that is not found here is the module's: ``state_dict()`` has the module's own keys, and ``module`` is the
    module itself. A method that returns the module, such as ``to`` or ``double``, here returns the wrapper.
    ``copy.deepcopy`` gives a wrapper of a copy, for the same ranks and without a communication hook; pickling raises
    DistError.

    Raises MismatchError on all ranks where the modules differ in names, shapes, dtypes or what requires grad, or the
    arguments do; InvalidValueError for a module without a parameter that requires grad, for one that is sharded, and
    for ``device_ids`` of another device; DistError without a job, and at the next call where a parameter got no
    gradient, or two.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
    >>> model(at.full((1, 2), dist.get_rank() + 1.0)).sum().backward()  # of ones on rank 0, of twos on rank 1
    >>> model.weight.grad.tolist()
    [[1.5, 1.5]]
    >>> model.require_backward_grad_sync, model.eval().training, model.train().training
    (True, False, True)
    """

    @explained
    def __init__(
        self,
        module: ModuleLike,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: ProcessGroup | None = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        *,
        device_mesh: DeviceMesh | None = None,
    ) -> None:
        if device_mesh is not None:
            process_group = _group_of(device_mesh, process_group)
        bucket_cap_mb = CAP_MB if bucket_cap_mb is None else bucket_cap_mb
        if not bucket_cap_mb > 0:
            raise InvalidValueError(f"DistributedDataParallel: expected bucket_cap_mb > 0, got {bucket_cap_mb}")
        self.module = module
        self.process_group = group_or_default(process_group, "DistributedDataParallel")
        if not hasattr(module, "named_parameters"):
            raise ArgumentError(f"DistributedDataParallel: expected a module, got {type(module).__name__}")
        self._device = _named_device(device_ids, module)
        check_whole("DistributedDataParallel", (parameter for _, parameter in module.named_parameters()))
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters or static_graph
        self._bucket_cap_mb = bucket_cap_mb
        named = _learnt(module)
        if not named:
            raise InvalidValueError("DistributedDataParallel: expected a module with a parameter that requires grad")
        self._parameters = [parameter for _, parameter in named]
        self._attendance: Attendance | None = None
        self._check_same(init_sync)
        if init_sync:
            self._broadcast_parameters()
            self._broadcast_buffers()
        self._reducer = Reducer([name for name, _ in named], self._parameters, self.process_group, bucket_cap_mb)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the module's forward."""
        self._reducer.check_complete()
        self._reducer.follow_parameters()
        trains = self._reducer.is_enabled and _records()
        refreshes = self._reducer.is_enabled and self._has_buffers_to_send()
        if self._attendance is not None and (trains or refreshes):
            scale = self._attendance.call(trains, refreshes)
            self._reducer.scale = scale if trains and scale is not None else self._reducer.scale
        if refreshes:
            self._broadcast_buffers(0 if self._attendance is None else self._attendance.source)
        if self._device is not None:
            args, kwargs = mapped((args, kwargs), lambda tensor: tensor.to(self._device))
        output = self.module(*args, **kwargs)
        if self.find_unused_parameters and self._reducer.is_enabled:
            unused = unused_parameters(output, self._parameters)
            if unused is not None:
                self._reducer.expect_unused(unused)
        return output

    forward = __call__

    def register_comm_hook(self, state: object, hook: Hook) -> None:
        """Has ``hook(state, bucket)`` bring a bucket's gradients together, where else they are averaged.

        ``bucket`` is a `GradBucket` with this rank's gradients. The hook begins what is to be done and returns a
        ``futures.Future`` of the new gradients: one tensor of the shape, dtype and device of ``bucket.buffer()``, the
        buffer itself maybe, which becomes ``grad`` as it is: also a division by the number of ranks is the hook's.
        It runs in backward, for one bucket after the other in the same order on every rank; callbacks of the future
        run at its end, in that order, too. ``algorithms.ddp_comm_hooks`` has ready-made hooks.

        Within ``no_sync()`` no hook runs. Within ``join()`` a rank that has run out calls the hook with zeros, and
        ``divide_by_initial_world_size`` changes nothing. Where a hook raises, backward does; the other ranks are told,
        if the rank ends so, or else get a MismatchError by what it calls next.

        Raises ArgumentError for what cannot be called with a state and a bucket, DistError where there is a hook
        already, and after the first backward. What a hook returns is an ArgumentError, ShapeError or DTypeError in
        backward where it does not fit.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> def summed(state, bucket):
        ...     work = dist.all_reduce(bucket.buffer(), async_op=True)
        ...     return work.get_future().then(lambda future: future.value()[0] / state["divisor"])
        >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
        >>> model.register_comm_hook({"divisor": 10}, summed)
        >>> model(at.full((1, 2), dist.get_rank() + 1.0)).sum().backward()
        >>> model.weight.grad.tolist()
        [[0.30000001192092896, 0.30000001192092896]]
        """
        self._reducer.set_hook(CommHook(state, hook))

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within it, backward adds to the gradients of this rank alone; the next backward outside averages the sum.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
        >>> with model.no_sync():
        ...     model(at.full((1, 2), dist.get_rank() + 1.0)).sum().backward()
        >>> model(at.full((1, 2), 10.0)).sum().backward()
        >>> model.weight.grad.tolist()
        [[11.5, 11.5]]
        """
        previous = self._reducer.is_enabled
        self._reducer.is_enabled = False
        try:
            yield
        finally:
            self._reducer.is_enabled = previous

    @contextlib.contextmanager
    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> Iterator[None]:
        """Within it, ranks may have different numbers of batches: who has run out waits for the others at the end.

        Until then it takes part in their collectives with gradients of zero, which count in the average unless
        ``divide_by_initial_world_size`` is False; at last it gets the parameters and buffers of who trained last. With
        ``throw_on_early_termination`` all ranks raise DistError instead, as soon as one runs out. Every rank enters it.
        With ``enable=False`` it does nothing.

        >>> import atled.core as at
        >>> from atled import distributed as dist, nn
        >>> model = dist.DistributedDataParallel(nn.Linear(2, 1, bias=False))
        >>> batches = [at.ones((1, 2))] * (1 + dist.get_rank())  # one on rank 0, two on rank 1
        >>> with model.join():
        ...     for inputs in batches:
        ...         model.zero_grad()
        ...         model(inputs).sum().backward()
        >>> dist.get_rank() == 0 or model.weight.grad.tolist() == [[0.5, 0.5]]  # the second time with rank 0's zeros
        True
        """
        if not enable:
            yield
            return
        attendance = Attendance(self.process_group, not divide_by_initial_world_size, throw_on_early_termination)
        self._attendance = attendance
        try:
            yield
            attendance.answer(lambda: self._take_part(attendance))
            self._broadcast_parameters(attendance.source)
            self._broadcast_buffers(attendance.source)
        finally:
            self._attendance = None
            self._reducer.scale = 1.0

    def _take_part(self, attendance: Attendance) -> None:
        if attendance.refreshes:
            self._broadcast_buffers(attendance.source)
        if attendance.trains:
            self._reducer.take_part(self.find_unused_parameters)

    @property
    def require_backward_grad_sync(self) -> bool:
        """Whether the next backward averages gradients; PyTorch's programs set it where ``no_sync`` is in the way."""
        return self._reducer.is_enabled

    @require_backward_grad_sync.setter
    def require_backward_grad_sync(self, value: bool) -> None:
        self._reducer.is_enabled = value

    def train(self, mode: bool = True) -> DistributedDataParallel:
        """Sets the module to training or evaluation mode."""
        self.module.train(mode)  # type: ignore[attr-defined]
        return self

    def eval(self) -> DistributedDataParallel:
        """Sets the module to evaluation mode."""
        return self.train(False)

    def __getattr__(self, name: str) -> Any:
        # Only called for what the wrapper itself lacks; "module" is missing while a copy is being made.
        if name == "module":
            raise AttributeError(name)
        value = getattr(self.module, name)
        return self._returning_itself(value) if inspect.ismethod(value) else value

    def _returning_itself(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method of the module that returns this wrapper in its place: or ``model.to(device)`` would undo it."""

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return self if result is self.module else result

        return call

    def __deepcopy__(self, memo: dict[int, Any]) -> DistributedDataParallel:
        # Nothing is sent: the ranks have the same module, and each copies its own.
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        vars(copied).update(vars(self))
        copied.module = copy.deepcopy(self.module, memo)
        named = _learnt(copied.module)
        copied._parameters = [parameter for _, parameter in named]
        copied._attendance = None
        names = [name for name, _ in named]
        copied._reducer = Reducer(names, copied._parameters, self.process_group, self._bucket_cap_mb)
        return copied

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise DistError(
            "DistributedDataParallel: the wrapper belongs to the ranks of this job and cannot be pickled; save "
            "state_dict(), or pickle what it wraps, its attribute module"
        )

    def __repr__(self) -> str:
        return f"DistributedDataParallel({self.module!r})"

    def _broadcast_parameters(self, source: int = 0) -> None:
        for work in [self.process_group.broadcast(p, source) for _, p in self.module.named_parameters()]:
            work.wait()

    def _has_buffers_to_send(self) -> bool:
        is_training = getattr(self.module, "training", True)
        return bool(self.broadcast_buffers and is_training and any(True for _ in self.module.buffers()))

    def _broadcast_buffers(self, source: int = 0) -> None:
        # Together, since normalisation layers bring many small ones before each forward.
        buffers = list(self.module.buffers())
        buckets = plan(buffers, float("inf"))
        if self.process_group.rank == source:
            for bucket in buckets:
                bucket.fill_from(buffers)
        for work in [self.process_group.broadcast(bucket.flat, source) for bucket in buckets]:
            work.wait()
        if self.process_group.rank != source:
            for bucket in buckets:
                bucket.copy_to(buffers)

    def _check_same(self, init_sync: bool) -> None:
        """Compares all that decides what the ranks call, once: not every backend compares the calls."""
        lines = [
            f"{name}: {p.dtype} {tuple(p.shape)}{'' if p.requires_grad else ', frozen'}"
            for name, p in self.module.named_parameters()
        ]
        lines += [f"buffer: {b.dtype} {tuple(b.shape)}" for b in self.module.buffers()]
        lines += [f"init_sync={init_sync}", f"broadcast_buffers={self.broadcast_buffers}"]
        lines += [f"find_unused_parameters={self.find_unused_parameters}", f"bucket_cap_mb={self._bucket_cap_mb}"]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        digests: list[str] = [""] * self.process_group.size
        all_gather_object(digests, digest, self.process_group)
        if len(set(digests)) > 1:
            listings: list[list[str]] = [[] for _ in digests]
            all_gather_object(listings, lines, self.process_group)
            rank = next(r for r in range(len(digests)) if digests[r] != digests[0])
            first, other = set(listings[0]), set(listings[rank])
            raise MismatchError(
                "DistributedDataParallel: expected the same module and arguments on every rank; only on rank "
                f"{self.process_group.ranks[0]}: {sorted(first - other)}; only on rank "
                f"{self.process_group.ranks[rank]}: {sorted(other - first)}"
            )


def _named_device(device_ids: Any, module: ModuleLike) -> at.device | None:
    """The module's device, which ``device_ids``, if given, is to name; an index says nothing of a module on cpu."""
    if not isinstance(device_ids, (Sequence, NoneType)) or isinstance(device_ids, str):
        raise ArgumentError(f"DistributedDataParallel: expected device_ids to be a list, got {device_ids!r}")
    if not device_ids:
        return None
    devices = list(dict.fromkeys(parameter.device for _, parameter in module.named_parameters())) or [at.device("cpu")]
    if [_device_named(each, devices[0]) for each in device_ids] != devices:
        raise InvalidValueError(
            f"DistributedDataParallel: expected device_ids to name one device, the module's, {devices}, got "
            f"{list(device_ids)}; move the module there before, or leave device_ids out"
        )
    return devices[0]


def _device_named(name: Any, home: at.device) -> at.device:
    if not isinstance(name, int):
        return at.device(name)
    return home if home.type == "cpu" else at.device(home.type, name)


def _group_of(mesh: DeviceMesh, process_group: object) -> ProcessGroup:
    if process_group is not None or not isinstance(mesh, DeviceMesh) or mesh.ndim != 1:
        raise InvalidValueError(
            "DistributedDataParallel: expected device_mesh of one dimension, and no process_group, got "
            f"{mesh!r} and {process_group!r}"
        )
    return mesh.get_group()


def _learnt(module: ModuleLike) -> list[tuple[str, Tensor]]:
    return [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]


def _records() -> bool:
    """Whether what is computed now can be differentiated; autograd, where it is installed, knows."""
    is_grad_enabled = getattr(at, "is_grad_enabled", None)
    return is_grad_enabled is None or bool(is_grad_enabled())
