"""The scale of a loss whose gradients would vanish in float16 (Micikevicius et al. 2018, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeVar

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained
from atled.optim._optimizer import Optimizer, require
from atled.optim._state import expect_keys

T = TypeVar("T")


class GradScaler:
    """Multiplies losses by a scale, and the gradients by its inverse before a step.

    A step is left out when a gradient is infinite or NaN, and the scale then shrinks; it grows after
    ``growth_interval`` steps without one. Gradients in float32 of a model under `autocast` with float16 need this,
    those of bfloat16 do not.

    device: of the parameters; nothing depends on it.
    init_scale: the scale to begin with, above 0.
    growth_factor, backoff_factor: what the scale is multiplied by; above 1, and between 0 and 1.
    enabled: False for a scaler that changes nothing.

    Errors: ``InvalidValueError`` for other settings; ``OperationError`` for calls in an order that makes no sense.

    >>> import atled.core as at
    >>> from atled import optim
    >>> weight = at.tensor([1.0])
    >>> weight.grad = at.tensor([8.0])  # of a loss that was scaled
    >>> scaler, sgd = optim.GradScaler(init_scale=4.0), optim.SGD([weight], lr=0.5)
    >>> scaler.step(sgd)
    >>> scaler.update()
    >>> weight.tolist()
    [0.0]
    """

    @explained
    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._enabled = enabled
        if enabled:
            _check(init_scale, growth_factor, backoff_factor, growth_interval)
        self._scale, self._growth_tracker = float(init_scale), 0
        self._growth_factor, self._backoff_factor = float(growth_factor), float(backoff_factor)
        self._growth_interval = int(growth_interval)
        # Of each optimizer since the last update(): what unscaling found, by device, and of those that were stepped,
        # whether a gradient was bad.
        self._found: dict[Optimizer, list[Tensor]] = {}
        self._bad: dict[Optimizer, bool] = {}

    @explained
    def scale(self, outputs: T) -> T:
        """A tensor, or those in lists and tuples, times the scale; float16 and bfloat16 scalars become float32."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            scalar_half = outputs.ndim == 0 and outputs.dtype in (at.float16, at.bfloat16)
            wide = outputs.to(at.float32) if scalar_half else outputs
            return wide * self._scale  # type: ignore[return-value]
        if isinstance(outputs, Iterable) and not isinstance(outputs, str):
            scaled = [self.scale(output) for output in outputs]
            return tuple(scaled) if isinstance(outputs, tuple) else scaled  # type: ignore[return-value]
        raise at.ArgumentError(f"scale: expected a Tensor or a list of Tensors, got {type(outputs).__name__}")

    @explained
    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients of an optimizer's parameters by the scale, in place, say before they are clipped.

        ``step`` does so where it was not done. Where parameters are sharded (``atled.distributed.fully_shard``) every
        rank calls it, and a bad gradient of one is one of all. Errors: ``OperationError`` the second time in a step,
        ``DTypeError`` for gradients in float16, whose small numbers are lost already.
        """
        if not self._enabled:
            return
        if optimizer in self._found:
            raise at.OperationError(
                "unscale_: expected one call between two of update(), got another; "
                "call update() after each step, or unscale_() only once"
            )
        by_device: dict[str, list[Tensor]] = {}
        seen: set[int] = set()
        for group in optimizer.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None or id(grad) in seen:
                    continue
                if grad.dtype == at.float16:
                    raise at.DTypeError(
                        "unscale_: expected gradients of float32, got float16; keep the parameters in float32 and "
                        "run the model under autocast"
                    )
                seen.add(id(grad))
                by_device.setdefault(str(grad.device), []).append(grad)
        found = [at.ops.optim.unscale_(grads, 1.0 / self._scale) for grads in by_device.values()]
        params = [param for group in optimizer.param_groups for param in group["params"]]
        if any("_sharding" in getattr(param, "__dict__", ()) for param in params):
            at.distributed.fsdp.max_over_ranks_(found, params)
        self._found[optimizer] = found

    @explained
    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Unscales the gradients, and calls ``optimizer.step(*args, **kwargs)`` unless one is infinite or NaN.

        Answers what that answers, or None. It waits for the device. Errors: ``OperationError`` where no parameter has a
        gradient, for the second call between two of ``update()``, and for a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise at.OperationError(
                "step: expected no closure, got one; scaling a loss and closures do not go together"
            )
        if optimizer in self._bad:
            raise at.OperationError("step: expected one call between two of update(), got another")
        if optimizer not in self._found:
            self.unscale_(optimizer)
        found = self._found[optimizer]
        if not found:
            raise at.OperationError("step: expected parameters with gradients, got none; call backward() before")
        self._bad[optimizer] = _any(found)
        optimizer._opt_called = True  # a step left out is no fault of the order, of which schedules would warn
        return None if self._bad[optimizer] else optimizer.step(*args, **kwargs)

    @explained
    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Changes the scale, or sets it, after the steps of all optimizers.

        Errors: ``OperationError`` when nothing was unscaled since the last call.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            scale = float(new_scale.item() if isinstance(new_scale, Tensor) else new_scale)
            _check(scale, self._growth_factor, self._backoff_factor, self._growth_interval)
            self._scale = scale
        else:
            if not self._found:
                raise at.OperationError("update: expected a call of step() or unscale_() before, got none")
            # One that was not stepped is asked for here; for the others the device was waited for once.
            if any(self._bad[each] if each in self._bad else _any(found) for each, found in self._found.items()):
                shrunk = self._scale * self._backoff_factor
                self._scale, self._growth_tracker = max(shrunk, at.finfo(at.float32).tiny), 0
            elif self._growth_tracker + 1 == self._growth_interval:
                grown = self._scale * self._growth_factor
                self._scale, self._growth_tracker = grown if grown <= at.finfo(at.float32).max else self._scale, 0
            else:
                self._growth_tracker += 1
        self._found, self._bad = {}, {}

    def get_scale(self) -> float:
        """The scale; 1 when the scaler is off."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets it; InvalidValueError unless it is above 1."""
        _check(self._scale, new_factor, self._backoff_factor, self._growth_interval)
        self._growth_factor = float(new_factor)

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by when it shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets it; InvalidValueError unless it is in (0, 1)."""
        _check(self._scale, self._growth_factor, new_factor, self._growth_interval)
        self._backoff_factor = float(new_factor)

    def get_growth_interval(self) -> int:
        """After how many steps without a bad gradient the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets it; InvalidValueError unless it is at least 1."""
        _check(self._scale, self._growth_factor, self._backoff_factor, new_interval)
        self._growth_interval = int(new_interval)

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` takes, with PyTorch's keys; empty when the scaler is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what ``state_dict`` gave.

        Errors: ArgumentError for what is no mapping; InvalidValueError for the empty one of a scaler that was off, and
        where settings are missing or make no sense.
        """
        if not self._enabled:
            return
        expect_keys("GradScaler", state_dict)
        if not state_dict:
            raise at.InvalidValueError("load_state_dict: expected the state of a scaler that was enabled, got none")
        names = ("scale", "growth_factor", "backoff_factor", "growth_interval")
        expect_keys("GradScaler", state_dict, *names, "_growth_tracker")
        scale, growth, backoff, interval = (state_dict[name] for name in names)
        _check(scale, growth, backoff, interval)
        self._scale, self._growth_factor, self._backoff_factor = float(scale), float(growth), float(backoff)
        self._growth_interval, self._growth_tracker = int(interval), int(state_dict["_growth_tracker"])


def _any(found: list[Tensor]) -> bool:
    return any(one.item() != 0 for one in found)


def _check(scale: float, growth_factor: float, backoff_factor: float, growth_interval: int) -> None:
    """Raises InvalidValueError for settings that make no sense."""
    name = "GradScaler"
    require(0 < scale < math.inf, "a scale", "above 0 and finite", scale, name)
    require(growth_factor > 1, "growth_factor", "above 1", growth_factor, name)
    require(0 < backoff_factor < 1, "backoff_factor", "in (0, 1)", backoff_factor, name)
    require(growth_interval >= 1, "growth_interval", "of at least 1", growth_interval, name)
