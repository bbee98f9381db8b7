"""Schedules that multiply by factors: in steps, along lines, powers and exponentials."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Any

import atled.core as at
from atled.optim._optimizer import Optimizer
from atled.optim._state import expect_keys
from atled.optim.lr_scheduler._base import LRScheduler


class StepLR(LRScheduler):
    """Multiplies ``lr`` by ``gamma`` every ``step_size`` epochs.

    Errors: ``InvalidValueError`` for a ``step_size`` below 1.

    >>> from atled import optim
    >>> schedule = StepLR(optim.SGD([at.tensor([1.0])], lr=1.0), step_size=2, gamma=0.5)
    >>> [(schedule.step(), *schedule.get_last_lr())[1] for _ in range(4)]
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise at.InvalidValueError(f"StepLR: expected step_size >= 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self._present()]

    def _closed_form(self) -> list[float]:
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Multiplies ``lr`` by ``gamma`` in every epoch of ``milestones``, twice in one that is there twice.

    Errors: ``ArgumentError`` for one number in the place of ``milestones``.

    >>> from atled import optim
    >>> optimizer = optim.SGD([at.tensor([1.0])], lr=1.0)
    >>> schedule = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3): schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if not isinstance(milestones, Iterable):
            raise at.ArgumentError(
                f"MultiStepLR: expected milestones to be epochs, got {type(milestones).__name__}; put it in a list"
            )
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones[self.last_epoch]
        return [lr * self.gamma**times if times else lr for lr in self._present()]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave, also from a file, whose keys are text."""
        expect_keys("MultiStepLR", state_dict, "last_epoch", "milestones")
        super().load_state_dict(state_dict)
        self.milestones = Counter({int(epoch): times for epoch, times in state_dict["milestones"].items()})

    def _closed_form(self) -> list[float]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [lr * self.gamma**passed for lr in self.base_lrs]


class ConstantLR(LRScheduler):
    """``factor`` times ``lr`` for ``total_iters`` epochs, then ``lr``.

    Errors: ``InvalidValueError`` for a ``factor`` outside of [0, 1].

    >>> from atled import optim
    >>> schedule = ConstantLR(optim.SGD([at.tensor([1.0])], lr=1.0), factor=0.25, total_iters=2)
    >>> [schedule.get_last_lr()[0], *((schedule.step(), *schedule.get_last_lr())[1] for _ in range(3))]
    [0.25, 0.25, 1.0, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise at.InvalidValueError(f"ConstantLR: expected factor in [0, 1], got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._present()]
        if self.last_epoch != self.total_iters:
            return self._present()
        if self.factor == 0:  # nothing is left to be multiplied
            return list(self.base_lrs)
        return [lr * (1 / self.factor) for lr in self._present()]

    def _closed_form(self) -> list[float]:
        return [lr if self.last_epoch >= self.total_iters else lr * self.factor for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """Goes linearly from ``start_factor`` to ``end_factor`` times ``lr`` in ``total_iters`` epochs, then stays.

    Errors: ``InvalidValueError`` for factors outside of (0, 1] and [0, 1].

    >>> from atled import optim
    >>> schedule = LinearLR(optim.SGD([at.tensor([1.0])], lr=1.0), start_factor=0.5, total_iters=2)
    >>> [schedule.get_last_lr()[0], *((schedule.step(), *schedule.get_last_lr())[1] for _ in range(3))]
    [0.5, 0.75, 1.0, 1.0]
    """

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
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._present()
        ratio = self._factor(self.last_epoch) / self._factor(self.last_epoch - 1)
        return [lr * ratio for lr in self._present()]

    def _closed_form(self) -> list[float]:
        return [lr * self._factor(self.last_epoch) for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Multiplies ``lr`` by ``gamma`` in every epoch.

    >>> from atled import optim
    >>> schedule = ExponentialLR(optim.SGD([at.tensor([1.0])], lr=1.0), gamma=0.5)
    >>> [(schedule.step(), *schedule.get_last_lr())[1] for _ in range(3)]
    [0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._present() if self._is_initial else [lr * self.gamma for lr in self._present()]

    def _closed_form(self) -> list[float]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """``(1 - epoch / total_iters) ** power`` times ``lr``, which is 0 after ``total_iters`` epochs.

    Errors: ``InvalidValueError`` for ``total_iters`` below 1.

    >>> from atled import optim
    >>> schedule = PolynomialLR(optim.SGD([at.tensor([1.0])], lr=1.0), total_iters=4, power=2.0)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5625]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        if total_iters < 1:
            raise at.InvalidValueError(f"PolynomialLR: expected total_iters >= 1, got {total_iters}")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def _left(self, epoch: int) -> float:
        return 1 - min(epoch, self.total_iters) / self.total_iters

    def get_lr(self) -> list[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._present()
        ratio: float = (self._left(self.last_epoch) / self._left(self.last_epoch - 1)) ** self.power
        return [lr * ratio for lr in self._present()]

    def _closed_form(self) -> list[float]:
        factor: float = self._left(self.last_epoch) ** self.power
        return [lr * factor for lr in self.base_lrs]
