"""Schedules from functions of the epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.optim._optimizer import Optimizer
from atled.optim.lr_scheduler._base import LRScheduler, expect_optimizer, per_group, saved_function

Function = Callable[[int], float]


class _FunctionLR(LRScheduler):
    """With a function of the epoch for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | Sequence[Function], last_epoch: int = -1) -> None:
        expect_optimizer(self, optimizer)
        self.lr_lambdas: list[Function] = per_group(self, "lr_lambda", lr_lambda, optimizer)
        for function in self.lr_lambdas:
            if not callable(function):
                raise at.ArgumentError(
                    f"{type(self).__name__}: expected lr_lambda to be a function of the epoch, "
                    f"got {type(function).__name__}"
                )
        super().__init__(optimizer, last_epoch)

    def _factors(self) -> list[float]:
        return [function(self.last_epoch) for function in self.lr_lambdas]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and plain functions; of objects that are called, their attributes."""
        return {**super().state_dict(), "lr_lambdas": [saved_function(each) for each in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave; plain functions stay as they are."""
        parts = self._load_parts(state_dict, "lr_lambdas", len(self.lr_lambdas))
        for function, saved in zip(self.lr_lambdas, parts, strict=True):
            if saved is not None:
                vars(function).update(saved)


class LambdaLR(_FunctionLR):
    """``lr_lambda(epoch)`` times the initial ``lr``; a list has a function for each parameter group.

    Errors: ``InvalidValueError`` for another number of functions, ``ArgumentError`` for what cannot be called.

    >>> from atled import optim
    >>> schedule = LambdaLR(optim.SGD([at.tensor([1.0])], lr=0.5), lambda epoch: 1 / (1 + epoch))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def get_lr(self) -> list[float]:
        return [lr * factor for lr, factor in zip(self.base_lrs, self._factors(), strict=True)]


class MultiplicativeLR(_FunctionLR):
    """Multiplies ``lr`` by ``lr_lambda(epoch)`` in every epoch; a list has a function for each parameter group.

    Errors: ``InvalidValueError`` for another number of functions, ``ArgumentError`` for what cannot be called.

    >>> from atled import optim
    >>> schedule = MultiplicativeLR(optim.SGD([at.tensor([1.0])], lr=0.5), lambda epoch: 0.5)
    >>> schedule.step(); schedule.step()
    >>> schedule.get_last_lr()
    [0.125]
    """

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._present()
        return [lr * factor for lr, factor in zip(self._present(), self._factors(), strict=True)]
