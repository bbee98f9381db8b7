"""An optimizer whose state is spread over the ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor

from ._buckets import CAP_MB, Bucket, portions
from ._errors import DistError
from ._group import ProcessGroup, Work
from ._objects import gather_object
from ._world import group_or_default
from .fsdp._shard import check_whole

__all__ = ["ZeroRedundancyOptimizer"]


class ZeroRedundancyOptimizer:
    """An optimizer of which each rank keeps the state of its part of the parameters only.

    This is the first stage of ZeRO (Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion
    Parameter Models", section 5.1). Every rank has all parameters and, by DistributedDataParallel, the same gradients.
    ``step()`` changes those of this rank by ``optimizer_class``, and then each rank gives the others what it changed.
    Whole parameters are dealt out, the largest first, each to the rank that has the fewest elements so far.

    ``params``: tensors or dicts of groups, the same on every rank; ``defaults``: the settings of ``optimizer_class``, a
    class of ``atled.optim`` or a subclass of its Optimizer, which this one then is too. Settings may change between
    steps in ``param_groups``, where schedules and programs look for them. ``parameters_as_bucket_view`` is there for
    PyTorch's programs and changes nothing.

    Raises InvalidValueError for ``overlap_with_ddp=True``, which there is not, and for sharded parameters,
    ArgumentError for an ``optimizer_class`` that is none, DistError without a job, and what ``optimizer_class`` raises.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> model = dist.DistributedDataParallel(nn.Linear(4, 1))
    >>> optimizer = dist.ZeroRedundancyOptimizer(model.parameters(), optim.AdamW, lr=1e-3)
    >>> model(at.ones((1, 4))).sum().backward()
    >>> optimizer.step()
    >>> len(optimizer.state)  # of the weight on rank 0, of the bias on rank 1
    1
    >>> optimizer.consolidate_state_dict(to=0)
    >>> whole = [optimizer.state_dict() if dist.get_rank() == 0 else None]
    >>> dist.broadcast_object_list(whole)
    >>> optimizer.load_state_dict(whole[0])
    >>> sorted(whole[0]["state"])
    [0, 1]
    >>> optimizer.add_param_group({"params": [at.zeros((3,)).requires_grad_()], "lr": 1e-2})
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.001, 0.01]
    """

    param_groups: list[dict[str, Any]]
    defaults: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> ZeroRedundancyOptimizer:
        """An instance that is an ``atled.optim.Optimizer``, too, as schedules expect."""
        return object.__new__(_as_optimizer(cls))

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]],
        optimizer_class: type[Any],
        process_group: ProcessGroup | None = None,
        parameters_as_bucket_view: bool = False,
        overlap_with_ddp: bool = False,
        **defaults: Any,
    ) -> None:
        if overlap_with_ddp:
            raise InvalidValueError(
                "ZeroRedundancyOptimizer: expected overlap_with_ddp=False, got True; step() runs after backward"
            )
        if not (isinstance(optimizer_class, type) and issubclass(optimizer_class, at.optim.Optimizer)):
            raise ArgumentError(f"ZeroRedundancyOptimizer: expected a class of optimizers, got {optimizer_class!r}")
        self.process_group = group_or_default(process_group, "ZeroRedundancyOptimizer")
        self._optimizer_class = optimizer_class
        self._settings = defaults
        self._owners: dict[int, int] = {}
        self._loads = [0] * self.process_group.size
        #: The optimizer of this rank's part.
        self.optim: Any = None
        self._consolidated: dict[str, Any] | None = None
        # The groups, with the settings that the class adds to them, are those of such an optimizer of all parameters.
        whole = optimizer_class(params, **defaults)
        super().__init__(whole.param_groups, whole.defaults)  # type: ignore[call-arg]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group, as ``Optimizer.add_param_group``, whose errors it raises; every rank adds the same one."""
        super().add_param_group(param_group)  # type: ignore[misc]
        group = self.param_groups[-1]
        for param in sorted(group["params"], key=lambda p: -p.numel()):
            owner = self._loads.index(min(self._loads))
            self._owners[id(param)] = owner
            self._loads[owner] += param.numel()
        own = group | {"params": [p for p in group["params"] if self._is_own(p)]}
        if self.optim is None:
            self.optim = self._optimizer_class([own], **self._settings)
        else:
            self.optim.add_param_group(own)

    def _check(self, group: dict[str, Any]) -> None:
        """What the optimizer of this rank's part makes of a group is asked before there is anything of it."""
        check_whole("ZeroRedundancyOptimizer", group["params"])
        if self.optim is not None:
            self.optim._check(group)

    def _is_own(self, param: Tensor) -> bool:
        return self._owners[id(param)] == self.process_group.rank

    def step(
        self, closure: Callable[[], Any] | None = None, *, grads: Sequence[Tensor | None] | None = None, **kwargs: Any
    ) -> Any:
        """Changes all parameters once, each on its rank, and gives them to all; every rank calls it.

        ``closure`` computes the loss anew first, on every rank; its value is what is returned. ``grads`` are as in
        ``Optimizer.step``, for all parameters. Further arguments are those of ``optimizer_class``. Raises ArgumentError
        for another number of ``grads``, and what `all_reduce` raises.
        """
        self._give_settings(self.param_groups, self.optim.param_groups)
        if grads is not None:
            params = self._in_order()
            if len(grads) != len(params):
                raise ArgumentError(f"step: expected one gradient per parameter, {len(params)}, got {len(grads)}")
            kwargs["grads"] = [grad for param, grad in zip(params, grads, strict=True) if self._is_own(param)]
        loss = self.optim.step(closure, **kwargs) if closure is not None else self.optim.step(**kwargs)
        self._give_settings(self.optim.param_groups, self.param_groups)
        self._exchange()
        return loss

    @staticmethod
    def _give_settings(source: list[dict[str, Any]], target: list[dict[str, Any]]) -> None:
        for given, group in zip(source, target, strict=True):
            group.update({key: value for key, value in given.items() if key not in ("params", "param_names")})

    def _in_order(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def _exchange(self) -> None:
        """Each rank's parameters to all others, many at a time; no more than two buckets are on their way."""
        waiting: list[tuple[int, Bucket, list[Tensor], Work]] = []
        for owner in range(self.process_group.size):
            params = [param.detach() for param in self._in_order() if self._owners[id(param)] == owner]
            for portion in portions(params, CAP_MB):
                bucket = Bucket(portion, params)
                if owner == self.process_group.rank:
                    bucket.fill_from(params)
                waiting.append((owner, bucket, params, self.process_group.broadcast(bucket.flat, owner)))
                if len(waiting) == 2:
                    self._receive(*waiting.pop(0))
        for each in waiting:
            self._receive(*each)

    def _receive(self, owner: int, bucket: Bucket, params: list[Tensor], work: Work) -> None:
        work.wait()
        if owner != self.process_group.rank:
            bucket.copy_to(params)

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Gathers the state of all ranks on rank ``to`` of the group, where ``state_dict`` then answers it.

        Every rank calls it. The state is pickled. Raises InvalidValueError for a rank that the group does not have.
        """
        size = self.process_group.size
        if to not in range(size):
            raise InvalidValueError(
                f"ZeroRedundancyOptimizer.consolidate_state_dict: expected 0 <= to < {size}, got {to!r}"
            )
        self._give_settings(self.param_groups, self.optim.param_groups)
        own = self.optim.state_dict()["state"]
        numbers = [i for i, param in enumerate(self._in_order()) if self._is_own(param)]
        state = {numbers[int(i)]: entries for i, entries in own.items()}
        is_target = self.process_group.rank == to
        parts: list[Any] | None = [None] * self.process_group.size if is_target else None
        gather_object(state, parts, group=self.process_group, group_dst=to)
        self._consolidated = None
        if parts is not None:
            merged = {number: entries for part in parts for number, entries in part.items()}
            self._consolidated = {number: merged[number] for number in sorted(merged)}

    def state_dict(self) -> dict[str, Any]:
        """What ``state_dict`` of the optimizer of all parameters would be, as it was at ``consolidate_state_dict``.

        Raises DistError where that has not been called, and on ranks other than its ``to``.
        """
        if self._consolidated is None:
            raise DistError(
                "ZeroRedundancyOptimizer.state_dict: the state of all ranks is not on this one; call "
                f"consolidate_state_dict(to={self.process_group.rank}) on every rank before"
            )
        whole: dict[str, Any] = super().state_dict()  # type: ignore[misc]
        return whole | {"state": self._consolidated}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over this rank's part of what ``state_dict`` gave, of any number of ranks; every rank gets all of it.

        Errors: as for ``Optimizer.load_state_dict``.
        """
        # What lacks it, the base refuses.
        whole = isinstance(state_dict, Mapping) and "state" in state_dict
        super().load_state_dict({**state_dict, "state": {}} if whole else state_dict)  # type: ignore[misc]
        numbers = [n for group in state_dict["param_groups"] for n in group["params"]]
        own = [n for n, param in zip(numbers, self._in_order(), strict=True) if self._is_own(param)]
        found = {int(n): entries for n, entries in state_dict["state"].items()}
        groups = self.optim.state_dict()["param_groups"]
        self.optim.load_state_dict(
            {"state": {i: found[n] for i, n in enumerate(own) if n in found}, "param_groups": groups}
        )
        self._give_settings(self.param_groups, self.optim.param_groups)
        self._consolidated = None

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise DistError(
            "ZeroRedundancyOptimizer: it belongs to the ranks of this job and cannot be copied or pickled; make a new "
            "one and give it the state: consolidate_state_dict(), state_dict() and load_state_dict()"
        )

    @property
    def state(self) -> Any:
        """The state of this rank's part."""
        return self.optim.state

    @state.setter
    def state(self, value: Any) -> None:
        pass  # what the base makes for all parameters stays empty


_classes: dict[type, type] = {}


def _as_optimizer(cls: type) -> type:
    """The class, and ``atled.optim.Optimizer``, in one; optim is another wheel, looked for when it is needed."""
    if cls not in _classes:
        base: type = at.optim.Optimizer
        both = cls if issubclass(cls, base) else type(cls.__name__, (cls, base), {"__module__": cls.__module__})
        _classes[cls] = both
    return _classes[cls]
