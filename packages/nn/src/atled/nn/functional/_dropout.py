"""Dropout of elements and of channels."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import several as _several

_SELU_LEAST = -1.7580993408473766  # what selu tends to on the left


@explained
def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: at.Generator | None = None,
) -> Tensor:
    """In training, zeroes each element with probability ``p`` and divides the others by ``1 - p``.

    After Srivastava et al. 2014. Answers the input itself without ``training``, and for p 0; zeros for p 1. The same
    shape and floating dtype, drawn from ``generator``, or the device's own. InvalidValueError for ``p`` outside of [0,
    1].

    >>> kept = dropout(at.ones(1000), p=0.75)
    >>> sorted(set(kept.tolist()))
    [0.0, 4.0]
    >>> dropout(at.ones(2), training=False).tolist()
    [1.0, 1.0]
    """
    if not 0 <= p <= 1:
        raise at.InvalidValueError(f"dropout: expected p in [0, 1], got {p}")
    if not training or p == 0:
        return input
    result = _several.dropout(input, p, generator=generator)[0]
    return input.copy_(result) if inplace else result


def _drop_channels(input: Tensor, p: float, training: bool, inplace: bool, lead: int) -> Tensor:
    """Zeroes slices by the first ``lead`` dimensions."""
    if not training or p == 0:
        return dropout(input, p, training)
    shape = (*input.shape[:lead], *[1] * (input.ndim - lead))
    result = input * dropout(at.ones(shape, dtype=input.dtype, device=input.device), p)
    return input.copy_(result) if inplace else result


@explained
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes whole channels of ``(N, C, L)`` or ``(C, L)`` with probability ``p``; scales the others up.

    >>> dropout1d(at.ones(2, 3, 4), training=False).sum().item()
    24.0
    """
    if input.ndim not in (2, 3):
        raise at.ShapeError(f"dropout1d: expected input (N, C, L) or (C, L), got {tuple(input.shape)}")
    return _drop_channels(input, p, training, inplace, input.ndim - 1)


@explained
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes whole channels of ``(N, C, *)`` with probability ``p``; the others are divided by ``1 - p``.

    After Tompson et al. 2015. The same shape and floating dtype; ShapeError for fewer than two dimensions.

    >>> y = dropout2d(at.ones(8, 16, 3, 3))
    >>> set(y.sum((2, 3)).flatten().tolist()) <= {0.0, 18.0}
    True
    """
    if input.ndim < 2:
        raise at.ShapeError(f"dropout2d: expected input (N, C, ...), got {tuple(input.shape)}")
    return _drop_channels(input, p, training, inplace, 2)


@explained
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes whole channels of ``(N, C, D, H, W)`` or ``(C, D, H, W)`` with probability ``p``.

    The others are scaled up by ``1 / (1 - p)``.

    >>> dropout3d(at.ones(2, 1, 1, 2, 2), p=1.0).sum().item()
    0.0
    """
    if input.ndim not in (4, 5):
        raise at.ShapeError(f"dropout3d: expected input (N, C, D, H, W) or (C, D, H, W), got {tuple(input.shape)}")
    return _drop_channels(input, p, training, inplace, input.ndim - 3)


@explained
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """In training, sets each element to what `selu` tends to on the left with probability ``p``.

    Then all are scaled and moved so that elements of mean 0 and deviation 1 keep both (Klambauer et al. 2017, section
    3). The same shape and floating dtype; InvalidValueError for ``p`` outside of [0, 1].

    >>> alpha_dropout(at.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """
    return _alpha_dropout("alpha_dropout", input, p, training, inplace, input.shape)


@explained
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """As `alpha_dropout`, for whole channels of ``(N, C, ...)``.

    ShapeError for fewer than two dimensions.

    >>> y = feature_alpha_dropout(at.zeros(8, 16, 3), training=True)
    >>> bool((y == y[..., :1]).all())  # a channel is dropped as a whole
    True
    """
    if input.ndim < 2:
        raise at.ShapeError(f"feature_alpha_dropout: expected input (N, C, ...), got {tuple(input.shape)}")
    shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    return _alpha_dropout("feature_alpha_dropout", input, p, training, inplace, shape)


def _alpha_dropout(op: str, input: Tensor, p: float, training: bool, inplace: bool, shape: tuple[int, ...]) -> Tensor:
    if not 0 <= p <= 1:
        raise at.InvalidValueError(f"{op}: expected p in [0, 1], got {p}")
    if not training or p == 0:
        return input
    if p == 1:
        result = input * 0
    else:
        kept = at.bernoulli(at.full(shape, 1 - p, dtype=input.dtype, device=input.device))
        scale = 1 / math.sqrt((1 - p) * (1 + p * _SELU_LEAST**2))
        result = input * (kept * scale) + ((1 - kept) * _SELU_LEAST - p * _SELU_LEAST) * scale
    return input.copy_(result) if inplace else result
