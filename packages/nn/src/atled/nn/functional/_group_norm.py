"""Normalisation of groups of channels."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._ops import several as _several
from .._precision import cast, wide, wide_dtype


@explained
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalises each group of neighbouring channels over all that it holds (Wu & He 2018, eqs. 1 to 6).

    input: ``(N, C, *)``, floats; weight and bias: ``(C,)`` of its dtype, beside half precision also float32, or None.
    Answers the input's shape and dtype; half precision is computed in float32 and rounded once, and a group of one
    element is 0 before the bias. ShapeError where C is no multiple of ``num_groups``, or weight and bias are not of
    size C; DTypeError for other dtypes; InvalidValueError for ``num_groups`` below 1.

    >>> group_norm(at.tensor([[1.0, 3.0, 4.0, 8.0]]), 2, eps=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    if num_groups < 1:
        raise at.InvalidValueError(f"group_norm: expected num_groups of at least 1, got {num_groups}")
    if input.ndim < 2 or input.shape[1] % num_groups:
        raise at.ShapeError(
            f"group_norm: expected input (N, C, *) with C a multiple of {num_groups} groups, got {tuple(input.shape)}"
        )
    if not input.is_floating_point():
        raise at.DTypeError(f"group_norm: expected input of a floating dtype, got {input.dtype.name}")
    input, weight, bias = cast("float32", input, weight, bias)
    channels, dtype = input.shape[1], input.dtype
    for name, affine in (("weight", weight), ("bias", bias)):
        if affine is not None and tuple(affine.shape) != (channels,):
            raise at.ShapeError(f"group_norm: expected {name} of shape ({channels},), got {tuple(affine.shape)}")
        if affine is not None and affine.dtype not in (dtype, wide_dtype(dtype)):
            raise at.DTypeError(f"group_norm: expected {name} of dtype {dtype.name}, got {affine.dtype.name}")
    size = math.prod(input.shape[1:]) // num_groups
    if input.device.type == "cpu" and size > 1 and math.prod(input.shape[2:]) > 1:
        return _several.group_norm(input, num_groups, weight, bias, eps)[0]
    plain = weight is None and bias is None
    if not plain:  # two ops, and one rounding
        input = wide(input)
        weight, bias = (None if affine is None else wide(affine) for affine in (weight, bias))
    if size > 1:  # each group of each example is a channel to batch_norm, which is the fastest of its kind
        groups = input.reshape(1, input.shape[0] * num_groups, size)
        result = _several.batch_norm(groups, None, None, eps)[0].reshape(input.shape)
    else:
        result = input - input
    if plain:
        return result
    zeros = at.zeros(channels, dtype=input.dtype, device=input.device)
    return _one.batch_norm_inference(result, zeros, zeros + 1, weight, bias, 0.0).to(dtype)
