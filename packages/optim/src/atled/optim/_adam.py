"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atled.optim._fused import FusedOptimizer, require_betas, require_not_negative, settings_of
from atled.optim._optimizer import Params, expect_one_way


class AdamLike(FusedOptimizer):
    """What Adam shares with its relatives: means of gradients and of their squares, and two kinds of weight decay."""

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require_betas(group)
        require_not_negative(group, "eps", "weight_decay")

    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        return "exp_avg", "exp_avg_sq"

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        return {
            **settings_of(group, "lr", "betas", "eps", "weight_decay", "maximize"),
            "decoupled": group["decoupled_weight_decay"],
        }


class Adam(AdamLike):
    """Adam (Kingma & Ba 2015, algorithm 1); ``amsgrad`` is Reddi et al. 2018, algorithm 2.

    With gradient ``g`` (plus ``weight_decay * p``): ``m = beta1 * m + (1 - beta1) * g``,
    ``v = beta2 * v + (1 - beta2) * g * g``, and ``p -= lr * m' / (sqrt(v') + eps)`` with
    ``m' = m / (1 - beta1 ** step)`` and ``v' = v / (1 - beta2 ** step)``. ``amsgrad`` takes the largest ``v`` so far;
    ``maximize`` climbs.

    ``capturable`` keeps the number of steps on the parameters' device, so that a CUDA graph that a step was captured in
    goes on counting. A step can be captured once there was one before; numbers such as ``lr`` stay as they were then.

    ``decoupled_weight_decay`` makes it `AdamW`. Every step is fused: ``foreach`` and ``fused`` change nothing, and a
    ``differentiable`` one is refused.

    Errors: ``InvalidValueError`` for a setting outside its range.

    >>> import atled.core as at
    >>> weight = at.tensor([1.0])
    >>> Adam([weight], lr=0.1).step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.9
    """

    _op = "adam_"

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
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        return *super()._buffers(group), "max_exp_avg_sq" if group["amsgrad"] else None


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): ``p *= 1 - lr * weight_decay`` beside Adam's step.

    All else is as in `Adam`.

    >>> import atled.core as at
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

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what ``state_dict`` gave, also that of an `Adam`, whose decay becomes a decoupled one."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
