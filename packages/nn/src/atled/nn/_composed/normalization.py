"""Layer and batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor
from atled.nn._composed.shared import Kernel, widened


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    x, dims = widened(input), tuple(range(-len(normalized_shape), 0))
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    rstd = (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    return _affine(centred * rstd, weight, bias).to(input.dtype), mean, rstd


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * widened(weight)
    return x if bias is None else x + widened(bias)


def layer_norm_backward(
    grad: Tensor, input: Tensor, normalized_shape: Sequence[int], mean: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    g, normal = widened(grad), (widened(input) - mean) * rstd
    dims = tuple(range(-len(normalized_shape), 0))
    lead = tuple(range(input.ndim - len(normalized_shape)))
    scaled = _affine(g, weight, None)
    inner = scaled - scaled.mean(dims, keepdim=True) - normal * (scaled * normal).mean(dims, keepdim=True)
    slopes = g * normal
    to_weight, to_bias = (slopes.sum(lead), g.sum(lead)) if lead else (slopes, g)
    dtype = input.dtype
    return (rstd * inner).to(dtype), to_weight.to(dtype), to_bias.to(dtype)


def _others(input: Tensor) -> tuple[int, ...]:
    """All dimensions but the channels'."""
    return (0, *range(2, input.ndim))


def _by_channel(vector: Tensor, ndim: int) -> Tensor:
    return widened(vector).reshape(-1, *(1,) * (ndim - 2))


def _channels_affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * _by_channel(weight, x.ndim)
    return x if bias is None else x + _by_channel(bias, x.ndim)


def batch_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    x, dims = widened(input), _others(input)
    mean = x.mean(dims)
    centred = x - _by_channel(mean, x.ndim)
    var = centred.square().mean(dims)
    normal = centred * _by_channel((var + eps).rsqrt(), x.ndim)
    return _channels_affine(normal, weight, bias).to(input.dtype), mean, var


def batch_norm_inference(
    input: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    x = widened(input)
    scale = (widened(var) + eps).rsqrt()
    if weight is not None:
        scale = scale * widened(weight)
    return _channels_affine((x - _by_channel(mean, x.ndim)) * _by_channel(scale, x.ndim), None, bias).to(input.dtype)


def batch_norm_backward(
    grad: Tensor, input: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    g, ndim, dims = widened(grad), input.ndim, _others(input)
    count = max(input.numel() // max(input.shape[1], 1), 1)
    centred = widened(input) - _by_channel(mean, ndim)
    rstd = (widened(var) + eps).rsqrt()
    to_bias = g.sum(dims)
    to_weight = (g * centred).sum(dims) * rstd
    scale = rstd if weight is None else rstd * widened(weight)
    inner = g - _by_channel(to_bias / count, ndim) - centred * _by_channel(rstd * to_weight / count, ndim)
    dtype = input.dtype
    return (inner * _by_channel(scale, ndim)).to(dtype), to_weight.to(dtype), to_bias.to(dtype)


def update_average(input: Tensor, value: Tensor, momentum: float, scale: float) -> Tensor:
    for name, tensor in (("input", input), ("value", value)):
        if not tensor.is_floating_point():
            raise at.DTypeError(f"update_average: expected {name} to be floating-point, got {tensor.dtype}")
    if input.shape != value.shape:
        raise at.ShapeError(f"update_average: expected value of shape {input.shape}, got {value.shape}")
    return input.copy_(widened(input) * (1 - momentum) + widened(value) * (momentum * scale))


KERNELS: dict[str, Kernel] = {
    "layer_norm": layer_norm,
    "layer_norm_backward": layer_norm_backward,
    "batch_norm": batch_norm,
    "batch_norm_inference": batch_norm_inference,
    "batch_norm_backward": batch_norm_backward,
    "update_average": update_average,
}
