"""Rprop, and averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.optim._fused import FusedOptimizer, require_not_negative, settings_of
from atled.optim._optimizer import Params, count_for, expect_one_way, real, require


class Rprop(FusedOptimizer):
    """Rprop (Riedmiller & Braun 1993; without going back, Igel & Huesken 2000): goes by the signs of gradients alone.

    Every element has a step of its own, ``lr`` at first. It grows by ``etas[1]`` while the gradient's sign stays, and
    shrinks by ``etas[0]`` when it changes, after which the element waits for one step; it stays within ``step_sizes``.
    For gradients of the whole data set: those of batches change their signs too often. ``maximize``, ``capturable``,
    ``foreach`` and ``differentiable`` are as in `Adam`.

    Errors: ``InvalidValueError`` for a negative ``lr`` and unless ``0 < etas[0] < 1 < etas[1]``, and where there
    are not two ``etas`` and ``step_sizes``.

    >>> weight = at.tensor([1.0])
    >>> optimizer = Rprop([weight], lr=0.1)
    >>> optimizer.step(grads=[at.tensor([3.0])]); optimizer.step(grads=[at.tensor([0.01])])
    >>> round(weight.item(), 4)
    0.78
    """

    _op = "rprop_"
    _by_step = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "maximize": maximize,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for name in ("etas", "step_sizes"):
            require(len(group[name]) == 2, name, "to be two numbers", group[name])
        shrink, grow = group["etas"]
        require(0 < shrink < 1 < grow, "etas", "one below and one above 1", group["etas"])

    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        return "prev", "step_size"

    def _start(self, group: dict[str, Any], state: dict[str, Any], key: str, param: Tensor) -> Tensor:
        fresh = key not in state
        found = super()._start(group, state, key, param)
        if fresh and key == "step_size":
            real(found).fill_(group["lr"])
        return found

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        return {
            "shrink": shrink,
            "grow": grow,
            "smallest": smallest,
            "largest": largest,
            "maximize": group["maximize"],
        }


class ASGD(FusedOptimizer):
    """Averaged stochastic gradient descent (Polyak & Juditsky 1992): ``ax`` in the state is the parameters' mean.

    With gradient ``g`` (plus ``weight_decay * p``): ``p = p * (1 - lambd * eta) - eta * g``, where step ``i`` has
    ``eta = lr / (1 + lambd * lr * (i - 1)) ** alpha``, and ``ax += mu * (p - ax)`` with
    ``mu = 1 / max(1, i - 1 - t0)``: the average begins after ``t0`` steps and is the parameter itself before.
    ``maximize``, ``capturable``, ``foreach`` and ``differentiable`` are as in `Adam`.

    Errors: ``InvalidValueError`` for a negative ``lr`` or ``weight_decay``.

    >>> weight = at.tensor([1.0])
    >>> optimizer = ASGD([weight], lr=0.1, t0=0)
    >>> optimizer.step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.7
    """

    _op = "asgd_"
    _numbers = frozenset({"eta", "mu"})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require_not_negative(group, "weight_decay")

    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        return ("ax",)

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        return settings_of(group, "lambd", "weight_decay", "maximize")

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        lr, lambd, alpha, t0 = float(group["lr"]), group["lambd"], group["alpha"], group["t0"]
        states = [self.state[param] for param in params]
        settings = self._settings(group)
        averages = self._list(group, states, "ax", params)
        pairs = list(zip(states, params, strict=True))
        if not group.get("capturable", False):
            etas = [float(state.setdefault("eta", lr)) for state in states]
            mus = [float(state.setdefault("mu", 1.0)) for state in states]
            at.ops.optim.asgd_(params, grads, averages, etas, mus, **settings)
            for state in states:
                step = state["step"] = int(state.get("step", 0)) + 1
                state["eta"] = lr / (1 + lambd * lr * step) ** alpha
                state["mu"] = 1 / max(1, step - t0)
            return
        counts = [count_for(state, "step", param) for state, param in pairs]
        etas_there = [count_for(state, "eta", param, lr) for state, param in pairs]
        mus_there = [count_for(state, "mu", param, 1.0) for state, param in pairs]
        at.ops.optim.asgd_(params, grads, averages, [], [], **settings, eta_counts=etas_there, mu_counts=mus_there)
        for count, eta, mu in zip(counts, etas_there, mus_there, strict=True):
            count.add_(1)
            eta.copy_(lr / (1 + lambd * lr * count) ** alpha)
            mu.copy_(1 / (count - t0).clamp(min=1))
