"""Schedules of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.optim._optimizer import Optimizer
from atled.optim.lr_scheduler._base import LRScheduler, expect_optimizer
from atled.optim.lr_scheduler._plateau import ReduceLROnPlateau


class _Joined(LRScheduler):
    """Holds several schedules of one optimizer."""

    def _hold(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        name = type(self).__name__
        if not schedulers:
            raise at.InvalidValueError(f"{name}: expected at least one schedule, got none")
        for i, schedule in enumerate(schedulers):
            if not isinstance(schedule, LRScheduler) or isinstance(schedule, ReduceLROnPlateau):
                raise at.ArgumentError(
                    f"{name}: expected schedules whose step() takes nothing, got {type(schedule).__name__} at {i}"
                )
        if optimizer is None:
            optimizer = schedulers[0].optimizer
        expect_optimizer(self, optimizer)
        for i, schedule in enumerate(schedulers):
            if schedule.optimizer is not optimizer:
                raise at.InvalidValueError(
                    f"{name}: expected schedules of one optimizer, got {type(schedule).__name__} of another at {i}"
                )
        self.optimizer = optimizer
        self._schedulers = schedulers

    def get_lr(self) -> list[float]:
        """The present rates."""
        return self._present()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with a dict for each schedule."""
        return {**super().state_dict(), "_schedulers": [each.state_dict() for each in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave."""
        parts = self._load_parts(state_dict, "_schedulers", len(self._schedulers))
        for schedule, saved in zip(self._schedulers, parts, strict=True):
            schedule.load_state_dict(saved)


class SequentialLR(_Joined):
    """One schedule after the other: the next begins, with its epoch 0, at each epoch of ``milestones``.

    Errors: ``InvalidValueError`` for no schedules, schedules of several optimizers, or unless there is one milestone
    less than there are schedules; ``ArgumentError`` for others, such as ``ReduceLROnPlateau``.

    >>> from atled import optim
    >>> from atled.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = optim.SGD([at.tensor([1.0])], lr=1.0)
    >>> warm_up, decay = ConstantLR(optimizer, factor=0.5), ExponentialLR(optimizer, gamma=0.25)
    >>> schedule = SequentialLR(optimizer, [warm_up, decay], milestones=[2])
    >>> [(schedule.step(), *schedule.get_last_lr())[1] for _ in range(3)]
    [0.5, 1.0, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._hold(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise at.InvalidValueError(
                f"SequentialLR: expected one milestone less than schedules ({len(schedulers)}), got {len(milestones)}"
            )
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        # Each schedule took its first step when it was made; now only the one that is to begin takes it.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _take_back(self)
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Goes on by one epoch."""
        self.last_epoch += 1
        at_schedule = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[at_schedule]
        if at_schedule > 0 and self._milestones[at_schedule - 1] == self.last_epoch:
            schedule._restart()
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()


class ChainedScheduler(_Joined):
    """Several schedules at once: ``step()`` is that of each, and their factors multiply.

    Errors: as for `SequentialLR`.

    >>> from atled import optim
    >>> from atled.optim.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = optim.SGD([at.tensor([1.0])], lr=1.0)
    >>> schedule = ChainedScheduler([ConstantLR(optimizer, factor=0.5), ExponentialLR(optimizer, gamma=0.5)])
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._hold(schedulers, optimizer)
        self._last_lr = self._present()

    def step(self) -> None:
        """Goes on by one epoch."""
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = self._present()


def _take_back(schedule: LRScheduler) -> None:
    """Undoes the counting of the first step, in schedules of schedules as well."""
    if isinstance(schedule, _Joined):
        for each in schedule._schedulers:
            _take_back(each)
    else:
        schedule.last_epoch -= 1
