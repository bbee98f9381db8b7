"""Learning-rate schedules: each ``step()`` sets ``lr`` in the optimizer's parameter groups."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.optim._optimizer import Optimizer

__all__ = ["CosineAnnealingLR", "LRScheduler", "LinearLR", "OneCycleLR", "StepLR"]


class LRScheduler(ABC):
    """Base of the schedules: counts epochs and sets each group's ``lr`` to ``get_lr()``.

    Schedules change the group's present ``lr``, so that several of them on one optimizer multiply. ``last_epoch`` other
    than -1 goes on from there and expects ``initial_lr`` in every group, as a loaded optimizer has.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise at.ArgumentError(f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise at.InvalidValueError(
                    f"{type(self).__name__}: expected initial_lr in parameter group {i} to go on from {last_epoch}"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self.step()

    @abstractmethod
    def get_lr(self) -> list[float]:
        """The learning rate of each group in the epoch ``last_epoch``."""

    def step(self) -> None:
        """Goes on by one epoch (one batch for OneCycleLR)."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The learning rates that the last step set."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave."""
        vars(self).update(state_dict)

    def _present(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]


class StepLR(LRScheduler):
    """Multiplies ``lr`` by ``gamma`` every ``step_size`` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise at.InvalidValueError(f"StepLR: expected step_size >= 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self._present()]


class LinearLR(LRScheduler):
    """Goes linearly from ``start_factor`` to ``end_factor`` times ``lr`` in ``total_iters`` epochs, then stays."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise at.InvalidValueError(f"LinearLR: expected start_factor in (0, 1], got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise at.InvalidValueError(f"LinearLR: expected end_factor in [0, 1], got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        done = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._present()]
        if self.last_epoch > self.total_iters:
            return self._present()
        ratio = self._factor(self.last_epoch) / self._factor(self.last_epoch - 1)
        return [lr * ratio for lr in self._present()]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from ``lr`` to ``eta_min`` in ``T_max`` epochs, and back (Loshchilov & Hutter 2017, eq. 5)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise at.InvalidValueError(f"CosineAnnealingLR: expected T_max >= 1, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._present()
        now = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        before = 1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        if (self.last_epoch - 1 - self.T_max) % (
            2 * self.T_max
        ) == 0:  # leaving the minimum, where the ratio below is 0 / 0
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - self.eta_min) * rise for lr, base in zip(self._present(), self.base_lrs, strict=True)]
        return [(lr - self.eta_min) * now / before + self.eta_min for lr in self._present()]


class OneCycleLR(LRScheduler):
    """One cycle of ``lr``, up to ``max_lr`` and far down, and of momentum the other way (Smith & Topin 2018).

    Stepped after every batch, ``total_steps`` (or ``epochs * steps_per_epoch``) times: from ``max_lr / div_factor`` up
    in the first ``pct_start`` of them, then down to ``max_lr / div_factor / final_div_factor``; with ``three_phase``
    down symmetrically first.

    Errors: ``InvalidValueError`` for settings outside their ranges and for a step too many.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise at.InvalidValueError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if total_steps < 1:
            raise at.InvalidValueError(f"OneCycleLR: expected total_steps >= 1, got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise at.InvalidValueError(f"OneCycleLR: expected pct_start in [0, 1], got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise at.InvalidValueError(
                f"OneCycleLR: expected anneal_strategy 'cos' or 'linear', got {anneal_strategy!r}"
            )
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        groups = optimizer.param_groups
        tops = [float(max_lr)] * len(groups) if isinstance(max_lr, (int, float)) else [float(lr) for lr in max_lr]
        if len(tops) != len(groups):
            raise at.InvalidValueError(
                f"OneCycleLR: expected one max_lr per parameter group ({len(groups)}), got {len(tops)}"
            )
        if last_epoch == -1:
            for group, top in zip(groups, tops, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    if "momentum" not in group and "betas" not in group:
                        raise at.InvalidValueError(
                            "OneCycleLR: expected an optimizer with momentum or betas, or cycle_momentum=False"
                        )
                    group["max_momentum"], group["base_momentum"] = max_momentum, base_momentum
        up = pct_start * total_steps - 1
        lr, momentum = ("initial_lr", "max_lr", "min_lr"), ("max_momentum", "base_momentum")
        if three_phase:
            self._phases = [
                (up, lr[0], lr[1], momentum[0], momentum[1]),
                (2 * up, lr[1], lr[0], momentum[1], momentum[0]),
                (total_steps - 1.0, lr[0], lr[2], momentum[0], momentum[0]),
            ]
        else:
            self._phases = [
                (up, lr[0], lr[1], momentum[0], momentum[1]),
                (total_steps - 1.0, lr[1], lr[2], momentum[1], momentum[0]),
            ]
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2 * (1 + math.cos(math.pi * done))
        return start + (end - start) * done

    def get_lr(self) -> list[float]:
        # A loop that steps after every batch steps once past the last batch; the rate then stays where it ended.
        if self.last_epoch > self.total_steps:
            raise at.InvalidValueError(f"OneCycleLR: expected at most {self.total_steps} steps, got one more")
        step = min(self.last_epoch, self.total_steps - 1)
        begin = 0.0
        for phase in self._phases:
            if step <= phase[0] or phase is self._phases[-1]:
                break
            begin = phase[0]
        end, lr_from, lr_to, momentum_from, momentum_to = phase
        done = (step - begin) / (end - begin) if end != begin else 1.0
        lrs = []
        for group in self.optimizer.param_groups:
            lrs.append(self._anneal(group[lr_from], group[lr_to], done))
            if self.cycle_momentum:
                momentum = self._anneal(group[momentum_from], group[momentum_to], done)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return lrs
