"""A sharded module: when its whole parameters are here, and when only the shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import atled.core as at
from atled.core import AutogradError, Tensor

from .._trees import cast_to, mapped, tensors_in
from ._exchange import Averaging, Full, Gathering, Reduction
from ._members import Members
from ._passes import Call, Pass, running, steps
from ._policy import MixedPrecisionPolicy
from ._shard import Shard

__all__ = ["Unit"]


class _Kept(NamedTuple):
    """Stands in the graph for a tensor in the memory of whole parameters, which is not kept."""

    unit: Unit
    flat: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    versions: tuple[int, ...]

    def tensor(self) -> Tensor:
        """The tensor; the parameters are fetched again where they are not here."""
        flat = self.unit.whole().flats[self.flat]
        if self.versions != self.unit.versions:
            raise AutogradError(
                "fully_shard: gradients need the parameters as they were in forward, but these were changed in place "
                "since; call backward() before optimizer.step() or load_state_dict()"
            )
        return flat.as_strided(self.shape, self.strides, self.offset)


class Unit:
    """The parameters of a module, or of some modules, that travel together.

    Between uses each rank has its shards alone. ``group`` is whose ranks share the parameters out, ``replicas`` those
    that have the same shards.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        group: Members,
        replicas: Members | None,
        reshards_after_forward: bool | None,
        policy: MixedPrecisionPolicy,
        modules: int = 1,
    ) -> None:
        self.shards = list(shards)
        # How many modules' calls use the parameters, which stay whole from the first of these to the last.
        self._modules = modules
        self.reshards_after_forward = reshards_after_forward
        self.reshards_after_backward = True
        self.syncs_gradients = True
        self.unshards_in_backward = True
        self.averaging = Averaging()
        # The units that are fetched when this one's parameters are here; None is those that are expected next.
        self.forward_prefetch: list[Unit] | None = None
        self.backward_prefetch: list[Unit] | None = None
        # Whole parameters stay until somebody says otherwise.
        self.is_held = False
        self.is_in_backward = False
        # The calls that backward has come to and is not through with.
        self.returning: set[Call] = set()
        # The units of a forward that begins with this one, as they came the last time.
        self.usual_order: list[Unit] = []
        self._group, self._replicas, self._policy = group, replicas, policy
        self._full: Full | None = None
        self._fetched: Gathering | None = None
        # Of the shards, when they were gathered the last time.
        self.versions: tuple[int, ...] = ()
        # The forward that has called this unit last, and what the parameters were fetched for.
        self._passing: Pass | None = None
        self._fetched_for: Pass | None = None
        # Whole gradients of backwards that did not average.
        self._unsynced: dict[int, Tensor] = {}
        # Whether there are such, on this rank or another, or such of shards that are yet to meet their copies.
        self.is_in_arrears = False
        # Of calls in a backward that is not through with those of the other modules.
        self._deferred: dict[int, Tensor | None] = {}

    # ---- whole parameters and shards ----

    def fetch(self, passing: Pass | None = None) -> None:
        """Begins to gather the whole parameters, unless they are here."""
        if self._full is None and self._fetched is None:
            for shard in self.shards:
                shard.follow()
            self.versions = tuple(shard.parameter._version for shard in self.shards)
            self._fetched = Gathering(self.shards, self._group, self._policy)
            self._fetched_for = passing

    def forget_fetched(self) -> None:
        """Lets go of what ``fetch`` has begun."""
        fetched, self._fetched = self._fetched, None
        if fetched is not None:
            fetched.wait()

    def whole(self) -> Full:
        """The whole parameters, gathered now if need be."""
        if self._full is None:
            self.fetch()
            fetched, self._fetched = self._fetched, None
            assert fetched is not None
            self._full = fetched.finish()
        return self._full

    def show(self, call: Call, token: Tensor | None) -> None:
        """Puts whole parameters where the module looks for them; with a token, their gradients go to the ranks."""
        tensors: Sequence[Tensor] = self.whole().tensors
        if token is not None and any(shard.parameter.requires_grad for shard in self.shards):
            tensors = steps().gathered.apply(call, token)
        for shard, tensor in zip(self.shards, tensors, strict=True):
            shard.follow()
            shard.show(tensor)

    def hold(self) -> None:
        """Begins to make the parameters whole until ``reshard``."""
        if not (self.is_held or running.calls or _in_backward()):
            self.reshard()  # what an earlier forward has left may be older than the shards
        self.is_held = True
        self.fetch()

    def show_held(self) -> None:
        """Makes the parameters whole, outside of a forward."""
        passing = Pass(again=False)
        if hasattr(at, "enable_grad"):
            with at.enable_grad():
                self.show(Call(self, passing), passing.token)
        else:
            self.show(Call(self, passing), None)

    def reshard(self) -> None:
        """Leaves only the shards."""
        self.forget_fetched()
        self._full = None
        self.is_held = self.is_in_backward = False
        self.returning.clear()
        self._hide()

    def _hide(self) -> None:
        """Puts the parameters themselves back, for all that is done to a module between its calls."""
        for shard in self.shards:
            shard.hide()
            shard.follow()

    def tidy(self) -> None:
        """Puts the parameters back where a backward has left whole ones: an exception did not let it come to an end."""
        if self.is_in_backward and not (self.is_held or running.calls or _in_backward()):
            self._hide()

    # ---- forward ----

    def enter_forward(
        self, module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before a call of the module: makes its parameters whole; answers the arguments that it is to get."""
        passing = running.calls[-1].passing if running.calls else Pass(again=_in_backward())
        call = Call(self, passing, module)
        if not self._may_stay(passing):
            self.reshard()
        if not passing.again:
            if self._passing is not None and self._passing is not passing:
                self._passing.forget_reductions()
                self._deferred = {}
            self._passing = passing
        records = _records()
        # The token comes first, for it has to be older than all that is computed.
        self.show(call, passing.token if records else None)
        passing.enter(call)
        if self._policy.cast_forward_inputs and self._policy.param_dtype is not None:
            args, kwargs = mapped((args, kwargs), cast_to(self._policy.param_dtype))
        if records:
            args, kwargs = self._watched(call, args, kwargs)
            call.hooks = at.autograd.graph.saved_tensors_hooks(self._pack, _Kept.tensor)
            call.hooks.__enter__()
        running.calls.append(call)
        return args, kwargs

    def _may_stay(self, passing: Pass) -> bool:
        """Whether whole parameters that are here are good for this forward: the shards may have changed since."""
        if self._full is None and self._fetched is None:
            return True
        if passing.again and self.is_in_backward:
            return True
        return self.is_held or passing in (self._passing, self._fetched_for) or not self.reshards_after_backward

    def _watched(
        self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, behind a step that says when backward is through, where parameters alone do not tell."""
        learnt = [shard.parameter.requires_grad for shard in self.shards]
        if any(learnt):
            call.expected.add("parameters")
        given = [tensor for tensor in tensors_in((args, kwargs)) if tensor.requires_grad]
        if all(learnt) or not given:
            return args, kwargs
        call.expected.add("inputs")
        passed = dict(zip(map(id, given), steps().entered.apply(call, call.passing.token, *given), strict=True))
        watched: tuple[tuple[Any, ...], dict[str, Any]] = mapped((args, kwargs), lambda t: passed.get(id(t), t))
        return watched

    def _pack(self, tensor: Tensor) -> Any:
        """The hook for saved tensors: what lies in whole parameters is not kept, for these are freed."""
        for number, flat in enumerate(() if self._full is None else self._full.flats):
            if tensor.dtype == flat.dtype and tensor.shares_storage(flat):
                place = tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset()
                return _Kept(self, number, *place, self.versions)
        return NotImplemented

    def leave_forward(self, output: Any) -> Any:
        """After a call of the module, also one that raised; answers the results."""
        if not running.calls or running.calls[-1].unit is not self:
            return output  # the call never began
        call = running.calls.pop()
        passing = call.passing
        if call.hooks is not None:
            call.hooks.__exit__(None, None, None)
        if self._policy.output_dtype is not None:
            output = mapped(output, cast_to(self._policy.output_dtype))
        if call.hooks is not None and not passing.again:
            for tensor in tensors_in(output):
                if tensor.requires_grad:
                    tensor.register_hook(call.before_backward)
                    call.is_recorded = True
        keeps = self.is_in_backward if passing.again else not self._reshards(passing)
        is_running = any(outer.unit is self for outer in running.calls)
        if not (self.is_held or is_running):
            if not keeps:
                self.reshard()
            elif not self.is_in_backward:
                self._hide()
        elif self.is_held and not is_running and call.hooks is None:
            self.show_held()  # this call has left tensors there that are not learnt
        if not running.calls:
            passing.end_forward()
        return output

    def _reshards(self, passing: Pass) -> bool:
        """What was not said is True, but for the outermost: backward begins with it."""
        called = {id(call.module) for call in passing.calls if call.unit is self}
        if len(called) < self._modules:
            return False
        if self.reshards_after_forward is None:
            return passing.calls[0].unit is not self
        return self.reshards_after_forward

    # ---- backward ----

    def enter_backward(self) -> None:
        """Makes the parameters whole again, also for what a checkpoint within the module runs again."""
        with at.enable_grad():
            # Nothing is differentiated through these: what runs again is there to be saved.
            self.show(Call(self, Pass(again=True)), at.zeros((), requires_grad=True))
        self.is_in_backward = True

    def leave_backward(self) -> None:
        """Leaves only the shards, unless they are to stay whole."""
        self.is_in_backward = False
        self.returning.clear()
        if self.is_held:
            return
        if self.reshards_after_backward:
            self.reshard()
        else:
            self._hide()

    def take_gradients(self, call: Call, gradients: Mapping[int, Tensor | None]) -> None:
        """Sends the gradients of whole parameters to the ranks, or keeps them for when that is asked for."""
        summed = _sums(self._deferred, gradients)
        self._deferred = {}
        if self.awaits_others(call):
            self._deferred = summed
        else:
            self._send(call.passing, summed)

    def reduce_deferred(self, passing: Pass) -> None:
        """At the end of backward, what has waited for calls that backward has not come to, or for one that averages."""
        summed, self._deferred = self._deferred, {}
        averages = self.syncs_gradients and self.averaging.includes_replicas
        if self.is_in_arrears and averages and not passing.again:
            learnt = [index for index, shard in enumerate(self.shards) if shard.parameter.requires_grad]
            summed = {**dict.fromkeys(learnt), **summed}
        self._send(passing, summed)

    def awaits_others(self, call: Call) -> bool:
        """Whether backward is to come to other calls than this one, where several modules share the parameters."""
        return self._modules > 1 and any(
            other.unit is self and other is not call and other.is_recorded and not other.is_done
            for other in call.passing.calls
        )

    def _send(self, passing: Pass, gradients: dict[int, Tensor | None]) -> None:
        kept: dict[int, Tensor | None] = {i: self._unsynced.pop(i) for i in gradients if i in self._unsynced}
        summed = _sums(kept, gradients)
        if not self.syncs_gradients:
            # Many small gradients would be lost in the sum, were it of few digits.
            widened = mapped(summed, cast_to(self._policy.reduce_dtype)) if self._policy.reduce_dtype else summed
            self._unsynced.update({index: each for index, each in widened.items() if each is not None})
            self.is_in_arrears = self.is_in_arrears or bool(gradients)
        elif summed:
            self.is_in_arrears = not self.averaging.includes_replicas
            # One unit's gradients are on their way at a time, while the next unit's are computed.
            passing.finish_reductions()
            reduction = Reduction(self.shards, summed, self._group, self._replicas, self._policy, self.averaging)
            passing.reduce(reduction)


def _sums(some: Mapping[int, Tensor | None], others: Mapping[int, Tensor | None]) -> dict[int, Tensor | None]:
    """Gradients of two calls together; None is no gradient."""
    summed = dict(others)
    for index, each in some.items():
        other = summed.get(index)
        summed[index] = each if other is None else other if each is None else each + other
    return summed


def _records() -> bool:
    """Whether what is computed now is recorded; without autograd nothing is."""
    is_grad_enabled = getattr(at, "is_grad_enabled", None)
    return is_grad_enabled is not None and bool(is_grad_enabled())


def _in_backward() -> bool:
    return getattr(at, "is_grad_enabled", None) is not None and bool(at.autograd.graph.in_backward())
