"""A schedule that goes by what training comes to."""

from __future__ import annotations

import math
from typing import Literal, SupportsFloat

import atled.core as at
from atled.core._explained import explained
from atled.optim._optimizer import Optimizer
from atled.optim.lr_scheduler._base import LRScheduler, expect_optimizer, per_group


class ReduceLROnPlateau(LRScheduler):
    """Multiplies ``lr`` by ``factor`` when a metric has not become better for more than ``patience`` epochs.

    ``step(metrics)`` takes the metric, which is to fall (``mode="min"``) or rise (``"max"``). Better is what differs
    from the best by more than ``threshold`` of it (``threshold_mode="rel"``), or by more than ``threshold``
    (``"abs"``). For ``cooldown`` epochs after a reduction none is counted. ``lr`` stays at ``min_lr``, one for all
    groups or a list, and where it would change by ``eps`` or less.

    Errors: ``InvalidValueError`` for a ``factor`` of 1 or more, unknown modes and another number of ``min_lr``.

    >>> from atled import optim
    >>> optimizer = optim.SGD([at.tensor([1.0])], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0): schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        expect_optimizer(self, optimizer)
        if factor >= 1:
            raise at.InvalidValueError(f"ReduceLROnPlateau: expected factor below 1, got {factor}")
        if mode not in ("min", "max"):
            raise at.InvalidValueError(f"ReduceLROnPlateau: expected mode 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise at.InvalidValueError(
                f"ReduceLROnPlateau: expected threshold_mode 'rel' or 'abs', got {threshold_mode!r}"
            )
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs: list[float] = per_group(self, "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = self._present()

    @property
    def in_cooldown(self) -> bool:
        """Whether bad epochs are not counted, after a reduction."""
        return self.cooldown_counter > 0

    def get_lr(self) -> list[float]:
        """The present rates."""
        return self._present()

    @explained
    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]
        """Goes on by one epoch, which came to ``metrics``: a number or a tensor of one element."""
        current = float(metrics)
        self.last_epoch += 1
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._present()

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * current > sign * self.best * (1 + sign * self.threshold)
        return sign * current > sign * self.best + self.threshold

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):  # some were added since
            if self.default_min_lr is None:
                raise at.InvalidValueError(
                    f"ReduceLROnPlateau: expected one min_lr per parameter group ({len(groups)}), "
                    f"got {len(self.min_lrs)}; set min_lrs anew when a group is added"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                group["lr"] = new
