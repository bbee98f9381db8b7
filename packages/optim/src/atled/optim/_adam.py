"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.optim._optimizer import Optimizer, Params, buffer_for, count_for, expect_one_way, require


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1); ``amsgrad`` is Reddi et al. 2018. ``weight_decay`` adds to the gradient.

    ``capturable`` keeps the number of steps on the parameters' device, so that a CUDA graph that a step was captured in
    goes on counting. A step can be captured once there was one before; numbers such as ``lr`` stay as they were then.

    ``decoupled_weight_decay`` makes it `AdamW`. Every step is fused: ``foreach`` and ``fused`` change nothing, and a
    ``differentiable`` one is refused.

    Errors: ``InvalidValueError`` for a setting outside its range.

    >>> weight = at.tensor([1.0])
    >>> Adam([weight], lr=0.1).step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        expect_one_way(self, differentiable)
        self._decoupled = decoupled_weight_decay
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for beta in group["betas"]:
            require(0 <= beta < 1, "betas", "in [0, 1)", group["betas"])
        require(group["eps"] >= 0, "eps", "at least 0", group["eps"])
        require(group["weight_decay"] >= 0, "weight_decay", "at least 0", group["weight_decay"])

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        means, squares, maxima, steps, counts = [], [], [], [], []
        capturable = group.get("capturable", False)
        states = [self.state[param] for param in params]
        for param, state in zip(params, states, strict=True):
            if capturable:
                counts.append(count_for(state, "step", param))
            else:
                steps.append(state.get("step", 0) + 1)
            means.append(buffer_for(state, "exp_avg", param))
            squares.append(buffer_for(state, "exp_avg_sq", param))
            if group["amsgrad"]:
                maxima.append(buffer_for(state, "max_exp_avg_sq", param))
        beta1, beta2 = group["betas"]
        at.ops.optim.adam_(
            params,
            grads,
            means,
            squares,
            maxima,
            steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=self._decoupled,
            maximize=group["maximize"],
            counts=counts if capturable else None,
        )
        for state, step in zip(states, steps, strict=False):  # none where they are counted on the device
            state["step"] = step


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): ``p *= 1 - lr * weight_decay`` beside Adam's step.

    >>> weight = at.tensor([1.0])
    >>> AdamW([weight], lr=0.1, weight_decay=0.5).step(grads=[at.tensor([0.0])])
    >>> round(weight.item(), 4)
    0.95
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            decoupled_weight_decay=True,
        )
