"""Activations and their slopes."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import Tensor
from atled.nn._composed.shared import Kernel, widened

_SCALE, _CUBE = math.sqrt(8 / math.pi), 0.044715


def _elu(x: Tensor, alpha: float) -> Tensor:
    return at.where(x > 0, x, alpha * x.clamp(max=0).expm1())


def _elu_slope(x: Tensor, alpha: float) -> Tensor:
    return at.where(x > 0, 1, alpha * x.clamp(max=0).exp())


def _cdf(x: Tensor) -> Tensor:
    return 0.5 * (x * -math.sqrt(0.5)).erfc()


def _gelu(x: Tensor, approximate: str) -> Tensor:
    if approximate == "tanh":
        return x * (_SCALE * (x + _CUBE * x * x * x)).sigmoid()
    return x * _cdf(x)


def _gelu_slope(x: Tensor, approximate: str) -> Tensor:
    if approximate == "tanh":
        s = (_SCALE * (x + _CUBE * x * x * x)).sigmoid()
        return s + x * s * (1 - s) * _SCALE * (1 + 3 * _CUBE * x * x)
    return _cdf(x) + x * (-0.5 * x * x).exp() / math.sqrt(2 * math.pi)


def _leaky_relu(x: Tensor, slope: float) -> Tensor:
    return at.where(x > 0, x, slope * x)


def _leaky_relu_slope(x: Tensor, slope: float) -> Tensor:
    return at.where(x > 0, 1.0, at.full_like(x, slope))


def _silu(x: Tensor) -> Tensor:
    return x * x.sigmoid()


def _silu_slope(x: Tensor) -> Tensor:
    s = x.sigmoid()
    return s * (1 + x * (1 - s))


def _softplus(x: Tensor, beta: float, threshold: float) -> Tensor:
    z = beta * x
    return at.where(z > threshold, x, (z.clamp(min=0) + (-z.abs()).exp().log1p()) / beta)


def _softplus_slope(x: Tensor, beta: float, threshold: float) -> Tensor:
    z = beta * x
    return at.where(z > threshold, 1, z.sigmoid())


def _value(function: Kernel) -> Kernel:
    def run(input: Tensor, *settings: float | str) -> Tensor:
        return function(widened(input), *settings).to(input.dtype)  # type: ignore[no-any-return]

    return run


def _times_slope(function: Kernel) -> Kernel:
    def run(grad: Tensor, input: Tensor, *settings: float | str) -> Tensor:
        return (widened(grad) * function(widened(input), *settings)).to(input.dtype)  # type: ignore[no-any-return]

    return run


KERNELS: dict[str, Kernel] = {
    "elu": _value(_elu),
    "elu_backward": _times_slope(_elu_slope),
    "gelu": _value(_gelu),
    "gelu_backward": _times_slope(_gelu_slope),
    "leaky_relu": _value(_leaky_relu),
    "leaky_relu_backward": _times_slope(_leaky_relu_slope),
    "silu": _value(_silu),
    "silu_backward": _times_slope(_silu_slope),
    "softplus": _value(_softplus),
    "softplus_backward": _times_slope(_softplus_slope),
}
