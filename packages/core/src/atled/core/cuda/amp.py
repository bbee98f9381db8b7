"""Mixed precision on GPUs by PyTorch's older names: those of `atled.core.amp` with the device type ``"cuda"``."""

from __future__ import annotations

from typing import Any

from atled.core import _core, amp

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


def autocast(enabled: bool = True, dtype: _core.dtype = _core.float16, cache_enabled: bool = True) -> Any:
    """``at.amp.autocast("cuda")``, which comes with atled-autograd.

    >>> with at.cuda.amp.autocast(dtype=at.bfloat16):  # doctest: +SKIP
    ...     loss = model(images)
    """
    return amp.autocast("cuda", dtype, enabled, cache_enabled)


def GradScaler(*args: Any, **kwargs: Any) -> Any:
    """``at.amp.GradScaler("cuda")``, which comes with atled-optim.

    >>> scaler = at.cuda.amp.GradScaler(init_scale=1024.0, enabled=True)  # doctest: +SKIP
    """
    return amp.GradScaler("cuda", *args, **kwargs)


def custom_fwd(fwd: Any = None, *, cast_inputs: _core.dtype | None = None) -> Any:
    """``at.amp.custom_fwd`` for ``"cuda"``, of atled-autograd.

    >>> @at.cuda.amp.custom_fwd(cast_inputs=at.float32)  # doctest: +SKIP
    ... def forward(ctx, x): ...
    """
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Any) -> Any:
    """``at.amp.custom_bwd`` for ``"cuda"``, of atled-autograd.

    >>> @at.cuda.amp.custom_bwd  # doctest: +SKIP
    ... def backward(ctx, grad): ...
    """
    return amp.custom_bwd(bwd, device_type="cuda")
