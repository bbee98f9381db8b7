"""Relatives of Adam: Adamax, NAdam and RAdam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atled.optim._adam import AdamLike
from atled.optim._fused import require_not_negative, settings_of
from atled.optim._optimizer import Params, expect_one_way


class Adamax(AdamLike):
    """Adamax (Kingma & Ba 2015, algorithm 2): Adam with the largest gradient so far, which fades, for their mean size.

    With gradient ``g`` (plus ``weight_decay * p``): ``m = beta1 * m + (1 - beta1) * g``,
    ``u = max(beta2 * u, abs(g) + eps)``, and ``p -= lr / (1 - beta1 ** step) * m / u``. ``maximize``, ``capturable``,
    ``foreach`` and ``differentiable`` are as in `Adam`.

    Errors: ``InvalidValueError`` for a setting outside its range.

    >>> import atled.core as at
    >>> weight = at.tensor([1.0])
    >>> Adamax([weight], lr=0.1).step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.9
    """

    _op = "adamax_"

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        return "exp_avg", "exp_inf"

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        return settings_of(group, "lr", "betas", "eps", "weight_decay", "maximize")


class NAdam(AdamLike):
    """NAdam (Dozat 2016, algorithm 2): Adam with Nesterov's momentum, which grows over the steps.

    The momentum of step ``i`` is ``beta1 * (1 - 0.96 ** (i * momentum_decay) / 2)``; ``mu_product`` in the state is the
    product of all so far. ``decoupled_weight_decay`` takes ``lr * weight_decay`` of the parameter, as `AdamW` does;
    otherwise ``weight_decay`` adds to the gradient. ``maximize``, ``capturable``, ``foreach`` and ``differentiable``
    are as in `Adam`.

    Errors: ``InvalidValueError`` for a setting outside its range.

    >>> import atled.core as at
    >>> weight = at.tensor([1.0])
    >>> NAdam([weight], lr=0.1).step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.8944
    """

    _op = "nadam_"
    _counts = {"step": ("counts", 0.0), "mu_product": ("product_counts", 1.0)}  # noqa: RUF012
    _numbers = frozenset({"mu_product"})

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require_not_negative(group, "momentum_decay")

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        return {**super()._settings(group), "momentum_decay": group["momentum_decay"]}

    def _advanced(self, group: dict[str, Any], states: list[dict[str, Any]]) -> list[list[float]]:
        beta, decay = group["betas"][0], group["momentum_decay"]
        (steps,) = super()._advanced(group, states)
        momenta = {step: beta * (1 - 0.5 * 0.96 ** (step * decay)) for step in set(steps)}
        products = [state.get("mu_product", 1.0) * momenta[step] for state, step in zip(states, steps, strict=True)]
        return [steps, products]


class RAdam(AdamLike):
    """RAdam (Liu et al. 2020, algorithm 2): Adam whose size is rectified for how little the first gradients say of it.

    While they are too few (``2 / (1 - beta2)`` steps know most), a step is ``lr`` times the mean gradient.
    ``decoupled_weight_decay`` takes ``lr * weight_decay`` of the parameter, as `AdamW` does; otherwise ``weight_decay``
    adds to the gradient. ``maximize``, ``capturable``, ``foreach`` and ``differentiable`` are as in `Adam`.

    Errors: ``InvalidValueError`` for a setting outside its range.

    >>> import atled.core as at
    >>> weight = at.tensor([1.0])
    >>> RAdam([weight], lr=0.1).step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.7
    """

    _op = "radam_"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "capturable": capturable,
        }
        super().__init__(params, defaults)
