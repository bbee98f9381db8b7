"""Steps divided by the size that gradients had: Adagrad, Adadelta and RMSprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atled.core import Tensor
from atled.optim._fused import FusedOptimizer, require_not_negative, settings_of
from atled.optim._optimizer import Params, expect_one_way, real, require


class Adagrad(FusedOptimizer):
    """Adagrad (Duchi et al. 2011, figure 1, with a diagonal): divides by the root of the sum of squared gradients.

    With gradient ``g`` (plus ``weight_decay * p``): ``s += g * g``, which begins at ``initial_accumulator_value``, and
    ``p -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(s) + eps)``. ``maximize`` climbs instead. Every step is fused:
    ``foreach`` and ``fused`` change nothing, and a ``differentiable`` one is refused. The state is there from the
    beginning.

    Errors: ``InvalidValueError`` for a negative setting.

    >>> import atled.core as at
    >>> weight = at.tensor([1.0])
    >>> Adagrad([weight], lr=0.1).step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.9
    """

    _op = "adagrad_"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group, as `Optimizer.add_param_group` does, and makes its state."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for param in group["params"]:
            self.state[param]["step"] = 0
            self._start(group, self.state[param], "sum", param)

    def share_memory(self) -> None:
        """Moves the state into memory that other processes can share; see ``Tensor.share_memory_``."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require_not_negative(group, "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        return ("sum",)

    def _start(self, group: dict[str, Any], state: dict[str, Any], key: str, param: Tensor) -> Tensor:
        if key not in state:
            real(super()._start(group, state, key, param)).fill_(group["initial_accumulator_value"])
        found: Tensor = state[key]
        return found

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        return settings_of(group, "lr", "lr_decay", "eps", "weight_decay", "maximize")


class Adadelta(FusedOptimizer):
    """Adadelta (Zeiler 2012, algorithm 1): steps of the size that the last steps had, and no rate that needs tuning.

    With gradient ``g`` (plus ``weight_decay * p``): ``v = rho * v + (1 - rho) * g * g``,
    ``d = sqrt(u + eps) / sqrt(v + eps) * g``, ``u = rho * u + (1 - rho) * d * d``, and ``p -= lr * d``. ``maximize``,
    ``capturable``, ``foreach`` and ``differentiable`` are as in `Adam`.

    Errors: ``InvalidValueError`` for a setting outside its range.

    >>> import atled.core as at
    >>> weight = at.tensor([1.0])
    >>> Adadelta([weight], eps=1e-2).step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.6855
    """

    _op = "adadelta_"
    _by_step = False

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require(0 <= group["rho"] <= 1, "rho", "in [0, 1]", group["rho"])
        require_not_negative(group, "eps", "weight_decay")

    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        return "square_avg", "acc_delta"

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        return settings_of(group, "lr", "rho", "eps", "weight_decay", "maximize")


class RMSprop(FusedOptimizer):
    """RMSprop (Hinton 2012, lecture 6e): divides by the root of the mean of squared gradients.

    With gradient ``g`` (plus ``weight_decay * p``): ``v = alpha * v + (1 - alpha) * g * g``, and
    ``p -= lr * g / (sqrt(v) + eps)``. ``centered`` divides by the gradients' spread instead, less the square of their
    mean (Graves 2013, equations 38 to 40). With ``momentum``, ``b = momentum * b + g / (sqrt(v) + eps)`` and
    ``p -= lr * b``. ``maximize``, ``capturable``, ``foreach`` and ``differentiable`` are as in `Adam`.

    Errors: ``InvalidValueError`` for a negative setting.

    >>> import atled.core as at
    >>> weight = at.tensor([1.0])
    >>> RMSprop([weight], lr=0.01).step(grads=[at.tensor([3.0])])
    >>> round(weight.item(), 4)
    0.9
    """

    _op = "rmsprop_"
    _by_step = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        expect_one_way(self, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require_not_negative(group, "alpha", "eps", "weight_decay", "momentum")

    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        return (
            "square_avg",
            "grad_avg" if group["centered"] else None,
            "momentum_buffer" if group["momentum"] > 0 else None,
        )

    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        return settings_of(group, "lr", "alpha", "eps", "weight_decay", "momentum", "maximize")
