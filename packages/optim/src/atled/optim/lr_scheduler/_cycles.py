"""Schedules that raise the rate and lower it again, and momentum the other way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import atled.core as at
from atled.optim._optimizer import Optimizer
from atled.optim._state import expect_keys
from atled.optim.lr_scheduler._base import LRScheduler, expect_optimizer, per_group, saved_function


def _begin_momentum(schedule: LRScheduler, optimizer: Optimizer, base: Any, largest: Any, last_epoch: int) -> None:
    """Writes into the groups between which momenta, or first betas, a schedule goes; it begins with the largest."""
    name = type(schedule).__name__
    if not {"momentum", "betas"} & optimizer.defaults.keys():
        raise at.InvalidValueError(f"{name}: expected an optimizer with momentum or betas, or cycle_momentum=False")
    bases = per_group(schedule, "base_momentum", base, optimizer)
    tops = per_group(schedule, "max_momentum", largest, optimizer)
    if last_epoch == -1:
        for group, low, high in zip(optimizer.param_groups, bases, tops, strict=True):
            group["max_momentum"], group["base_momentum"] = high, low
            _set_momentum(group, high)


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


class CyclicLR(LRScheduler):
    """Goes from ``base_lr`` to ``max_lr`` and back, along lines, again and again (Smith 2017).

    Stepped after every batch: ``step_size_up`` of them up and ``step_size_down``, by default as many, down. ``mode``
    says how the height shrinks: not at all (``"triangular"``), by half every cycle (``"triangular2"``), or by ``gamma``
    every batch (``"exp_range"``). ``scale_fn`` in its place is a function of the cycle, from 1 on, or of the batches
    (``scale_mode="iterations"``). Momentum, or the first of ``betas``, goes from ``max_momentum`` to ``base_momentum``
    and back unless ``cycle_momentum`` is false. Rates and momenta may be lists with one for each parameter group.

    Errors: ``InvalidValueError`` for an unknown mode, sizes out of range, lists of another length and an optimizer
    without momentum.

    >>> from atled import optim
    >>> optimizer = optim.SGD([at.tensor([1.0])], lr=1.0, momentum=0.9)
    >>> schedule = CyclicLR(optimizer, base_lr=1.0, max_lr=2.0, step_size_up=2)
    >>> [(schedule.step(), *schedule.get_last_lr())[1] for _ in range(5)]
    [1.5, 2.0, 1.5, 1.0, 1.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        expect_optimizer(self, optimizer)
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise at.InvalidValueError(
                f"CyclicLR: expected mode 'triangular', 'triangular2' or 'exp_range', or a scale_fn, got {mode!r}"
            )
        if step_size_up <= 0:
            raise at.InvalidValueError(f"CyclicLR: expected step_size_up above 0, got {step_size_up}")
        if step_size_down is not None and step_size_down < 0:
            raise at.InvalidValueError(f"CyclicLR: expected step_size_down at least 0, got {step_size_down}")
        lowest = per_group(self, "base_lr", base_lr, optimizer)
        self.max_lrs = per_group(self, "max_lr", max_lr, optimizer)
        if cycle_momentum:
            _begin_momentum(self, optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, lowest, strict=True):
                group["lr"] = lr
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma = mode, gamma
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        self._scale_fn_custom = scale_fn
        self.cycle_momentum = cycle_momentum
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def scale_fn(self, x: float) -> float:
        """What the height is multiplied by in cycle, or after batch, ``x``."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        scale: float = 2.0 ** (1 - x) if self.mode == "triangular2" else self.gamma**x
        return scale

    def get_lr(self) -> list[float]:
        """The rate of each group; sets the momenta, too."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                low, high = group["base_momentum"], group["max_momentum"]
                _set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and a plain ``scale_fn``; of an object that is called, its attributes."""
        return {**super().state_dict(), "_scale_fn_custom": saved_function(self._scale_fn_custom)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave; a plain ``scale_fn`` stays as it is."""
        expect_keys("CyclicLR", state_dict, "last_epoch")
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_scale_fn_custom"})
        saved = state_dict.get("_scale_fn_custom")
        if saved is not None and self._scale_fn_custom is not None:
            vars(self._scale_fn_custom).update(saved)


class OneCycleLR(LRScheduler):
    """One cycle of ``lr``, up to ``max_lr`` and far down, and of momentum the other way (Smith & Topin 2018).

    Stepped after every batch, ``total_steps`` (or ``epochs * steps_per_epoch``) times: from ``max_lr / div_factor`` up
    in the first ``pct_start`` of them, then down to ``max_lr / div_factor / final_div_factor``; with ``three_phase``
    down symmetrically first.

    Errors: ``InvalidValueError`` for settings outside their ranges and for a step too many.

    >>> from atled import optim
    >>> optimizer = optim.SGD([at.tensor([1.0])], lr=1.0, momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, 1.0, total_steps=5, pct_start=0.6, anneal_strategy="linear", div_factor=4.0)
    >>> [(round(schedule.get_last_lr()[0], 4), schedule.step())[0] for _ in range(5)]
    [0.25, 0.625, 1.0, 0.5, 0.0]
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
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        expect_optimizer(self, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise at.InvalidValueError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if total_steps < 1:
            raise at.InvalidValueError(f"OneCycleLR: expected total_steps >= 1, got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise at.InvalidValueError(f"OneCycleLR: expected pct_start in [0, 1], got {pct_start}")
        for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            if factor <= 0:
                raise at.InvalidValueError(f"OneCycleLR: expected {name} above 0, got {factor}")
        if anneal_strategy not in ("cos", "linear"):
            raise at.InvalidValueError(
                f"OneCycleLR: expected anneal_strategy 'cos' or 'linear', got {anneal_strategy!r}"
            )
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        tops = [float(lr) for lr in per_group(self, "max_lr", max_lr, optimizer)]
        if cycle_momentum:
            _begin_momentum(self, optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, tops, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
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
                _set_momentum(group, self._anneal(group[momentum_from], group[momentum_to], done))
        return lrs
