"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.optim._optimizer import Optimizer, Params, buffer_for, expect_one_way, require


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum as in Sutskever et al. 2013 (in PyTorch's form).

    With gradient ``g`` (plus ``weight_decay * p``): ``b = momentum * b + (1 - dampening) * g``, and ``p -= lr * b``, or
    ``p -= lr * (g + momentum * b)`` with ``nesterov``. ``maximize`` climbs instead. Every step is fused:
    ``foreach`` and ``fused`` change nothing, and a ``differentiable`` one is refused.

    Errors: ``InvalidValueError`` for a negative setting, or Nesterov momentum without momentum or with dampening.

    >>> weight = at.tensor([1.0])
    >>> optimizer = SGD([weight], lr=0.1, momentum=0.9)
    >>> optimizer.step(grads=[at.tensor([1.0])]); optimizer.step(grads=[at.tensor([1.0])])
    >>> round(weight.item(), 4)
    0.71
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require(group["momentum"] >= 0, "momentum", "at least 0", group["momentum"])
        require(group["weight_decay"] >= 0, "weight_decay", "at least 0", group["weight_decay"])
        if group["nesterov"]:
            require(
                group["momentum"] > 0 and group["dampening"] == 0,
                "momentum > 0 and dampening 0",
                "for nesterov",
                group["momentum"],
            )

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        settings = {key: group[key] for key in ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")}
        if group["momentum"] == 0:
            at.ops.optim.sgd_(params, grads, [], False, **settings)
            return
        fresh = [self.state[param].get("momentum_buffer") is None for param in params]
        buffers = [buffer_for(self.state[param], "momentum_buffer", param) for param in params]
        if any(fresh) and not all(fresh):  # a parameter that gets its first gradient late
            for first in (True, False):
                chosen = [i for i, new in enumerate(fresh) if new is first]
                at.ops.optim.sgd_(
                    [params[i] for i in chosen],
                    [grads[i] for i in chosen],
                    [buffers[i] for i in chosen],
                    first,
                    **settings,
                )
            return
        at.ops.optim.sgd_(params, grads, buffers, fresh[0], **settings)
