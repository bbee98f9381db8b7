"""What schedules have in common."""

from __future__ import annotations

import types
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.core._explained import ExplainsInit
from atled.optim._optimizer import Optimizer
from atled.optim._state import expect_keys


class LRScheduler(ExplainsInit, ABC):
    """Base of the schedules: counts epochs and sets each group's ``lr`` to ``get_lr()``.

    Schedules change the group's present ``lr``, so that several of them on one optimizer multiply. ``last_epoch`` other
    than -1 goes on from there and expects ``initial_lr`` in every group, as a loaded optimizer has. A subclass has
    ``get_lr()``, a rate for each group.

    The optimizer steps first, then its schedule: a UserWarning where a schedule's first ``step()`` comes before any of
    the optimizer's since there are schedules for it: the first rate would go unused.

    Errors: ``ArgumentError`` for what is no optimizer, ``InvalidValueError`` where ``initial_lr`` is missing.

    >>> from atled import optim
    >>> class Harmonic(LRScheduler):
    ...     def get_lr(self):
    ...         return [lr / (1 + self.last_epoch) for lr in self.base_lrs]
    >>> optimizer = optim.SGD([at.tensor([1.0])], lr=1.0)
    >>> schedule = Harmonic(optimizer)
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"], schedule.get_last_lr()
    (0.5, [0.5])
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        expect_optimizer(self, optimizer)
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
        if not optimizer._opt_called:
            optimizer._see_steps()
        self._initial_step()

    @abstractmethod
    def get_lr(self) -> list[float]:
        """The learning rate of each group in the epoch ``last_epoch``."""

    def step(self) -> None:
        """Goes on by one epoch (one batch for CyclicLR and OneCycleLR)."""
        if self._step_count == 1 and not self.optimizer._opt_called and self.optimizer._sees_steps():
            warnings.warn(
                f"{type(self).__name__}: step() before any optimizer.step() skips the first learning rate; "
                "call optimizer.step() first",
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def get_last_lr(self) -> list[float]:
        """The learning rates that the last step set."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave.

        Errors: ``ArgumentError`` for what is no mapping, ``InvalidValueError`` where it lacks ``last_epoch`` or what
        the schedule needs beside it.
        """
        expect_keys(type(self).__name__, state_dict, "last_epoch")
        vars(self).update(state_dict)

    def _load_parts(self, state_dict: dict[str, Any], key: str, count: int) -> list[Any]:
        """Takes over all but what ``key`` has for each of ``count`` parts of the schedule, and answers that."""
        name = type(self).__name__
        expect_keys(name, state_dict, "last_epoch", key)
        parts = state_dict[key]
        if not isinstance(parts, (list, tuple)) or len(parts) != count:
            got = f"{len(parts)}" if isinstance(parts, (list, tuple)) else type(parts).__name__
            raise at.InvalidValueError(f"load_state_dict: expected {name}'s {key!r} to be a list of {count}, got {got}")
        LRScheduler.load_state_dict(self, {name: value for name, value in state_dict.items() if name != key})
        return list(parts)

    def _initial_step(self) -> None:
        """The step to the first epoch, which finds the rates of a loaded optimizer as they are to be."""
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def _restart(self) -> None:
        """Goes to epoch 0, where another schedule was before."""
        self.last_epoch = 0
        self._set(self._closed_form())

    def _closed_form(self) -> list[float]:
        """The rates in ``last_epoch`` from the initial ones, for schedules that know them without the present ones."""
        return self.get_lr()

    def _present(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _set(self, lrs: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
        self._last_lr = self._present()


def expect_optimizer(schedule: object, optimizer: object) -> None:
    """Raises ArgumentError for anything else."""
    if not isinstance(optimizer, Optimizer):
        raise at.ArgumentError(f"{type(schedule).__name__}: expected an Optimizer, got {type(optimizer).__name__}")


def per_group(schedule: object, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value for each parameter group, of a list of them or of one for all."""
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise at.InvalidValueError(
            f"{type(schedule).__name__}: expected one {name} per parameter group ({count}), got {len(values)}"
        )
    return values


def saved_function(function: Callable[..., Any] | None) -> dict[str, Any] | None:
    """What of a function can be saved: the attributes of an object that is called, nothing of a plain function."""
    return None if function is None or isinstance(function, types.FunctionType) else dict(vars(function))
