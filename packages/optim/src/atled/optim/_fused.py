"""What optimizers share whose step over all tensors of a group is one op (csrc/step.h)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import atled.core as at
from atled.core import Tensor
from atled.optim._optimizer import Optimizer, buffer_for, count_for, require


class FusedOptimizer(Optimizer):
    """An optimizer that is an op: what it keeps in a parameter's state are the op's lists, its settings the others.

    Numbers in the state, such as ``step``, are Python's; in a group that is ``capturable`` they are tensors on the
    parameter's device, which the op changes, so that a CUDA graph goes on counting.
    """

    #: The op in ``at.ops.optim``.
    _op: ClassVar[str]
    #: Numbers in the state, by key: the op's name for them where they are tensors, and where they begin.
    _counts: ClassVar[dict[str, tuple[str, float]]] = {"step": ("counts", 0.0)}
    #: Whether the op takes them, or goes without.
    _by_step: ClassVar[bool] = True

    @abstractmethod
    def _buffers(self, group: dict[str, Any]) -> Sequence[str | None]:
        """The keys of the op's lists of state, None for a list that stays empty."""

    @abstractmethod
    def _settings(self, group: dict[str, Any]) -> dict[str, Any]:
        """The op's settings."""

    def _advanced(self, group: dict[str, Any], states: list[dict[str, Any]]) -> list[list[float]]:
        """The numbers of the step to come: a list for each of ``_counts``."""
        return [[state.get("step", 0) + 1 for state in states]]

    def _start(self, group: dict[str, Any], state: dict[str, Any], key: str, param: Tensor) -> Tensor:
        """A tensor of the state, made at first use."""
        return buffer_for(state, key, param)

    def _list(
        self, group: dict[str, Any], states: list[dict[str, Any]], key: str, params: list[Tensor]
    ) -> list[Tensor]:
        try:
            return [state[key] for state in states]
        except KeyError:
            return [self._start(group, state, key, param) for state, param in zip(states, params, strict=True)]

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        states = [self.state[param] for param in params]
        settings = self._settings(group)
        numbers: list[list[float]] = []
        if group.get("capturable", False):
            for key, (name, start) in self._counts.items():
                settings[name] = [
                    count_for(state, key, param, start) for state, param in zip(states, params, strict=True)
                ]
        else:
            numbers = self._advanced(group, states)
            if numbers and Tensor in map(type, numbers[0]):  # the group was capturable before
                for state in states:
                    self._count_in_python(state)
                numbers = self._advanced(group, states)
        lists: list[list[Any]] = [
            [] if key is None else self._list(group, states, key, params) for key in self._buffers(group)
        ]
        if self._by_step:
            lists += numbers or [[] for _ in self._counts]
        getattr(at.ops.optim, self._op)(params, grads, *lists, **settings)
        for key, values in zip(self._counts, numbers, strict=False):  # none where they are on the device
            for state, value in zip(states, values, strict=True):
                state[key] = value

    def _count_in_python(self, state: dict[str, Any]) -> None:
        for key in self._counts:
            if isinstance(state.get(key), Tensor):
                state[key] = int(state[key].item()) if key == "step" else state[key].item()


def require_not_negative(group: dict[str, Any], *names: str) -> None:
    """Raises InvalidValueError unless the settings are 0 or more."""
    for name in names:
        require(group[name] >= 0, name, "at least 0", group[name])


def require_betas(group: dict[str, Any]) -> None:
    """Raises InvalidValueError unless the decays of means are two numbers in [0, 1)."""
    require(len(group["betas"]) == 2, "betas", "to be two numbers", group["betas"])
    for beta in group["betas"]:
        require(0 <= beta < 1, "betas", "in [0, 1)", group["betas"])


def settings_of(group: dict[str, Any], *names: str) -> dict[str, Any]:
    """Settings of those names; betas as the ops take them."""
    settings = {name: group[name] for name in names}
    if "betas" in settings:
        settings["beta1"], settings["beta2"] = settings.pop("betas")
    return settings
