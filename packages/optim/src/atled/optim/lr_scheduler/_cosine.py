"""Schedules along cosines (Loshchilov & Hutter 2017)."""

from __future__ import annotations

import math

import atled.core as at
from atled.core._explained import explained
from atled.optim._optimizer import Optimizer
from atled.optim.lr_scheduler._base import LRScheduler


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from ``lr`` to ``eta_min`` in ``T_max`` epochs, and back (Loshchilov & Hutter 2017, eq. 5).

    Errors: ``InvalidValueError`` for a ``T_max`` below 1.

    >>> from atled import optim
    >>> schedule = CosineAnnealingLR(optim.SGD([at.tensor([1.0])], lr=1.0), T_max=2)
    >>> [(schedule.step(), *(round(abs(lr), 6) for lr in schedule.get_last_lr()))[1] for _ in range(4)]
    [0.5, 0.0, 0.5, 1.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise at.InvalidValueError(f"CosineAnnealingLR: expected T_max >= 1, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._present()
        now = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        before = 1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        # Leaving the minimum, the ratio below is 0 / 0.
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - self.eta_min) * rise for lr, base in zip(self._present(), self.base_lrs, strict=True)]
        return [(lr - self.eta_min) * now / before + self.eta_min for lr in self._present()]

    def _closed_form(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * height for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from ``lr`` to ``eta_min`` in ``T_0`` epochs, again and again (Loshchilov & Hutter 2017, eq. 5).

    Every next one is ``T_mult`` times as long. ``step(epoch)`` goes to an epoch, of which a part may have passed:
    ``step(epoch + batch / batches)`` after every batch.

    Errors: ``InvalidValueError`` unless ``T_0`` and ``T_mult`` are integers from 1 on, and for a negative ``epoch``.

    >>> from atled import optim
    >>> schedule = CosineAnnealingWarmRestarts(optim.SGD([at.tensor([1.0])], lr=1.0), T_0=2)
    >>> schedule.step(0.5)
    >>> [round(lr, 4) for lr in schedule.get_last_lr()]
    [0.8536]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise at.InvalidValueError(
                    f"CosineAnnealingWarmRestarts: expected an integer {name} >= 1, got {value!r}"
                )
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * height for lr in self.base_lrs]

    @explained
    def step(self, epoch: float | None = None) -> None:
        """Goes on by one epoch, or to ``epoch``."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            self.last_epoch += 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise at.InvalidValueError(f"CosineAnnealingWarmRestarts: expected epoch at least 0, got {epoch}")
        else:
            self.last_epoch = math.floor(epoch)
            self.T_cur, self.T_i = epoch, self.T_0
            if self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            else:
                while self.T_cur >= self.T_i:
                    self.T_cur -= self.T_i
                    self.T_i *= self.T_mult
        self._set(self.get_lr())
