"""Functions that a module calls when gradients pass it: what surrounds one call of its forward."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import atled.core as at

from ._parameter import requires_grad

if TYPE_CHECKING:
    from ._hooks import Hooks

_Gradients = tuple[at.Tensor | None, ...]


@functools.cache
def passing() -> Any:
    """The step that hands tensors on, and their gradients through a function; AttributeError without atled-autograd."""

    class ModuleGradients(at.autograd.Function):
        @staticmethod
        def forward(ctx: Any, turn: Callable[[_Gradients], _Gradients], *tensors: at.Tensor) -> tuple[at.Tensor, ...]:
            ctx.turn = turn
            ctx.set_materialize_grads(False)
            return tensors

        @staticmethod
        def backward(ctx: Any, *gradients: at.Tensor | None) -> Any:
            return (None, *ctx.turn(gradients))

    return ModuleGradients


class Passage:
    """One call of a module with hooks: its inputs and its results each pass one step of the graph."""

    def __init__(self, module: Any, hooks: Hooks) -> None:
        self._module, self._hooks = module, hooks
        self._ins = self._outs = 0
        self._in_places: list[int] = []
        self._out_places: list[int] = []
        self._of_results: _Gradients = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, those that require grad behind the step that calls the backward hooks."""
        self._ins = len(args)
        self._in_places = _learnt(args)
        return tuple(_handed_on(args, self._in_places, self._before_module))

    def leave(self, result: Any) -> Any:
        """The result, a tensor or a tuple or list of them, behind the step that calls the hooks before backward."""
        if isinstance(result, at.Tensor):
            return self.leave((result,))[0]
        if not isinstance(result, (tuple, list)):
            return result
        self._outs = len(result)
        self._out_places = _learnt(result)
        passed = _handed_on(result, self._out_places, self._behind_module)
        return type(result)(*passed) if hasattr(result, "_fields") else type(result)(passed)

    def _behind_module(self, gradients: _Gradients) -> _Gradients:
        of_results = _spread(gradients, self._out_places, self._outs)
        for hook in list(self._hooks.backward_before.values()):
            of_results = _changed(hook(self._module, of_results), of_results, "backward pre-hook")
        self._of_results = of_results
        if not self._in_places:
            self._call_hooks((None,) * self._ins)
        return tuple(of_results[i] for i in self._out_places)

    def _before_module(self, gradients: _Gradients) -> _Gradients:
        of_inputs = self._call_hooks(_spread(gradients, self._in_places, self._ins))
        return tuple(of_inputs[i] for i in self._in_places)

    def _call_hooks(self, of_inputs: _Gradients) -> _Gradients:
        for hook in list(self._hooks.backward.values()):
            of_inputs = _changed(hook(self._module, of_inputs, self._of_results), of_inputs, "backward hook")
        return of_inputs


def _learnt(values: Sequence[Any]) -> list[int]:
    return [i for i, value in enumerate(values) if isinstance(value, at.Tensor) and requires_grad(value)]


def _handed_on(values: Sequence[Any], places: list[int], turn: Callable[[_Gradients], _Gradients]) -> list[Any]:
    passed = list(values)
    if places and at.is_grad_enabled():
        for i, tensor in zip(places, passing().apply(turn, *(values[i] for i in places)), strict=True):
            passed[i] = tensor
    return passed


def _spread(gradients: _Gradients, places: list[int], n: int) -> _Gradients:
    full: list[at.Tensor | None] = [None] * n
    for i, gradient in zip(places, gradients, strict=True):
        full[i] = gradient
    return tuple(full)


def _changed(answer: Any, gradients: _Gradients, what: str) -> _Gradients:
    if answer is None:
        return gradients
    given: _Gradients = answer if isinstance(answer, tuple) else (answer,)
    if len(given) != len(gradients):
        raise at.ArgumentError(f"{what}: expected None or {len(gradients)} gradients, got {len(given)}")
    return given
