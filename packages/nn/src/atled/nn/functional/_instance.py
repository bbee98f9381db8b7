"""Normalisation of each image by itself, and by neighbouring channels."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._ops import several as _several
from .._precision import wide
from ._layer import expect_both


@explained
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of each element of ``(N, C, ...)`` by itself (Ulyanov et al. 2016).

    By its own mean and variance, which move the running ones, of shape ``(C,)``, by ``momentum``; or by the running
    ones, with ``use_input_stats=False``. weight and bias: ``(C,)``. The same shape and floating dtype. ShapeError for
    less than two elements to normalise, ArgumentError where running statistics are missing.

    >>> instance_norm(at.tensor([[[1.0, 3.0], [5.0, 5.0]]]), eps=0.0 + 1e-12).tolist()
    [[[-1.0, 1.0], [0.0, 0.0]]]
    """
    if input.ndim < 3:
        raise at.ShapeError(f"instance_norm: expected input (N, C, ...) of 3 dimensions or more, got {input.shape}")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise at.ArgumentError(
                "instance_norm: expected running_mean and running_var when use_input_stats=False, got None"
            )
        return _one.batch_norm_inference(input, running_mean, running_var, weight, bias, eps)
    expect_both("instance_norm", running_mean, running_var)
    n, channels, count = input.shape[0], input.shape[1], math.prod(input.shape[2:])
    if count < 2:
        raise at.ShapeError(
            f"instance_norm: expected more than one element of each channel to normalise, got {tuple(input.shape)}"
        )
    vectors = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    for name, given in vectors.items():
        if given is not None and tuple(given.shape) != (channels,):
            raise at.ShapeError(f"instance_norm: expected {name} of shape ({channels},), got {tuple(given.shape)}")
    scale, shift = (None if t is None else at.tile(t, (n,)) for t in (weight, bias))
    output, mean, var = _several.batch_norm(input.reshape(1, n * channels, *input.shape[2:]), scale, shift, eps)
    if running_mean is not None:
        _one.update_average(running_mean, mean.reshape(n, channels).mean(0), momentum)
    if running_var is not None:
        _one.update_average(running_var, var.reshape(n, channels).mean(0), momentum, count / (count - 1))
    return output.reshape(input.shape)


@explained
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """``x / (k + alpha m)^beta`` with the mean m of the squares of ``size`` neighbouring channels.

    Krizhevsky et al. 2012, section 3.3, with a mean for the sum. Input ``(N, C, ...)`` of any floating dtype, output
    the same; channels beyond the ends count as zeros. ShapeError for fewer than three dimensions.

    >>> local_response_norm(at.ones(1, 1, 1), 2, alpha=6.0, beta=1.0).item()
    0.25
    """
    if input.ndim < 3:
        raise at.ShapeError(f"local_response_norm: expected input (N, C, ...), got {tuple(input.shape)}")
    if size < 1:
        raise at.InvalidValueError(f"local_response_norm: expected size of at least 1, got {size}")
    if input.numel() == 0:
        return input
    x = wide(input)
    squares = _one.constant_pad((x * x).flatten(2).unsqueeze(1), [0, 0, size // 2, (size - 1) // 2])
    means = _one.avg_pool2d(squares, (size, 1), (1, 1)).reshape(input.shape)
    return (x / (k + alpha * means) ** beta).to(input.dtype)
