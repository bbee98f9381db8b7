"""One forward through sharded modules, and the backward through it."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Container
from typing import TYPE_CHECKING, Any, NamedTuple

import atled.core as at
from atled.core import Tensor

from .._errors import DistError
from ._exchange import Reduction

if TYPE_CHECKING:
    from ._unit import Unit

__all__ = ["UNIT", "Call", "Pass", "Steps", "running", "steps"]

# The attribute of a sharded module that has its unit.
UNIT = "_sharded_unit"


class Pass:
    """One outermost forward: the calls of units in it, in order, which is the order of communication on every rank.

    The next unit's parameters are fetched while one computes: in forward the one that came next the last time, in
    backward the one before. ``again`` is what a checkpoint runs a second time.
    """

    def __init__(self, again: bool) -> None:
        self.again = again
        self.calls: list[Call] = []
        self._reductions: list[Reduction] = []
        self._token: Tensor | None = None

    @property
    def token(self) -> Tensor:
        """What all units' parameters depend on: a step that was recorded before all of them, so it runs last."""
        if self._token is None:
            seed = at.zeros((), requires_grad=True)
            self._token = steps().ended.apply(weakref.ref(self), seed)
        return self._token

    def enter(self, call: Call) -> None:
        """Notes a call, whose parameters are here, and fetches what is expected next."""
        place = len(self.calls)
        self.calls.append(call)
        call.place = place
        usual = self.calls[0].unit.usual_order
        if call.unit.forward_prefetch is not None and not self.again:
            for unit in call.unit.forward_prefetch:
                unit.fetch(self)
        elif not self.again and place + 1 < len(usual) and usual[place] is call.unit:
            usual[place + 1].fetch(self)

    def end_forward(self) -> None:
        """After the outermost call: lets go of what no backward will ask for."""
        self._token = None  # which holds the graph
        if self.again:
            return
        first = self.calls[0].unit
        units = {call.unit: None for call in self.calls}
        chosen = [unit for caller in units for unit in caller.forward_prefetch or ()]
        for unit in [*first.usual_order, *chosen]:
            if unit not in units:
                unit.forget_fetched()
        first.usual_order = [call.unit for call in self.calls]
        awaited = {call.unit for call in self.calls if call.is_recorded}
        for unit in units:
            if unit not in awaited and not unit.is_held:
                unit.reshard()

    def before_backward(self, call: Call) -> None:
        """Fetches what backward comes to after this call; after the first, which surrounds all others, the last."""
        chosen = call.unit.backward_prefetch
        following = self.calls[call.place - 1 : call.place] or self.calls[-1:]
        if chosen is not None:
            following = [each for unit in chosen for each in self.calls if each.unit is unit]
        for each in following:
            if each.is_recorded and not each.is_done and each.unit.unshards_in_backward:
                each.unit.fetch(self)

    def reduce(self, reduction: Reduction) -> None:
        """Takes gradients that are on their way."""
        self._reductions.append(reduction)

    def forget_reductions(self) -> None:
        """Lets go of gradients that a backward has left on their way: an exception did not let it come to an end."""
        self._reductions.clear()

    def finish_reductions(self) -> None:
        """Waits for gradients that are on their way, and puts them where optimizers look."""
        while self._reductions:
            self._reductions.pop(0).finish()

    def end_backward(self) -> None:
        """When backward has come to the beginning of this forward: all gradients are there, and only shards left."""
        units = {call.unit: None for call in self.calls}
        for unit in [*units, *self._in_arrears(units)]:
            unit.reduce_deferred(self)
        self.finish_reductions()
        for unit in units:
            unit.leave_backward()

    def _in_arrears(self, called: Container[Unit]) -> list[Unit]:
        """Units that were not called, and have gradients of earlier backwards to average."""
        modules: list[Any] = [] if self.again else [call.module for call in self.calls[:1]]
        found = [vars(each).get(UNIT) for outermost in modules for each in outermost.modules()]
        return [unit for unit in dict.fromkeys(found) if unit is not None and unit not in called and unit.is_in_arrears]


class Call:
    """One call of a module of a unit's."""

    def __init__(self, unit: Unit, passing: Pass, module: object = None) -> None:
        self.unit, self.passing, self.module = unit, passing, module
        self.place = 0
        self.hooks: Any = None
        # What backward has to come by before the whole parameters are of no more use.
        self.expected: set[str] = set()
        self._awaited: set[str] = set()
        self.is_recorded = False
        self.is_done = False

    def before_backward(self, gradient: Tensor) -> None:
        """The hook of each result: a gradient has come, so the parameters will be needed."""
        self._awaited = set(self.expected)
        self.unit.returning.add(self)
        if not self.unit.is_in_backward:
            if self.unit.unshards_in_backward:
                self.unit.enter_backward()
            self.passing.before_backward(self)

    def came_by(self, what: str) -> None:
        """Backward is through with the parameters, or with the module."""
        self._awaited.discard(what)
        if not self._awaited:
            self.is_done = True
            self.unit.returning.discard(self)
            if not self.unit.returning and not self.unit.awaits_others(self):
                self.unit.leave_backward()


class _Running(threading.local):
    """The calls that this thread is in, the innermost last."""

    def __init__(self) -> None:
        self.calls: list[Call] = []


running = _Running()


class Steps(NamedTuple):
    """The functions that stand in the graph."""

    gathered: Any
    entered: Any
    ended: Any


@functools.cache
def steps() -> Steps:
    """Made at first use: they are of autograd, another wheel."""

    class ShardedParameters(at.autograd.Function):
        """Whole parameters, of which the gradients go to the ranks, past the graph.

        It does not know of the shards: a backward for some of these alone would not come to the token, which ends it.
        """

        @staticmethod
        def forward(ctx: Any, call: Call, token: Tensor) -> tuple[Tensor, ...]:
            ctx.call = call
            ctx.set_materialize_grads(False)
            learnt = [shard.parameter.requires_grad for shard in call.unit.shards]
            ctx.learnt = [i for i, needs in enumerate(learnt) if needs]
            whole = tuple(tensor.detach() for tensor in call.unit.whole().tensors)
            ctx.mark_non_differentiable(*(t for t, needs in zip(whole, learnt, strict=True) if not needs))
            return whole

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor | None) -> Any:
            if at.is_grad_enabled():
                raise DistError("fully_shard: gradients of sharded modules cannot be recorded; drop create_graph=True")
            ctx.call.came_by("parameters")  # which frees memory
            ctx.call.unit.take_gradients(ctx.call, {i: gradients[i] for i in ctx.learnt})
            return None, at.zeros(())

    class ShardedModuleInputs(at.autograd.Function):
        """What a module gets; when its gradients are known, backward is through with the module."""

        @staticmethod
        def forward(ctx: Any, call: Call, token: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
            ctx.call = call
            ctx.set_materialize_grads(False)
            return tensors

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor | None) -> Any:
            ctx.call.came_by("inputs")
            return (None, at.zeros(()), *gradients)

    class ShardedForward(at.autograd.Function):
        """The beginning of a forward."""

        @staticmethod
        def forward(ctx: Any, passing: weakref.ref[Pass], seed: Tensor) -> Tensor:
            ctx.passing = passing
            return at.zeros(())

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Any:
            passing = ctx.passing()
            if passing is not None:
                passing.end_backward()
            return None, None

    return Steps(ShardedParameters, ShardedModuleInputs, ShardedForward)
